// All destinations as a table, the worst first: the picture without the picture.

import { fill, h, keyed, said } from "./dom.js";
import { age, count, rate } from "./format.js";
import { link } from "./router.js";
import { state } from "./shape.js";
import { follow } from "./stream.js";
import { standing } from "./words.js";

/** Letters are worse than waiting, and better than failing. */
const badness = (row) => Math.max(standing(row).badness, row.dead_letters > 0 ? 3 : 0);

export function destinationsView() {
  const body = h("tbody", { role: "rowgroup" });
  const heads = ["Destination", "Kind", "State", "Rate", "Waiting", "Oldest", "Dead letters", "Last error"];
  const stop = follow(({ status }) => {
    const rows = [...status.destinations].sort((a, b) => badness(b) - badness(a) || a.name.localeCompare(b.name));
    keyed(
      body,
      rows,
      (row) => row.name,
      () => h("tr", { role: "row" }),
    );
    rows.forEach((row, index) => {
      const cells = [
        h("a", { href: link(["destinations", row.name]) }, said(row.name)),
        row.kind,
        state(standing(row)),
        rate(row.rate),
        count(row.pending),
        age(row.oldest_seconds),
        row.dead_letters > 0
          ? h("a", { href: link(["dead"], { destination: row.name }) }, count(row.dead_letters))
          : "0",
        row.last_error ? said(`${row.last_error.status ?? row.last_error.outcome} ${row.last_error.detail}`) : "–",
      ];
      const element = body.children[index];
      const text = JSON.stringify([
        row.kind,
        standing(row).word,
        rate(row.rate),
        row.pending,
        age(row.oldest_seconds),
        row.dead_letters,
        row.last_error,
      ]);
      if (element.drawn === text) return;
      element.drawn = text;
      fill(
        element,
        cells.map((cell, at) =>
          h(
            "td",
            { role: "cell", "data-label": heads[at], class: at === 7 ? "long why-cell" : at > 2 ? "tight number" : "" },
            cell,
          ),
        ),
      );
    });
  });
  return {
    title: "Destinations",
    root: h(
      "div",
      {},
      h("h1", { tabindex: "-1" }, "Destinations"),
      h("p", { class: "lead" }, "All of them, the worst first."),
      h(
        "table",
        { class: "rows", role: "table", "aria-label": "Destinations" },
        h(
          "thead",
          { role: "rowgroup" },
          h(
            "tr",
            { role: "row" },
            heads.map((head, at) =>
              h("th", { role: "columnheader", scope: "col", class: at > 2 && at < 7 ? "number" : "" }, head),
            ),
          ),
        ),
        body,
      ),
    ),
    close: stop,
  };
}
