// The arena over time: each buffer a bar, from its first instant to its last and over the bytes that it has.

const ARENA = { height: 330, left: 70, right: 12, top: 20, bottom: 30, live: 54 };

function memorySection(model) {
  const { data } = model;
  const buffers = data.buffers || [];
  const outside = Object.entries(data.outside || {})
    .filter(([, size]) => size)
    .map(([name, size]) => `${name} ${bytes(size)}`);
  const rest = outside.length ? h("p.quiet", {}, `Outside of it: ${outside.join(", ")}.`) : null;
  if (!buffers.length)
    return section("memory", "Memory over time", h("p.quiet", {}, "Nothing lies in the arena."), rest);
  const view = new Arena(model, buffers);
  onAddress("instant", (text) => {
    view.choose(Number(text));
    document.getElementById("memory").scrollIntoView();
  });
  const peak = data.peak
    ? link("instant", data.peak.instant, `peak ${bytes(data.peak.bytes)} at instant ${data.peak.instant}`)
    : null;
  return section(
    "memory",
    "Memory over time",
    h(
      "p.bar",
      {},
      peak,
      h(
        "span.quiet",
        {},
        `${plural(buffers.length, "buffer")} in an arena of ${bytes(data.arena_bytes)}; click an instant to see what is alive, ← and → go on`,
      ),
      legend(new Set(buffers.map((each) => model.phase(each.kernel)))),
    ),
    view.canvas.element,
    view.alive,
    rest,
  );
}

class Arena {
  constructor(model, buffers) {
    Object.assign(this, { model, buffers, chosen: null });
    this.instants = Math.max(model.kernels.length, largest(buffers.map((each) => each.last + 1)));
    this.size = Math.max(model.data.arena_bytes || 0, largest(buffers.map((each) => each.offset + each.bytes)));
    this.live = liveBytes(buffers, this.instants);
    this.most = largest(this.live);
    this.alive = h("div", { id: "alive" });
    this.canvas = new Canvas({
      height: ARENA.height + ARENA.live,
      label: "buffers of the arena, offset by instant",
      draw: (...given) => this.draw(...given),
      hover: (event, x, y) => this.hover(event, x, y),
      click: (event, x) => (location.hash = address("instant", this.instantAt(x))),
    });
    this.canvas.element.addEventListener("keydown", (event) => this.key(event));
  }

  get x() {
    return linear(0, this.instants, ARENA.left, this.canvas.width - ARENA.right);
  }

  get y() {
    return linear(0, this.size, ARENA.height - ARENA.bottom, ARENA.top);
  }

  instantAt(x) {
    const instant = Math.floor(linear(ARENA.left, this.canvas.width - ARENA.right, 0, this.instants)(x));
    return Math.min(Math.max(instant, 0), this.instants - 1);
  }

  key(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    this.choose((this.chosen ?? (this.model.data.peak || { instant: 0 }).instant) + step);
  }

  hover(event, x, y) {
    const instant = this.instantAt(x);
    const offset = linear(ARENA.height - ARENA.bottom, ARENA.top, 0, this.size)(y);
    const buffer = this.buffers.find(
      (b) => b.first <= instant && instant <= b.last && b.offset <= offset && offset < b.offset + b.bytes,
    );
    const lines = [
      `instant ${instant}: ${this.model.kernels[instant]?.title || ""}, ${bytes(this.live[instant])} alive`,
    ];
    if (buffer)
      lines.push(
        `${buffer.name}: ${bytes(buffer.bytes)}, instants ${buffer.first} to ${buffer.last}${buffer.loc ? `, ${place(buffer.loc).short}` : ""}`,
      );
    say(event, ...lines);
  }

  choose(instant) {
    if (!Number.isInteger(instant)) return;
    this.chosen = Math.min(Math.max(instant, 0), this.instants - 1);
    const alive = this.buffers.filter((b) => b.first <= this.chosen && this.chosen <= b.last);
    const kernel = this.model.kernels[this.chosen];
    const table = new LongTable({
      columns: bufferColumns(this.model),
      rows: alive,
      label: "buffers alive",
      sort: "bytes",
      most: 300,
    });
    this.alive.replaceChildren(
      h("h3", {}, `Instant ${this.chosen}: ${plural(alive.length, "buffer")} alive, ${bytes(this.live[this.chosen])}`),
      kernel ? h("p.quiet", {}, "while ", this.model.kernelLink(kernel.id), " runs") : "",
      table.element,
    );
    this.canvas.draw();
  }

  draw(context, width, height, ink) {
    const { x, y } = this;
    context.clearRect(0, 0, width, height);
    for (const each of roundNumbers(0, this.size, 5, 2)) {
      stroke(context, ink.line, [
        [ARENA.left, y(each)],
        [width - ARENA.right, y(each)],
      ]);
      text(context, bytes(each), ARENA.left - 8, y(each), ink.quiet, "right");
    }
    for (const b of this.buffers) {
      const alive = this.chosen === null || (b.first <= this.chosen && this.chosen <= b.last);
      const [left, top] = [x(b.first), y(b.offset + b.bytes)];
      const [wide, high] = [Math.max(x(b.last + 1) - left, 0.8), Math.max(y(b.offset) - top, 0.8)];
      context.fillStyle = ink[this.model.phase(b.kernel)];
      context.globalAlpha = alive ? 0.8 : 0.35;
      context.fillRect(left, top, wide, high);
      context.globalAlpha = 1;
      if (wide > 4 && high > 4) {
        context.strokeStyle = ink.paper;
        context.strokeRect(left, top, wide, high);
      }
      if (wide > 60 && high > 13) {
        const shown = fitting(context, b.name, wide - 8);
        text(context, shown, left + 4, top + high / 2, alive ? ink.paper : ink.quiet);
      }
    }
    this.drawLive(context, width, height, ink);
    this.drawMarks(context, width, height, ink);
  }

  drawLive(context, width, height, ink) {
    const y = linear(0, this.most || 1, height - 4, ARENA.height + 4);
    context.beginPath();
    context.moveTo(this.x(0), height - 4);
    this.live.forEach((each, i) => {
      context.lineTo(this.x(i), y(each));
      context.lineTo(this.x(i + 1), y(each));
    });
    context.lineTo(this.x(this.instants), height - 4);
    context.closePath();
    context.fillStyle = ink.other;
    context.globalAlpha = 0.35;
    context.fill();
    context.globalAlpha = 1;
    text(context, "alive", ARENA.left - 8, ARENA.height + ARENA.live / 2, ink.quiet, "right");
    for (const each of roundNumbers(0, this.instants, Math.max(2, Math.floor(width / 110))).filter(Number.isInteger)) {
      if (each < this.instants)
        text(context, whole(each), this.x(each + 0.5), ARENA.height - ARENA.bottom + 14, ink.quiet, "center");
    }
    text(context, "instant", ARENA.left - 8, ARENA.height - ARENA.bottom + 14, ink.quiet, "right");
  }

  drawMarks(context, width, height, ink) {
    const peak = this.model.data.peak;
    const mark = (instant, color, dashes) => {
      const at = this.x(instant + 0.5);
      stroke(
        context,
        color,
        [
          [at, ARENA.top - 4],
          [at, height - 4],
        ],
        dashes,
      );
      return at;
    };
    if (peak) {
      const at = mark(peak.instant, ink.ink, [4, 3]);
      const right = at > width - 150;
      text(context, `peak ${bytes(peak.bytes)}`, right ? at - 5 : at + 5, 8, ink.ink, right ? "right" : "left");
    }
    if (this.chosen !== null) mark(this.chosen, ink.accent, []);
  }
}

function bufferColumns(model) {
  const number = (name, width, key, cell) => ({ name, width, key, cell, right: true });
  return [
    {
      name: "buffer",
      width: "minmax(8rem, 1fr)",
      key: (b) => b.name,
      cell: (b) => [phaseDot(model.phase(b.kernel)), b.name],
    },
    number(
      "bytes",
      "6rem",
      (b) => b.bytes,
      (b) => bytes(b.bytes),
    ),
    number(
      "offset",
      "8rem",
      (b) => b.offset,
      (b) => whole(b.offset),
    ),
    number(
      "from",
      "4.5rem",
      (b) => b.first,
      (b) => whole(b.first),
    ),
    number(
      "to",
      "4.5rem",
      (b) => b.last,
      (b) => whole(b.last),
    ),
    {
      name: "made by",
      width: "minmax(12rem, 2fr)",
      key: (b) => b.kernel,
      cell: (b) => (model.byId.has(b.kernel) ? model.kernelLink(b.kernel) : ""),
    },
    { name: "line", width: "minmax(8rem, 1fr)", key: (b) => b.loc, cell: (b) => locLink(b.loc) },
  ];
}

function liveBytes(buffers, instants) {
  const change = new Array(instants + 1).fill(0);
  for (const each of buffers) {
    change[each.first] += each.bytes;
    change[each.last + 1] -= each.bytes;
  }
  let sum = 0;
  return change.slice(0, instants).map((by) => (sum += by));
}

function fitting(context, words, width) {
  if (context.measureText(words).width <= width) return words;
  let shown = words;
  while (shown && context.measureText(`${shown}…`).width > width) shown = shown.slice(0, -1);
  return shown ? `${shown}…` : "";
}
