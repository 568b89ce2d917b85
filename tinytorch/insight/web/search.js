// Searching a graph: words are looked for anywhere, `op:matmul shape:64,128 dtype:f32 line:14` in one place each.

const FIELDS = ["name", "op", "shape", "dtype", "line", "module", "phase"];

// What a line of a graph is searched by, made once.
function searchable(entry) {
  const found = place(entry.loc);
  const shape = Array.isArray(entry.shape) ? entry.shape.join(",") : String(entry.shape ?? "").replace(/[[\]\s]/g, "");
  const fields = {
    name: entry.text.split("=", 1)[0],
    op: entry.op || "",
    shape: `[${shape}]`,
    dtype: entry.dtype || "",
    line: found ? found.short : "",
    module: entry.module || "",
    phase: entry.phase || "",
  };
  for (const name of FIELDS) fields[name] = fields[name].toLowerCase();
  return {
    ...fields,
    number: found ? String(found.line) : "",
    all: `${entry.text} ${Object.values(fields).join(" ")}`.toLowerCase(),
  };
}

// A function of what `searchable` made.
function searchFor(words) {
  const terms = words.toLowerCase().split(/\s+/).filter(Boolean).map(termOf);
  return (one) => terms.every((term) => term(one));
}

function termOf(word) {
  const colon = word.indexOf(":");
  const field = word.slice(0, colon);
  const wanted = word.slice(colon + 1);
  if (!FIELDS.includes(field) || !wanted) return (one) => one.all.includes(word);
  if (field === "name" && wanted[0] === "%") return (one) => one.name.split(/[\s,]+/).includes(wanted);
  if (field === "line" && /^\d+$/.test(wanted)) return (one) => one.number === wanted;
  if (field === "op" || field === "dtype")
    return (one) => one[field].split(/[\s,+]+/).some((each) => each.startsWith(wanted));
  if (field === "shape") return (one) => one.shape.includes(wanted.replace(/[x×]/g, ",").replace(/[[\]]/g, ""));
  return (one) => one[field].includes(wanted);
}
