// A body, a message, headers: what was sent, shown without changing a letter.

import { fill, h, said } from "./dom.js";
import { bytes, when } from "./format.js";
import { Exact, pretty, write } from "./json.js";
import { notice } from "./dialog.js";

/** More than this is shown on demand: a browser lays out megabytes slowly. */
const SHOWN_MAX = 128 << 10;

/** Text or `{base64}` as the API has it, laid out where it is JSON. */
export function bodyView(body, label = "Body") {
  if (body !== null && typeof body === "object" && typeof body.base64 === "string" && Object.keys(body).length === 1)
    return dump(body.base64, label);
  const text = typeof body === "string" ? body : write(body);
  const laidOut = text.length <= 16 * SHOWN_MAX ? pretty(text) : null;
  const box = h("pre", { class: "code", tabindex: "0", role: "region", "aria-label": label });
  let raw = laidOut === null;
  const draw = (whole) => {
    const parts = raw ? [["raw", text]] : laidOut;
    const [shown, left] = whole ? [parts, 0] : cut(parts);
    fill(
      box,
      shown.map(([kind, part]) =>
        kind === "space" || kind === "raw" ? part : h("span", { class: `json-${kind}` }, part),
      ),
    );
    if (left > 0)
      box.append(
        h(
          "button",
          { class: "button small", type: "button", on: { click: () => draw(true) } },
          `Show the other ${bytes(left)}`,
        ),
      );
  };
  const mode =
    laidOut &&
    h(
      "button",
      {
        class: "button small",
        type: "button",
        "aria-pressed": "false",
        on: {
          click: () => {
            raw = !raw;
            mode.setAttribute("aria-pressed", String(raw));
            draw(false);
          },
        },
      },
      "As received",
    );
  draw(false);
  return h(
    "div",
    { class: "body" },
    h(
      "div",
      { class: "body-bar" },
      h("span", { class: "soft" }, laidOut ? "JSON" : "text", ` · ${bytes(new Blob([text]).size)}`),
      mode,
      copier(text),
    ),
    box,
  );
}

/** A prefix of the parts, at most so long, and how much is left. */
function cut(parts) {
  let room = SHOWN_MAX;
  const shown = [];
  let left = 0;
  for (const [kind, part] of parts) {
    if (room > 0) shown.push([kind, part.slice(0, room)]);
    left += Math.max(0, part.length - Math.max(room, 0));
    room -= part.length;
  }
  return [shown, left];
}

function copier(text) {
  return h(
    "button",
    {
      class: "button small",
      type: "button",
      on: {
        click: async () => {
          try {
            await navigator.clipboard.writeText(text);
            notice("Copied.");
          } catch {
            notice("The browser does not allow copying here; mark the text instead.", { tone: "bad" });
          }
        },
      },
    },
    "Copy",
  );
}

/** Bytes that are no text, sixteen in a row. */
function dump(base64, label) {
  const data = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const lines = [];
  for (let at = 0; at < data.length && at < 4096; at += 16) {
    const row = [...data.slice(at, at + 16)];
    const hex = row
      .map((byte) => byte.toString(16).padStart(2, "0"))
      .join(" ")
      .padEnd(47);
    const text = row.map((byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : "·")).join("");
    lines.push(`${at.toString(16).padStart(6, "0")}  ${hex}  ${text}`);
  }
  const more = data.length > 4096 ? `\n… ${bytes(data.length - 4096)} more` : "";
  return h(
    "div",
    { class: "body" },
    h("div", { class: "body-bar" }, h("span", { class: "soft" }, `no text · ${bytes(data.length)}`)),
    h("pre", { class: "code", tabindex: "0", role: "region", "aria-label": label }, lines.join("\n") + more),
  );
}

/** Names and values, one under the other. */
export function pairs(rows) {
  return h(
    "dl",
    { class: "pairs" },
    rows
      .filter((row) => row && row[1] !== null && row[1] !== undefined && row[1] !== "")
      .map(([name, value]) => [
        h("dt", {}, name),
        h(
          "dd",
          {},
          value instanceof Node
            ? value
            : value instanceof Exact || typeof value !== "object"
              ? said(String(value))
              : value,
        ),
      ]),
  );
}

/** Headers of a webhook or of a request. */
export function headers(map) {
  const rows = Object.entries(map ?? {});
  return rows.length === 0
    ? h("p", { class: "soft" }, "None were kept.")
    : h(
        "dl",
        { class: "pairs mono" },
        rows.map(([name, value]) => [h("dt", {}, said(name)), h("dd", {}, said(String(value)))]),
      );
}

/** The message as the gateway understood it, as a chat would show it. */
export function messageView(message) {
  if (!message)
    return h("p", { class: "soft" }, "This event is no chat message; it can be forwarded as bytes or by a template.");
  const side = { incoming: "in", outgoing: "out", system: "sys" }[message.direction] ?? "sys";
  const who = (person) =>
    person &&
    [person.name, person.email, person.id]
      .filter(Boolean)
      .filter((word, index, all) => all.indexOf(word) === index)
      .join(" · ");
  return h(
    "div",
    { class: "message" },
    h(
      "div",
      { class: `bubble ${side}` },
      h(
        "div",
        { class: "bubble-who" },
        said(who(message.author) || "nobody named"),
        h("span", { class: "soft" }, ` ${message.author?.role ?? ""}`),
      ),
      h("div", { class: "bubble-text" }, said(message.quoted ?? message.text)),
      message.attachments?.length > 0 &&
        h(
          "ul",
          { class: "bubble-files" },
          message.attachments.map((file) => h("li", {}, said([file.name, file.url].filter(Boolean).join(" ")))),
        ),
    ),
    pairs([
      ["direction", message.direction],
      ["kind", message.kind],
      ["customer", who(message.user)],
      [
        "conversation",
        [message.conversation?.id, message.conversation?.name, message.conversation?.kind].filter(Boolean).join(" · "),
      ],
      ["message id", message.id],
      ["sent", message.sent_at && when(message.sent_at)],
    ]),
  );
}
