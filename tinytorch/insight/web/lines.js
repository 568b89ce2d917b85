// Time per line of the user's program.

function linesSection(model) {
  const costs = [...model.lines.values()];
  const files = filesByTime(model, costs);
  if (!files.length || !(costs.length || model.kernelsOf.size))
    return section("lines", "Time per line", h("p.quiet", {}, "No line of a file that can be read has kernels."));
  const picked = h("div.pickedline");
  const source = new Source(model, { label: "source with the time of each line", most: 520, pick: (loc) => open(loc) });
  const choice = h("span");
  let all = false;
  const busy = (file) => [
    ...costs.filter((each) => each.file === file).map((each) => each.line),
    ...[...model.kernelsOf.keys()]
      .map(place)
      .filter((each) => each.file === file)
      .map((each) => each.line),
  ];
  function show(file) {
    source.show(file, all ? null : busy(file));
    choice.replaceChildren(fileChoice(files, file, show) || "");
  }
  function open(loc) {
    const found = place(loc);
    if (!found || !model.data.files[found.file]) return;
    if (source.file !== found.file) show(found.file);
    if (!source.rows.includes(found.line)) parts.pick(true);
    source.mark([], loc);
    source.reveal(loc);
    picked.replaceChildren(kernelsOfLine(model, loc));
  }
  const parts = switchOf(
    "lines shown",
    [
      [false, "lines that cost"],
      [true, "whole file"],
    ],
    false,
    (value) => {
      all = value;
      show(source.file);
    },
  );
  onAddress("line", (loc) => {
    open(loc);
    document.getElementById("lines").scrollIntoView();
  });
  show(files[0]);
  const [total, none] = [costs, costs.filter((each) => !each.file)].map((some) =>
    some.reduce((sum, each) => sum + (each.seconds || 0), 0),
  );
  const own = costs.filter((each) => each.file).length;
  const said = `${seconds(total)} in ${plural(own, "line")}${none ? `, ${seconds(none)} of it in none` : ""}; click one to see its kernels`;
  return section(
    "lines",
    "Time per line",
    h("p.bar", {}, choice, parts, h("span.quiet", {}, said)),
    source.element,
    picked,
  );
}

function filesByTime(model, costs) {
  const times = new Map(Object.keys(model.data.files || {}).map((file) => [file, 0]));
  for (const each of costs) if (times.has(each.file)) times.set(each.file, times.get(each.file) + (each.seconds || 0));
  return [...times.keys()].sort((a, b) => times.get(b) - times.get(a));
}
