// Numbers and tokens as people read them.

const MINUS = "\u2212";

/** Four significant digits, but no more than the 16 bits per value can tell apart. */
function showNumber(x, resolution = 0) {
  if (x === null || x === undefined || Number.isNaN(x)) return "–";
  if (!Number.isFinite(x)) return x > 0 ? "∞" : `${MINUS}∞`;
  const size = Math.abs(x);
  if (size === 0) return "0";
  if (size < resolution) return "≈ 0";
  if ((size < 1e-4 || size >= 1e6) && resolution < size / 100) return x.toExponential(2).replaceAll("-", MINUS);
  const wanted = Math.max(0, 3 - Math.floor(Math.log10(size)));
  const told = resolution > 0 ? Math.max(0, Math.ceil(-Math.log10(resolution))) : 12;
  return x.toFixed(Math.min(wanted, told, 12)).replace("-", MINUS);
}

function showPercent(p) {
  if (p === null) return "–";
  return p > 0 && p < 0.001 ? "< 0.1 %" : `${(100 * p).toFixed(1)} %`;
}

function showEnds(range, resolution) {
  return [(range.cutLow ? "≤ " : "") + showNumber(range.low, resolution), (range.cutHigh ? "≥ " : "") + showNumber(range.high, resolution)];
}

function ordinal(n) {
  const ending = n % 100 >= 11 && n % 100 <= 13 ? "th" : ["th", "st", "nd", "rd"][n % 10] ?? "th";
  return `${n}${ending}`;
}

function counted(n, thing) {
  return `${n} ${thing}${n === 1 ? "" : "s"}`;
}

function withUnit(text, unit) {
  return unit ? `${text} ${unit}` : text;
}

function labelWithUnit(entry) {
  return entry.unit ? `${entry.label} (${entry.unit})` : entry.label;
}

/** A token on one line, with what cannot be seen made visible. */
function showToken(token) {
  if (token === "") return "∅";
  return token
    .replaceAll("\r\n", "⏎")
    .replaceAll("\n", "⏎")
    .replaceAll("\t", "⇥")
    .replace(/[\u0000-\u001f]/g, (c) => String.fromCharCode(0x2400 + c.charCodeAt(0)))
    .replace(/[\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** Plotly reads a subset of HTML in what it is given to write. */
function forPlotly(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

function finiteMean(values) {
  let sum = 0;
  let count = 0;
  let infinite = 0;
  for (const x of values) {
    if (Number.isFinite(x)) {
      sum += x;
      count += 1;
    } else if (!Number.isNaN(x)) {
      infinite = infinite === 0 || infinite === x ? x : NaN;
    }
  }
  if (count > 0) return sum / count;
  return infinite === 0 ? NaN : infinite;
}

function leastAndMost(values) {
  let least = Infinity;
  let most = -Infinity;
  let any = false;
  for (const x of values) {
    if (Number.isNaN(x)) continue;
    any = true;
    if (x < least) least = x;
    if (x > most) most = x;
  }
  return any ? { least, most } : { least: NaN, most: NaN };
}
