// The graph, folded by the modules that its nodes come from, with a search.

const UNFOLDED = 60; // rows up to which modules are open at first
const OUTSIDE = "outside of modules";

function graphSection(model) {
  const graphs = { last: model.data.last_graph || [], first: model.data.first_graph || [] };
  if (!graphs.last.length && !graphs.first.length) return section("graph", "Graph", h("p.quiet", {}, "No graph was kept."));
  const view = new GraphView();
  const search = h("input.search", { type: "search", id: "search", placeholder: "search: relu, op:matmul, shape:64,128, dtype:f32, line:14, module:layers.0", "aria-label": "search the graph" });
  const found = h("span.quiet", { id: "found", role: "status" });
  const update = () => {
    const lines = view.search(search.value);
    found.textContent = search.value.trim() ? `${whole(lines)} of ${plural(view.entries.length, "line")}` : plural(lines, "line");
  };
  search.addEventListener("input", update);
  const which = switchOf("graph shown", [["last", "after the passes"], ["first", "as traced"]], graphs.last.length ? "last" : "first", (name) => {
    view.show(graphs[name]);
    update();
  });
  const folds = h("span.switch", {}, foldButton("unfold all", () => view.foldAll(false)), foldButton("fold all", () => view.foldAll(true)));
  onAddress("search", (words) => {
    search.value = words;
    update();
    document.getElementById("graph").scrollIntoView();
  });
  view.show(graphs.last.length ? graphs.last : graphs.first);
  update();
  return section("graph", "Graph", h("p.bar", {}, search, found), h("p.bar", {}, which, folds, legend(view.phases())), view.list.element);
}

const foldButton = (words, act) => h("button", { type: "button", onclick: act }, words);

class GraphView {
  constructor() {
    Object.assign(this, { entries: [], rows: [], folded: new Set(), words: "" });
    this.list = new List({ row: (i) => this.rowOf(this.rows[i]), label: "graph by module", most: 560, height: 20 });
    this.list.element.classList.add("graph");
  }

  show(entries) {
    this.entries = entries;
    this.searched = entries.map(searchable);
    this.folded = new Set();
    this.tree = moduleTree(entries);
    this.unfoldSome();
  }

  // Unfold modules, the outer ones first, while that stays a list to read at a glance.
  unfoldSome() {
    this.foldAll(true);
    let rows = this.tree.children.size;
    const waiting = [...this.tree.children.values()];
    for (const module of waiting) {
      const more = module.lines.length + module.children.size;
      if (rows + more > UNFOLDED) continue;
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
    this.words = words;
    const wanted = words.trim() ? searchFor(words) : null;
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
    for (const i of module.lines) {
      if (kept && !kept[i]) continue;
      lines++;
      this.rows.push({ entry: this.entries[i], depth });
    }
    for (const child of module.children.values()) lines += this.gather(child, depth + 1, kept);
    if (module.path && !lines) this.rows.length = begin;
    else if (module.path) {
      this.rows[begin].lines = lines;
      if (!kept && this.folded.has(module.path)) this.rows.length = begin + 1;
    }
    return lines;
  }

  rowOf({ module, entry, depth, lines }) {
    const indent = `padding-left: ${0.6 + depth * 1.1}rem`;
    if (entry) {
      return h(
        "div.row.code", { style: indent, title: entry.text },
        h(`span.edge.${colorName(entry.phase)}`), h("span.line", {}, entry.text), locLink(entry.loc),
      );
    }
    const folded = this.folded.has(module.path) && !this.words.trim();
    const toggle = () => {
      if (!this.folded.delete(module.path)) this.folded.add(module.path);
      const { scrollTop } = this.list.element;
      this.search(this.words);
      this.list.element.scrollTop = scrollTop;
      this.list.draw();
    };
    return h(
      "div.row.module", { style: indent },
      h("button.fold", { type: "button", "aria-expanded": String(!folded), onclick: toggle }, `${folded ? "▸" : "▾"} ${module.name}`),
      h("span.quiet", {}, plural(lines, "line")),
    );
  }
}

// Modules in the order in which they first run; a line belongs to the module of its path.
function moduleTree(entries) {
  const root = { name: "", path: "", lines: [], children: new Map() };
  entries.forEach((entry, i) => {
    let at = root;
    for (const name of (entry.module || OUTSIDE).split(".").filter(Boolean)) {
      if (!at.children.has(name)) {
        at.children.set(name, { name, path: at.path ? `${at.path}.${name}` : name, lines: [], children: new Map() });
      }
      at = at.children.get(name);
    }
    at.lines.push(i);
  });
  return root;
}

function walkModules(module, act) {
  act(module);
  for (const child of module.children.values()) walkModules(child, act);
}
