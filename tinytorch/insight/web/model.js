// The record, with what the sections look up in it.

const OUTSIDE = "outside of modules";

class Model {
  constructor(data) {
    this.data = data;
    this.kernels = data.kernels || [];
    this.byId = new Map(this.kernels.map((kernel) => [kernel.id, kernel]));
    this.byNode = new Map(this.kernels.filter((kernel) => kernel.node).map((kernel) => [kernel.node, kernel]));
    this.position = new Map(this.kernels.map((kernel, i) => [kernel.id, i]));
    this.lines = new Map((data.lines || []).map((each) => [`${each.file}:${each.line}`, each]));
    this.kernelsOf = this.kernelsByLine();
    this.measured = this.kernels.some((kernel) => kernel.measured !== null && kernel.measured !== undefined);
    this.total = this.sum((kernel) => this.timeOf(kernel));
    this.phases = new Set(this.kernels.map((kernel) => colorName(kernel.phase)));
  }

  kernelsByLine() {
    const found = new Map();
    for (const kernel of this.kernels) {
      for (const loc of new Set([...(kernel.locs || []), ...Object.keys(kernel.lines || {})])) {
        if (!found.has(loc)) found.set(loc, []);
        found.get(loc).push(kernel);
      }
    }
    return found;
  }

  sum(of) {
    return this.kernels.reduce((sum, kernel) => sum + (of(kernel) || 0), 0);
  }

  timeOf(kernel) {
    return kernel.measured ?? kernel.predicted ?? null;
  }

  // Kernels with the same code have it once, at the first of them.
  codeOf(kernel) {
    return (!kernel.ir && this.byId.get(kernel.alike)) || kernel;
  }

  title(id) {
    const kernel = this.byId.get(id);
    return kernel ? kernel.title : "";
  }

  phase(id) {
    const kernel = this.byId.get(id);
    return kernel ? colorName(kernel.phase) : "other";
  }

  // The seconds of a call, and how they are known.
  call() {
    if (this.data.call_seconds) return [this.data.call_seconds, "measured"];
    const timeline = this.data.timeline || [];
    if (timeline.length) {
      const [begin, end] = extent(timeline);
      return [end - begin, "measured"];
    }
    return [this.total, this.measured ? "kernels measured one by one" : "predicted by the roofline"];
  }

  kernelLink(id) {
    return link("kernel", id, `${id} ${this.title(id)}`.trim());
  }
}

function extent(timeline) {
  let [begin, end] = [Infinity, -Infinity];
  for (const each of timeline) [begin, end] = [Math.min(begin, each.begin), Math.max(end, each.end)];
  return [begin, end];
}
