// Why an event goes where it goes: each route with each clause and the values it
// looked at, and the requests that come of it. Draws what `explain` answers.

import { h, said } from "./dom.js";
import { bodyView, headers, messageView, pairs } from "./body.js";
import { Exact, write } from "./json.js";
import { link } from "./router.js";
import { shape, state } from "./shape.js";
import { COPY } from "./words.js";
import { things } from "./format.js";

/** All of an answer; of a pasted webhook (`whole`) also its event and message. */
export function explained(answer, whole = false) {
  if (answer.probe) return h("p", { class: "calm" }, shape("ok"), "A probe: it is answered 200 and goes nowhere.");
  if (answer.events) {
    return h(
      "div",
      { class: "stack" },
      h("p", {}, `This webhook holds ${things(answer.events.length, "event")}.`),
      answer.events.map((one, index) =>
        h("section", { class: "card" }, h("h3", {}, `Event ${index + 1}`), explained(one, true)),
      ),
    );
  }
  return h("div", { class: "stack" }, whole && event(answer), why(answer.routes), requests(answer.requests));
}

function event(answer) {
  const { event: read, message } = answer;
  return h(
    "section",
    {},
    h("h3", {}, "Understood as"),
    pairs([
      ["source", read.source],
      ["type", read.type],
      ["key", read.key],
      ["vendor's id", read.vendor_id],
      ["direction", read.direction],
      ["customer", read.user],
      ["note", read.note],
    ]),
    messageView(message),
  );
}

/** Each route, in the file's order. */
function why(routes) {
  const matched = routes.filter((route) => route.matched).length;
  return h(
    "section",
    {},
    h(
      "h3",
      {},
      matched === 0
        ? "No route matches"
        : `${things(matched, "route")} of ${routes.length} ${matched === 1 ? "matches" : "match"}`,
    ),
    h(
      "ol",
      { class: "why" },
      routes.map((route) =>
        h(
          "li",
          { class: route.matched ? "why-route holds" : "why-route" },
          h(
            "div",
            { class: "why-head" },
            h("span", { class: route.matched ? "tone-ok" : "tone-soft" }, shape(route.matched ? "yes" : "no")),
            h("b", {}, said(route.name)),
            h("span", { class: "soft" }, route.matched ? "matches" : "does not match"),
          ),
          route.clauses.length === 0
            ? h("p", { class: "soft why-all" }, "has no clause: every event matches")
            : h("ul", { class: "clauses" }, route.clauses.map(clause)),
        ),
      ),
    ),
  );
}

function clause(one) {
  return h(
    "li",
    { class: one.holds ? "clause" : "clause fails" },
    h(
      "span",
      { class: one.holds ? "tone-ok" : "tone-bad", title: one.holds ? "holds" : "does not hold" },
      shape(one.holds ? "yes" : "no"),
      h("span", { class: "aside" }, one.holds ? "holds: " : "does not hold: "),
    ),
    h(
      "div",
      {},
      h("code", {}, said(one.clause)),
      one.values?.length > 0 &&
        h(
          "ul",
          { class: "values" },
          one.values.map((looked) =>
            h(
              "li",
              {},
              h("code", {}, said(looked.path)),
              " is ",
              h("code", { class: "value" }, said(value(looked.value))),
            ),
          ),
        ),
      one.failed && h("p", { class: "tone-bad small" }, said(one.failed)),
    ),
  );
}

function value(of) {
  if (of === undefined || of === null) return "missing or null";
  const text = of instanceof Exact ? of.text : write(of);
  return text.length > 600 ? `${text.slice(0, 600)}…` : text;
}

/** The exact requests, or why there is none. */
function requests(list) {
  if (list.length === 0)
    return h(
      "section",
      {},
      h("h3", {}, "It goes nowhere"),
      h("p", { class: "soft" }, "No route names a destination for it. It would be stored and counted as unrouted."),
    );
  return h(
    "section",
    {},
    h("h3", {}, `It goes to ${things(list.length, "destination")}`),
    list.map((request) =>
      h(
        "details",
        { class: "request" },
        h(
          "summary",
          {},
          h("b", {}, said(request.destination)),
          request.action && request.action !== "message" && h("span", { class: "chip" }, request.action),
          request.method
            ? h("code", { class: "request-line" }, said(`${request.method} ${request.url}`))
            : state(COPY[request.state] ?? COPY.waits),
        ),
        h("p", {}, h("a", { href: link(["destinations", request.destination]) }, "How this destination does")),
        request.detail &&
          h("p", {}, said(request.detail), request.reason && h("span", { class: "chip" }, request.reason)),
        request.note && h("p", { class: "soft" }, request.note),
        request.method && headers(request.headers),
        request.method && bodyView(request.body, `Body for ${request.destination}`),
      ),
    ),
  );
}
