// Figures as text: three digits and a unit that fits.

// At least 0; a list of any length, of which `Math.max(...)` would take some 100,000 numbers.
const largest = (numbers) => numbers.reduce((most, each) => Math.max(most, each), 0);

function scaled(number, step, units, start = 0) {
  if (number === null || number === undefined) return "–";
  if (number === 0) return `0 ${units[start]}`.trim();
  let power = start;
  let left = number;
  const full = step - 0.5; // from here on, three digits would be those of the next unit
  while (Math.abs(left) >= full && power < units.length - 1) [left, power] = [left / step, power + 1];
  while (Math.abs(left) < 1 && power > 0) [left, power] = [left * step, power - 1];
  left = Number(left.toPrecision(9));
  const digits = Number.isInteger(left) || Math.abs(left) >= 999.5 ? whole(Math.round(left)) : left.toPrecision(3);
  return `${digits} ${units[power]}`.trim();
}

const seconds = (number) => scaled(number, 1000, ["ns", "µs", "ms", "s"], 3);
const count = (number) => scaled(number, 1000, ["", "k", "M", "G", "T", "P"]);
const flops = (number) => scaled(number, 1000, ["FLOP", "kFLOP", "MFLOP", "GFLOP", "TFLOP", "PFLOP"]);
const rate = (number) => scaled(number, 1000, ["FLOP/s", "kFLOP/s", "MFLOP/s", "GFLOP/s", "TFLOP/s"]);
const bandwidth = (number) => scaled(number, 1000, ["B/s", "kB/s", "MB/s", "GB/s", "TB/s"]);

const bytes = (number) => scaled(number, 1024, ["B", "KiB", "MiB", "GiB", "TiB"]);

const whole = (number) => (number === null || number === undefined ? "–" : number.toLocaleString("en-US"));
const plural = (number, word, many = `${word}s`) => `${whole(number)} ${number === 1 ? word : many}`;

function percent(part, total) {
  if (part === null || part === undefined || !total) return "–";
  const share = (100 * part) / total;
  if (share > 0 && share < 0.095) return "< 0.1 %";
  return `${share >= 9.95 || share === 0 ? Math.round(share) : share.toPrecision(2)} %`;
}

// "/home/me/model.py:14" → its file, its line, and what is shown of it.
function place(loc) {
  const colon = loc ? loc.lastIndexOf(":") : -1;
  if (colon < 0) return null;
  const file = loc.slice(0, colon);
  const line = Number(loc.slice(colon + 1));
  return { file, line, short: `${baseName(file)}:${line}` };
}

const sentence = (words) => `${words[0].toUpperCase()}${words.slice(1)}.`;
const baseName = (path) => path.split(/[\\/]/).pop();
