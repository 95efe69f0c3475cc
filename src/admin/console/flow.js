// The first page: what is not delivered and why, and the living picture of
// sources, routes and destinations.

import { h, keyed, s, said, set, fill } from "./dom.js";
import { age, bytes, count, rate, short, things } from "./format.js";
import { Lines } from "./lines.js";
import { link } from "./router.js";
import { shape } from "./shape.js";
import { follow } from "./stream.js";
import { Troubles } from "./trouble.js";
import { standing } from "./words.js";

/** From so many destinations on, each is one line high. */
const COMPACT_FROM = 13;

export function flowView() {
  const headline = h("h1", { tabindex: "-1" }, "Flow");
  const figures = h("dl", { class: "figures" });
  const troubles = new Troubles();
  const picture = new Picture();
  const root = h(
    "div",
    { class: "flow" },
    h("div", { class: "flow-head" }, headline, figures),
    troubles.root,
    picture.root,
  );
  const stop = follow(({ status }) => {
    const found = troubles.draw(status);
    const text =
      found === 0 ? "Everything accepted is delivered or on its way" : `${things(found, "thing")} to look at`;
    if (headline.textContent !== text) fill(headline, text);
    total(figures, status);
    picture.draw(status);
  });
  return {
    title: "Flow",
    root,
    close() {
      stop();
      picture.close();
    },
  };
}

/** The few sums that say how it is. */
function total(root, status) {
  const sum = (rows, name) => rows.reduce((all, row) => all + (row[name] ?? 0), 0);
  const oldest = Math.max(-1, ...status.destinations.map((row) => row.oldest_seconds ?? -1));
  const rows = [
    [
      "accepted",
      rate(sum(status.sources, "rate")),
      `${things(sum(status.sources, "accepted"), "event")} since the log began`,
    ],
    ["delivered", rate(sum(status.destinations, "rate")), things(sum(status.destinations, "delivered"), "copy", "copies")],
    [
      "waiting",
      count(sum(status.destinations, "pending")),
      oldest >= 0 ? `the oldest for ${age(oldest)}` : "nothing waits",
    ],
    ["dead letters", count(sum(status.destinations, "dead_letters")), "kept now"],
    ["log", bytes(status.disk_bytes), "on disk"],
  ];
  keyed(
    root,
    rows,
    ([name]) => name,
    ([name, value, more]) => {
      const element = h(
        "div",
        { class: "figure-box" },
        h("dt", {}, name),
        h("dd", {}, value),
        h("dd", { class: "soft" }, more),
      );
      return element;
    },
    (element, [, value, more]) => {
      const [, first, second] = element.children;
      if (first.textContent !== value) first.textContent = value;
      if (second.textContent !== more) second.textContent = more;
    },
  );
}

/** Three columns of links, with lines drawn behind them. */
class Picture {
  constructor() {
    this.columns = Object.fromEntries(
      [
        ["sources", "Sources"],
        ["routes", "Routes"],
        ["destinations", "Destinations"],
      ].map(([name, title]) => {
        const items = h("ul", { class: "nodes" });
        return [
          name,
          { root: h("section", { class: `column ${name}`, "aria-label": title }, h("h2", {}, title), items), items },
        ];
      }),
    );
    this.stage = h(
      "div",
      { class: "picture" },
      Object.values(this.columns).map((column) => column.root),
    );
    this.lines = new Lines(this.stage);
    this.root = h("div", {}, this.stage, legend());
    this.stage.addEventListener("pointerover", (event) => this.light(event));
    this.stage.addEventListener("focusin", (event) => this.light(event));
    this.stage.addEventListener("pointerleave", () => this.lines.light(null));
    this.stage.addEventListener("focusout", () => this.lines.light(null));
  }

  draw(status) {
    const { sources, routes, destinations } = this.columns;
    const listed = [...status.destinations].sort(byRoute(status.routes ?? []));
    set(this.stage, "data-compact", listed.length >= COMPACT_FROM ? "yes" : null);
    const most = Math.max(100, ...listed.map((row) => row.pending));
    keyed(
      sources.items,
      status.sources,
      (row) => row.name,
      (row) => node(`source:${row.name}`),
      (element, row) => source(element, row),
    );
    keyed(
      routes.items,
      status.routes ?? [],
      (row) => row.name,
      (row) => node(`route:${row.name}`),
    );
    keyed(
      destinations.items,
      listed,
      (row) => row.name,
      (row) => node(`destination:${row.name}`),
    );
    status.sources.forEach((row, index) => source(sources.items.children[index], row));
    (status.routes ?? []).forEach((row, index) => route(routes.items.children[index], row));
    listed.forEach((row, index) => destination(destinations.items.children[index], row, most));
    this.lines.draw(status);
  }

  light(event) {
    this.lines.light(event.target.closest?.("[data-node]")?.dataset.node ?? null);
  }

  close() {
    this.lines.close();
  }
}

function node(name) {
  return h("li", { class: "node", "data-node": name });
}

/** Redraws a node only where its words changed, so that focus stays. */
function become(element, text, make) {
  if (element.drawn === text) return;
  element.drawn = text;
  const focused = element.contains(document.activeElement);
  fill(element, make());
  if (focused) element.querySelector("a")?.focus({ preventScroll: true });
}

function source(element, row) {
  become(element, JSON.stringify([row.kind, rate(row.rate), row.unrouted]), () =>
    h(
      "a",
      {
        href: link(["events"], { source: row.name }),
        title: `${row.name}: ${count(row.accepted)} accepted, ${count(row.unrouted)} unrouted, ${count(row.duplicate)} duplicates`,
      },
      h("span", { class: "node-name" }, said(row.name)),
      h("span", { class: "node-kind" }, row.kind ?? ""),
      h("span", { class: "node-rate" }, rate(row.rate)),
    ),
  );
}

function route(element, row) {
  const clauses = [row.on?.length > 0 && row.on.join(", "), row.when].filter(Boolean).join(" · ") || "every event";
  become(element, JSON.stringify([rate(row.rate), row.matched, clauses]), () =>
    h(
      "a",
      {
        href: link(["routes"], { route: row.name }),
        title: `${row.name}: ${clauses}; matched ${count(row.matched)} since the start`,
      },
      h("span", { class: "node-name" }, said(row.name)),
      h("span", { class: "node-kind" }, said(clauses)),
      h("span", { class: "node-rate" }, rate(row.rate)),
    ),
  );
}

function destination(element, row, most) {
  const is = standing(row);
  const share = row.pending > 0 ? Math.max(0.04, Math.log1p(row.pending) / Math.log1p(most)) : 0;
  const words = `${row.name}: ${is.word}, ${rate(row.rate)}, ${things(row.pending, "copy", "copies")} waiting${row.oldest_seconds ? ` for up to ${age(row.oldest_seconds)}` : ""}, ${things(row.dead_letters, "dead letter")}`;
  element.dataset.tone = is.tone;
  become(element, JSON.stringify([is.word, rate(row.rate), row.pending, share, row.dead_letters]), () =>
    h(
      "a",
      { href: link(["destinations", row.name]), title: words },
      h("span", { class: `node-mark tone-${is.tone}` }, shape(is.shape)),
      h("span", { class: "node-name" }, said(row.name)),
      h("span", { class: `node-kind tone-${is.tone}` }, is.word),
      h("span", { class: "node-rate" }, rate(row.rate)),
      h(
        "span",
        { class: "node-backlog" },
        s(
          "svg",
          { viewBox: "0 0 100 6", preserveAspectRatio: "none", "aria-hidden": "true", class: `bar tone-${is.tone}` },
          s("rect", { class: "bar-room", width: 100, height: 6 }),
          share > 0 && s("rect", { class: "bar-fill", width: share * 100, height: 6 }),
        ),
        h(
          "span",
          { class: "node-count" },
          row.pending > 0 ? short(row.pending) : "",
          h("span", { class: "aside" }, " waiting"),
        ),
      ),
      row.dead_letters > 0
        ? h(
            "span",
            { class: "node-dead tone-bad" },
            shape("dead"),
            short(row.dead_letters),
            h("span", { class: "aside" }, " dead letters"),
          )
        : h("span", { class: "node-dead" }),
    ),
  );
}

/** Destinations beside the routes that lead to them, then by name. */
function byRoute(routes) {
  const place = new Map();
  routes.forEach((row, index) =>
    row.to.forEach((name) => {
      if (!place.has(name)) place.set(name, index);
    }),
  );
  const of = (row) => place.get(row.name) ?? routes.length;
  return (a, b) => of(a) - of(b) || a.name.localeCompare(b.name);
}

function legend() {
  const line = (width, tone, dash) =>
    s(
      "svg",
      { viewBox: "0 0 36 12", width: 36, height: 12, "aria-hidden": "true", class: `tone-${tone}` },
      s("path", {
        d: "M1 6h34",
        stroke: "currentColor",
        "stroke-width": width,
        "stroke-dasharray": dash,
        "stroke-linecap": "round",
      }),
    );
  return h(
    "p",
    { class: "legend" },
    h("span", {}, line(1.2, "soft"), "nothing now"),
    h("span", {}, line(3, "flow"), line(7, "flow"), "wider: more a second"),
    h("span", {}, line(3, "wait"), "waits or retries"),
    h("span", {}, line(3, "bad", "7 5"), "fails"),
    h("span", {}, line(3, "pause", "1 6"), "paused"),
    h(
      "span",
      {},
      s(
        "svg",
        { viewBox: "0 0 36 6", width: 36, height: 6, class: "bar tone-wait", "aria-hidden": "true" },
        s("rect", { class: "bar-room", width: 36, height: 6 }),
        s("rect", { class: "bar-fill", width: 20, height: 6 }),
      ),
      "longer: more waits",
    ),
  );
}
