// What is not delivered, in sentences, worst first; each with what can be done
// about it right here.

import { get, post, segment } from "./api.js";
import { actMatching } from "./dead.js";
import { confirm } from "./dialog.js";
import { fill, h, keyed, said, set } from "./dom.js";
import { age, count, things } from "./format.js";
import { link } from "./router.js";
import { shape } from "./shape.js";
import { OUTCOME, PAUSED_BY, REASON, standing } from "./words.js";

/** Waiting for longer than this is worth a word even where nothing fails. */
const SLOW_SECONDS = 60;
/** Rows shown before "and so many more". */
const ROWS = 6;

export class Troubles {
  constructor() {
    this.root = h("section", { class: "troubles", "aria-label": "What is not delivered" });
    this.list = h("ul", { class: "trouble-list" });
    this.more = h("p", { class: "soft" });
    this.root.append(this.list, this.more);
    this.whys = new Map();
    this.all = false;
  }

  /** Draws; returns how many there are. */
  draw(status) {
    this.status = status;
    const found = troubles(status);
    const shown = this.all || found.length === ROWS + 1 ? found : found.slice(0, ROWS);
    set(this.root, "hidden", found.length === 0);
    keyed(
      this.list,
      shown,
      (one) => one.key,
      () => h("li", { class: "trouble" }),
    );
    shown.forEach((one, index) => this.row(this.list.children[index], one));
    const left = found.length - shown.length;
    if (this.left !== left) {
      this.left = left;
      fill(
        this.more,
        left > 0 &&
          h(
            "button",
            {
              class: "button small",
              type: "button",
              on: {
                click: () => {
                  this.all = true;
                  this.draw(this.status);
                },
              },
            },
            `Show ${count(left)} more`,
          ),
      );
    }
    return found.length;
  }

  row(element, one) {
    const reason = one.dead > 0 ? this.why(one.name, one.dead) : null;
    const text = JSON.stringify([one.says, one.why, one.dead, reason]);
    if (element.drawn === text) return;
    element.drawn = text;
    element.dataset.tone = one.tone;
    fill(
      element,
      h("span", { class: `trouble-mark tone-${one.tone}` }, shape(one.shape)),
      h(
        "div",
        { class: "trouble-text" },
        h(
          "p",
          {},
          one.name ? h("a", { href: link(["destinations", one.name]) }, said(one.name)) : h("b", {}, "hookfan"),
          " ",
          one.says,
        ),
        one.why && h("p", { class: "trouble-why" }, said(one.why)),
        reason &&
          h(
            "p",
            { class: "trouble-why" },
            h("span", { class: "chip bad" }, reason.reason),
            " ",
            said(reason.detail || REASON[reason.reason]?.[0] || ""),
          ),
      ),
      h(
        "div",
        { class: "trouble-acts" },
        one.dead > 0 && h("a", { class: "button", href: link(["dead"], { destination: one.name }) }, "Look"),
        one.dead > 0 &&
          h(
            "button",
            {
              class: "button",
              type: "button",
              on: { click: () => actMatching({ query: { destination: one.name } }, "retry") },
            },
            `Retry ${count(one.dead)}…`,
          ),
        one.resumes &&
          h("button", { class: "button", type: "button", on: { click: () => resume(one.name) } }, "Resume…"),
      ),
    );
  }

  /** The newest letter's reason, asked once for each number of letters. */
  why(name, dead) {
    const have = this.whys.get(name);
    if (have?.dead !== dead) {
      this.whys.set(name, { dead, letter: have?.letter ?? null });
      get("dead", { destination: name, limit: 1, order: "newest" }).then(
        ({ dead: [letter] }) => {
          this.whys.set(name, { dead, letter: letter ?? null });
          this.draw(this.status);
        },
        () => {
          /* The list of dead letters tells the error when it is opened. */
        },
      );
    }
    return have?.letter ?? null;
  }
}

/** Pause or resume, asked first. */
export function resume(name) {
  return confirm({
    title: `Resume ${name}?`,
    action: "Resume",
    body: h("p", {}, "What waits for it is sent, in order, as fast as its limits allow."),
    run: () => post(`destinations/${segment(name)}:resume`, {}),
  });
}

function troubles(status) {
  const found = [];
  if (!status.ready)
    found.push({
      key: "!",
      tone: "bad",
      shape: "fail",
      badness: 9,
      says: "takes no webhooks: senders are answered 503.",
      why: status.trouble,
    });
  for (const row of status.destinations) {
    const is = standing(row);
    const waits =
      row.pending > 0 &&
      `${things(row.pending, "copy waits", "copies wait")}, the oldest for ${age(row.oldest_seconds)}`;
    const error =
      row.last_error &&
      `${row.last_error.status ?? OUTCOME[row.last_error.outcome] ?? row.last_error.outcome}: ${row.last_error.detail}`;
    const base = {
      key: row.name,
      name: row.name,
      tone: is.tone,
      shape: is.shape,
      badness: is.badness,
      dead: row.dead_letters,
    };
    const dead = row.dead_letters > 0 && `${things(row.dead_letters, "dead letter")}`;
    const also = dead ? ` It has ${dead}.` : "";
    if (is.word === "failing")
      found.push({ ...base, says: `is failing${waits ? `: ${waits}` : ""}.${also}`, why: error });
    else if (is.word === "retrying")
      found.push({ ...base, says: `is being tried again: ${waits || "nothing waits"}.${also}`, why: error });
    else if (is.word === "paused" && (row.pending > 0 || row.paused_by === "gone" || dead))
      found.push({
        ...base,
        says: `is paused${waits ? `: ${waits}` : ""}.${also}`,
        why: PAUSED_BY[row.paused_by],
        resumes: row.paused_by !== "file",
      });
    else if (row.pending > 0 && row.oldest_seconds > SLOW_SECONDS)
      found.push({ ...base, tone: "wait", shape: "wait", badness: 2, says: `is behind: ${waits}.${also}` });
    else if (dead)
      found.push({
        ...base,
        tone: "bad",
        shape: "dead",
        badness: 3,
        says: `did not take ${things(row.dead_letters, "copy", "copies")}.`,
      });
  }
  return found.sort((a, b) => b.badness - a.badness || (b.dead ?? 0) - (a.dead ?? 0) || a.key.localeCompare(b.key));
}
