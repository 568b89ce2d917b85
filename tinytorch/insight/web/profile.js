// A model's profile: its modules, the operations of a forward, its memory, and the time of its calls.

const PERCENTILES = [50, 90, 95, 99];

function draw(data) {
  return [profileHead(data), modulesSection(data), latencySection(data), profileMemorySection(data), opsSection(data)];
}

function profileHead(data) {
  const compiled = median(data.compiled.times);
  const eager = median(data.eager.times);
  const figures = [
    [
      "compiled call",
      seconds(compiled),
      `${rate(data.flops / compiled)}, ${count(data.compiled.samples / compiled)} samples/s`,
      "#latency",
    ],
    ["eager call", seconds(eager), `${(eager / compiled).toPrecision(2)} times the compiled one`, "#latency"],
    ["parameters", count(data.parameters), bytes(data.memory.parameters), "#modules"],
    ["operations", flops(data.flops), "of a forward", "#modules"],
    [
      "memory",
      bytes(data.memory.peak),
      data.memory.training === null ? "of a forward" : "of a training step",
      "#memory",
    ],
  ];
  return pageHead(data.title, "The profile of a model in evaluation mode; times are medians.", figures);
}

function modulesSection(data) {
  const share = (part, total) =>
    h("span.share", { style: `--share: ${total ? (100 * part) / total : 0}%` }, percent(part, total));
  const total = data.modules.length ? data.modules[0].seconds : 0;
  const depth = (row) => (row.name ? row.name.split(".").length : 0);
  const number = (name, width, key, cell, title) => ({ name, width, key, cell, title, right: true });
  const order = new Map(data.modules.map((row, i) => [row, i]));
  const table = new LongTable({
    columns: [
      {
        name: "module",
        width: "minmax(18rem, 2fr)",
        key: (row) => order.get(row),
        title: "sorts into the model's order",
        cell: (row) =>
          h(
            "span",
            { style: `padding-left: ${depth(row) * 1.1}rem` },
            row.name ? row.name : data.title,
            h("span.quiet", {}, ` ${row.kind}`),
          ),
      },
      number(
        "parameters",
        "8rem",
        (row) => row.parameters,
        (row) => whole(row.parameters),
      ),
      number(
        "FLOPs",
        "8rem",
        (row) => row.flops,
        (row) => count(row.flops),
      ),
      number(
        "of all",
        "9rem",
        (row) => row.flops,
        (row) => share(row.flops, data.flops),
        "of the operations",
      ),
      number(
        "eager",
        "7rem",
        (row) => row.seconds,
        (row) => seconds(row.seconds),
        "what is below the module included",
      ),
      number(
        "of all",
        "9rem",
        (row) => row.seconds,
        (row) => share(row.seconds, total),
        "of the eager time",
      ),
      number(
        "rate",
        "8rem",
        (row) => (row.seconds ? row.flops / row.seconds : null),
        (row) => (row.seconds && row.flops ? rate(row.flops / row.seconds) : "–"),
      ),
    ],
    rows: data.modules,
    label: "modules",
    most: 640,
  });
  return section("modules", "Modules", h("p.quiet", {}, "Each with what is below it."), table.element);
}

function latencySection(data) {
  const rows = [
    ["eager", data.eager],
    ["compiled", data.compiled],
  ];
  const columns = [
    { name: "", cell: ([name]) => name },
    ...PERCENTILES.map((each) => ({
      name: `p${each}`,
      right: true,
      cell: ([, { times }]) => seconds(percentile(times, each)),
    })),
    { name: "least", right: true, cell: ([, { times }]) => seconds(Math.min(...times)) },
    { name: "calls", right: true, cell: ([, { times }]) => whole(times.length) },
    { name: "samples/s", right: true, cell: ([, { times, samples }]) => count(samples / median(times)) },
  ];
  const plot = new Canvas({
    height: 120,
    label: "the time of each call",
    draw: (...given) => drawCalls(rows, ...given),
  });
  return section("latency", "Latency", shortTable(columns, rows), plot.element);
}

// A row for each way to run, a stroke for each call.
function drawCalls(rows, context, width, height, ink) {
  const all = rows.flatMap(([, { times }]) => times);
  const [least, most] = [Math.min(...all) * 0.9, Math.max(...all) * 1.1];
  const x = logarithmic(least, most, 80, width - 20);
  for (const each of roundDecades(least, most)) {
    stroke(context, ink.line, [
      [x(each), 8],
      [x(each), height - 24],
    ]);
    text(context, seconds(each), x(each), height - 12, ink.quiet, "center");
  }
  rows.forEach(([name, { times }], i) => {
    const top = 14 + i * 40;
    text(context, name, 0, top + 12, ink.quiet);
    context.globalAlpha = Math.max(0.15, Math.min(0.8, 20 / times.length));
    for (const each of times)
      stroke(context, ink.accent, [
        [x(each), top],
        [x(each), top + 24],
      ]);
    context.globalAlpha = 1;
    const middle = x(median(times));
    stroke(context, ink.ink, [
      [middle, top - 4],
      [middle, top + 28],
    ]);
  });
}

// 1, 2 and 5 times the powers of ten between two numbers; within less than that, round numbers.
function roundDecades(from, to) {
  const found = [];
  for (let power = Math.floor(Math.log10(from)); 10 ** power <= to; power++) {
    for (const factor of [1, 2, 5])
      if (factor * 10 ** power >= from && factor * 10 ** power <= to) found.push(factor * 10 ** power);
  }
  return found.length > 2 ? found : roundNumbers(from, to, 5);
}

const MEMORY = [
  ["parameters", "the model's"],
  ["buffers", "statistics and other state"],
  ["gradients", "while training"],
  ["optimizer", "what the optimizer keeps"],
  ["inputs", "of a call"],
  ["outputs", "of a call"],
  ["forward", "the arena of the compiled forward"],
  ["training", "the arena of the compiled forward and backward"],
  ["inference", "all that a compiled forward needs"],
  ["peak", "all that a compiled training step needs, or a forward where nothing trains"],
  ["eager", "measured: the most that an eager forward held"],
  ["eager_training", "measured: the same, forward and backward"],
];

function profileMemorySection({ memory }) {
  const rows = MEMORY.filter(([name]) => memory[name] !== null && memory[name] !== undefined);
  const most = Math.max(...rows.map(([name]) => memory[name]));
  const columns = [
    { name: "", cell: ([name]) => name.replace("_", " ") },
    { name: "bytes", right: true, cell: ([name]) => bytes(memory[name]) },
    { name: "", cell: ([name]) => h("span.bar-of", { style: `--share: ${most ? (100 * memory[name]) / most : 0}%` }) },
    { name: "what", cell: ([, what]) => h("span.quiet", {}, what) },
  ];
  return section("memory", "Memory", shortTable(columns, rows));
}

function opsSection(data) {
  const rows = Object.entries(data.ops);
  const columns = [
    { name: "op", cell: ([name]) => name },
    { name: "FLOPs", right: true, cell: ([, number]) => count(number) },
    { name: "of all", right: true, cell: ([, number]) => percent(number, data.flops) },
    { name: "", cell: ([, number]) => h("span.bar-of", { style: `--share: ${(100 * number) / (data.flops || 1)}%` }) },
  ];
  return section("ops", "Operations", rows.length ? shortTable(columns, rows) : h("p.quiet", {}, "None."));
}

// As numpy's percentiles: between two times, in proportion.
function percentile(times, percent) {
  const sorted = [...times].sort((a, b) => a - b);
  const at = ((sorted.length - 1) * percent) / 100;
  const below = Math.floor(at);
  return sorted[below] + ((sorted[below + 1] ?? sorted[below]) - sorted[below]) * (at - below);
}

const median = (times) => percentile(times, 50);
