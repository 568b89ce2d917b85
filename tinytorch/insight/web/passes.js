// A stepper through the passes: what each changed, and which rules did it.

function passesSection(model) {
  const passes = model.data.passes || [];
  const changed = passes.map((pass, i) => ({ ...pass, number: i + 1 })).filter((pass) => pass.changed);
  if (!changed.length)
    return section(
      "passes",
      "Passes",
      h("p.quiet", {}, `${plural(passes.length, "pass", "passes")} ran and changed nothing.`),
    );
  const view = new Stepper(
    changed,
    (model.data.first_graph || []).map((line) => line.text),
  );
  const quiet = passes.length - changed.length;
  const spent = passes.reduce((sum, pass) => sum + (pass.seconds || 0), 0);
  const said = `${plural(changed.length, "run")} of passes in ${seconds(spent)}${quiet ? `; ${whole(quiet)} more changed nothing` : ""}; keys ← and →`;
  onAddress("pass", (name) => {
    const i = changed.findIndex((pass) => pass.name === name || String(pass.number) === name);
    if (i < 0) return;
    view.go(i);
    document.getElementById("passes").scrollIntoView();
  });
  return section("passes", "Passes", h("p.quiet", {}, said), view.element);
}

class Stepper {
  // `first` is the text of the graph before the first of the passes, as lines.
  constructor(passes, first) {
    Object.assign(this, { passes, at: 0, columns: 1, all: false, before: [first] });
    this.buttons = passes.map((pass, i) => this.buttonOf(pass, i));
    this.names = h(
      "ol.steps",
      {},
      this.buttons.map((button) => h("li", {}, button)),
    );
    this.previous = h("button", { type: "button", onclick: () => this.go(this.at - 1) }, "previous");
    this.next = h("button", { type: "button", onclick: () => this.go(this.at + 1) }, "next");
    this.title = h("span", { "aria-live": "polite" });
    this.rewrites = h("div");
    this.diff = h("div");
    const parts = [
      [false, "changes"],
      [true, "whole graph"],
    ];
    const columns = [
      [1, "one column"],
      [2, "side by side"],
    ];
    const change = (name) => (value) => {
      this[name] = value;
      this.drawDiff();
    };
    const choices = [
      switchOf("lines shown", parts, false, change("all")),
      switchOf("columns", columns, 1, change("columns")),
    ];
    const bar = h("p.bar", {}, h("span.switch", {}, this.previous, this.next), this.title, choices);
    const step = h("div.step", {}, bar, this.rewrites, this.diff);
    this.element = h("div.stepper", { onkeydown: (event) => this.key(event) }, this.names, step);
    this.go(0);
  }

  buttonOf(pass, i) {
    const nodes = `${whole(pass.nodes_before)} → ${whole(pass.nodes_after)}`;
    return h(
      "button",
      { type: "button", onclick: () => this.go(i) },
      h("span", {}, pass.name),
      h("span.quiet", {}, nodes),
    );
  }

  // Arrows go from pass to pass; in a list, those up and down scroll it.
  key(event) {
    const inList = event.target.closest(".list");
    const step = { ArrowLeft: -1, ArrowRight: 1, ...(inList ? {} : { ArrowUp: -1, ArrowDown: 1 }) }[event.key];
    if (!step) return;
    const inNames = this.names.contains(event.target);
    event.preventDefault();
    this.go(this.at + step);
    if (inNames) this.buttons[this.at].focus();
    if (inList) this.diff.querySelector(".list")?.focus();
  }

  go(i) {
    this.at = Math.min(Math.max(i, 0), this.passes.length - 1);
    this.buttons.forEach((button, j) => {
      if (j === this.at) button.setAttribute("aria-current", "step");
      else button.removeAttribute("aria-current");
    });
    const button = this.buttons[this.at];
    if (button.isConnected) this.names.scrollTop = button.offsetTop - this.names.clientHeight / 2;
    this.draw();
  }

  draw() {
    const pass = this.passes[this.at];
    this.previous.disabled = !this.at;
    this.next.disabled = this.at === this.passes.length - 1;
    const said = ` run ${pass.number}, ${seconds(pass.seconds)}, ${whole(pass.nodes_before)} → ${plural(pass.nodes_after, "node")}`;
    this.title.replaceChildren(h("b", {}, pass.name), h("span.quiet", {}, said));
    this.rewrites.replaceChildren(rewritesTable(pass.rewrites || []));
    this.drawDiff();
  }

  drawDiff() {
    const pass = this.passes[this.at];
    const shown = this.all ? wholeDiff(this.textBefore(this.at), pass.diff) : pass.diff;
    this.diff.replaceChildren(diffList(shown, `what ${pass.name} changed`, this.columns, 520));
  }

  // The graph before a pass: what the passes before it made of the first one.
  textBefore(i) {
    for (let j = this.before.length; j <= i; j++)
      this.before.push(textAfter(wholeDiff(this.before[j - 1], this.passes[j - 1].diff)));
    return this.before[i];
  }
}

function rewritesTable(rewrites) {
  if (!rewrites.length) return "";
  const shown = (where) => [...new Set(where || [])].slice(0, 4).map((loc) => [locLink(loc), " "]);
  const form = (each) => (each.before || each.after ? h("code", {}, `${each.before || ""} → ${each.after || ""}`) : "");
  return shortTable(
    [
      { name: "rule", cell: (each) => each.rule },
      { name: "times", right: true, cell: (each) => whole(each.count) },
      { name: "before → after", cell: form },
      { name: "where", cell: (each) => [...shown(each.where), new Set(each.where || []).size > 4 ? "…" : ""] },
    ],
    rewrites,
  );
}
