// Dark or light: as the system says, until somebody says otherwise here.

import { fill, set } from "./dom.js";
import { shape } from "./shape.js";

const KEPT = "hookfan.theme";

/** Makes a button the switch. */
export function themeSwitch(button) {
  show(button, localStorage.getItem(KEPT));
  button.addEventListener("click", turn);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => show(button, localStorage.getItem(KEPT)));
}

/** The other one than now. */
export function turn() {
  const next = dark() ? "light" : "dark";
  localStorage.setItem(KEPT, next);
  show(document.getElementById("theme"), next);
}

function dark() {
  const said = document.documentElement.dataset.theme;
  return said ? said === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

function show(button, kept) {
  if (kept === "dark" || kept === "light") document.documentElement.dataset.theme = kept;
  fill(button, shape(dark() ? "sun" : "moon"));
  set(button, "aria-label", dark() ? "Light colours" : "Dark colours");
  set(button, "title", dark() ? "Light colours (t)" : "Dark colours (t)");
}
