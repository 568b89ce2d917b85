// One kernel: the user's source beside its IR, LLVM IR and assembly, linked both ways.

const CODES = [
  ["ir", "IR"],
  ["llvm", "LLVM IR"],
  ["assembly", "assembly"],
];
let chosenCode = "ir"; // kept from kernel to kernel

function kernelPanel(model, kernel) {
  const code = model.codeOf(kernel);
  const lines = Object.entries(kernel.lines && Object.keys(kernel.lines).length ? kernel.lines : code.lines || {});
  const locs = [...new Set([...(kernel.locs || []), ...lines.map(([loc]) => loc)])];
  const places = locs.map(place).filter((each) => each && model.data.files[each.file]);
  const files = [...new Set(places.map((each) => each.file))];
  const picked = h("div.pickedline");
  const text = new CodeView((number) =>
    pickLocs(lines.filter(([, numbers]) => numbers.includes(number)).map(([loc]) => loc)),
  );
  const source = new Source(model, { label: "the source of this kernel", most: 460, pick: (loc) => pickLocs([loc]) });
  const choice = h("span");

  function showFile(file) {
    source.show(file);
    choice.replaceChildren(fileChoice(files, file, showFile) || "");
  }
  function pickLocs(found) {
    if (!found.length) return;
    const first = place(found[0]);
    if (first.file !== source.file && model.data.files[first.file]) showFile(first.file);
    source.mark(locs, found[0]);
    source.reveal(found[0]);
    const rows = lines.filter(([loc]) => found.includes(loc)).flatMap(([, numbers]) => numbers);
    text.mark(chosenCode === "ir" ? rows : []);
    picked.replaceChildren(kernelsOfLine(model, found[0]));
  }
  function showCode(kind) {
    chosenCode = kind;
    const linked = kind === "ir" ? lines.flatMap(([, numbers]) => numbers) : [];
    text.show(code[kind], linked);
  }
  if (files.length) {
    showFile(files[0]);
    source.mark(locs);
    source.reveal(locs.find((loc) => place(loc)?.file === files[0]));
  }
  showCode(chosenCode);
  return h(
    "article",
    { "aria-label": kernel.title },
    h("h3", {}, phaseDot(kernel.phase), `${kernel.id}: ${kernel.title}`),
    h(
      "p.quiet",
      {},
      kernelFacts(model, kernel),
      kernel.node && [" · ", link("search", `name:${kernel.node}`, "in the graph")],
    ),
    h(
      "div.beside",
      {},
      h(
        "div",
        {},
        h("p.bar", {}, h("b", {}, "source"), choice),
        files.length ? source.element : h("p.quiet", {}, "No source that can be read."),
      ),
      h("div", {}, h("p.bar", {}, switchOf("code", CODES, chosenCode, showCode), text.size), text.element),
    ),
    picked,
  );
}

function kernelFacts(model, kernel) {
  const alike = model.kernels.filter((each) => (each.alike ?? each.id) === (kernel.alike ?? kernel.id)).length;
  const facts = [
    kernel.phase,
    kernel.family,
    `wave ${kernel.wave}`,
    kernel.module,
    kernel.result,
    kernel.measured !== null && kernel.measured !== undefined && `measured ${seconds(kernel.measured)}`,
    `roofline ${seconds(kernel.predicted)}`,
    flops(kernel.flops),
    `reads ${bytes(kernel.bytes_read)}, writes ${bytes(kernel.bytes_written)}`,
    alike > 1 && `the same code runs ${whole(alike)} times in a call`,
  ];
  return facts.filter(Boolean).join(" · ");
}

class CodeView {
  // `pick(number)` is called with the number of a line that is linked.
  constructor(pick) {
    Object.assign(this, { pick, text: [], linked: new Set(), marked: new Set() });
    this.list = new List({ row: (i) => this.rowOf(i), label: "code of this kernel", most: 460, height: 18 });
    this.element = this.list.element;
    this.size = h("span.quiet");
  }

  show(text, linked) {
    this.text = text ? text.replace(/\n$/, "").split("\n") : ["(none)"];
    this.linked = new Set(linked);
    this.marked = new Set();
    this.size.textContent = text ? plural(this.text.length, "line") : "";
    this.list.element.scrollTop = 0;
    this.list.set(this.text.length);
  }

  rowOf(i) {
    const linked = this.linked.has(i + 1);
    const act = () => this.pick(i + 1);
    return h(
      `div.row.code${this.marked.has(i + 1) ? ".open" : ""}${linked ? ".click" : ""}`,
      linked ? { onclick: act, tabindex: 0, role: "button", onkeydown: pressed(act) } : {},
      h("span.number", {}, String(i + 1)),
      this.text[i],
    );
  }

  mark(numbers) {
    this.marked = new Set(numbers);
    this.list.refresh();
    if (numbers.length) this.list.reveal(Math.min(...numbers) - 1);
  }
}
