// Numbers, times and sizes in the form people read.

import { h } from "./dom.js";

const WHOLE = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const TODAY = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hour12: false,
});
const EARLIER = new Intl.DateTimeFormat(undefined, {
  month: "short",
  day: "numeric",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hour12: false,
});

/** `12,345`. */
export function count(n) {
  return n === null || n === undefined ? "–" : WHOLE.format(n);
}

/** `12,345 events`, `1 event`. */
export function things(n, one, many = `${one}s`) {
  return `${count(n)} ${n === 1 ? one : many}`;
}

/** Four characters at most: `987`, `12k`, `3.4M`. */
export function short(n) {
  if (n < 1000) return String(Math.round(n));
  const [by, unit] = n < 1e6 ? [1e3, "k"] : n < 1e9 ? [1e6, "M"] : [1e9, "G"];
  const value = n / by;
  return `${value < 10 ? value.toFixed(1).replace(/\.0$/, "") : Math.floor(value)}${unit}`;
}

/** Per second: `0/s`, `0.4/s`, `12/s`. */
export function rate(n) {
  if (!n) return "0/s";
  if (n < 0.05) return "<0.1/s";
  return `${n < 10 ? n.toFixed(1).replace(/\.0$/, "") : short(n)}/s`;
}

/** `512 B`, `1.5 KiB`. */
export function bytes(n) {
  if (n === null || n === undefined) return "–";
  if (n < 1024) return `${n} B`;
  const units = ["KiB", "MiB", "GiB", "TiB"];
  let [value, unit] = [n / 1024, 0];
  while (value >= 1024 && unit < units.length - 1) [value, unit] = [value / 1024, unit + 1];
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

/** Milliseconds: `0.4 ms`, `12 ms`, `1.2 s`, `3 min`. */
export function took(ms) {
  if (ms === null || ms === undefined) return "–";
  if (ms < 1) return "<1 ms";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s`;
  return age(ms / 1000);
}

/** Seconds: `42 s`, `3 min`, `2 h 5 min`, `3 d 4 h`. */
export function age(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  const s = Math.floor(seconds);
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  const two = (big, small, names) => `${big} ${names[0]}${small ? ` ${small} ${names[1]}` : ""}`;
  if (s < 86_400) return two(Math.floor(s / 3600), Math.floor((s % 3600) / 60), ["h", "min"]);
  return two(Math.floor(s / 86_400), Math.floor((s % 86_400) / 3600), ["d", "h"]);
}

/** A `<time>`: local to look at, the exact UTC in the title. */
export function when(at) {
  const time = at ? new Date(at) : null;
  if (!time || Number.isNaN(time.getTime())) return h("span", { class: "soft" }, "–");
  return h("time", { datetime: at, title: `${at} (UTC)`, class: "when" }, local(time));
}

/** The local form of a Date: the time, with the day where it is not today's. */
export function local(time) {
  const same = time.toDateString() === new Date().toDateString();
  return (same ? TODAY : EARLIER).format(time);
}

/** `on = "a"` style lists: `a, b and 3 more`. */
export function listed(names, most = 3) {
  if (names.length <= most) return names.join(", ");
  return `${names.slice(0, most).join(", ")} and ${names.length - most} more`;
}
