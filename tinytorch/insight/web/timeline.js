// One call over time: a row for each thread, a bar for each kernel, waves behind them.

const LANE = { height: 26, left: 64, top: 22, bottom: 22 };

function timelineSection(model) {
  const events = model.data.timeline || [];
  const how = model.data.timeline_how;
  if (!events.length)
    return section("timeline", "Timeline of one call", h("p.quiet", {}, sentence(how || "no call was measured")));
  const view = new Timeline(model, events);
  const button = (text, label, act) =>
    h("button", { type: "button", "aria-label": label, title: label, onclick: act }, text);
  const tools = h(
    "span.switch",
    {},
    button("−", "zoom out", () => view.zoom(2)),
    button("+", "zoom in", () => view.zoom(0.5)),
    button("◂", "earlier", () => view.move(-0.3)),
    button("▸", "later", () => view.move(0.3)),
    button("all", "the whole call", () => view.whole()),
  );
  const hint = `${seconds(view.end - view.begin)}; drag to zoom in, double-click for all; click a bar to open its kernel`;
  return section(
    "timeline",
    "Timeline of one call",
    h("p.bar", {}, tools, h("span.quiet", {}, hint), legend(model.phases)),
    view.canvas.element,
    how ? h("p.quiet", {}, sentence(how)) : null,
  );
}

class Timeline {
  constructor(model, events) {
    this.model = model;
    this.threads = [...new Set(events.map((each) => each.thread ?? 0))].sort((a, b) => a - b);
    this.rows = new Map(this.threads.map((thread, i) => [thread, i]));
    this.events = [...events].sort((a, b) => a.begin - b.begin);
    [this.begin, this.end] = extent(events);
    [this.from, this.to] = [this.begin, this.end];
    this.waves = waveExtents(events);
    this.drag = null;
    this.canvas = new Canvas({
      height: LANE.top + LANE.height * this.threads.length + LANE.bottom,
      label: "timeline of one call, waves by threads",
      draw: (...given) => this.draw(...given),
      hover: (event, x, y) => this.hover(event, x, y),
    });
    const element = this.canvas.element;
    element.addEventListener("pointerdown", (event) => (this.drag = [this.canvas.at(event)[0], null]));
    element.addEventListener("pointerup", (event) => this.released(...this.canvas.at(event)));
    element.addEventListener("pointerleave", () => {
      if (!this.drag) return;
      this.drag = null;
      this.canvas.draw();
    });
    element.addEventListener("dblclick", () => this.whole());
    element.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    element.addEventListener("keydown", (event) => this.key(event));
  }

  get x() {
    return linear(this.from, this.to, LANE.left, this.canvas.width - 8);
  }

  timeAt(x) {
    return linear(LANE.left, this.canvas.width - 8, this.from, this.to)(x);
  }

  look(from, to) {
    const least = (this.end - this.begin) * 1e-5;
    const length = Math.min(Math.max(to - from, least), this.end - this.begin);
    this.from = Math.min(Math.max(from, this.begin), this.end - length);
    this.to = this.from + length;
    this.canvas.draw();
  }

  zoom(factor, around = (this.from + this.to) / 2) {
    this.look(around - (around - this.from) * factor, around + (this.to - around) * factor);
  }

  move(share) {
    const by = (this.to - this.from) * share;
    this.look(this.from + by, this.to + by);
  }

  whole() {
    this.look(this.begin, this.end);
  }

  key(event) {
    const acts = {
      "+": () => this.zoom(0.5),
      "-": () => this.zoom(2),
      ArrowLeft: () => this.move(-0.3),
      ArrowRight: () => this.move(0.3),
      0: () => this.whole(),
    };
    if (!acts[event.key]) return;
    event.preventDefault();
    acts[event.key]();
  }

  wheel(event) {
    if (!event.ctrlKey && !event.metaKey) return; // the page scrolls
    event.preventDefault();
    this.zoom(event.deltaY > 0 ? 1.25 : 0.8, this.timeAt(this.canvas.at(event)[0]));
  }

  found(x, y) {
    const row = Math.floor((y - LANE.top) / LANE.height);
    const time = this.timeAt(x);
    const slack = (this.to - this.from) / this.canvas.width;
    return this.events.find(
      (each) => this.rows.get(each.thread ?? 0) === row && each.begin - slack <= time && time <= each.end + slack,
    );
  }

  hover(event, x, y) {
    if (this.drag) {
      this.drag[1] = x;
      return this.canvas.draw();
    }
    const each = this.found(x, y);
    if (!each) return hush();
    return say(
      event,
      `${each.kernel} ${this.model.title(each.kernel)}`,
      `${seconds(each.end - each.begin)}, wave ${each.wave}, from ${seconds(each.begin - this.begin)}`,
    );
  }

  released(x, y) {
    const [start] = this.drag || [x];
    this.drag = null;
    if (Math.abs(x - start) > 5) return this.look(this.timeAt(Math.min(x, start)), this.timeAt(Math.max(x, start)));
    const each = this.found(x, y);
    if (each) location.hash = address("kernel", each.kernel);
    return this.canvas.draw();
  }

  draw(context, width, height, ink) {
    const x = this.x;
    context.clearRect(0, 0, width, height);
    context.save();
    context.beginPath();
    context.rect(LANE.left, 0, width - LANE.left - 8, height);
    context.clip();
    this.drawWaves(context, x, height, ink);
    this.drawEvents(context, x, ink);
    if (this.drag && this.drag[1] !== null) {
      context.fillStyle = ink.accent;
      context.globalAlpha = 0.2;
      context.fillRect(this.drag[0], LANE.top, this.drag[1] - this.drag[0], height - LANE.top - LANE.bottom);
    }
    context.restore();
    this.threads.forEach((thread, i) =>
      text(context, `thread ${thread}`, 0, LANE.top + (i + 0.5) * LANE.height, ink.quiet),
    );
    for (const each of roundNumbers(
      this.from - this.begin,
      this.to - this.begin,
      Math.max(2, Math.floor(width / 130)),
    )) {
      const at = x(each + this.begin);
      if (at > LANE.left - 1 && at < width - 24)
        text(context, seconds(Number(each.toPrecision(6))), at, height - 9, ink.quiet, "center");
    }
  }

  drawWaves(context, x, height, ink) {
    let named = -Infinity;
    this.waves.forEach(([wave, begin, end], i) => {
      const [left, right] = [x(begin), x(end)];
      if (right < LANE.left || left > this.canvas.width) return;
      if (i % 2) {
        context.fillStyle = ink.tint;
        context.fillRect(left, LANE.top - 4, Math.max(right - left, 0.5), height - LANE.top - LANE.bottom + 8);
      }
      const at = Math.max(left, LANE.left) + 2;
      if (at < named + 8 || right - left < 14) return;
      const name = right - left > 52 ? `wave ${wave}` : String(wave);
      text(context, name, at, 9, ink.quiet);
      named = at + context.measureText(name).width;
    });
  }

  drawEvents(context, x, ink) {
    for (const each of this.events) {
      const [left, right] = [x(each.begin), x(each.end)];
      if (right < LANE.left || left > this.canvas.width) continue;
      const top = LANE.top + this.rows.get(each.thread ?? 0) * LANE.height;
      const wide = Math.max(right - left - 0.5, 0.6);
      context.fillStyle = ink[this.model.phase(each.kernel)];
      context.globalAlpha = 0.85;
      context.fillRect(left, top + 2, wide, LANE.height - 4);
      context.globalAlpha = 1;
      if (wide < 30) continue;
      context.save();
      context.beginPath();
      context.rect(Math.max(left, LANE.left), top, right - Math.max(left, LANE.left) - 3, LANE.height);
      context.clip();
      text(context, this.model.title(each.kernel), Math.max(left, LANE.left) + 4, top + LANE.height / 2, ink.paper);
      context.restore();
    }
  }
}

// [wave, begin, end] of each, in order; a wave ends where the next begins.
function waveExtents(events) {
  const found = new Map();
  for (const each of events) {
    const known = found.get(each.wave);
    if (known) found.set(each.wave, [Math.min(known[0], each.begin), Math.max(known[1], each.end)]);
    else found.set(each.wave, [each.begin, each.end]);
  }
  const sorted = [...found].map(([wave, [begin, end]]) => [wave, begin, end]).sort((a, b) => a[1] - b[1]);
  return sorted.map(([wave, begin, end], i) => [
    wave,
    begin,
    i + 1 < sorted.length ? Math.max(end, sorted[i + 1][1]) : end,
  ]);
}
