// All kernels, in a table to sort; one of them opens below it.

function kernelsSection(model) {
  if (!model.kernels.length) {
    const interpreted = model.data.backend === "interpreter";
    const why = interpreted ? "the interpreter runs this graph op by op" : "there is nothing to compute";
    return section("kernels", "Kernels", h("p.quiet", {}, `No kernels: ${why}.`));
  }
  const panel = h("div.panel", { id: "kernel" });
  let opened = null;
  const table = new LongTable({
    columns: kernelColumns(model),
    rows: model.kernels,
    label: "kernels",
    sort: "time",
    open: (kernel) => (location.hash = address("kernel", kernel.id)),
    isOpen: (kernel) => kernel.id === opened,
  });
  const filter = h("input", {
    type: "search",
    placeholder: "name, family, module or line",
    "aria-label": "filter kernels",
  });
  const shown = h("span.quiet", {}, plural(model.kernels.length, "kernel"));
  filter.addEventListener("input", () => {
    const found = model.kernels.filter((kernel) => matchesKernel(kernel, filter.value));
    shown.textContent = filter.value
      ? `${whole(found.length)} of ${plural(model.kernels.length, "kernel")}`
      : plural(found.length, "kernel");
    table.fill(found);
  });
  onAddress("kernel", (id) => {
    const kernel = model.byId.get(Number(id));
    if (!kernel) return;
    opened = kernel.id;
    panel.replaceChildren(kernelPanel(model, kernel));
    table.reveal(kernel);
    panel.scrollIntoView({ block: "nearest" });
  });
  return section("kernels", "Kernels", h("p.bar", {}, filter, shown, legend(model.phases)), table.element, panel);
}

const matchesKernel = (kernel, text) =>
  text
    .toLowerCase()
    .split(/\s+/)
    .every((word) =>
      [
        kernel.title,
        kernel.result,
        kernel.family,
        kernel.phase,
        kernel.module,
        ...(kernel.locs || []).map((loc) => place(loc)?.short),
      ]
        .join(" ")
        .toLowerCase()
        .includes(word),
    );

const kernelName = (kernel) => [
  phaseDot(kernel.phase),
  link("kernel", kernel.id, kernel.title),
  kernel.result ? h("span.quiet", {}, ` ${kernel.result}`) : null,
];

function kernelColumns(model) {
  const total = model.total;
  const time = (kernel) => model.timeOf(kernel);
  const moved = (kernel) => (kernel.bytes_read || 0) + (kernel.bytes_written || 0);
  const number = (name, width, key, cell, title) => ({ name, width, key, cell, title, right: true });
  return [
    number(
      "#",
      "2.8rem",
      (k) => model.position.get(k.id),
      (k) => String(k.id),
      "in the order of the schedule",
    ),
    { name: "kernel", width: "minmax(13rem, 3fr)", key: (k) => k.title, cell: kernelName },
    { name: "family", width: "5rem", key: (k) => k.family, cell: (k) => k.family },
    number(
      "wave",
      "3.4rem",
      (k) => k.wave,
      (k) => String(k.wave),
      "kernels of a wave run side by side",
    ),
    number(
      "time",
      "5.5rem",
      time,
      (k) => seconds(time(k)),
      model.measured ? "measured, each alone" : "predicted by the roofline",
    ),
    number("share", "4.5rem", time, (k) => percent(time(k), total), "of the time of all kernels"),
    number(
      "limit",
      "5.5rem",
      (k) => k.predicted,
      (k) => seconds(k.predicted),
      "the least time, by the roofline",
    ),
    number(
      "FLOPs",
      "5rem",
      (k) => k.flops,
      (k) => count(k.flops),
    ),
    number("bytes", "5.5rem", moved, (k) => bytes(moved(k)), "read and written"),
    number(
      "FLOP/B",
      "5rem",
      (k) => k.intensity,
      (k) => scaled(k.intensity, 1000, ["", "k", "M"]),
      "arithmetic intensity",
    ),
    number(
      "rate",
      "7rem",
      (k) => k.flops / time(k),
      (k) => (k.flops && time(k) ? rate(k.flops / time(k)) : "–"),
    ),
    {
      name: "line",
      width: "minmax(8.5rem, 1fr)",
      key: (k) => (k.locs || [])[0],
      cell: (k) => locLink((k.locs || [])[0]),
    },
  ];
}
