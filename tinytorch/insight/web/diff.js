// Differences of two texts: one column with − and +, or two columns.

const SIGNS = { " ": "", "-": "−", "+": "+", "@": "" };
const KINDS = { " ": "same", "-": "gone", "+": "new", "@": "cut" };

// Rows of two columns: what is gone beside what is new, in the order in which they stand.
function paired(diff) {
  const rows = [];
  let gone = [];
  let fresh = [];
  const flush = () => {
    for (let i = 0; i < Math.max(gone.length, fresh.length); i++) rows.push([gone[i] || null, fresh[i] || null]);
    [gone, fresh] = [[], []];
  };
  for (const line of diff) {
    if (line[0] === "-") gone.push(line);
    else if (line[0] === "+") fresh.push(line);
    else {
      flush();
      rows.push([line, line]);
    }
  }
  flush();
  return rows;
}

const diffLine = ([kind, text]) => h(`div.row.code.${KINDS[kind]}`, {}, h("span.sign", {}, SIGNS[kind]), text);
const half = (line) => (line ? h(`span.code.${KINDS[line[0]]}`, { title: line[1] }, line[1]) : h("span.code.none"));

function diffList(diff, label, columns = 1, most = 480) {
  if (!diff.length) return h("p.quiet", {}, "The same text.");
  const pairs = columns === 2 ? paired(diff) : null;
  const row = pairs ? (i) => h("div.row.pair", {}, pairs[i].map(half)) : (i) => diffLine(diff[i]);
  return new List({ count: pairs ? pairs.length : diff.length, row, label, most, height: 19 }).element;
}
