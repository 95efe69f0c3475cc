// Builds the page: elements, text nodes and attributes, and nothing else. What
// strangers sent is shown letter by letter; here is why it cannot become markup.
//
// There is no way from text to elements in this module or in any other, event
// listeners are functions, and styles are set by property, which the page's
// Content-Security-Policy allows.

import { asShown, INVISIBLE } from "./visible.js";

/** After so many marks in a row. */
const PILE = /(?<=\p{M}{8})(?=\p{M})/u;
const SVG = "http://www.w3.org/2000/svg";

/** Attributes that are read by people, so that hidden letters show in them. */
const READ_BY_PEOPLE = new Set(["title", "aria-label", "placeholder", "data-label", "alt"]);

/**
 * An HTML element.
 *
 * `props`: `on: {click: f}` for listeners, `style: {"--x": "1px"}` for
 * properties, `true` for an attribute without a value; `null`, `undefined` and
 * `false` leave an attribute out; all else is the attribute's text.
 * Children are nodes, texts, numbers, or lists of them; `null` and `false` are
 * left out.
 */
export function h(tag, props, ...children) {
  return build(document.createElement(tag), props, children);
}

/** The same for an SVG element. */
export function s(tag, props, ...children) {
  return build(document.createElementNS(SVG, tag), props, children);
}

function build(element, props, children) {
  for (const [name, value] of Object.entries(props ?? {})) set(element, name, value);
  element.append(...nodes(children));
  return element;
}

/** Sets one attribute, listener or style; `null` and `false` take it away. */
export function set(element, name, value) {
  if (name === "on") {
    for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
  } else if (name === "style") {
    for (const [property, text] of Object.entries(value)) element.style.setProperty(property, text);
  } else if (name.startsWith("on") || name === "style" || name === "srcdoc") {
    throw new Error(`${name} is no attribute of this console`);
  } else if (name === "value" || name === "checked" || name === "indeterminate" || name === "open") {
    element[name] = value;
  } else if (value === null || value === undefined || value === false) {
    element.removeAttribute(name);
  } else {
    const text = value === true ? "" : String(value);
    element.setAttribute(name, READ_BY_PEOPLE.has(name) ? asShown(text) : text);
  }
}

/** Nodes of anything that can be a child. */
function nodes(children) {
  const found = [];
  for (const child of [children].flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    if (child instanceof Node) found.push(child);
    else found.push(...letters(String(child)));
  }
  return found;
}

/** A text as nodes, where what cannot be seen is drawn by its number. */
function letters(text) {
  if (text.search(INVISIBLE) < 0) return piles(text);
  const found = [];
  let from = 0;
  for (const match of text.matchAll(INVISIBLE)) {
    if (match.index > from) found.push(...piles(text.slice(from, match.index)));
    const mark = document.createElement("span");
    mark.className = "hidden-letter";
    mark.textContent = asShown(match[0]);
    found.push(mark);
    from = match.index + match[0].length;
  }
  if (from < text.length) found.push(...piles(text.slice(from)));
  return found;
}

/** A pile of marks on one letter is one word to the browser, as wide as it likes; here it may break. */
function piles(text) {
  if (text.search(PILE) < 0) return [document.createTextNode(text)];
  const parts = text.split(PILE).map((part) => document.createTextNode(part));
  return parts.flatMap((part, index) => (index === 0 ? [part] : [document.createElement("wbr"), part]));
}

/** Words of a stranger: kept apart from ours in direction and in width. */
export function said(text, props) {
  return h("bdi", { class: "said", ...props }, text ?? "");
}

/** Puts these children in place of what is there. */
export function fill(parent, ...children) {
  parent.replaceChildren(...nodes(children));
  return parent;
}

/**
 * Makes the children of `parent` follow `items`, keeping the element of each
 * key, so that focus, selection and open parts stay when a list is refreshed.
 */
export function keyed(parent, items, key, make, update) {
  const have = new Map();
  for (const child of [...parent.children]) have.set(child.__key, child);
  let place = parent.firstElementChild;
  const fresh = [];
  for (const item of items) {
    const name = key(item);
    let child = have.get(name);
    if (child) {
      have.delete(name);
      update?.(child, item);
    } else {
      child = make(item);
      child.__key = name;
      fresh.push(child);
    }
    if (child === place) place = place.nextElementSibling;
    else parent.insertBefore(child, place);
  }
  for (const gone of have.values()) gone.remove();
  return fresh;
}

/** Says something to a screen reader, politely; the last word counts. */
export function announce(text) {
  const region = document.getElementById("announcer");
  if (region) region.textContent = asShown(text);
}
