// The list of events: everything that was accepted.

import { get } from "./api.js";
import { h, said } from "./dom.js";
import { bytes, count, listed, things, when } from "./format.js";
import { list } from "./list.js";
import { replayChosen, replayMatching } from "./replay.js";
import { link } from "./router.js";
import { ORIGIN } from "./words.js";

const names = (rows) => rows.map((row) => row.name);

const SPEC = {
  path: ["events"],
  title: "Events",
  noun: "event",
  selectable: true,
  lead: "Everything that was accepted and is still in the log, newest first.",
  filters: [
    { name: "source", label: "Source", kind: "select", options: (status) => names(status.sources) },
    { name: "destination", label: "Destination", kind: "select", options: (status) => names(status.destinations) },
    { name: "type", label: "Type", kind: "text", hint: "post_comment_*" },
    { name: "key", label: "Key", kind: "text", hint: "source/room" },
    { name: "since", label: "Since", kind: "time", hint: "2h, or a time" },
    { name: "until", label: "Until", kind: "time", hint: "30m, or a time" },
  ],
  columns: [
    {
      label: "Accepted",
      class: "tight",
      cell: (row) => h("a", { href: link(["events", row.id]) }, when(row.accepted_at)),
    },
    { label: "Source", cell: (row) => said(row.source) },
    {
      label: "Type",
      cell: (row) =>
        h(
          "span",
          {},
          said(row.type),
          row.origin !== "accepted" && h("span", { class: "chip", title: ORIGIN[row.origin] }, row.origin),
        ),
    },
    { label: "Key", class: "long", cell: (row) => (row.key ? said(row.key) : h("span", { class: "soft" }, "none")) },
    {
      label: "Goes to",
      class: "long",
      cell: (row) =>
        row.destinations.length
          ? h("span", { title: row.destinations.join(", ") }, listed(row.destinations, 2))
          : h("span", { class: "soft" }, "nobody: unrouted"),
    },
    { label: "Size", class: "tight number", cell: (row) => bytes(row.bytes) },
  ],
  key: (row) => row.id,
  changes: (status) =>
    status.sources.reduce((sum, row) => sum + row.accepted, 0) +
    status.destinations.reduce((sum, row) => sum + row.owed, 0),
  load: async (query, limit) => {
    const { events, next } = await get("events", { ...query, limit });
    return { rows: unique(events), next };
  },
  bar: (self) => {
    const chosen = self.chosen.length;
    return [
      h(
        "button",
        { class: "button", type: "button", disabled: chosen === 0, on: { click: () => replayChosen(self) } },
        chosen ? `Replay ${things(chosen, "event")}…` : "Replay chosen…",
      ),
      h(
        "button",
        { class: "button", type: "button", on: { click: () => replayMatching(self) } },
        Object.keys(self.query).length ? "Replay all that match…" : "Replay all…",
      ),
      chosen > 0 && h("span", { class: "soft" }, `${count(chosen)} chosen`),
    ];
  },
  empty: (filtered) =>
    filtered
      ? "No event matches this filter."
      : "No event is in the log yet. Register http://<this host>/hooks/<source> at a sender, or post a sample with hookfan send.",
};

/** A replayed event is in the log once more by the same id; rows need names of their own. */
function unique(events) {
  return events.filter((event, index) => events.findIndex((one) => one.id === event.id) === index);
}

export function eventsView(route) {
  return list(SPEC, route);
}
