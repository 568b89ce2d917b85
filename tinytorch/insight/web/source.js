// The user's source: lines with what they cost, and the kernels that came from them.

const AROUND = 3; // lines shown before and after one that matters

class Source {
  // `pick(loc)` is called when a line is clicked from which kernels came.
  constructor(model, { label, most = 440, pick }) {
    Object.assign(this, { model, pick, marked: new Set(), picked: null, rows: [], file: null });
    this.list = new List({ row: (i) => this.rowOf(this.rows[i]), label, most, height: 20 });
    this.element = this.list.element;
    this.element.classList.add("source");
    this.hottest = largest([...model.lines.values()].map((each) => each.seconds || 0));
  }

  // Show a file: all of it, or the lines in `wanted` and some around them.
  show(file, wanted = null) {
    this.file = file;
    const text = this.model.data.files[file] || [];
    this.rows = wanted ? nearLines(text.length, wanted) : text.map((_, i) => i + 1);
    this.list.set(this.rows.length);
  }

  rowOf(line) {
    if (line === null) return h("div.row.code.gap", {}, "⋯");
    const loc = `${this.file}:${line}`;
    const cost = this.model.lines.get(loc);
    const made = this.model.kernelsOf.has(loc) || Boolean(cost);
    const classes = [made && "click", this.marked.has(loc) && "marked", loc === this.picked && "open"];
    const spent = cost ? cost.seconds : null;
    const text = this.model.data.files[this.file][line - 1];
    return h(
      ["div", "row", "code", ...classes.filter(Boolean)].join("."),
      made
        ? { onclick: () => this.pick(loc), tabindex: 0, role: "button", onkeydown: pressed(() => this.pick(loc)) }
        : {},
      h("span.number", {}, String(line)),
      h(
        "span.cost",
        { style: `--heat: ${this.hottest && spent ? spent / this.hottest : 0}` },
        spent ? seconds(spent) : "",
      ),
      text,
    );
  }

  mark(locs, picked = null) {
    this.marked = new Set(locs);
    this.picked = picked;
    this.list.refresh();
  }

  reveal(loc) {
    const found = place(loc);
    const row = found && found.file === this.file ? this.rows.indexOf(found.line) : -1;
    if (row >= 0) this.list.reveal(row);
  }
}

function nearLines(length, wanted) {
  const near = new Set();
  for (const line of wanted) {
    for (let i = Math.max(1, line - AROUND); i <= Math.min(length, line + AROUND); i++) near.add(i);
  }
  const rows = [];
  for (const line of [...near].sort((a, b) => a - b)) {
    if (rows.length ? rows[rows.length - 1] !== line - 1 : line > 1) rows.push(null);
    rows.push(line);
  }
  if (rows.length && rows[rows.length - 1] !== length) rows.push(null);
  return rows;
}

const pressed = (act) => (event) => {
  if (event.key === "Enter" || event.key === " ") {
    event.preventDefault();
    act();
  }
};

// Which kernels came from a line, as links.
function kernelsOfLine(model, loc) {
  const kernels =
    model.kernelsOf.get(loc) || ((model.lines.get(loc) || {}).kernels || []).map((id) => model.byId.get(id));
  const shown = kernels.filter(Boolean).slice(0, 40);
  const cost = model.lines.get(loc);
  return h(
    "p.picked",
    {},
    h("b", {}, place(loc).short),
    " ",
    cost ? h("span.quiet", {}, `${seconds(cost.seconds)}, ${flops(cost.flops)}, ${bytes(cost.bytes)} `) : null,
    shown.map((kernel) => h("span.chip", {}, phaseDot(kernel.phase), model.kernelLink(kernel.id))),
    kernels.length > shown.length ? `… ${kernels.length - shown.length} more` : null,
  );
}

function fileChoice(files, chosen, choose) {
  if (files.length < 2) return files.length ? h("span.quiet", { title: files[0] }, baseName(files[0])) : null;
  const made = h(
    "select",
    { "aria-label": "file", onchange: (event) => choose(event.target.value) },
    files.map((file) => h("option", { value: file, selected: file === chosen, title: file }, baseName(file))),
  );
  made.value = chosen;
  return made;
}
