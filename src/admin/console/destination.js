// One destination: is it well, since when not, what waits, and its switches.

import { get, post, segment } from "./api.js";
import { pairs } from "./body.js";
import { chart, chartTable } from "./chart.js";
import { actMatching } from "./dead.js";
import { confirm, problem } from "./dialog.js";
import { fill, h, keyed, said, set } from "./dom.js";
import { age, bytes, count, local, rate, things, took, when } from "./format.js";
import { Exact } from "./json.js";
import { link } from "./router.js";
import { shape, state } from "./shape.js";
import { follow } from "./stream.js";
import { resume } from "./trouble.js";
import { OUTCOME, PAUSED_BY, standing } from "./words.js";

const HISTORY_EVERY_MS = 10_000;

export function destinationView(route) {
  const name = route.parts[1];
  const top = h("div", {}, h("h1", { tabindex: "-1" }, said(name)));
  const tiles = h("dl", { class: "figures" });
  const trouble = h("div", { role: "alert" });
  const charts = h("div", { class: "charts" });
  const table = h("details", { class: "as-table" });
  const settings = h("div", {});
  const root = h(
    "div",
    { class: "destination" },
    h("p", { class: "crumb" }, h("a", { href: "#/destinations" }, "Destinations")),
    top,
    trouble,
    tiles,
    h("section", { class: "card" }, h("h2", {}, "The last hour"), charts, table),
    h("section", { class: "card" }, h("h2", {}, "Settings"), settings),
  );

  let drawn = null;
  let open = true;
  const row = ({ status }) => {
    const now = status.destinations.find((one) => one.name === name);
    if (!now) {
      fill(
        trouble,
        h(
          "p",
          { class: "problem" },
          shape("fail"),
          h(
            "span",
            {},
            h("b", {}, "There is no destination of this name now. "),
            "It was taken out of the file; what it still owed is among the dead letters. ",
            h("a", { href: link(["dead"], { destination: name }) }, "Look there"),
          ),
        ),
      );
      for (const button of top.querySelectorAll("button")) button.disabled = true;
      return;
    }
    if (trouble.firstChild?.dataset?.kind !== "asked") fill(trouble);
    const text = JSON.stringify([
      standing(now).word,
      now.paused_by,
      now.last_error,
      now.pending > 0,
      now.dead_letters,
      now.target,
      now.breaker_open,
    ]);
    if (text !== drawn) {
      drawn = text;
      fill(top, head(now));
    }
    figures(tiles, now);
  };
  const stop = follow(row);

  get(`destinations/${segment(name)}`).then(
    (whole) => fill(settings, shownSettings(whole)),
    (error) => fill(settings, problem(error)),
  );
  const look = async () => {
    try {
      const history = await get(`destinations/${segment(name)}/history`);
      if (open) draw(charts, table, history);
    } catch (error) {
      if (open) fill(charts, problem(error));
    }
  };
  look();
  const timer = setInterval(() => {
    if (!document.hidden) look();
  }, HISTORY_EVERY_MS);
  return {
    title: name,
    root,
    close() {
      open = false;
      stop();
      clearInterval(timer);
    },
  };
}

function head(row) {
  const is = standing(row);
  const paused = row.state === "paused";
  const error = row.last_error;
  return [
    h(
      "div",
      { class: "head" },
      h(
        "div",
        {},
        h("h1", { tabindex: "-1" }, said(row.name)),
        h("p", { class: "lead" }, state(is), " · ", row.kind, " · ", said(row.target ?? "")),
      ),
      h(
        "div",
        { class: "head-actions" },
        h(
          "a",
          { class: "button", href: link(["dead"], { destination: row.name }) },
          row.dead_letters ? `Dead letters (${count(row.dead_letters)})` : "Dead letters",
        ),
        h("a", { class: "button", href: link(["events"], { destination: row.name }) }, "Recent events"),
        row.dead_letters > 0 &&
          h(
            "button",
            {
              class: "button accent",
              type: "button",
              on: { click: () => actMatching({ query: { destination: row.name } }, "retry") },
            },
            `Retry ${count(row.dead_letters)}…`,
          ),
        paused
          ? h(
              "button",
              {
                class: "button",
                type: "button",
                disabled: row.paused_by === "file",
                on: { click: () => resume(row.name) },
              },
              "Resume…",
            )
          : h("button", { class: "button", type: "button", on: { click: () => pause(row) } }, "Pause…"),
      ),
    ),
    paused &&
      h(
        "p",
        { class: "advice" },
        shape("pause"),
        PAUSED_BY[row.paused_by] ?? "It is paused; what arrives waits in the log.",
      ),
    row.breaker_open &&
      h(
        "p",
        { class: "advice tone-bad" },
        shape("fail"),
        "Its breaker is open after too many failures in a row: only a probe is sent now and then, until one is taken.",
      ),
    error &&
      h(
        "p",
        { class: "last-error" },
        h("b", {}, "Last error "),
        when(error.at),
        ": ",
        h("span", { class: "chip bad" }, error.status ?? error.outcome),
        " ",
        h("span", { class: "soft" }, `${OUTCOME[error.outcome] ?? error.outcome}. `),
        said(error.detail),
      ),
  ];
}

function pause(row) {
  return confirm({
    title: `Pause ${row.name}?`,
    action: "Pause",
    body: h(
      "div",
      {},
      h(
        "p",
        {},
        "Nothing more is sent to it. What arrives waits in the log, in order, until it is resumed; nothing is lost, and the other destinations go on.",
      ),
      row.pending > 0 && h("p", {}, `${things(row.pending, "copy waits", "copies wait")} now.`),
    ),
    run: () => post(`destinations/${segment(row.name)}:pause`, {}),
  });
}

function figures(root, row) {
  const rows = [
    ["delivered", rate(row.rate), `${count(row.delivered)} in all`],
    ["attempts", rate(row.attempts_rate), `${rate(row.failed_rate)} failed`],
    [
      "waiting",
      count(row.pending),
      row.pending > 0 ? `${bytes(row.pending_bytes)}, the oldest for ${age(row.oldest_seconds)}` : "nothing waits",
    ],
    [
      "in flight",
      count(row.in_flight),
      row.retrying > 0 ? `${count(row.retrying)} wait for a retry` : "none waits for a retry",
    ],
    ["dead letters", count(row.dead_letters), `${count(row.dead)} died, ${count(row.dropped)} dropped in all`],
  ];
  keyed(
    root,
    rows,
    ([name]) => name,
    ([name, value, more]) =>
      h("div", { class: "figure-box" }, h("dt", {}, name), h("dd", {}, value), h("dd", { class: "soft" }, more)),
    (element, [, value, more]) => {
      element.children[1].textContent = value;
      element.children[2].textContent = more;
    },
  );
}

function draw(charts, table, { every_seconds: every, samples }) {
  if (samples.length === 0) {
    fill(charts, h("p", { class: "soft" }, `Nothing to draw yet: the first sample comes ${every} s after the start.`));
    return;
  }
  const times = samples.map((sample) => new Date(sample.at));
  const of = (name, by = 1) =>
    samples.map((sample) => (sample[name] === null || sample[name] === undefined ? null : sample[name] / by));
  const part = (name, which) => samples.map((sample) => sample[name]?.[which] ?? null);
  fill(
    charts,
    chart({
      title: "Delivered",
      times,
      unit: rate,
      series: [
        { name: "delivered", tone: "flow", values: of("delivered", every), area: true },
        { name: "failed attempts", tone: "bad", dash: "4 3", values: of("failed", every) },
      ],
    }),
    chart({
      title: "Time of one attempt",
      times,
      unit: took,
      series: [
        { name: "median", tone: "flow", values: part("attempt_ms", "p50") },
        { name: "99 %", tone: "wait", dash: "4 3", values: part("attempt_ms", "p99") },
      ],
    }),
    chart({
      title: "Waiting",
      times,
      unit: count,
      series: [{ name: "copies", tone: "wait", values: of("pending"), area: true }],
    }),
    chart({
      title: "Oldest that waits",
      times,
      unit: age,
      series: [
        { name: "oldest", tone: "wait", values: samples.map((sample) => sample.oldest_seconds ?? 0), area: true },
      ],
    }),
  );
  const wasOpen = table.open;
  fill(
    table,
    h("summary", {}, "As a table"),
    chartTable(
      ["at", "delivered", "failed attempts", "median", "99 %", "waiting", "oldest"],
      [...samples]
        .reverse()
        .slice(0, 60)
        .map((one) => [
          local(new Date(one.at)),
          count(one.delivered),
          count(one.failed),
          took(one.attempt_ms?.p50),
          took(one.attempt_ms?.p99),
          count(one.pending),
          age(one.oldest_seconds),
        ]),
    ),
  );
  set(table, "open", wasOpen);
}

/** The settings, each with its unit: `timeout_seconds: 30` reads `timeout 30 s`. */
function shownSettings({ settings }) {
  return pairs(Object.entries(settings ?? {}).map(([name, value]) => setting(name, value)));
}

function setting(name, value) {
  const seconds = name.endsWith("_seconds");
  const words = (seconds ? name.slice(0, -"_seconds".length) : name).replaceAll("_", " ");
  const one = (item) =>
    typeof item !== "number" ? String(item) : seconds ? age(item) : name.endsWith("bytes") ? bytes(item) : count(item);
  if (name === "on_stuck" && value?.skip_after_seconds === null) return [words, "wait"];
  if (value === null || value === undefined) return [words, "none"];
  if (Array.isArray(value)) return [words, value.map(one).join(", ")];
  if (typeof value === "object" && !(value instanceof Exact))
    return [
      words,
      Object.entries(value)
        .map(([inner, of]) => setting(inner, of).join(" "))
        .join(" · "),
    ];
  return [words, one(value)];
}
