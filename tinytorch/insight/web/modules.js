// Time per module: each with what is below it, in the order in which they first run.

const OPEN_MODULES = 24; // rows up to which modules are open at first

function moduleTimesSection(model) {
  const root = moduleTotals(model);
  if (!root.children.size || !root.seconds)
    return section("modules", "Time per module", h("p.quiet", {}, "No kernels."));
  const open = openAtFirst(root);
  const table = new LongTable({ columns: moduleColumns(root, open, show), rows: [], label: "modules", most: 520 });
  function show(path) {
    if (!open.delete(path)) open.add(path);
    const { scrollTop } = table.element;
    table.fill(openRows(root, open));
    table.element.scrollTop = scrollTop;
  }
  table.fill(openRows(root, open));
  const said = "a kernel counts for the module that its main op belongs to";
  return section(
    "modules",
    "Time per module",
    h("p.bar", {}, h("span.quiet", {}, said), legend(model.phases)),
    table.element,
  );
}

function moduleColumns(root, open, toggle) {
  const number = (name, width, cell, title) => ({ name, width, cell, title, right: true });
  const name = (row) => {
    const shown = row.children.size
      ? foldMark(open.has(row.path), () => toggle(row.path), row.name)
      : h("span.leaf", {}, row.name);
    return h("span", { style: `padding-left: ${(row.depth - 1) * 1.1}rem` }, shown);
  };
  return [
    { name: "module", width: "minmax(14rem, 2fr)", cell: name },
    { name: "", width: "minmax(12rem, 2fr)", cell: (row) => phaseBar(row, root.seconds) },
    number("time", "6rem", (row) => seconds(row.seconds)),
    number("share", "5rem", (row) => percent(row.seconds, root.seconds), "of the time of all kernels"),
    number("kernels", "5rem", (row) => whole(row.kernels)),
    number("FLOPs", "6rem", (row) => count(row.flops)),
    number("bytes", "6rem", (row) => bytes(row.bytes), "read and written"),
  ];
}

function phaseBar(row, total) {
  const parts = Object.entries(row.phases).sort(([a], [b]) => PHASES.indexOf(a) - PHASES.indexOf(b));
  const said = parts.map(([phase, spent]) => `${phase} ${seconds(spent)}`).join(", ");
  const part = ([phase, spent]) => h(`span.${phase}`, { style: `width: ${(100 * spent) / total}%` });
  return h("span.phases", { title: said, role: "img", "aria-label": said }, parts.map(part));
}

function moduleTotals(model) {
  const made = (name, path, depth) => ({
    name,
    path,
    depth,
    seconds: 0,
    flops: 0,
    bytes: 0,
    kernels: 0,
    phases: {},
    children: new Map(),
  });
  const root = made("", "", 0);
  for (const kernel of model.kernels) {
    addKernel(model, root, kernel);
    let at = root;
    for (const name of (kernel.module || OUTSIDE).split(".").filter(Boolean)) {
      if (!at.children.has(name))
        at.children.set(name, made(name, at.path ? `${at.path}.${name}` : name, at.depth + 1));
      at = at.children.get(name);
      addKernel(model, at, kernel);
    }
  }
  return root;
}

function addKernel(model, row, kernel) {
  const spent = model.timeOf(kernel) || 0;
  const phase = colorName(kernel.phase);
  row.seconds += spent;
  row.flops += kernel.flops || 0;
  row.bytes += (kernel.bytes_read || 0) + (kernel.bytes_written || 0);
  row.kernels += 1;
  row.phases[phase] = (row.phases[phase] || 0) + spent;
}

// The outer modules first, while that stays a list to read at a glance.
function openAtFirst(root) {
  const open = new Set();
  const waiting = [...root.children.values()];
  let rows = waiting.length;
  for (const row of waiting) {
    if (!row.children.size || rows + row.children.size > OPEN_MODULES) continue;
    rows += row.children.size;
    open.add(row.path);
    waiting.push(...row.children.values());
  }
  return open;
}

function openRows(row, open) {
  return [...row.children.values()].flatMap((child) => [child, ...(open.has(child.path) ? openRows(child, open) : [])]);
}
