// Events: the list of what was accepted, and one event whole: what it says, why
// it went where it went, and what became of each copy.

import { get, post, segment } from "./api.js";
import { bodyView, headers, messageView, pairs } from "./body.js";
import { confirm, problem } from "./dialog.js";
import { fill, h, said } from "./dom.js";
import { explained } from "./explain.js";
import { bytes, count, listed, things, took, when } from "./format.js";
import { begin } from "./jobs.js";
import { countAll, list } from "./list.js";
import { link } from "./router.js";
import { shape, state } from "./shape.js";
import { follow, live } from "./stream.js";
import { COPY, ORIGIN, OUTCOME } from "./words.js";

const names = (rows) => rows.map((row) => row.name);

const SPEC = {
  path: ["events"], title: "Events", noun: "event", selectable: true,
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
    { label: "Accepted", class: "tight", cell: (row) => h("a", { href: link(["events", row.id]) }, when(row.accepted_at)) },
    { label: "Source", cell: (row) => said(row.source) },
    { label: "Type", cell: (row) => h("span", {}, said(row.type), row.origin !== "accepted" && h("span", { class: "chip", title: ORIGIN[row.origin] }, row.origin)) },
    { label: "Key", class: "long", cell: (row) => row.key ? said(row.key) : h("span", { class: "soft" }, "none") },
    { label: "Goes to", class: "long", cell: (row) => row.destinations.length ? h("span", { title: row.destinations.join(", ") }, listed(row.destinations, 2)) : h("span", { class: "soft" }, "nobody: unrouted") },
    { label: "Size", class: "tight number", cell: (row) => bytes(row.bytes) },
  ],
  key: (row) => row.id,
  changes: (status) => status.sources.reduce((sum, row) => sum + row.accepted, 0) + status.destinations.reduce((sum, row) => sum + row.owed, 0),
  load: async (query, limit) => {
    const { events, next } = await get("events", { ...query, limit });
    return { rows: unique(events), next };
  },
  bar: (self) => {
    const chosen = self.chosen.length;
    return [
      h("button", { class: "button", type: "button", disabled: chosen === 0, on: { click: () => replayChosen(self) } }, chosen ? `Replay ${things(chosen, "event")}…` : "Replay chosen…"),
      h("button", { class: "button", type: "button", on: { click: () => replayMatching(self) } }, Object.keys(self.query).length ? "Replay all that match…" : "Replay all…"),
      chosen > 0 && h("span", { class: "soft" }, `${count(chosen)} chosen`),
    ];
  },
  empty: (filtered) => filtered ? "No event matches this filter." : "No event is in the log yet. Register http://<this host>/hooks/<source> at a sender, or post a sample with hookfan send.",
};

/** A replayed event is in the log once more by the same id; rows need names of their own. */
function unique(events) {
  return events.filter((event, index) => events.findIndex((one) => one.id === event.id) === index);
}

export function eventsView(route) {
  return list(SPEC, route);
}

/** Where a replay goes: a choice, and the part of the request that says it. */
function wayChoice(known) {
  const to = h("select", { multiple: true, size: Math.min(6, Math.max(2, known.length)), "aria-label": "Destinations", disabled: true }, known.map((name) => h("option", { value: name }, name)));
  const radio = (value, text, more) => {
    const input = h("input", { type: "radio", name: "way", value, checked: value === "own", on: { change: () => { to.disabled = input.value !== "to"; } } });
    return h("div", { class: "choice" }, h("label", {}, input, h("span", {}, text)), more);
  };
  const root = h("fieldset", { class: "choices" }, h("legend", {}, "Where to"),
    radio("own", "to the destinations each was owed to"), radio("route", "by today's routes"), radio("to", "to these destinations only", to));
  return { root, selection() {
    const way = root.querySelector("input:checked")?.value;
    if (way === "route") return { route: true };
    if (way !== "to") return {};
    const chosen = [...to.selectedOptions].map((option) => option.value);
    if (chosen.length === 0) throw new Error("Choose a destination first.");
    return { to: chosen };
  } };
}

const replayNote = () => h("p", { class: "soft" }, "Each becomes a new obligation beside the old one. A destination that had it before gets it again, by the same webhook-id.");

function replayChosen(self) {
  const ids = self.chosen;
  const way = wayChoice(names(live.status?.destinations ?? []));
  return confirm({
    title: `Replay ${things(ids.length, "event")}?`, action: `Replay ${count(ids.length)}`, body: h("div", {}, way.root, replayNote()),
    run: async () => { await begin("replay", { ids, ...way.selection() }); self.clear(); },
  });
}

async function replayMatching(self) {
  const until = self.query.until ?? new Date().toISOString();
  const selection = { ...self.query, until };
  const way = wayChoice(names(live.status?.destinations ?? []));
  const told = h("p", { role: "status" }, "Counting…");
  const body = h("div", { "data-waits": "yes" }, told, filterWords(selection), way.root, replayNote());
  const asked = confirm({ title: "Replay all that match?", action: "Replay", body, run: () => begin("replay", { ...selection, ...way.selection() }) });
  try {
    const load = async (before, limit) => {
      const page = await get("events", { ...selection, before, limit });
      return { n: page.events.filter((event) => event.origin === "accepted").length, next: page.next };
    };
    const n = await countAll(load, (so) => fill(told, `Counting… ${count(so)} so far`), () => body.isConnected);
    fill(told, n === 0 ? "No event matches." : h("b", {}, `${things(n, "event")} will be replayed.`));
    if (n > 0) body.dispatchEvent(new CustomEvent("ready", { detail: `Replay ${things(n, "event")}` }));
  } catch (error) {
    fill(told, problem(error));
  }
  return asked;
}

/** A selection in words, so that it can be read before it is acted on. */
export function filterWords(selection) {
  return h("ul", { class: "filter-words" }, Object.entries(selection).map(([name, value]) => h("li", {}, h("b", {}, `${name} `), said(String(value)))));
}

/** One event. */
export function eventView(route) {
  const id = route.parts[1];
  const root = h("div", {}, h("h1", { tabindex: "-1" }, "Event"), h("p", { class: "soft", role: "status" }, "Loading…"));
  let drawn = null;
  const load = async () => {
    try {
      const event = await get(`events/${segment(id)}`);
      const text = JSON.stringify(event.deliveries);
      if (drawn === null) draw(root, event);
      else if (text !== drawn) fill(root.querySelector("#copies"), copies(event.deliveries));
      drawn = text;
    } catch (error) {
      if (drawn === null) fill(root, h("h1", { tabindex: "-1" }, "Event"), problem(error), h("p", {}, h("a", { href: "#/events" }, "All events")));
    }
  };
  load();
  // Its copies move on while somebody looks.
  let seen = null;
  const stop = follow(({ status }) => {
    const figure = status.destinations.map((row) => `${row.delivered}/${row.dead}/${row.dropped}/${row.owed}`).join();
    if (seen !== null && seen !== figure) load();
    seen = figure;
  });
  return { title: "Event", root, close: stop };
}

function draw(root, event) {
  const way = () => wayChoice(names(live.status?.destinations ?? []));
  const replay = () => {
    const where = way();
    return confirm({ title: "Replay this event?", action: "Replay 1 event", body: h("div", {}, pairs([["event", event.id], ["type", event.type]]), where.root, replayNote()), run: () => begin("replay", { ids: [event.id], ...where.selection() }) });
  };
  fill(root,
    h("p", { class: "crumb" }, h("a", { href: "#/events" }, "Events")),
    h("div", { class: "head" }, h("div", {}, h("h1", { tabindex: "-1" }, said(event.type)), h("p", { class: "lead" }, "from ", h("b", {}, said(event.source)), ", accepted ", when(event.accepted_at))),
      h("div", { class: "head-actions" }, h("button", { class: "button", type: "button", on: { click: replay } }, "Replay…"))),
    h("div", { class: "two" },
      h("section", { class: "card" }, h("h2", {}, "What became of it"), h("div", { id: "copies" }, copies(event.deliveries))),
      h("section", { class: "card" }, h("h2", {}, "The message"), messageView(event.message))),
    ...about(event));
}

/** What an event says, whole: also of a dead letter. */
export function about(event) {
  return [
    h("section", { class: "card" }, h("h2", {}, "Why it goes where it goes"), h("p", { class: "soft" }, "By the routes in force now; what was owed was decided when it was accepted."), explanation(event.id)),
    h("section", { class: "card" }, h("h2", {}, "Body"), bodyView(event.body)),
    h("section", { class: "card" }, h("h2", {}, "Particulars"),
      pairs([["id", event.id], ["key", event.key], ["vendor's id", event.vendor_id], ["all of this key", event.key && h("a", { href: link(["events"], { key: event.key }) }, "events of this conversation")]]),
      h("h3", {}, "Headers"), headers(event.headers)),
  ];
}

/** Asks `explain` once it is there to be looked at. */
function explanation(id) {
  const box = h("div", { role: "status" }, h("p", { class: "soft" }, "Asking…"));
  post(`explain?event=${segment(id)}`).then((answer) => fill(box, explained(answer)), (error) => fill(box, problem(error)));
  return box;
}

/** Each copy with every attempt. */
function copies(deliveries) {
  if (deliveries.length === 0) return h("p", { class: "soft" }, "No route named a destination for it when it was accepted.");
  return h("ul", { class: "copies" }, deliveries.map((copy) => h("li", { class: "copy" },
    h("div", { class: "copy-head" },
      h("a", { href: link(["destinations", copy.destination]) }, said(copy.destination)),
      copy.action !== "message" && h("span", { class: "chip" }, copy.action),
      copy.origin !== "accepted" && h("span", { class: "chip", title: ORIGIN[copy.origin] }, copy.origin),
      state(COPY[copy.state] ?? COPY.pending)),
    (copy.reason || copy.detail) && h("p", { class: "small" }, copy.reason && h("b", {}, copy.reason, copy.detail && ": "), said(copy.state === "dropped" ? `by ${copy.detail || "rule"}` : copy.detail)),
    attempts(copy.attempts))));
}

/** Attempts as a table; the newest is what matters, so that it comes first. */
export function attempts(all) {
  if (!all?.length) return h("p", { class: "soft small" }, "No attempt was made.");
  const rows = [...all].reverse();
  const table = (some) => h("ol", { class: "attempts", reversed: true }, some.map((one) => h("li", { class: "attempt" },
    h("span", { class: `state tone-${one.outcome === "2xx" ? "ok" : "bad"}` }, shape(one.outcome === "2xx" ? "yes" : "no"), one.status ? `${one.status}` : one.outcome),
    h("span", { class: "soft" }, OUTCOME[one.outcome] ?? one.outcome),
    h("span", { class: "attempt-time soft" }, `attempt ${one.number} · `, when(one.at), ` · ${took(one.took_ms)}`),
    one.detail && h("span", { class: "attempt-detail" }, said(one.detail)))));
  return [table(rows.slice(0, 3)), rows.length > 3 && h("details", {}, h("summary", {}, `${count(rows.length - 3)} earlier`), table(rows.slice(3)))];
}

