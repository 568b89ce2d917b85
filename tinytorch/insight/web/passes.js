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
  const view = new Stepper(changed);
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
  constructor(passes) {
    Object.assign(this, { passes, at: 0, columns: 1 });
    this.step = h("div.step", { "aria-live": "polite" });
    this.buttons = passes.map((pass, i) => this.buttonOf(pass, i));
    this.names = h(
      "ol.steps",
      {},
      this.buttons.map((button) => h("li", {}, button)),
    );
    this.element = h("div.stepper", { onkeydown: (event) => this.key(event) }, this.names, this.step);
    this.go(0);
  }

  buttonOf(pass, i) {
    return h(
      "button",
      { type: "button", onclick: () => this.go(i) },
      h("span", {}, pass.name),
      h("span.quiet", {}, `${whole(pass.nodes_before)} → ${whole(pass.nodes_after)}`),
    );
  }

  key(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -1, ArrowDown: 1 }[event.key];
    const inList = event.target.closest(".list");
    if (!step || (inList && event.key !== "ArrowLeft" && event.key !== "ArrowRight")) return;
    event.preventDefault();
    this.go(this.at + step);
    if (!inList) this.buttons[this.at].focus();
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
    const move = (words, by) =>
      h(
        "button",
        { type: "button", disabled: !this.passes[this.at + by], onclick: () => this.go(this.at + by) },
        words,
      );
    const columns = switchOf(
      "columns",
      [
        [1, "one column"],
        [2, "side by side"],
      ],
      this.columns,
      (value) => {
        this.columns = value;
        diff.replaceChildren(this.diff(pass));
      },
    );
    const diff = h("div", {}, this.diff(pass));
    this.step.replaceChildren(
      h(
        "p.bar",
        {},
        h("span.switch", {}, move("previous", -1), move("next", 1)),
        h("b", {}, pass.name),
        h(
          "span.quiet",
          {},
          `run ${pass.number}, ${seconds(pass.seconds)}, ${whole(pass.nodes_before)} → ${plural(pass.nodes_after, "node")}`,
        ),
        columns,
      ),
      rewritesTable(pass.rewrites || []),
      diff,
    );
  }

  diff(pass) {
    return diffList(pass.diff || [], `what ${pass.name} changed`, this.columns, 520);
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
