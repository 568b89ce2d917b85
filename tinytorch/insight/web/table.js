// Tables: a short one as it is, and one of any length, with columns to sort by.

// `columns`: [{name, title, right, cell(row)}].
function shortTable(columns, rows) {
  const side = (column) => (column.right ? "right" : null);
  return h(
    "div.wide",
    {},
    h(
      "table",
      {},
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          columns.map((c) => h("th", { class: side(c), scope: "col", title: c.title }, c.name)),
        ),
      ),
      h(
        "tbody",
        {},
        rows.map((row) =>
          h(
            "tr",
            {},
            columns.map((c) => h("td", { class: side(c) }, c.cell(row))),
          ),
        ),
      ),
    ),
  );
}

// The same with `key(row)`, what a column sorts by, and `width`, of its grid. `open(row)` is what a click does.
class LongTable {
  constructor({ columns, rows, label, open = null, isOpen = () => false, most = 440, sort = null }) {
    Object.assign(this, { columns, rows, open, isOpen, sorted: rows, by: null, falling: true });
    this.grid = `grid-template-columns: ${columns.map((c) => c.width).join(" ")}; min-width: ${leastWidth(columns)}rem`;
    this.heads = columns.map((c) => this.headOf(c));
    const head = h("div.row.head", { style: this.grid, role: "row" }, this.heads);
    this.list = new List({ row: (i) => this.rowOf(this.sorted[i]), label, most, head, height: 24, role: "table" });
    this.element = this.list.element;
    this.element.classList.add("long");
    if (sort)
      this.sortBy(
        columns.find((c) => c.name === sort),
        true,
      );
    else this.fill(rows);
  }

  headOf(column) {
    const side = column.right ? ".right" : "";
    if (!column.key) return h(`span${side}`, { title: column.title, role: "columnheader" }, column.name);
    const click = () => this.sortBy(column, this.by === column ? !this.falling : Boolean(column.right));
    return h(
      `span${side}`,
      { title: column.title, role: "columnheader" },
      h("button", { type: "button", onclick: click }, column.name),
    );
  }

  rowOf(row) {
    const cells = this.columns.map((c) => h(`span${c.right ? ".right" : ""}`, { role: "cell" }, c.cell(row)));
    const open = this.open && ((event) => event.target.closest("a") || this.open(row));
    return h(
      `div.row${this.isOpen(row) ? ".open" : ""}${open ? ".click" : ""}`,
      { style: this.grid, onclick: open, role: "row" },
      cells,
    );
  }

  sortBy(column, falling) {
    Object.assign(this, { by: column, falling });
    this.columns.forEach((each, i) => {
      this.heads[i].setAttribute("aria-sort", each !== column ? "none" : falling ? "descending" : "ascending");
    });
    this.fill(this.rows);
  }

  // Show these rows, in the order that was chosen; what has no value stands last.
  fill(rows) {
    this.rows = rows;
    this.sorted = this.by ? [...rows].sort((a, b) => this.compare(this.by.key(a), this.by.key(b))) : rows;
    this.list.element.scrollTop = 0;
    this.list.set(this.sorted.length);
  }

  compare(a, b) {
    const [noA, noB] = [a ?? null, b ?? null].map((each) => each === null || Number.isNaN(each));
    if (noA || noB) return noA - noB;
    const order = a < b ? -1 : a > b ? 1 : 0;
    return this.falling ? -order : order;
  }

  reveal(row) {
    const i = this.sorted.indexOf(row);
    if (i >= 0) this.list.reveal(i);
    this.list.refresh();
  }
}

// The rem of all columns, with what lies between them.
const leastWidth = (columns) => columns.reduce((sum, c) => sum + Number(c.width.match(/[\d.]+/)[0]) + 0.8, 1.2);
