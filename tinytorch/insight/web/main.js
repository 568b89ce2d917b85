// Reads the data, draws the page, and goes to the address in it.

async function dataOf(element) {
  const how = element.dataset.packed;
  if (!how) return JSON.parse(element.textContent);
  const packed = Uint8Array.from(atob(element.textContent), (letter) => letter.charCodeAt(0));
  const given = new ReadableStream({
    start(stream) {
      stream.enqueue(packed);
      stream.close();
    },
  });
  const reader = given.pipeThrough(new DecompressionStream(how)).pipeThrough(new TextDecoderStream()).getReader();
  const pieces = [];
  for (let piece = await reader.read(); !piece.done; piece = await reader.read()) pieces.push(piece.value);
  return JSON.parse(pieces.join(""));
}

function bar(sections) {
  const themes = [
    ["auto", "auto"],
    ["light", "light"],
    ["dark", "dark"],
  ];
  const links = sections
    .filter((each) => each.tagName === "SECTION")
    .map((each) => h("a", { href: `#${each.id}` }, each.querySelector("h2").textContent));
  return h(
    "nav",
    { "aria-label": "sections" },
    h("a", { href: "#top" }, "Overview"),
    links,
    switchOf("colours", themes, keptTheme(), chooseTheme),
  );
}

// Paper is light.
let onScreen = null;
addEventListener("beforeprint", () => {
  onScreen = document.documentElement.dataset.theme;
  document.documentElement.dataset.theme = "light";
  redraw();
});
addEventListener("afterprint", () => {
  if (onScreen) document.documentElement.dataset.theme = onScreen;
  else delete document.documentElement.dataset.theme;
  redraw();
});

async function main() {
  chooseTheme(keptTheme());
  const element = document.getElementById("data");
  const sections = draw(await dataOf(element));
  element.remove();
  document.body.append(bar(sections), h("main", {}, sections), note);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  addEventListener("hashchange", follow);
  redraw();
  if (location.hash.includes("=")) follow();
  else if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
  document.body.dataset.ready = "true";
}

main();
