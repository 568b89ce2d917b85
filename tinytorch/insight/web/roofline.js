// The roofline: each kernel a point, against what the machine can do at best.
// Source of the model: Williams, Waterman and Patterson, "Roofline", CACM 52(4), 2009.

const ROOF = { width: 980, height: 430, left: 84, right: 24, top: 18, bottom: 46 };
const MOST_POINTS = 1500; // those that take the most time
const LEAST = 1e-3; // of the peak: points below stand on the lower edge
const NAMED = 4; // points with their names beside them

function rooflineSection(model) {
  const peaks = model.data.peaks;
  const counted = model.kernels.filter((kernel) => kernel.flops && kernel.intensity && model.timeOf(kernel));
  if (!peaks || !peaks.flops || !counted.length) {
    return section(
      "roofline",
      "Roofline",
      h("p.quiet", {}, "No kernels with operations, or no measured peaks of this machine."),
    );
  }
  const points = counted.sort((a, b) => model.timeOf(b) - model.timeOf(a)).slice(0, MOST_POINTS);
  const rates = points.map((kernel) => kernel.flops / model.timeOf(kernel));
  const left = model.kernels.length - points.length;
  const said = [
    `Each point is a kernel, its area the ${model.measured ? "measured" : "predicted"} time.`,
    model.measured ? "" : "Not measured: every point lies on its ceiling.",
    left
      ? `${plural(left, "kernel")} without operations${counted.length > MOST_POINTS ? " or of little time" : ""} not drawn.`
      : "",
  ];
  return section(
    "roofline",
    "Roofline",
    h("p.bar", {}, h("span.quiet", {}, said.filter(Boolean).join(" ")), legend(model.phases)),
    h("div.wide", {}, rooflinePlot(model, peaks, points, rates)),
  );
}

function rooflinePlot(model, peaks, points, rates) {
  const { width, height, left, right, top, bottom } = ROOF;
  const intensities = points.map((kernel) => kernel.intensity);
  const fastest = Math.max(...peaks.bandwidths.map(([, each]) => each));
  const low = 10 ** Math.floor(Math.log10(Math.min(...intensities, peaks.flops / fastest / 3)));
  const high = 10 ** Math.ceil(Math.log10(Math.max(...intensities, (4 * peaks.flops) / fastest)));
  const floor = 10 ** Math.floor(Math.log10(Math.max(Math.min(...rates) * 0.7, peaks.flops * LEAST)));
  const x = logarithmic(low, high, left, width - right);
  const ceiling = Math.max(peaks.flops * 2.2, Math.max(...rates) * 1.4); // bytes may be faster than f32
  const y = logarithmic(floor, ceiling, height - bottom, top);
  const parts = [...roofAxes(x, y, [low, high], [floor, ceiling]), ...ceilings(x, y, peaks, low, high, floor)];
  const longest = model.timeOf(points[0]);
  const drawn = points.map((kernel, i) =>
    roofPoint(
      model,
      kernel,
      x(kernel.intensity),
      y(Math.max(rates[i], floor)),
      rates[i],
      Math.sqrt(model.timeOf(kernel) / longest),
    ),
  );
  const names = roofNames(
    points,
    points.map((kernel, i) => [x(kernel.intensity), y(Math.max(rates[i], floor))]),
  );
  return s(
    "svg.roof",
    { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "roofline plot" },
    parts,
    drawn,
    names,
  );
}

function roofAxes(x, y, [low, high], [floor, ceiling]) {
  const { width, height, left, right, top, bottom } = ROOF;
  const parts = [];
  for (const each of powersOfTen(low, high)) {
    parts.push(s("path.grid", { d: `M${x(each)} ${top}V${height - bottom}` }));
    parts.push(
      s("text", { x: x(each), y: height - bottom + 16, "text-anchor": "middle" }, String(Number(each.toPrecision(1)))),
    );
  }
  for (const each of powersOfTen(floor, ceiling)) {
    parts.push(s("path.grid", { d: `M${left} ${y(each)}H${width - right}` }));
    parts.push(s("text", { x: left - 8, y: y(each) + 4, "text-anchor": "end" }, rate(each)));
  }
  parts.push(s("text", { x: (left + width - right) / 2, y: height - 8, "text-anchor": "middle" }, "FLOP per byte"));
  return parts;
}

// One ceiling is operations, the others bandwidths, by the size of what is read and written.
function ceilings(x, y, peaks, low, high, floor) {
  const fastest = Math.max(...peaks.bandwidths.map(([, each]) => each));
  const parts = [
    s("path.ceiling", { d: `M${x(peaks.flops / fastest)} ${y(peaks.flops)}H${x(high)}` }),
    s(
      "text.ceiling",
      { x: x(high) - 4, y: y(peaks.flops) - 7, "text-anchor": "end" },
      `${rate(peaks.flops)} in f32, ${plural(peaks.threads, "thread")}`,
    ),
  ];
  const slope = (Math.atan2(y(10) - y(1), x(10) - x(1)) * 180) / Math.PI;
  [...peaks.bandwidths]
    .sort((a, b) => b[1] - a[1])
    .forEach(([held, each], i) => {
      const begin = Math.max(low, floor / each);
      parts.push(
        s("path.ceiling", { d: `M${x(begin)} ${y(begin * each)}L${x(peaks.flops / each)} ${y(peaks.flops)}` }),
      );
      const along = 8 + (i % 2) * 128; // names of neighbours beside each other
      const at = `translate(${x(begin)} ${y(begin * each)}) rotate(${slope}) translate(${along} -4)`;
      parts.push(s("text.ceiling", { transform: at }, `${bandwidth(each)} in ${bytes(held)}`));
    });
  return parts;
}

function roofPoint(model, kernel, x, y, speed, size) {
  const open = () => (location.hash = address("kernel", kernel.id));
  const lines = [
    `${kernel.id} ${kernel.title}`,
    `${seconds(model.timeOf(kernel))}, ${rate(speed)}, ${scaled(kernel.intensity, 1000, ["", "k"])} FLOP/B`,
  ];
  return s(`circle.${colorName(kernel.phase)}`, {
    cx: x,
    cy: y,
    r: 3 + 9 * size,
    onclick: open,
    onpointermove: (event) => say(event, ...lines),
    onpointerleave: hush,
    "aria-label": lines.join(": "),
  });
}

// The names of the first points, each beside its point where nothing else stands.
function roofNames(points, at) {
  const taken = at.slice(0, 40).map(([x, y]) => [x - 7, y - 7, x + 7, y + 7]);
  const free = (box) =>
    !taken.some((other) => box[0] < other[2] && other[0] < box[2] && box[1] < other[3] && other[1] < box[3]);
  const parts = [];
  for (let i = 0; i < Math.min(points.length, 40) && parts.length < NAMED; i++) {
    const name = points[i].title.length > 30 ? `${points[i].title.slice(0, 29)}…` : points[i].title;
    const [x, y] = at[i];
    const wide = name.length * 7.4;
    const spots = [
      ["start", x + 15, y + 4],
      ["end", x - 15, y + 4],
      ["start", x - 4, y + 26],
      ["start", x - 4, y - 18],
    ];
    for (const [anchor, left, base] of spots) {
      const from = anchor === "start" ? left : left - wide;
      const box = [from, base - 12, from + wide, base + 3];
      if (!free(box) || box[2] > ROOF.width || box[0] < ROOF.left) continue;
      taken.push(box);
      parts.push(s("text.named", { x: left, y: base, "text-anchor": anchor }, name));
      break;
    }
  }
  return parts;
}
