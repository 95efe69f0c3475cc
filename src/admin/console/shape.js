// Small pictures. Every state has a shape of its own, so that nobody needs to
// tell colours apart.

import { h, s } from "./dom.js";

const PATHS = {
  // A full disc: nothing to do here.
  ok: () => [s("circle", { cx: 8, cy: 8, r: 5, fill: "currentColor" })],
  // A half-filled ring: something is under way.
  wait: () => [
    s("circle", { cx: 8, cy: 8, r: 5, fill: "none", stroke: "currentColor", "stroke-width": 2 }),
    s("path", { d: "M8 3a5 5 0 0 1 0 10z", fill: "currentColor" }),
  ],
  // A triangle: look.
  fail: () => [
    s("path", { d: "M8 1.8 15 14H1z", fill: "currentColor", "stroke-linejoin": "round" }),
    s("path", { d: "M8 6v3.6M8 11.2v1", class: "ink-off", "stroke-width": 1.6, "stroke-linecap": "round" }),
  ],
  pause: () => [s("path", { d: "M4 3h3v10H4zM9 3h3v10H9z", fill: "currentColor" })],
  dead: () => [
    s("path", { d: "m4 4 8 8m0-8-8 8", stroke: "currentColor", "stroke-width": 2.4, "stroke-linecap": "round" }),
  ],
  drop: () => [s("path", { d: "M3.5 8h9", stroke: "currentColor", "stroke-width": 2.4, "stroke-linecap": "round" })],
  yes: () => [
    s("path", {
      d: "m3 8.5 3.2 3.2L13 5",
      fill: "none",
      stroke: "currentColor",
      "stroke-width": 2.2,
      "stroke-linecap": "round",
      "stroke-linejoin": "round",
    }),
  ],
  no: () => [
    s("path", { d: "m4.5 4.5 7 7m0-7-7 7", stroke: "currentColor", "stroke-width": 2, "stroke-linecap": "round" }),
  ],
  next: () => [
    s("path", {
      d: "m6 3.5 4.5 4.5L6 12.5",
      fill: "none",
      stroke: "currentColor",
      "stroke-width": 1.8,
      "stroke-linecap": "round",
      "stroke-linejoin": "round",
    }),
  ],
  sun: () => [
    s("circle", { cx: 8, cy: 8, r: 3, fill: "currentColor" }),
    s("path", {
      d: "M8 1v2m0 10v2M1 8h2m10 0h2M3 3l1.4 1.4m7.2 7.2L13 13M13 3l-1.4 1.4M4.4 11.6 3 13",
      stroke: "currentColor",
      "stroke-width": 1.5,
      "stroke-linecap": "round",
    }),
  ],
  moon: () => [s("path", { d: "M13.2 10A5.8 5.8 0 0 1 6 2.8a5.8 5.8 0 1 0 7.2 7.2z", fill: "currentColor" })],
};

/** A picture of 16 units; silent for screen readers, whom the word beside it tells. */
export function shape(name, props) {
  return s(
    "svg",
    { viewBox: "0 0 16 16", class: "shape", "aria-hidden": "true", focusable: "false", ...props },
    (PATHS[name] ?? PATHS.wait)(),
  );
}

/** A state: its shape and its word, in its colour. */
export function state({ shape: name, tone, word }) {
  return h("span", { class: `state tone-${tone}` }, shape(name), word);
}
