// One dead letter: what was not delivered, why, what was tried, and what to do.

import { get, segment } from "./api.js";
import { messageView, pairs } from "./body.js";
import { changes, DEED } from "./dead.js";
import { confirm, problem } from "./dialog.js";
import { fill, h, said } from "./dom.js";
import { about, attempts } from "./event.js";
import { things, when } from "./format.js";
import { begin } from "./jobs.js";
import { go, link } from "./router.js";
import { shape } from "./shape.js";
import { follow } from "./stream.js";
import { REASON } from "./words.js";

/** One dead letter. */
export function letterView(route) {
  const id = route.parts[1];
  const root = h(
    "div",
    {},
    h("h1", { tabindex: "-1" }, "Dead letter"),
    h("p", { class: "soft", role: "status" }, "Loading…"),
  );
  let here = null;
  const load = async () => {
    try {
      const letter = await get(`dead/${segment(id)}`);
      if (here === null) draw(root, letter);
      here = true;
    } catch (error) {
      if (here === null)
        fill(
          root,
          h("h1", { tabindex: "-1" }, "Dead letter"),
          problem(error),
          h("p", {}, h("a", { href: "#/dead" }, "All dead letters")),
        );
      else if (error.status === 404 && here) {
        here = false;
        const gone = root.querySelector("#letter-gone");
        if (gone)
          fill(
            gone,
            h(
              "p",
              { class: "problem" },
              shape("pause"),
              h("span", {}, h("b", {}, "No longer in the list. "), error.message),
            ),
          );
        for (const button of root.querySelectorAll(".head-actions button")) button.disabled = true;
      }
    }
  };
  load();
  let seen = null;
  const stop = follow(({ status }) => {
    const figure = changes(status);
    if (seen !== null && seen !== figure) load();
    seen = figure;
  });
  return { title: "Dead letter", root, close: stop };
}

function draw(root, letter) {
  const [happened, todo] = REASON[letter.reason] ?? ["", ""];
  const act = (deed) => {
    const { what, verb, tone, note } = DEED[deed];
    return confirm({
      title: `${verb} this dead letter?`,
      action: `${verb} 1 dead letter`,
      tone,
      body: h(
        "div",
        {},
        pairs([
          ["destination", letter.destination],
          ["type", letter.type],
          ["key", letter.key],
          ["event", letter.event],
        ]),
        h("p", { class: "soft" }, note),
      ),
      run: async () => {
        await begin(what, { ids: [letter.id] });
        go(["events", letter.event]);
      },
    });
  };
  fill(
    root,
    h("p", { class: "crumb" }, h("a", { href: "#/dead" }, "Dead letters")),
    h(
      "div",
      { class: "head" },
      h(
        "div",
        {},
        h(
          "h1",
          { tabindex: "-1" },
          said(letter.type),
          " was not delivered to ",
          h("a", { href: link(["destinations", letter.destination]) }, said(letter.destination)),
        ),
        h("p", { class: "lead" }, "given up ", when(letter.at), ` after ${things(letter.attempts, "attempt")}`),
      ),
      h(
        "div",
        { class: "head-actions" },
        h("button", { class: "button accent", type: "button", on: { click: () => act("retry") } }, "Retry…"),
        h("button", { class: "button", type: "button", on: { click: () => act("drop") } }, "Drop…"),
      ),
    ),
    h("div", { id: "letter-gone", role: "status" }),
    h(
      "section",
      { class: "card verdict" },
      h("h2", {}, "Why"),
      h("p", {}, h("span", { class: "chip bad" }, letter.reason), " ", happened),
      letter.detail && h("p", { class: "quote" }, said(letter.detail)),
      todo && h("p", { class: "advice" }, shape("next"), todo),
    ),
    h(
      "div",
      { class: "two" },
      h("section", { class: "card" }, h("h2", {}, "What was tried"), attempts(letter.history)),
      h(
        "section",
        { class: "card" },
        h("h2", {}, "The message"),
        messageView(letter.original.message),
        h("p", {}, h("a", { href: link(["events", letter.event]) }, "The event and its other copies")),
      ),
    ),
    ...about(letter.original),
  );
}
