// Light colours for the routing file: comments, tables, keys, texts. Draws what
// is there; it judges nothing.

import { h } from "./dom.js";

const PART =
  /(#.*$)|("""|'''|"(?:[^"\\]|\\.)*"|'[^']*')|(\b(?:true|false)\b|(?<![\w."'-])[+-]?\d[\d_.:TZ-]*)|([A-Za-z_][\w.-]*)(?=\s*=)/g;

/** One line as nodes. */
export function coloured(line) {
  if (/^\s*\[/.test(line)) {
    const cut = line.search(/#(?=[^"']*$)/);
    return cut < 0
      ? [h("span", { class: "toml-table" }, line)]
      : [h("span", { class: "toml-table" }, line.slice(0, cut)), h("span", { class: "toml-comment" }, line.slice(cut))];
  }
  const out = [];
  let from = 0;
  for (const match of line.matchAll(PART)) {
    const [text, comment, string, word] = match;
    if (match.index > from) out.push(line.slice(from, match.index));
    out.push(h("span", { class: `toml-${comment ? "comment" : string ? "string" : word ? "word" : "key"}` }, text));
    from = match.index + text.length;
  }
  if (from < line.length) out.push(line.slice(from));
  return out;
}
