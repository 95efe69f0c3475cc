// What the gateway's words mean, for somebody who sees them for the first time:
// the states of a destination, of a copy, the reasons of a dead letter.

/** States of a destination: how it looks, what it means, how bad it is. */
const STANDING = {
  idle: { shape: "ok", tone: "ok", word: "nothing waits", badness: 0 },
  delivering: { shape: "ok", tone: "ok", word: "delivering", badness: 0 },
  waiting: { shape: "wait", tone: "wait", word: "waiting", badness: 2 },
  retrying: { shape: "wait", tone: "wait", word: "retrying", badness: 2 },
  failing: { shape: "fail", tone: "bad", word: "failing", badness: 4 },
  paused: { shape: "pause", tone: "pause", word: "paused", badness: 1 },
};

/** What one row of `destinations` amounts to. */
export function standing(row) {
  if (row.state === "paused") return STANDING.paused;
  if (row.breaker_open) return STANDING.failing;
  if (row.retrying > 0 || (row.last_error && row.pending > 0)) return STANDING.retrying;
  return STANDING[row.state] ?? STANDING.waiting;
}

/** Why a destination is paused. */
export const PAUSED_BY = {
  file: "The file says paused = true; it is resumed there.",
  operator: "An operator paused it; what arrives waits in the log.",
  gone: "It answered 410 Gone, so it was paused; resume it once it is back.",
};

/** States of one copy of an event. */
export const COPY = {
  pending: { shape: "wait", tone: "wait", word: "pending" },
  delivered: { shape: "ok", tone: "ok", word: "delivered" },
  dead: { shape: "dead", tone: "bad", word: "dead" },
  dropped: { shape: "drop", tone: "soft", word: "dropped" },
  waits: { shape: "wait", tone: "wait", word: "waits" },
};

/** Reasons of a dead letter: what happened, and what an operator can do. */
export const REASON = {
  exhausted: [
    "It was tried for as long as the retry schedule says, and never taken.",
    "Find out whether the destination is up again, then retry.",
  ],
  refused: [
    "The destination answered that it will not take it; trying again by itself would change nothing.",
    "Read its answer below. Mend what it complains about, here or there, then retry.",
  ],
  gone: [
    "The destination answered 410 Gone; it was paused, too.",
    "Correct the address in the file or resume the destination, then retry.",
  ],
  loop: [
    "It had gone in a circle and was stopped.",
    "Look for a route that sends back what it got. Drop it once that is mended.",
  ],
  unsendable: [
    "No request could be made of it: a template failed, or a value is missing.",
    "The detail says which. Mend the template in the file, then retry.",
  ],
  unknown_user: [
    "An outgoing message, before its customer was known.",
    'Retry once the customer has written, or let such messages wait: unknown_user = { wait = "10m" }.',
  ],
  late: [
    "It was too old for the destination by the time it could be sent.",
    "when_late in the file decides what happens to such events; change it and retry, or drop it.",
  ],
  backlog_full: [
    "As much as may wait for this destination was waiting already.",
    "Retry once the backlog is smaller; backlog in the file sets the limit.",
  ],
  destination_removed: [
    "Its destination was taken out of the file.",
    "Put the destination back into the file, then retry; or drop it.",
  ],
  unlinked: [
    "Nobody knows what this conversation is called over there.",
    "Set the link on the page of links, then retry.",
  ],
  damaged: [
    "The stored bytes were damaged; the event cannot be read any more.",
    "Ask the sender to send it again. hookfan log verify tells more.",
  ],
};

/** How an attempt ended. */
export const OUTCOME = {
  "2xx": "taken",
  "3xx": "a redirect, which is not followed",
  "4xx": "refused",
  429: "too many at once",
  "5xx": "its own failure",
  timeout: "no answer in time",
  dns: "its name was not found",
  connect: "no connection",
  tls: "no secure connection",
  broken: "cut off or unreadable",
};

export const ORIGIN = {
  accepted: "accepted from the sender",
  retried: "a dead letter that was retried",
  replayed: "replayed by an operator",
};
