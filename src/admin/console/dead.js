// Dead letters: the list of what was not delivered, and sending it again, one or
// many.

import { get } from "./api.js";
import { confirm, problem } from "./dialog.js";
import { fill, h, said } from "./dom.js";
import { count, things, when } from "./format.js";
import { begin } from "./jobs.js";
import { countAll, list } from "./list.js";
import { filterWords } from "./replay.js";
import { link } from "./router.js";
import { shape } from "./shape.js";
import { REASON } from "./words.js";

const names = (rows) => rows.map((row) => row.name);

/** Moves when a letter came, or left. */
export const changes = (status) => status.destinations.map((row) => `${row.dead}/${row.dead_letters}`).join();

const SPEC = {
  path: ["dead"],
  title: "Dead letters",
  noun: "dead letter",
  selectable: true,
  lead: "Copies that were not delivered and will not be tried again by themselves, newest first. Retry them once the cause is mended.",
  filters: [
    { name: "destination", label: "Destination", kind: "select", options: (status) => names(status.destinations) },
    { name: "reason", label: "Reason", kind: "select", options: () => Object.keys(REASON) },
    { name: "source", label: "Source", kind: "select", options: (status) => names(status.sources) },
    { name: "type", label: "Type", kind: "text", hint: "post_comment_*" },
    { name: "key", label: "Key", kind: "text", hint: "source/room" },
    { name: "since", label: "Since", kind: "time", hint: "2h, or a time" },
    { name: "until", label: "Until", kind: "time", hint: "30m, or a time" },
  ],
  columns: [
    { label: "Died", class: "tight", cell: (row) => h("a", { href: link(["dead", row.id]) }, when(row.at)) },
    { label: "Destination", cell: (row) => said(row.destination) },
    {
      label: "Why",
      class: "long why-cell",
      cell: (row) =>
        h(
          "span",
          {},
          h("span", { class: "chip bad", title: REASON[row.reason]?.[0] }, row.reason),
          " ",
          said(row.detail),
        ),
    },
    { label: "Type", cell: (row) => said(row.type) },
    { label: "Key", class: "long", cell: (row) => (row.key ? said(row.key) : h("span", { class: "soft" }, "none")) },
    { label: "Attempts", class: "tight number", cell: (row) => count(row.attempts) },
  ],
  key: (row) => row.id,
  changes,
  load: async (query, limit) => {
    const { dead, next, total } = await get("dead", { ...query, limit, order: "newest" });
    return { rows: dead, next, total };
  },
  bar: (self, total) => {
    const chosen = self.chosen.length;
    const which = Object.keys(self.query).length ? "all that match" : "all";
    const none = self.rows.length === 0;
    return [
      h(
        "button",
        {
          class: "button accent",
          type: "button",
          disabled: chosen === 0,
          on: { click: () => actChosen(self, "retry") },
        },
        chosen ? `Retry ${count(chosen)}…` : "Retry chosen…",
      ),
      h(
        "button",
        { class: "button", type: "button", disabled: chosen === 0, on: { click: () => actChosen(self, "drop") } },
        chosen ? `Drop ${count(chosen)}…` : "Drop chosen…",
      ),
      h("span", { class: "bar-gap" }),
      h(
        "button",
        { class: "button", type: "button", disabled: none, on: { click: () => actMatching(self, "retry") } },
        `Retry ${which}…`,
      ),
      h(
        "button",
        { class: "button", type: "button", disabled: none, on: { click: () => actMatching(self, "drop") } },
        `Drop ${which}…`,
      ),
      total !== null && h("span", { class: "soft" }, `${count(total)} kept in all`),
    ];
  },
  empty: (filtered) =>
    filtered
      ? "No dead letter matches this filter."
      : h(
          "span",
          { class: "calm" },
          shape("ok"),
          "No dead letters: every copy was delivered, waits for its turn, or was dropped by a rule.",
        ),
};

export function deadView(route) {
  return list(SPEC, route);
}

/** What a deed does, in the words of its question. */
export const DEED = {
  retry: {
    what: "dead:retry",
    verb: "Retry",
    tone: "accent",
    note: "Each is owed again with a fresh schedule and leaves this list. A destination that did take it after all gets it twice; the webhook-id is the same.",
  },
  drop: {
    what: "dead:drop",
    verb: "Drop",
    tone: "danger",
    note: "They leave this list for good and are never sent. There is no undo.",
  },
};

function actChosen(self, deed) {
  const ids = self.chosen;
  const { what, verb, tone, note } = DEED[deed];
  const places = tally(
    self.rows.filter((row) => ids.includes(row.id)),
    "destination",
  );
  return confirm({
    title: `${verb} ${things(ids.length, "dead letter")}?`,
    action: `${verb} ${things(ids.length, "dead letter")}`,
    tone,
    body: h("div", {}, places, h("p", { class: "soft" }, note)),
    run: async () => {
      await begin(what, { ids });
      self.clear();
    },
  });
}

/** Whatever matches now, counted first; what dies later is not meant. */
export function actMatching(self, deed) {
  const { what, verb, tone, note } = DEED[deed];
  const selection = { ...self.query, until: self.query.until ?? new Date().toISOString() };
  const told = h("div", { role: "status" }, "Counting…");
  const body = h("div", { "data-waits": "yes" }, told, filterWords(selection), h("p", { class: "soft" }, note));
  const places = new Map();
  const load = async (before, limit) => {
    const page = await get("dead", { ...selection, before, limit, order: "newest" });
    for (const row of page.dead) places.set(row.destination, (places.get(row.destination) ?? 0) + 1);
    return { n: page.dead.length, next: page.next };
  };
  countAll(
    load,
    (so) => fill(told, `Counting… ${count(so)} so far`),
    () => !body.dataset.gone,
  ).then(
    (n) => {
      fill(
        told,
        n === 0
          ? "None matches."
          : h(
              "div",
              {},
              h("b", {}, things(n, "dead letter")),
              h(
                "ul",
                { class: "filter-words" },
                [...places].map(([name, many]) => h("li", {}, h("b", {}, `${count(many)} `), "to ", said(name))),
              ),
            ),
      );
      if (n > 0) body.dispatchEvent(new CustomEvent("ready", { detail: `${verb} ${things(n, "dead letter")}` }));
    },
    (error) => fill(told, problem(error)),
  );
  const asked = confirm({
    title: `${verb} all that match?`,
    action: verb,
    tone,
    body,
    run: () => begin(what, selection),
  });
  asked.then(() => {
    body.dataset.gone = "yes";
  });
  return asked;
}

function tally(rows, field) {
  const sums = new Map();
  for (const row of rows) sums.set(row[field], (sums.get(row[field]) ?? 0) + 1);
  return h(
    "ul",
    { class: "filter-words" },
    [...sums].map(([name, n]) => h("li", {}, h("b", {}, `${count(n)} `), "to ", said(name))),
  );
}
