// What plots have in common: scales, marks on axes, and canvases as sharp as the screen.

const linear = (from, to, first, last) => (x) => first + ((x - from) / (to - from || 1)) * (last - first);
const logarithmic = (from, to, first, last) => (x) => linear(Math.log(from), Math.log(to), first, last)(Math.log(x));

// Round numbers between two others, about `many` of them: 1, 2 or 5 times a power of `base`.
function roundNumbers(from, to, many, base = 10) {
  const rough = (to - from) / many;
  if (!(rough > 0)) return [from];
  const power = base ** Math.floor(Math.log(rough) / Math.log(base));
  const factors = base === 10 ? [1, 2, 5, 10] : [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];
  const step = power * factors.find((factor) => factor * power >= rough);
  const found = [];
  for (let x = Math.ceil(from / step) * step; x <= to + step * 1e-9; x += step) found.push(x);
  return found;
}

function powersOfTen(from, to) {
  const found = [];
  for (let power = Math.ceil(Math.log10(from) - 1e-9); 10 ** power <= to * (1 + 1e-9); power++) found.push(10 ** power);
  return found;
}

// A canvas that `draw(context, width, height, ink)` draws, again whenever its size or the colours change.
class Canvas {
  constructor({ height, label, draw, hover = null, click = null, attributes = {} }) {
    Object.assign(this, { height, drawing: draw });
    this.element = h("canvas.plot", { tabindex: 0, role: "img", "aria-label": label, ...attributes });
    this.element.style.height = `${height}px`;
    if (hover) {
      this.element.addEventListener("pointermove", (event) => hover(event, ...this.at(event)));
      this.element.addEventListener("pointerleave", hush);
    }
    if (click) this.element.addEventListener("click", (event) => click(event, ...this.at(event)));
    new ResizeObserver(() => this.draw()).observe(this.element);
    redrawn.add(() => this.draw());
  }

  at(event) {
    const box = this.element.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  get width() {
    return this.element.clientWidth;
  }

  draw() {
    if (!this.width) return;
    const sharp = window.devicePixelRatio || 1;
    this.element.width = Math.round(this.width * sharp);
    this.element.height = Math.round(this.height * sharp);
    const context = this.element.getContext("2d");
    context.scale(sharp, sharp);
    context.font = "11px system-ui, sans-serif";
    context.textBaseline = "middle";
    this.drawing(context, this.width, this.height, inks());
  }
}

function inks() {
  const names = ["ink", "paper", "quiet", "line", "tint", "accent", "forward", "backward", "update", "other"];
  return Object.fromEntries(names.map((name) => [name, color(name)]));
}

function text(context, words, x, y, ink, align = "left") {
  context.fillStyle = ink;
  context.textAlign = align;
  context.fillText(words, x, y);
}

function stroke(context, ink, points, dashes = []) {
  context.strokeStyle = ink;
  context.setLineDash(dashes);
  context.beginPath();
  points.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
  context.stroke();
  context.setLineDash([]);
}
