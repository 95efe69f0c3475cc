// JSON without a loss: numbers keep every digit, keys their order and their
// doubles. A body is formatted as text, never parsed and printed again, because
// a browser's numbers end at 2^53.

/** A number that JavaScript would round; shown as it was written. */
export class Exact {
  constructor(text) {
    this.text = text;
  }
  toString() {
    return this.text;
  }
  toJSON() {
    return this.text;
  }
}

const TOKEN =
  /\s+|("(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*")|(-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)|(true|false|null)|([{}[\],:])/y;

/** Stands for a number while the rest is parsed. */
const MARK = "\u0000exact";

/** The tokens of a JSON text as `[kind, text]`, or null where it is none. */
function tokens(text) {
  const found = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.length) {
    const match = TOKEN.exec(text);
    if (!match) return null;
    if (match[1] !== undefined) found.push(["string", match[1]]);
    else if (match[2] !== undefined) found.push(["number", match[2]]);
    else if (match[3] !== undefined) found.push(["word", match[3]]);
    else if (match[4] !== undefined) found.push(["mark", match[4]]);
  }
  return found;
}

/** Parses an answer of the API; numbers that would be rounded become `Exact`. */
export function parse(text) {
  // Fifteen digits always fit, and most answers have no longer run of them.
  if (!/\d{16}|\d[eE]|\.\d{15}/.test(text)) return JSON.parse(text);
  const found = tokens(text);
  if (!found) return JSON.parse(text);
  const exact = found.map(([kind, part]) =>
    kind === "number" && isRounded(part) ? `{${JSON.stringify(MARK)}:${JSON.stringify(part)}}` : part,
  );
  return JSON.parse(exact.join(""), (_, value) => (typeof value?.[MARK] === "string" ? new Exact(value[MARK]) : value));
}

function isRounded(text) {
  const digits = text
    .replace(/[eE].*$/, "")
    .replace(/\D/g, "")
    .replace(/^0+/, "");
  return digits.length > 15 && String(Number(text)) !== text;
}

/**
 * A body laid out over lines: a list of `[kind, text]`, where kinds are `key`,
 * `string`, `number`, `word`, `mark` and `space`. Null where the text is no JSON
 * (then it is shown as it is).
 */
export function pretty(text) {
  const found = tokens(text);
  if (!found || found.length === 0 || !isWhole(found)) return null;
  const out = [];
  let depth = 0;
  const line = () => out.push(["space", "\n" + "  ".repeat(Math.min(depth, 64))]);
  found.forEach(([kind, part], index) => {
    const next = found[index + 1]?.[1];
    if (kind !== "mark") {
      out.push([kind === "string" && next === ":" ? "key" : kind, part]);
    } else if (part === "{" || part === "[") {
      out.push(["mark", part]);
      depth += 1;
      if (next !== "}" && next !== "]") line();
    } else if (part === "}" || part === "]") {
      depth -= 1;
      const before = found[index - 1]?.[1];
      if (before !== "{" && before !== "[") line();
      out.push(["mark", part]);
    } else {
      out.push(["mark", part]);
      if (part === ",") line();
      else out.push(["space", " "]);
    }
  });
  return out;
}

/** Whether brackets match and one value stands at the top. */
function isWhole(found) {
  const open = [];
  for (const [index, [kind, part]] of found.entries()) {
    if (kind === "mark") {
      if (part === "{" || part === "[") open.push(part);
      else if (part === "}" && open.pop() !== "{") return false;
      else if (part === "]" && open.pop() !== "[") return false;
    }
    if (open.length === 0 && index < found.length - 1) return false;
  }
  return open.length === 0;
}

/** Any value of a parsed answer as JSON text again, digits kept. */
export function write(value, indent = 0) {
  const pad = "  ".repeat(indent + 1);
  const end = "  ".repeat(indent);
  if (value instanceof Exact) return value.text;
  if (Array.isArray(value)) {
    if (value.length === 0) return "[]";
    return `[\n${value.map((item) => pad + write(item, indent + 1)).join(",\n")}\n${end}]`;
  }
  if (value !== null && typeof value === "object") {
    const rows = Object.entries(value);
    if (rows.length === 0) return "{}";
    return `{\n${rows.map(([name, item]) => `${pad}${JSON.stringify(name)}: ${write(item, indent + 1)}`).join(",\n")}\n${end}}`;
  }
  return JSON.stringify(value);
}
