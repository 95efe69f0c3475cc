// What the gateway tells by itself: `GET live`, read through fetch because an
// EventSource cannot carry the token. Says so when it is lost, and goes on trying.

import { open } from "./api.js";

/** The gateway says something every ten seconds, changed or not. */
const SILENCE_MS = 25_000;
const RETRY_MS = [500, 1000, 2000, 4000, 8000];
/**
 * A page that nobody looks at lets go of its stream after this long: a browser
 * keeps six connections to one address, and six tabs would take them all.
 */
const UNSEEN_MS = 5000;

/** What was told last, and since when nothing is. */
export const live = { status: null, at: null, lostSince: null, why: null };

const listeners = new Set();

const watchers = new Set();

/** Calls `told(live)` with each status, now if there is one; returns how to stop. */
export function follow(told) {
  listeners.add(told);
  if (live.status) told(live);
  return () => listeners.delete(told);
}

/** Calls `told(live)` at whatever happens to the stream, the first status or not. */
export function watchStream(told) {
  watchers.add(told);
}

/** Reads the stream for as long as the page is open. */
export async function start() {
  for (let failures = 0; ; failures += 1) {
    await seen();
    const before = live.at;
    try {
      if ((await read()) === "unseen") continue;
      lost("The gateway ended the stream: it is stopping, or was restarted.");
    } catch (error) {
      lost(error.name === "AbortError" ? "Nothing was heard for a while." : error.message);
    }
    if (live.at !== before) failures = 0;
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS[Math.min(failures, RETRY_MS.length - 1)]));
  }
}

async function read() {
  const giveUp = new AbortController();
  let timer = setTimeout(() => giveUp.abort(), SILENCE_MS);
  let unseen = null;
  const look = () => {
    clearTimeout(unseen);
    if (document.hidden) unseen = setTimeout(() => giveUp.abort("unseen"), UNSEEN_MS);
  };
  document.addEventListener("visibilitychange", look);
  look();
  try {
    const response = await open("live", { headers: { accept: "text/event-stream" }, signal: giveUp.signal });
    const letters = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await letters.read();
      if (done) return "ended";
      clearTimeout(timer);
      timer = setTimeout(() => giveUp.abort(), SILENCE_MS);
      rest = events(rest + value);
    }
  } catch (error) {
    if (giveUp.signal.reason === "unseen") return "unseen";
    throw error;
  } finally {
    clearTimeout(timer);
    clearTimeout(unseen);
    document.removeEventListener("visibilitychange", look);
  }
}

/** Until somebody looks. */
function seen() {
  if (!document.hidden) return Promise.resolve();
  return new Promise((resolve) => {
    const look = () => {
      if (document.hidden) return;
      document.removeEventListener("visibilitychange", look);
      resolve();
    };
    document.addEventListener("visibilitychange", look);
  });
}

/** Takes whole events off the text; returns what is left of it. */
function events(text) {
  const parts = text.split("\n\n");
  const rest = parts.pop();
  for (const part of parts) {
    const lines = part.split("\n");
    const data = lines.filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trimStart());
    const kind = lines
      .find((line) => line.startsWith("event:"))
      ?.slice(6)
      .trim();
    if (kind === "status" && data.length) heard(JSON.parse(data.join("\n")));
  }
  return rest;
}

function heard(status) {
  Object.assign(live, { status, at: Date.now(), lostSince: null, why: null });
  tell();
}

function lost(why) {
  live.lostSince ??= live.at ?? Date.now();
  live.why = why;
  tell();
}

function tell() {
  for (const told of watchers) told(live);
  if (live.status && live.lostSince === null) for (const told of [...listeners]) told(live);
}
