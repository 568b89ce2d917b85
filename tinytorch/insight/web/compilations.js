// Why something was compiled, and where: the reasons, versions and the target.

function compilationsSection(model) {
  const compilations = model.data.compilations || [];
  if (!compilations.length) return section("compilations", "Compilations", h("p.quiet", {}, "None were kept."));
  const table = shortTable(
    [
      { name: "#", right: true, cell: (each) => String(each.number) },
      { name: "signature", cell: (each) => h("code", {}, each.signature) },
      { name: "reason", cell: (each) => each.reason },
      { name: "time", right: true, cell: (each) => seconds(each.seconds) },
      { name: "code", cell: (each) => (each.from_cache ? "from the disk cache" : "generated") },
    ],
    compilations,
  );
  return section("compilations", "Compilations", table);
}

function targetSection(model) {
  const { versions, target, peaks } = model.data;
  const pairs = [...Object.entries(target || {}), ...Object.entries(versions || {})];
  if (peaks) {
    pairs.push(["peak", `${rate(peaks.flops)} on ${plural(peaks.threads, "thread")}`]);
    pairs.push(["copying", peaks.bandwidths.map(([held, each]) => `${bandwidth(each)} in ${bytes(held)}`).join(", ")]);
  }
  const shown = ([name, value]) =>
    name.endsWith("_bytes") ? bytes(value) : Array.isArray(value) ? value.join(" ") : String(value);
  const named = ([name]) => name.replace(/_bytes$/, "").replaceAll("_", " ");
  return section(
    "target",
    "Target and versions",
    h(
      "dl",
      {},
      pairs.map((pair) => [h("dt", {}, named(pair)), h("dd", {}, shown(pair))]),
    ),
  );
}
