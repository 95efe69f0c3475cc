// The keyboard: letters that lead somewhere, unless somebody is typing.

import { h } from "./dom.js";
import { sheet } from "./dialog.js";
import { go } from "./router.js";
import { turn } from "./theme.js";

const PLACES = {
  f: ["flow", "Flow"],
  e: ["events", "Events"],
  d: ["dead", "Dead letters"],
  s: ["destinations", "Destinations"],
  r: ["routes", "Routes"],
  l: ["links", "Links"],
  j: ["jobs", "Jobs"],
};

let waiting = 0;

/** Listens for as long as the page is open. */
export function listen() {
  addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest?.("input,textarea,select,dialog")) {
      if (event.key === "Escape" && event.target.closest("form")) event.target.blur();
      return;
    }
    const gone = performance.now() - waiting < 1500;
    waiting = 0;
    if (gone && PLACES[event.key]) return take(event, () => go([PLACES[event.key][0]]));
    if (event.key === "g") waiting = performance.now();
    else if (event.key === "?") take(event, help);
    else if (event.key === "t") take(event, turn);
    else if (event.key === "/")
      take(event, () =>
        document.querySelector("main form.filters select, main form.filters input, main textarea")?.focus(),
      );
    else if (event.key === "j" || event.key === "k") take(event, () => row(event.key === "j" ? 1 : -1));
    else if (event.key === "x")
      take(event, () => document.activeElement?.closest?.("tr")?.querySelector("input[type=checkbox]")?.click());
  });
}

function take(event, deed) {
  event.preventDefault();
  deed();
}

/** The next or the last row's link. */
function row(step) {
  const links = [...document.querySelectorAll("main table.rows tbody tr")].map((one) => one.querySelector("a"));
  const now = links.findIndex((one) => one?.closest("tr").contains(document.activeElement));
  links[Math.max(0, Math.min(links.length - 1, now < 0 ? 0 : now + step))]?.focus();
}

export function help() {
  const keys = [
    ["?", "these keys"],
    ["/", "to the filter"],
    ["j  k", "next, last row"],
    ["Enter", "open the row"],
    ["x", "choose the row"],
    ["t", "dark or light"],
    ...Object.entries(PLACES).map(([key, [, name]]) => [`g  ${key}`, name]),
    ["Esc", "leave a field, close a dialogue"],
  ];
  sheet(
    "Keys",
    h(
      "dl",
      { class: "keys" },
      keys.map(([key, what]) => [
        h(
          "dt",
          {},
          key.split("  ").map((one) => h("kbd", {}, one)),
        ),
        h("dd", {}, what),
      ]),
    ),
  );
}
