// The lines of the picture: as wide as the rate, in the colour and the dash of
// the trouble they run into. Three columns where there is room; on a phone one
// trunk down the left side with a branch to every destination.

import { fill, s, set } from "./dom.js";
import { standing } from "./words.js";

/** Lines that move at once, at most: a picture must not cost a processor. */
const MOVING_MAX = 24;
const WIDEST = 14;

export class Lines {
  constructor(stage) {
    this.stage = stage;
    this.svg = s("svg", { class: "lines", "aria-hidden": "true", focusable: "false" });
    stage.prepend(this.svg);
    this.watch = new ResizeObserver(() => this.soon());
    this.watch.observe(stage);
    this.drawn = "";
  }

  draw(status) {
    this.edges = edges(status);
    this.soon();
  }

  soon() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.now();
    });
  }

  now() {
    if (!this.edges) return;
    const origin = this.stage.getBoundingClientRect();
    if (origin.width === 0) return;
    const box = (name) => this.stage.querySelector(`[data-node="${CSS.escape(name)}"]`)?.getBoundingClientRect();
    const places = new Map();
    for (const edge of this.edges)
      for (const name of [edge.from, edge.to]) if (!places.has(name)) places.set(name, box(name));
    const narrow = getComputedStyle(this.stage).getPropertyValue("--trunk").trim() !== "";
    const drawn = narrow ? trunk(this.edges, places, origin) : fan(this.edges, places, origin);
    const text = JSON.stringify([origin.width, origin.height, drawn]);
    if (text === this.drawn) return;
    this.drawn = text;
    set(this.svg, "viewBox", `0 0 ${origin.width} ${origin.height}`);
    set(this.svg, "width", origin.width);
    set(this.svg, "height", origin.height);
    const moving = new Set(
      [...drawn]
        .filter((line) => line.rate > 0)
        .sort((a, b) => b.rate - a.rate)
        .slice(0, MOVING_MAX),
    );
    fill(
      this.svg,
      drawn.map((line) => [
        s("path", {
          d: line.d,
          class: `line tone-${line.tone}`,
          "stroke-width": line.width,
          "stroke-dasharray": line.dash,
          "data-from": line.from,
          "data-to": line.to,
        }),
        moving.has(line) &&
          s("path", {
            d: line.d,
            class: `pulse ${line.rate > 20 ? "fast" : line.rate > 2 ? "brisk" : "slow"}`,
            "stroke-width": Math.max(1.4, line.width * 0.42),
            "data-from": line.from,
            "data-to": line.to,
          }),
      ]),
    );
    this.light(this.lit ?? null);
  }

  /** Brings the lines of one node forward. */
  light(name) {
    this.lit = name;
    set(this.svg, "data-lit", name === null ? null : "yes");
    for (const path of this.svg.children) {
      path.classList.toggle("lit", name !== null && (path.dataset.from === name || path.dataset.to === name));
    }
  }

  close() {
    this.watch.disconnect();
    cancelAnimationFrame(this.frame);
  }
}

/** What leads where, how much of it, and how it fares at the end. */
function edges(status) {
  const by = new Map(status.destinations.map((row) => [row.name, row]));
  const found = [];
  for (const route of status.routes ?? []) {
    const from = route.from.length ? route.from : status.sources.map((row) => row.name);
    for (const source of from)
      found.push({
        from: `source:${source}`,
        to: `route:${route.name}`,
        rate: route.by_source?.[source] ?? 0,
        tone: null,
      });
    for (const name of route.to) {
      const row = by.get(name);
      if (row)
        found.push({
          from: `route:${route.name}`,
          to: `destination:${name}`,
          rate: route.rate ?? 0,
          tone: standing(row).tone,
        });
    }
  }
  return found.map((edge) => ({ ...edge, ...look(edge) }));
}

function look({ rate, tone }) {
  const width = rate > 0 ? Math.min(WIDEST, 1.6 + 2 * Math.log2(1 + rate)) : 1.2;
  const colour = tone === null || tone === "ok" ? (rate > 0 ? "flow" : "soft") : tone;
  return { width: Math.round(width * 2) / 2, tone: colour, dash: { bad: "7 5", pause: "1 6" }[colour] ?? null };
}

/** Curves from the right edge of a box to the left edge of the next. */
function fan(all, places, origin) {
  const ends = new Map();
  const end = (name, side, edge, other) => {
    const key = `${side}${name}`;
    if (!ends.has(key)) ends.set(key, []);
    ends.get(key).push({ edge, y: other.top + other.height / 2 });
  };
  const known = all.filter((edge) => places.get(edge.from) && places.get(edge.to));
  for (const edge of known) {
    end(edge.from, "out", edge, places.get(edge.to));
    end(edge.to, "in", edge, places.get(edge.from));
  }
  // Lines at one side of a box lie beside one another, in the order of where they go.
  const offsets = new Map();
  for (const [key, list] of ends) {
    list.sort((a, b) => a.y - b.y);
    const whole = list.reduce((sum, { edge }) => sum + edge.width, 0);
    const room = places.get(key.replace(/^(out|in)/, "")).height - 6;
    const scale = Math.min(1, room / Math.max(whole, 1));
    let at = -Math.min(whole, room) / 2;
    for (const { edge } of list) {
      const half = (edge.width * scale) / 2;
      at += half;
      offsets.set(`${key} ${edge.from} ${edge.to}`, at);
      at += half;
    }
  }
  return known.map((edge) => {
    const [a, b] = [places.get(edge.from), places.get(edge.to)];
    const [x1, x2] = [a.right - origin.left, b.left - origin.left];
    const y1 = a.top + a.height / 2 - origin.top + offsets.get(`out${edge.from} ${edge.from} ${edge.to}`);
    const y2 = b.top + b.height / 2 - origin.top + offsets.get(`in${edge.to} ${edge.from} ${edge.to}`);
    const bend = (x2 - x1) * 0.5;
    return {
      ...edge,
      d: `M${x1.toFixed(1)} ${y1.toFixed(1)}C${(x1 + bend).toFixed(1)} ${y1.toFixed(1)} ${(x2 - bend).toFixed(1)} ${y2.toFixed(1)} ${x2.toFixed(1)} ${y2.toFixed(1)}`,
    };
  });
}

/** One trunk, a branch to each destination. */
function trunk(all, places, origin) {
  const x = 10;
  const sources = [...places].filter(([name, at]) => name.startsWith("source:") && at);
  const ends = new Map();
  for (const edge of all) {
    const at = places.get(edge.to);
    if (!edge.to.startsWith("destination:") || !at) continue;
    const have = ends.get(edge.to);
    if (!have || have.rate < edge.rate)
      ends.set(edge.to, { ...edge, y: at.top + at.height / 2 - origin.top, x: at.left - origin.left });
  }
  const last = Math.max(0, ...[...ends.values()].map((end) => end.y));
  if (sources.length === 0 || last === 0) return [];
  const top = Math.max(...sources.map(([, at]) => at.bottom - origin.top)) + 4;
  const rate = all.filter((edge) => edge.from.startsWith("source:")).reduce((sum, edge) => Math.max(sum, edge.rate), 0);
  const { width, tone } = look({ rate, tone: null });
  return [
    {
      from: "trunk",
      to: "trunk",
      rate,
      width: Math.min(width, 8),
      tone,
      dash: null,
      d: `M${x} ${top}V${(last - 10).toFixed(1)}`,
    },
    ...[...ends.values()].map((end) => ({
      ...end,
      width: Math.min(end.width, 8),
      d: `M${x} ${(end.y - 12).toFixed(1)}Q${x} ${end.y.toFixed(1)} ${x + 12} ${end.y.toFixed(1)}H${end.x.toFixed(1)}`,
    })),
  ];
}
