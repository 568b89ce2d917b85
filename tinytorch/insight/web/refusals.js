// Why kernels were not fused.

function refusalsSection(model) {
  const refusals = model.data.refusals || [];
  if (!refusals.length) return section("refusals", "Fusions refused", h("p.quiet", {}, "None."));
  const reasons = new Map();
  for (const each of refusals) reasons.set(each.reason, (reasons.get(each.reason) || 0) + (each.times || 1));
  const common = [...reasons].sort((a, b) => b[1] - a[1]);
  const number = (name, width, key, cell, title) => ({ name, width, key, cell, title, right: true });
  const table = new LongTable({
    columns: [
      { name: "producer", width: "minmax(10rem, 1fr)", key: (each) => each.producer, cell: (each) => each.producer },
      { name: "consumer", width: "minmax(10rem, 1fr)", key: (each) => each.consumer, cell: (each) => each.consumer },
      {
        name: "reason",
        width: "minmax(18rem, 2fr)",
        key: (each) => each.reason,
        cell: (each) => h("span", { title: each.reason }, each.reason),
      },
      number(
        "times",
        "4rem",
        (each) => each.times ?? 1,
        (each) => whole(each.times ?? 1),
        "that it happens to alike nodes",
      ),
      number(
        "bytes",
        "6rem",
        (each) => each.bytes,
        (each) => bytes(each.bytes),
        "that go through memory for it",
      ),
      { name: "line", width: "minmax(8rem, 0.6fr)", key: (each) => each.loc, cell: (each) => locLink(each.loc) },
    ],
    rows: refusals,
    label: "fusions refused",
    sort: "bytes",
    most: 330,
  });
  const choice = h(
    "select",
    {
      "aria-label": "reason",
      onchange: () => table.fill(choice.value ? refusals.filter((each) => each.reason === choice.value) : refusals),
    },
    h("option", { value: "" }, `all reasons (${whole([...reasons.values()].reduce((sum, times) => sum + times, 0))})`),
    common.map(([reason, times]) => h("option", { value: reason }, `${reason} (${whole(times)})`)),
  );
  return section(
    "refusals",
    "Fusions refused",
    h("p.bar", {}, choice, h("span.quiet", {}, "why a node did not join the kernel of what it reads")),
    table.element,
  );
}
