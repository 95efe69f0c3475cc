// Replaying events: which, where to, and what that will do, asked first.

import { get } from "./api.js";
import { pairs } from "./body.js";
import { confirm, problem } from "./dialog.js";
import { fill, h, said } from "./dom.js";
import { count, things } from "./format.js";
import { begin } from "./jobs.js";
import { countAll } from "./list.js";
import { live } from "./stream.js";

const names = () => (live.status?.destinations ?? []).map((row) => row.name);

/** The chosen events of a list. */
export function replayChosen(self) {
  const ids = self.chosen;
  const way = wayChoice(names());
  return confirm({
    title: `Replay ${things(ids.length, "event")}?`,
    action: `Replay ${count(ids.length)}`,
    body: h("div", {}, way.root, replayNote()),
    run: async () => {
      await begin("replay", { ids, ...way.selection() });
      self.clear();
    },
  });
}

/** Whatever matches now, counted first; what is accepted later is not meant. */
export async function replayMatching(self) {
  const until = self.query.until ?? new Date().toISOString();
  const selection = { ...self.query, until };
  const way = wayChoice(names());
  const told = h("p", { role: "status" }, "Counting…");
  const body = h("div", { "data-waits": "yes" }, told, filterWords(selection), way.root, replayNote());
  const asked = confirm({
    title: "Replay all that match?",
    action: "Replay",
    body,
    run: () => begin("replay", { ...selection, ...way.selection() }),
  });
  try {
    const load = async (before, limit) => {
      const page = await get("events", { ...selection, before, limit });
      return { n: page.events.filter((event) => event.origin === "accepted").length, next: page.next };
    };
    const n = await countAll(
      load,
      (so) => fill(told, `Counting… ${count(so)} so far`),
      () => body.isConnected,
    );
    fill(told, n === 0 ? "No event matches." : h("b", {}, `${things(n, "event")} will be replayed.`));
    if (n > 0) body.dispatchEvent(new CustomEvent("ready", { detail: `Replay ${things(n, "event")}` }));
  } catch (error) {
    fill(told, problem(error));
  }
  return asked;
}

/** A selection in words, so that it can be read before it is acted on. */
export function filterWords(selection) {
  return h(
    "ul",
    { class: "filter-words" },
    Object.entries(selection).map(([name, value]) => h("li", {}, h("b", {}, `${name} `), said(String(value)))),
  );
}

/** One event, from its own page. */
export function replayOne(event) {
  const way = wayChoice(names());
  return confirm({
    title: "Replay this event?",
    action: "Replay 1 event",
    body: h(
      "div",
      {},
      pairs([
        ["event", event.id],
        ["type", event.type],
      ]),
      way.root,
      replayNote(),
    ),
    run: () => begin("replay", { ids: [event.id], ...way.selection() }),
  });
}

/** Where a replay goes: a choice, and the part of the request that says it. */
function wayChoice(known) {
  const to = h(
    "select",
    { multiple: true, size: Math.min(6, Math.max(2, known.length)), "aria-label": "Destinations", disabled: true },
    known.map((name) => h("option", { value: name }, name)),
  );
  const radio = (value, text, more) => {
    const input = h("input", {
      type: "radio",
      name: "way",
      value,
      checked: value === "own",
      on: {
        change: () => {
          to.disabled = input.value !== "to";
        },
      },
    });
    return h("div", { class: "choice" }, h("label", {}, input, h("span", {}, text)), more);
  };
  const root = h(
    "fieldset",
    { class: "choices" },
    h("legend", {}, "Where to"),
    radio("own", "to the destinations each was owed to"),
    radio("route", "by today's routes"),
    radio("to", "to these destinations only", to),
  );
  return {
    root,
    selection() {
      const way = root.querySelector("input:checked")?.value;
      if (way === "route") return { route: true };
      if (way !== "to") return {};
      const chosen = [...to.selectedOptions].map((option) => option.value);
      if (chosen.length === 0) throw new Error("Choose a destination first.");
      return { to: chosen };
    },
  };
}

const replayNote = () =>
  h(
    "p",
    { class: "soft" },
    "Each becomes a new obligation beside the old one. A destination that had it before gets it again, by the same webhook-id.",
  );
