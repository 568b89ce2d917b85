// Why kernels were not fused.

function refusalsSection(model) {
  const refusals = model.data.refusals || [];
  if (!refusals.length) return section("refusals", "Fusions refused", h("p.quiet", {}, "None."));
  const reasons = new Map();
  for (const each of refusals) reasons.set(each.reason, (reasons.get(each.reason) || 0) + 1);
  const common = [...reasons].sort((a, b) => b[1] - a[1]);
  const table = new LongTable({
    columns: [
      { name: "producer", width: "minmax(12rem, 1fr)", key: (each) => each.producer, cell: (each) => each.producer },
      { name: "consumer", width: "minmax(12rem, 1fr)", key: (each) => each.consumer, cell: (each) => each.consumer },
      {
        name: "reason",
        width: "minmax(20rem, 2fr)",
        key: (each) => each.reason,
        cell: (each) => h("span", { title: each.reason }, each.reason),
      },
      { name: "line", width: "minmax(8rem, 0.6fr)", key: (each) => each.loc, cell: (each) => locLink(each.loc) },
    ],
    rows: refusals,
    label: "fusions refused",
    most: 330,
  });
  const choice = h(
    "select",
    {
      "aria-label": "reason",
      onchange: () => table.fill(choice.value ? refusals.filter((each) => each.reason === choice.value) : refusals),
    },
    h("option", { value: "" }, `all reasons (${whole(refusals.length)})`),
    common.map(([reason, times]) => h("option", { value: reason }, `${reason} (${whole(times)})`)),
  );
  return section(
    "refusals",
    "Fusions refused",
    h("p.bar", {}, choice, h("span.quiet", {}, "why a node did not join the kernel of what it reads")),
    table.element,
  );
}
