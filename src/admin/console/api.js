// The admin API, asked: one place for the token, for errors and for what an
// answer looks like. Paths are relative, so that a proxy may put the console
// below a folder of its own.

import { parse } from "./json.js";

const TOKEN = "hookfan.token";

/** What the API said instead of an answer: `status` (0: nobody answered), `message`. */
class Refused extends Error {
  constructor(status, detail, body) {
    super(detail);
    this.name = "Refused";
    this.status = status;
    this.body = body;
  }
}

/** Asks the operator for the token; the page sets it, returns a promise of it. */
let asker = null;
let asking = null;

export function whenTokenIsNeeded(ask) {
  asker = ask;
}

/** GET; `query` leaves out what is empty. */
export async function get(path, query, options) {
  return answer(await open(`${path}${queryText(query)}`, options));
}

/** POST of JSON, or of `body` as it is with its own headers. */
export async function post(path, value, options) {
  const json = value !== undefined;
  return answer(
    await open(path, {
      method: "POST",
      body: json ? JSON.stringify(value) : options?.body,
      headers: { ...(json ? { "content-type": "application/json" } : {}), ...options?.headers },
    }),
  );
}

/** A response whose status is a success; else `Refused`. Asks for a token once it is needed. */
export async function open(path, options = {}) {
  for (;;) {
    const token = sessionStorage.getItem(TOKEN);
    const headers = { accept: "application/json", ...options.headers };
    if (token) headers.authorization = `Bearer ${token}`;
    let response;
    try {
      response = await fetch(`api/v1/${path}`, {
        ...options,
        headers,
        cache: "no-store",
        credentials: "omit",
        redirect: "error",
      });
    } catch (error) {
      if (error.name === "AbortError" || options.signal?.aborted) throw error;
      throw new Refused(0, "The gateway does not answer. Is it running, and is this address still its own?");
    }
    if (response.ok) return response;
    const refused = await refusal(response);
    if (response.status !== 401 || !asker) throw refused;
    // Whoever asked with the token of before, while another one was typed, tries again.
    if (sessionStorage.getItem(TOKEN) === token) {
      asking ??= asker(token ? "That token is not the gateway's." : null).finally(() => {
        asking = null;
      });
      sessionStorage.setItem(TOKEN, await asking);
    }
  }
}

/** Encodes one segment of a path. */
export function segment(name) {
  return encodeURIComponent(name);
}

export function queryText(query) {
  const pairs = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value !== null && value !== undefined && value !== "") pairs.append(name, value);
  }
  const text = pairs.toString();
  return text ? `?${text}` : "";
}

async function answer(response) {
  const text = await response.text();
  try {
    return parse(text);
  } catch {
    throw new Refused(response.status, "The answer is no JSON; is something between this page and the gateway?");
  }
}

async function refusal(response) {
  let body = null;
  try {
    body = parse(await response.text());
  } catch {
    /* A proxy's page, say: the status has to do. */
  }
  const detail =
    body?.detail ??
    body?.title ??
    (body?.complaints ? "The file has errors." : `The gateway answered ${response.status}.`);
  return new Refused(response.status, String(detail), body);
}
