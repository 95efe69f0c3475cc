// Questions before what cannot be undone, notices after what was done, and the
// errors of the API, each with its own words. Nothing is swallowed.

import { fill, h } from "./dom.js";
import { shape } from "./shape.js";

/**
 * Asks before a deed. `body` says exactly what would happen; `run` does it, and
 * what it throws is shown in the dialogue, which stays open. True if it was done.
 */
export function confirm({ title, body, action, tone = "accent", run }) {
  return new Promise((resolve) => {
    let done = false;
    const trouble = h("div", { role: "alert" });
    const doIt = h("button", { type: "submit", class: `button ${tone}`, disabled: true }, action);
    const dialog = h(
      "dialog",
      {
        class: "dialog",
        "aria-labelledby": "dialog-title",
        on: {
          close: () => {
            dialog.remove();
            resolve(done);
          },
        },
      },
      h(
        "form",
        { on: { submit: run_it } },
        h("h2", { id: "dialog-title" }, title),
        h("div", { class: "dialog-body" }, body),
        trouble,
        h(
          "div",
          { class: "dialog-foot" },
          h("button", { type: "button", class: "button", on: { click: () => dialog.close() } }, "Cancel"),
          doIt,
        ),
      ),
    );
    async function run_it(event) {
      event.preventDefault();
      doIt.setAttribute("disabled", "");
      fill(trouble);
      try {
        await run();
        done = true;
        dialog.close();
      } catch (error) {
        fill(trouble, problem(error));
        doIt.removeAttribute("disabled");
      }
    }
    document.body.append(dialog);
    dialog.showModal();
    // What is still being counted when the dialogue opens sets the action itself.
    const ready = (label) => {
      if (label) fill(doIt, label);
      doIt.removeAttribute("disabled");
    };
    if (typeof body === "object" && body?.dataset?.waits === "yes")
      body.addEventListener("ready", (event) => ready(event.detail));
    else ready();
  });
}

/** A page over the page, closed by Escape or its button. */
export function sheet(title, body) {
  const dialog = h(
    "dialog",
    { class: "dialog", "aria-labelledby": "sheet-title", on: { close: () => dialog.remove() } },
    h("h2", { id: "sheet-title" }, title),
    h("div", { class: "dialog-body" }, body),
    h(
      "div",
      { class: "dialog-foot" },
      h("button", { class: "button", type: "button", on: { click: () => dialog.close() } }, "Close"),
    ),
  );
  document.body.append(dialog);
  dialog.showModal();
}

/** An error, drawn: what was refused and the API's own detail. */
export function problem(error) {
  const status = error?.status ? `${error.status} ` : "";
  return h(
    "p",
    { class: "problem" },
    shape("fail"),
    h("span", {}, h("b", {}, `${status}${titles(error?.status)}`), " ", error?.message ?? String(error)),
  );
}

function titles(status) {
  if (!status) return "No answer.";
  if (status === 404) return "Not there.";
  if (status === 409) return "Not now.";
  if (status === 429) return "Too much at once.";
  if (status >= 500) return "The gateway could not.";
  return "Refused.";
}

/** A short word in the corner; errors stay until they are put away. */
export function notice(text, { tone = "ok", stays = tone === "bad" } = {}) {
  const corner = document.getElementById("notices");
  const close = h(
    "button",
    { class: "quiet", type: "button", "aria-label": "Put away", on: { click: () => one.remove() } },
    shape("no"),
  );
  const one = h(
    "div",
    { class: `notice tone-${tone}` },
    shape(tone === "bad" ? "fail" : "yes"),
    h("span", { class: "notice-text" }, text),
    close,
  );
  corner?.append(one);
  if (!stays) setTimeout(() => one.remove(), 6000);
}

/** Does something and shows what it throws as a notice. */
export async function tried(deed) {
  try {
    return await deed();
  } catch (error) {
    notice(`${error.status ? `${error.status}: ` : ""}${error.message}`, { tone: "bad" });
    return undefined;
  }
}

/** Asks for the admin token, over everything; it is kept for this tab only. */
export function askToken(why) {
  return new Promise((resolve) => {
    const input = h("input", {
      type: "password",
      id: "token",
      autocomplete: "off",
      required: true,
      spellcheck: "false",
    });
    const dialog = h(
      "dialog",
      {
        class: "dialog gate",
        "aria-labelledby": "gate-title",
        on: { cancel: (event) => event.preventDefault(), close: () => dialog.remove() },
      },
      h(
        "form",
        {
          on: {
            submit: (event) => {
              event.preventDefault();
              resolve(input.value.trim());
              dialog.close();
            },
          },
        },
        h("h2", { id: "gate-title" }, "This gateway asks for its token"),
        h(
          "p",
          {},
          "It is the one that ",
          h("code", {}, "admin_token"),
          " in the file refers to. It is kept in this tab only, and forgotten when the tab closes.",
        ),
        why && h("p", { class: "problem", role: "alert" }, shape("fail"), why),
        h("label", { for: "token" }, "Token"),
        input,
        h("div", { class: "dialog-foot" }, h("button", { class: "button accent", type: "submit" }, "Open the console")),
      ),
    );
    document.body.append(dialog);
    dialog.showModal();
    input.focus();
  });
}
