// A list of any length, of which only the rows that can be seen are in the page.

const MOST_PRINTED = 300; // rows of a list, on paper
const BEYOND = 12; // rows kept above and below what can be seen

class List {
  // `row(i)` makes the element of row i, all of which are `height` pixels high; `most` pixels are shown at a time.
  constructor({ count = 0, row, height = 22, most = 440, label, head = null, role = "group" }) {
    Object.assign(this, { count, row, height, most, shown: new Map(), limit: 0, wanted: null });
    this.above = h("div");
    this.rows = h("div.rows", { role: role === "table" ? "rowgroup" : null });
    this.below = h("div");
    this.more = h("div.more", { hidden: true });
    this.element = h(
      "div.list",
      { tabindex: 0, role, "aria-label": label },
      head,
      h("div.inner", {}, this.above, this.rows, this.below),
      this.more,
    );
    this.headHeight = head ? height + 6 : 0;
    this.element.addEventListener("scroll", () => this.draw(), { passive: true });
    new ResizeObserver(() => {
      if (this.wanted !== null) this.reveal(this.wanted);
      this.draw();
    }).observe(this.element);
    List.all.add(this);
    this.set(count);
  }

  set(count) {
    this.count = count;
    this.shown.clear();
    this.rows.replaceChildren();
    const full = count * this.height + this.headHeight;
    this.element.style.maxHeight = `${this.most}px`;
    this.element.style.height = `${Math.min(full + 14, this.most)}px`;
    this.draw();
  }

  range() {
    if (this.limit) return [0, Math.min(this.count, this.limit)];
    const seen = this.element.clientHeight || this.most;
    const first = Math.max(0, Math.floor(this.element.scrollTop / this.height) - BEYOND);
    return [first, Math.min(this.count, first + Math.ceil(seen / this.height) + 2 * BEYOND)];
  }

  // Rows that stay keep their elements, and with them the focus.
  draw() {
    const [first, end] = this.range();
    for (const [i, element] of this.shown) {
      if (i < first || i >= end) {
        element.remove();
        this.shown.delete(i);
      }
    }
    let before = null;
    for (let i = first; i < end; i++) {
      let element = this.shown.get(i);
      if (!element) {
        element = this.row(i);
        element.style.height = `${this.height}px`;
        this.shown.set(i, element);
        if (before) before.after(element);
        else this.rows.prepend(element);
      }
      before = element;
    }
    this.above.style.height = `${first * this.height}px`;
    this.below.style.height = this.limit ? "0" : `${(this.count - end) * this.height}px`;
  }

  // Draw all rows anew, where they are.
  refresh() {
    this.shown.clear();
    this.rows.replaceChildren();
    this.draw();
  }

  // Scroll to a row; a list that is not in the page yet does so when it is.
  reveal(i) {
    this.wanted = this.element.clientHeight ? null : i;
    const top = i * this.height;
    const seen = this.element.clientHeight || this.most;
    if (top < this.element.scrollTop || top + this.height > this.element.scrollTop + seen - this.headHeight)
      this.element.scrollTop = Math.max(0, top - seen / 3);
    this.draw();
  }

  print(on) {
    this.limit = on ? MOST_PRINTED : 0;
    this.more.hidden = !on || this.count <= MOST_PRINTED;
    this.more.textContent = `… and ${whole(this.count - MOST_PRINTED)} more`;
    this.draw();
  }
}

List.all = new Set();
function printed(on) {
  for (const list of List.all) list.element.isConnected ? list.print(on) : List.all.delete(list);
}

addEventListener("beforeprint", () => printed(true));
addEventListener("afterprint", () => printed(false));
