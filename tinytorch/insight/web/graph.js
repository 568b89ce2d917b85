// The graph, folded by the modules that its nodes come from, with a search.

const UNFOLDED = 60; // rows up to which modules are open at first

function graphSection(model) {
  const graphs = { last: model.data.last_graph || [], first: model.data.first_graph || [] };
  if (!graphs.last.length && !graphs.first.length)
    return section("graph", "Graph", h("p.quiet", {}, "No graph was kept."));
  const view = new GraphView(model);
  const search = h("input.search", {
    type: "search",
    id: "search",
    placeholder: "search: relu, op:matmul, shape:64,128, dtype:f32, line:14, module:layers.0",
    "aria-label": "search the graph",
  });
  const found = h("span.quiet", { id: "found", role: "status" });
  const update = () => {
    const lines = view.search(search.value);
    found.textContent = search.value.trim()
      ? `${whole(lines)} of ${plural(view.entries.length, "line")}`
      : plural(lines, "line");
  };
  search.addEventListener("input", update);
  const which = switchOf(
    "graph shown",
    [
      ["last", "after the passes"],
      ["first", "as traced"],
    ],
    graphs.last.length ? "last" : "first",
    (name) => {
      view.show(graphs[name]);
      update();
    },
  );
  const folds = h(
    "span.switch",
    {},
    foldButton("unfold all", () => view.foldAll(false)),
    foldButton("fold all", () => view.foldAll(true)),
  );
  onAddress("search", (words) => {
    search.value = words;
    update();
    document.getElementById("graph").scrollIntoView();
  });
  view.show(graphs.last.length ? graphs.last : graphs.first);
  update();
  return section(
    "graph",
    "Graph",
    h("p.bar", {}, search, found),
    h("p.bar", {}, which, folds, legend(view.phases())),
    view.list.element,
  );
}

const foldButton = (words, act) => h("button", { type: "button", onclick: act }, words);

class GraphView {
  constructor(model) {
    Object.assign(this, { model, entries: [], rows: [], folded: new Set(), opened: new Set(), words: "" });
    this.list = new List({ row: (i) => this.rowOf(this.rows[i]), label: "graph by module", most: 560, height: 20 });
    this.list.element.classList.add("graph");
  }

  show(entries) {
    this.entries = entries;
    this.searched = entries.map(searchable);
    this.opened = new Set(); // nodes of several lines, all of which are shown
    this.tree = moduleTree(nodesOf(entries));
    groupAlike(this.tree, entries, new Map());
    this.unfoldSome();
  }

  // Unfold modules, the outer ones first, while that stays a list to read at a glance.
  unfoldSome() {
    this.foldAll(true);
    let rows = this.tree.children.size;
    const waiting = [...this.tree.children.values()];
    for (const module of waiting) {
      const more = module.nodes.length + module.children.size;
      if (rows + more > UNFOLDED || module.alike || Object.values(ENDS).includes(module.path)) continue;
      rows += more;
      this.folded.delete(module.path);
      waiting.push(...module.children.values());
    }
    this.search("");
  }

  phases() {
    return new Set(this.entries.map((entry) => colorName(entry.phase)));
  }

  foldAll(on) {
    this.folded = new Set();
    if (on) walkModules(this.tree, (module) => module.path && this.folded.add(module.path));
    this.search(this.words);
  }

  // Show what is found, all of it unfolded; or without words, what is not folded. Returns how many lines there are.
  search(words) {
    this.words = words.trim();
    const wanted = this.words ? searchFor(words) : null;
    const kept = wanted ? this.searched.map(wanted) : null;
    this.rows = [];
    const lines = this.gather(this.tree, 0, kept);
    this.list.element.scrollTop = 0;
    this.list.set(this.rows.length);
    return lines;
  }

  gather(module, depth, kept) {
    const begin = this.rows.length;
    let lines = 0;
    if (module.path) this.rows.push({ module, depth: depth - 1, lines: 0 });
    for (const node of module.nodes) lines += this.gatherNode(node, depth, kept);
    for (const child of module.children.values()) lines += this.gather(child, depth + 1, kept);
    if (module.path && !lines) this.rows.length = begin;
    else if (module.path) {
      this.rows[begin].lines = lines;
      if (!kept && this.folded.has(module.path)) this.rows.length = begin + 1;
    }
    return lines;
  }

  // Of a kernel, the first line, and what was found in its body.
  gatherNode(node, depth, kept) {
    const found = kept ? node.lines.filter((i) => kept[i]) : node.lines;
    if (!found.length) return 0;
    this.rows.push({ node, depth });
    const [, ...body] = node.lines;
    const shown = this.opened.has(node) ? body : kept ? body.filter((i) => kept[i]) : [];
    for (const i of shown) this.rows.push({ entry: this.entries[i], depth });
    return found.length;
  }

  rowOf({ module, node, entry, depth, lines }) {
    const indent = `padding-left: ${0.6 + depth * 1.1}rem`;
    if (module) return this.moduleRow(module, indent, lines);
    return node ? this.nodeRow(node, indent) : lineRow(entry, indent, "");
  }

  moduleRow(module, indent, lines) {
    const folded = this.folded.has(module.path) && !this.words;
    const toggle = () => this.toggle(this.folded, module.path);
    return h(
      "div.row.module",
      { style: indent },
      foldMark(!folded, toggle, module.name),
      h("span.quiet", {}, `${module.alike ? `× ${module.alike} alike, ` : ""}${plural(lines, "line")}`),
    );
  }

  nodeRow(node, indent) {
    const entry = this.entries[node.lines[0]];
    if (node.lines.length === 1) return lineRow(entry, indent, "");
    const open = this.opened.has(node);
    const kernel = this.model.byNode.get(entry.node);
    const title = kernel ? kernel.title : kernelTitle(node.lines.map((i) => this.entries[i]));
    const shown = { ...entry, text: open ? entry.text : entry.text.split(" {", 1)[0] };
    const name = kernel ? link("kernel", kernel.id, title) : title;
    return lineRow(
      shown,
      indent,
      foldMark(open, () => this.toggle(this.opened, node), ""),
      open ? null : h("span.quiet.body", {}, name),
    );
  }

  toggle(set, what) {
    if (!set.delete(what)) set.add(what);
    const { scrollTop } = this.list.element;
    this.search(this.words);
    this.list.element.scrollTop = scrollTop;
    this.list.draw();
  }
}

const foldMark = (open, toggle, name) =>
  h(
    "button.fold",
    { type: "button", "aria-expanded": String(open), "aria-label": name || "body", onclick: toggle },
    `${open ? "▾" : "▸"} ${name}`,
  );

const lineRow = (entry, indent, before, after = null) =>
  h(
    "div.row.code",
    { style: indent, title: entry.text },
    h(`span.edge.${colorName(entry.phase)}`),
    before,
    h("span.line", {}, entry.text),
    after,
    locLink(entry.loc),
  );

// `matmul + add ×2`: what a body computes; constants and broadcasts cost nothing.
function kernelTitle([, ...body]) {
  const counts = new Map();
  for (const { op } of body.slice(0, -1)) {
    if (op !== "constant" && op !== "broadcast") counts.set(op, (counts.get(op) || 0) + 1);
  }
  return [...counts].map(([op, times]) => (times > 1 ? `${op} ×${times}` : op)).join(" + ");
}

const ENDS = { input: "inputs", output: "outputs" };

// Lines of the same node, which follow each other: a kernel's body lies in several.
function nodesOf(entries) {
  const nodes = [];
  entries.forEach((entry, i) => {
    const last = nodes[nodes.length - 1];
    const name = ENDS[entry.op] ? null : entry.node;
    if (last && name !== null && name === last.name) last.lines.push(i);
    else nodes.push({ name, module: homeOf(entry), lines: [i] });
  });
  return nodes;
}

// Where a line stands: in its module, or with others that have none.
function homeOf({ op, module, phase }) {
  return ENDS[op] || module || (phase ? `${OUTSIDE}.${phase}` : OUTSIDE);
}

// Modules in the order in which they first run; a node belongs to the module of its path.
function moduleTree(nodes) {
  const root = { name: "", path: "", nodes: [], children: new Map() };
  for (const node of nodes) {
    let at = root;
    for (const name of node.module.split(".").filter(Boolean)) {
      if (!at.children.has(name)) {
        at.children.set(name, { name, path: at.path ? `${at.path}.${name}` : name, nodes: [], children: new Map() });
      }
      at = at.children.get(name);
    }
    at.nodes.push(node);
  }
  return root;
}

// Siblings in a row that compute the same, such as the blocks of a transformer, become one module that holds them.
// Returns a number that modules have in common if they are alike; `numbers` knows those that were given.
function groupAlike(module, entries, numbers) {
  const lines = module.nodes.flatMap((node) => node.lines.map((i) => entries[i]));
  const runs = [];
  for (const child of module.children.values()) {
    const number = groupAlike(child, entries, numbers);
    const last = runs[runs.length - 1];
    if (last && last.number === number) last.modules.push(child);
    else runs.push({ number, modules: [child] });
  }
  const grouped = runs.flatMap(({ modules }) => (modules.length > 2 ? [alike(module, modules)] : modules));
  module.children = new Map(grouped.map((each) => [each.path, each]));
  const own = lines.map(({ op, shape, dtype, phase }) => [op, shape, dtype, phase]);
  const below = runs.flatMap(({ number, modules }) =>
    modules.map((each) => (modules.length > 1 ? number : [each.name, number])),
  );
  const words = JSON.stringify([own, below]);
  if (!numbers.has(words)) numbers.set(words, numbers.size);
  return numbers.get(words);
}

function alike(parent, modules) {
  const name = `${modules[0].name} … ${modules[modules.length - 1].name}`;
  const children = new Map(modules.map((each) => [each.path, each]));
  return { name, path: `${parent.path}.${name}`, nodes: [], children, alike: modules.length };
}

function walkModules(module, act) {
  act(module);
  for (const child of module.children.values()) walkModules(child, act);
}
