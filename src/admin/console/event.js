// One event whole: what it says, why it goes where it goes, and what became of
// each copy.

import { get, post, segment } from "./api.js";
import { bodyView, headers, messageView, pairs } from "./body.js";
import { problem } from "./dialog.js";
import { fill, h, said } from "./dom.js";
import { explained } from "./explain.js";
import { count, took, when } from "./format.js";
import { replayOne } from "./replay.js";
import { link } from "./router.js";
import { shape, state } from "./shape.js";
import { follow } from "./stream.js";
import { COPY, ORIGIN, OUTCOME } from "./words.js";

/** One event. */
export function eventView(route) {
  const id = route.parts[1];
  const root = h(
    "div",
    {},
    h("h1", { tabindex: "-1" }, "Event"),
    h("p", { class: "soft", role: "status" }, "Loading…"),
  );
  let drawn = null;
  const load = async () => {
    try {
      const event = await get(`events/${segment(id)}`);
      const text = JSON.stringify(event.deliveries);
      if (drawn === null) draw(root, event);
      else if (text !== drawn) fill(root.querySelector("#copies"), copies(event.deliveries));
      drawn = text;
    } catch (error) {
      if (drawn === null)
        fill(
          root,
          h("h1", { tabindex: "-1" }, "Event"),
          problem(error),
          h("p", {}, h("a", { href: "#/events" }, "All events")),
        );
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
  fill(
    root,
    h("p", { class: "crumb" }, h("a", { href: "#/events" }, "Events")),
    h(
      "div",
      { class: "head" },
      h(
        "div",
        {},
        h("h1", { tabindex: "-1" }, said(event.type)),
        h("p", { class: "lead" }, "from ", h("b", {}, said(event.source)), ", accepted ", when(event.accepted_at)),
      ),
      h(
        "div",
        { class: "head-actions" },
        h("button", { class: "button", type: "button", on: { click: () => replayOne(event) } }, "Replay…"),
      ),
    ),
    h(
      "div",
      { class: "two" },
      h(
        "section",
        { class: "card" },
        h("h2", {}, "What became of it"),
        h("div", { id: "copies" }, copies(event.deliveries)),
      ),
      h("section", { class: "card" }, h("h2", {}, "The message"), messageView(event.message)),
    ),
    ...about(event),
  );
}

/** What an event says, whole: also of a dead letter. */
export function about(event) {
  return [
    h(
      "section",
      { class: "card" },
      h("h2", {}, "Why it goes where it goes"),
      h("p", { class: "soft" }, "By the routes in force now; what was owed was decided when it was accepted."),
      explanation(event.id),
    ),
    h("section", { class: "card" }, h("h2", {}, "Body"), bodyView(event.body)),
    h(
      "section",
      { class: "card" },
      h("h2", {}, "Particulars"),
      pairs([
        ["id", event.id],
        ["key", event.key],
        ["vendor's id", event.vendor_id],
        [
          "all of this key",
          event.key && h("a", { href: link(["events"], { key: event.key }) }, "events of this conversation"),
        ],
      ]),
      h("h3", {}, "Headers"),
      headers(event.headers),
    ),
  ];
}

/** Asks `explain` once it is there to be looked at. */
function explanation(id) {
  const box = h("div", {}, h("p", { class: "soft" }, "Asking…"));
  post(`explain?event=${segment(id)}`).then(
    (answer) => fill(box, explained(answer)),
    (error) => fill(box, problem(error)),
  );
  return box;
}

/** Each copy with every attempt. */
function copies(deliveries) {
  if (deliveries.length === 0)
    return h("p", { class: "soft" }, "No route named a destination for it when it was accepted.");
  return h(
    "ul",
    { class: "copies" },
    deliveries.map((copy) =>
      h(
        "li",
        { class: "copy" },
        h(
          "div",
          { class: "copy-head" },
          h("a", { href: link(["destinations", copy.destination]) }, said(copy.destination)),
          copy.action !== "message" && h("span", { class: "chip" }, copy.action),
          copy.origin !== "accepted" && h("span", { class: "chip", title: ORIGIN[copy.origin] }, copy.origin),
          state(COPY[copy.state] ?? COPY.pending),
        ),
        (copy.reason || copy.detail) &&
          h(
            "p",
            { class: "small" },
            copy.reason && h("b", {}, copy.reason, copy.detail && ": "),
            said(copy.state === "dropped" ? `by ${copy.detail || "rule"}` : copy.detail),
          ),
        attempts(copy.attempts),
      ),
    ),
  );
}

/** Attempts as a table; the newest is what matters, so that it comes first. */
export function attempts(all) {
  if (!all?.length) return h("p", { class: "soft small" }, "No attempt was made.");
  const rows = [...all].reverse();
  const table = (some) =>
    h(
      "ol",
      { class: "attempts", reversed: true },
      some.map((one) =>
        h(
          "li",
          { class: "attempt" },
          h(
            "span",
            { class: `state tone-${one.outcome === "2xx" ? "ok" : "bad"}` },
            shape(one.outcome === "2xx" ? "yes" : "no"),
            one.status ? `${one.status}` : one.outcome,
          ),
          h("span", { class: "soft" }, OUTCOME[one.outcome] ?? one.outcome),
          h(
            "span",
            { class: "attempt-time soft" },
            `attempt ${one.number} · `,
            when(one.at),
            ` · ${took(one.took_ms)}`,
          ),
          one.detail && h("span", { class: "attempt-detail" }, said(one.detail)),
        ),
      ),
    );
  return [
    table(rows.slice(0, 3)),
    rows.length > 3 && h("details", {}, h("summary", {}, `${count(rows.length - 3)} earlier`), table(rows.slice(3))),
  ];
}
