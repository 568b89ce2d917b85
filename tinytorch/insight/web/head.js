// What matters first: a few figures, each a link to where it comes from.

function reportHead(model) {
  const { data } = model;
  const [time, how] = model.call();
  const figures = [];
  if (time)
    figures.push(["time of a call", seconds(time), how, (data.timeline || []).length ? "#timeline" : "#kernels"]);
  if (model.measured) {
    const limit = model.sum((kernel) => kernel.predicted);
    figures.push(["of the limit", percent(limit, time), `the roofline says ${seconds(limit)} in f32`, "#roofline"]);
  }
  if (data.peak)
    figures.push([
      "memory peak",
      bytes(data.peak.bytes),
      `in an arena of ${bytes(data.arena_bytes)}`,
      address("instant", data.peak.instant),
    ]);
  const waves = new Set(model.kernels.map((kernel) => kernel.wave)).size;
  figures.push(["kernels", whole(model.kernels.length), `in ${plural(waves, "wave")}`, "#kernels"]);
  const compilations = data.compilations || [];
  if (compilations.length) {
    const spent = compilations.reduce((sum, each) => sum + (each.seconds || 0), 0);
    figures.push(["compiling", seconds(spent), plural(compilations.length, "compilation"), "#compilations"]);
  }
  return pageHead(data.title, subtitle(data), figures);
}

function pageHead(title, below, figures) {
  const tile = ([name, figure, how, href]) =>
    h("a.tile", { href }, h("span.name", {}, name), h("span.figure", {}, figure), h("span.quiet", {}, how));
  return h(
    "header",
    { id: "top" },
    h("h1", {}, title || "TinyTorch"),
    h("p.quiet", {}, below),
    h("div.tiles", {}, figures.map(tile)),
  );
}

function subtitle(data) {
  const target = data.target || {};
  const created = (data.created || "").slice(0, 16).replace("T", " ");
  const parts = [
    created,
    target.cpu,
    target.threads && plural(target.threads, "thread"),
    (data.versions || {}).tinytorch && `tinytorch ${data.versions.tinytorch}`,
  ];
  return parts.filter(Boolean).join(" · ");
}
