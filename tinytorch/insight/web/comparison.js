// Two records side by side, with what differs marked.

function draw(data) {
  const models = [new Model(data.a), new Model(data.b)];
  const names = namesOf(data);
  return [
    comparisonHead(data, models, names),
    figuresSection(models, names),
    pairsSection(data, models, names),
    comparedLinesSection(models, names),
    aliveSection(models, names),
    differencesSection(data),
    numericsSection(data),
    comparedTargetSection(data, names),
  ];
}

function namesOf({ a, b, names }) {
  if (names) return names;
  return a.title === b.title ? ["first", "second"] : [a.title, b.title];
}

function comparisonHead(data, models, names) {
  const times = models.map((model) => model.call()[0]);
  const peaks = models.map((model) => (model.data.peak ? model.data.peak.bytes : null));
  const counts = models.map((model) => model.kernels.length);
  const figures = [
    ["time of a call", ratio(times), `${seconds(times[0])} → ${seconds(times[1])}`, "#figures"],
    ["memory peak", ratio(peaks), `${bytes(peaks[0])} → ${bytes(peaks[1])}`, "#alive"],
    ["kernels", ratio(counts), `${whole(counts[0])} → ${whole(counts[1])}`, "#pairs"],
  ];
  const below = models.map((model, i) => `${names[i]}: ${subtitle(model.data)}`).join("  |  ");
  return pageHead(data.title || `${names[0]} and ${names[1]}`, below, figures);
}

const ratio = ([a, b]) => (a && b !== null && b !== undefined ? `${scaled(b / a, 1000, ["", "k"])} ×` : "–");

// Less is better, of all that is compared here.
function change(a, b, shown) {
  if (a === null || b === null || a === undefined || b === undefined) return "–";
  if (a === b) return h("span.quiet", {}, "the same");
  const near = Math.abs(b - a) <= 0.02 * Math.abs(a);
  const sign = b > a ? "+" : "−";
  return h(
    `span.${near ? "quiet" : b > a ? "worse" : "better"}`,
    {},
    `${sign}${shown(Math.abs(b - a))} (${ratio([a, b])})`,
  );
}

function figuresSection(models, names) {
  const of = (read) => models.map((model) => read(model));
  const sum = (list, read) => (list || []).reduce((total, each) => total + (read(each) || 0), 0);
  const rows = [
    ["time of a call", seconds, of((model) => model.call()[0])],
    ["kernels", whole, of((model) => model.kernels.length)],
    ["waves", whole, of((model) => new Set(model.kernels.map((kernel) => kernel.wave)).size)],
    ["limit by the roofline", seconds, of((model) => model.sum((kernel) => kernel.predicted))],
    ["operations", flops, of((model) => model.sum((kernel) => kernel.flops))],
    ["read and written", bytes, of((model) => model.sum((kernel) => kernel.bytes_read + kernel.bytes_written))],
    ["memory peak", bytes, of((model) => model.data.peak?.bytes)],
    ["arena", bytes, of((model) => model.data.arena_bytes)],
    ["state", bytes, of((model) => model.data.outside?.state)],
    ["lines of the graph as traced", whole, of((model) => (model.data.first_graph || []).length)],
    ["lines after the passes", whole, of((model) => (model.data.last_graph || []).length)],
    ["time of the passes", seconds, of((model) => sum(model.data.passes, (pass) => pass.seconds))],
    ["time of compiling", seconds, of((model) => sum(model.data.compilations, (each) => each.seconds))],
    ["fusions refused", whole, of((model) => (model.data.refusals || []).length)],
  ];
  const columns = [
    { name: "", cell: ([name]) => name },
    { name: names[0], right: true, cell: ([, shown, [a]]) => shown(a) },
    { name: names[1], right: true, cell: ([, shown, [, b]]) => shown(b) },
    { name: "change", right: true, cell: ([, shown, [a, b]]) => change(a, b, shown) },
  ];
  return section("figures", "Figures", shortTable(columns, rows));
}

function pairsSection(data, models, names) {
  const pairs = (data.kernels || matched(models)).map((pair) => ({
    title: pair.title,
    kernels: [pair.a, pair.b].map((id, i) => (id === null || id === undefined ? null : models[i].byId.get(id))),
  }));
  const time = (pair, i) => (pair.kernels[i] ? models[i].timeOf(pair.kernels[i]) : null);
  const both = (pair) => pair.kernels.every(Boolean);
  const difference = (pair) => (time(pair, 1) || 0) - (time(pair, 0) || 0);
  const missing = (pair) => h("span.worse", {}, `only in ${names[pair.kernels[0] ? 0 : 1]}`);
  const known = (pair) => pair.kernels[0] || pair.kernels[1];
  const table = new LongTable({
    columns: [
      {
        name: "kernel",
        width: "minmax(18rem, 3fr)",
        key: (pair) => pair.title,
        cell: (pair) => [phaseDot(known(pair).phase), pair.title, h("span.quiet", {}, ` ${known(pair).result || ""}`)],
      },
      ...names.map((name, i) => ({
        name,
        width: "9rem",
        right: true,
        key: (pair) => time(pair, i),
        cell: (pair) => seconds(time(pair, i)),
      })),
      {
        name: "change",
        width: "13rem",
        right: true,
        key: (pair) => Math.abs(difference(pair)),
        cell: (pair) => (both(pair) ? change(time(pair, 0), time(pair, 1), seconds) : missing(pair)),
      },
      {
        name: "line",
        width: "minmax(8rem, 1fr)",
        key: (pair) => (known(pair).locs || [])[0],
        cell: (pair) => place((known(pair).locs || [])[0])?.short,
      },
    ],
    rows: pairs,
    label: "kernels of both",
    sort: "change",
    most: 560,
  });
  const said = `${whole(pairs.filter(both).length)} in both, ${whole(pairs.filter((pair) => !pair.kernels[1]).length)} only in ${names[0]}, ${whole(pairs.filter((pair) => !pair.kernels[0]).length)} only in ${names[1]}; those that changed most first`;
  return section(
    "pairs",
    "Kernels",
    h("p.bar", {}, h("span.quiet", {}, said), legend(new Set(models.flatMap((model) => [...model.phases])))),
    table.element,
  );
}

// Kernels of the same name and result belong together, in the order in which they run.
function matched([first, second]) {
  const key = (kernel) => `${kernel.title} ${kernel.result || ""}`;
  const waiting = new Map();
  for (const kernel of second.kernels) waiting.set(key(kernel), [...(waiting.get(key(kernel)) || []), kernel.id]);
  const pairs = first.kernels.map((kernel) => ({
    title: kernel.title,
    a: kernel.id,
    b: (waiting.get(key(kernel)) || []).shift() ?? null,
  }));
  const taken = new Set(pairs.map((pair) => pair.b));
  return [
    ...pairs,
    ...second.kernels
      .filter((kernel) => !taken.has(kernel.id))
      .map((kernel) => ({ title: kernel.title, a: null, b: kernel.id })),
  ];
}

function comparedLinesSection(models, names) {
  const all = new Map();
  models.forEach((model, i) => {
    for (const each of model.data.lines || []) {
      const words = ((model.data.files || {})[each.file] || [])[each.line - 1] || "";
      const name = each.file ? `${baseName(each.file)}:${each.line}` : "in no line";
      const key = `${name} ${words}`;
      if (!all.has(key)) all.set(key, { name, words, times: [null, null] });
      all.get(key).times[i] = each.seconds;
    }
  });
  const rows = [...all.values()];
  if (!rows.length) return section("lines", "Time per line", h("p.quiet", {}, "No lines were measured."));
  const table = new LongTable({
    columns: [
      { name: "line", width: "10rem", key: (row) => row.name, cell: (row) => row.name },
      { name: "source", width: "minmax(16rem, 3fr)", cell: (row) => h("code", { title: row.words }, row.words.trim()) },
      ...names.map((name, i) => ({
        name,
        width: "9rem",
        right: true,
        key: (row) => row.times[i],
        cell: (row) => seconds(row.times[i]),
      })),
      {
        name: "change",
        width: "13rem",
        right: true,
        key: (row) => Math.abs((row.times[1] || 0) - (row.times[0] || 0)),
        cell: (row) => change(...row.times, seconds),
      },
    ],
    rows,
    label: "lines of both",
    sort: "change",
    most: 360,
  });
  return section("lines", "Time per line", table.element);
}

// Bytes alive over a call, both from their first instant to their last.
function aliveSection(models, names) {
  const curves = models.map((model) => liveBytes(model.data.buffers || [], model.kernels.length));
  if (!curves.some((curve) => curve.some(Boolean)))
    return section("alive", "Memory over time", h("p.quiet", {}, "Nothing lies in the arenas."));
  const colors = ["forward", "backward"];
  const plot = new Canvas({
    height: 200,
    label: "bytes alive over a call",
    draw: (context, width, height, ink) => {
      const most = largest(curves.flat());
      const y = linear(0, most, height - 22, 10);
      for (const each of roundNumbers(0, most, 4, 2)) {
        stroke(context, ink.line, [
          [70, y(each)],
          [width - 10, y(each)],
        ]);
        text(context, bytes(each), 62, y(each), ink.quiet, "right");
      }
      curves.forEach((curve, i) => {
        const x = linear(0, curve.length, 70, width - 10);
        stroke(
          context,
          ink[colors[i]],
          curve.flatMap((each, j) => [
            [x(j), y(each)],
            [x(j + 1), y(each)],
          ]),
        );
      });
      text(context, "first kernel", 70, height - 8, ink.quiet);
      text(context, "last kernel", width - 10, height - 8, ink.quiet, "right");
    },
  });
  const key = h(
    "span.legend",
    {},
    names.map((name, i) => h("span", {}, h(`span.dot.${colors[i]}`), name)),
  );
  return section(
    "alive",
    "Memory over time",
    h("p.bar", {}, h("span.quiet", {}, "bytes alive in the arena"), key),
    plot.element,
  );
}

function differencesSection(data) {
  const diff = data.diff || [];
  const number = (kind) => whole(diff.filter((line) => line[0] === kind).length);
  const said = diff.length
    ? `${number("-")} lines only in the first, ${number("+")} only in the second`
    : "The graphs after the passes are the same.";
  return section(
    "graph",
    "Graph after the passes",
    h("p.quiet", {}, said),
    diff.length ? diffList(diff, "both graphs", 2, 560) : null,
  );
}

function numericsSection(data) {
  const results = data.numerics;
  if (!results || !results.length)
    return section(
      "numerics",
      "Numerics",
      h("p.quiet", {}, "Not compared: both must have been measured with the same arguments."),
    );
  const columns = [
    { name: "result", cell: (each) => each.name },
    { name: "largest difference", right: true, cell: (each) => small(each.largest) },
    { name: "of the largest value", right: true, cell: (each) => small(each.relative) },
  ];
  return section("numerics", "Numerics", shortTable(columns, results));
}

const small = (number) =>
  number === null || number === undefined ? "not comparable" : number ? number.toExponential(1) : "0";

function comparedTargetSection({ a, b }, names) {
  const both = [a, b].map((each) => ({ ...each.target, ...each.versions }));
  const rows = [...new Set(both.flatMap((each) => Object.keys(each)))].map((name) => [
    name,
    ...both.map((each) => String(each[name] ?? "–")),
  ]);
  const marked = (words, row) => (row[1] === row[2] ? words : h("b", {}, words));
  const columns = [
    { name: "", cell: (row) => row[0].replaceAll("_", " ") },
    { name: names[0], cell: (row) => marked(row[1], row) },
    { name: names[1], cell: (row) => marked(row[2], row) },
  ];
  return section("target", "Target and versions", shortTable(columns, rows));
}
