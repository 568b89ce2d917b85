// Elements, colours, the note beside the pointer, and addresses in the page.

const SVG = "http://www.w3.org/2000/svg";

// h("button.quiet", {onclick: f}, "text", child, …)
const h = (what, attributes, ...children) => build((tag) => document.createElement(tag), what, attributes, children);
const s = (what, attributes, ...children) =>
  build((tag) => document.createElementNS(SVG, tag), what, attributes, children);

function build(create, what, attributes, children) {
  const [tag, ...classes] = what.split(".");
  const made = create(tag);
  if (classes.length) made.setAttribute("class", classes.join(" "));
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat(2).filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

const section = (id, title, ...children) =>
  h("section", { id, "aria-labelledby": `${id}-title` }, h("h2", { id: `${id}-title` }, title), ...children);

// Colours of phases are variables of the style sheet; a canvas needs their values.
const PHASES = ["forward", "backward", "update"];
const colorName = (phase) => (PHASES.includes(phase) ? phase : "other");

function color(name) {
  const probe = h("span", { style: `color: var(--${name})` });
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

const phaseDot = (phase) => h(`span.dot.${colorName(phase)}`, { title: phase || "no phase" });

function legend(phases) {
  const shown = [...PHASES, "other"].filter((name) => phases.has(name));
  if (shown.join() === "other") return null; // nothing to tell apart
  return h(
    "span.legend",
    {},
    shown.map((name) => h("span", {}, phaseDot(name), name)),
  );
}

// The address in the page: "#kernel=3", "#line=/home/me/model.py:14". Who shows such a thing listens to its key.
const listeners = new Map();
const address = (key, value) => `#${key}=${encodeURIComponent(value)}`;
const onAddress = (key, open) => listeners.set(key, open);

function follow() {
  const [key, value] = location.hash.slice(1).split("=", 2);
  if (value === undefined || !listeners.has(key)) return;
  let text = value;
  try {
    text = decodeURIComponent(value);
  } catch (error) {
    if (!(error instanceof URIError)) throw error; // somebody wrote it by hand
  }
  listeners.get(key)(text);
}

const link = (key, value, ...children) => h("a", { href: address(key, value) }, ...children);

// A line of the user's program, as a link to where it is shown.
function locLink(loc) {
  const found = place(loc);
  return found ? h("a.loc", { href: address("line", loc), title: loc }, found.short) : null;
}

function switchOf(label, options, chosen, choose) {
  const buttons = options.map(([value, text]) =>
    h("button", { type: "button", "aria-pressed": String(value === chosen), onclick: () => pick(value) }, text),
  );
  function pick(value) {
    options.forEach(([each], i) => buttons[i].setAttribute("aria-pressed", String(each === value)));
    choose(value);
  }
  const made = h("span.switch", { role: "group", "aria-label": label }, buttons);
  made.pick = pick;
  return made;
}

// What is under the pointer, said beside it.
const note = h("div.note", { hidden: true, role: "status" });

function say(event, ...lines) {
  note.replaceChildren(...lines.filter(Boolean).map((line) => h("div", {}, line)));
  note.hidden = false;
  const { width, height } = note.getBoundingClientRect();
  const left = Math.min(event.clientX + 14, innerWidth - width - 8);
  const top = event.clientY + 18 + height > innerHeight ? event.clientY - height - 10 : event.clientY + 18;
  note.style.transform = `translate(${Math.max(left, 4)}px, ${Math.max(top, 4)}px)`;
}

const hush = () => (note.hidden = true);

// "auto" follows the system; what was chosen is kept for the next page, where the browser allows that.
const THEME = "tinytorch-theme";
const redrawn = new Set(); // called when colours or sizes have changed

function chooseTheme(theme) {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  try {
    localStorage.setItem(THEME, theme);
  } catch (error) {
    if (!(error instanceof DOMException)) throw error; // a page from a file may not keep anything
  }
  redraw();
}

function keptTheme() {
  try {
    return localStorage.getItem(THEME) || "auto";
  } catch (error) {
    if (!(error instanceof DOMException)) throw error;
    return "auto";
  }
}

const redraw = () => redrawn.forEach((draw) => draw());
