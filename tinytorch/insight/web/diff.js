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

// `@@ -14,5 +14,4 @@`: the piece begins at line 14.
const lineOf = (head) => Number(/^@@ -(\d+)/.exec(head)?.[1] || 1);

// All of a text of which `diff` has the pieces that changed.
function wholeDiff(lines, diff) {
  const made = [];
  let at = 0;
  const keep = (end) => {
    for (; at < end; at++) made.push([" ", lines[at], null]);
  };
  for (const line of diff) {
    if (line[0] === "@") keep(lineOf(line[1]) - 1);
    else {
      made.push(line);
      if (line[0] !== "+") at++;
    }
  }
  keep(lines.length);
  return made;
}

const textAfter = (diff) => diff.filter(([kind]) => kind !== "-").map(([, text]) => text);

// The list begins with the first line that differs, and what stands before it.
function diffList(diff, label, columns = 1, most = 480) {
  if (!diff.length) return h("p.quiet", {}, "The same text.");
  const rows = columns === 2 ? paired(diff) : diff;
  const row = columns === 2 ? (i) => h("div.row.pair", {}, rows[i].map(half)) : (i) => diffLine(rows[i]);
  const list = new List({ count: rows.length, row, label, most, height: 19 });
  const differs = ([kind]) => kind === "-" || kind === "+";
  const first = rows.findIndex((each) => (columns === 2 ? !each[0] || !each[1] || differs(each[0]) : differs(each)));
  if (first * list.height > most) list.reveal(first);
  return list.element;
}
