// The stage of the browser tests: the real gateway with receivers and emulators
// on loopback, a routing file, and the senders' side. All that is started here
// is stopped here.

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Ports from here on, a hundred of them; all on loopback. */
export const BASE = Number(process.env.HOOKFAN_BROWSER_PORT ?? 21000);
export const TOKEN = "console-token-0123456789-0123456789";
const BINARY = process.env.HOOKFAN_BINARY ?? "target/debug/hookfan";

/** Waits until `holds` says so; a deadline instead of a sleep. */
export async function until(what, holds, ms = 15_000) {
  const deadline = Date.now() + ms;
  for (;;) {
    const value = await holds();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`waited ${ms} ms for: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

/** One server for all http destinations: what it answers is set by path. */
export class Receiver {
  constructor(port) {
    this.port = port;
    this.answers = new Map();
    this.got = new Map();
    this.server = http.createServer((request, response) => {
      const path = request.url.split("?")[0];
      const chunks = [];
      request.on("data", (chunk) => chunks.push(chunk));
      request.on("end", () => {
        this.got.set(path, (this.got.get(path) ?? 0) + 1);
        const { status = 200, body = "ok", delay = 0 } = this.answers.get(path) ?? {};
        setTimeout(() => {
          response.statusCode = status;
          response.end(body);
        }, delay);
      });
    });
  }
  answer(path, how) {
    this.answers.set(path, how);
  }
  start() {
    return new Promise((resolve, reject) => this.server.once("error", reject).listen(this.port, "127.0.0.1", resolve));
  }
  stop() {
    this.server.closeAllConnections();
    return new Promise((resolve) => this.server.close(resolve));
  }
}

/** The gateway as one process, with a folder of its own. */
export class Gateway {
  constructor({ port = BASE, routes, env = {} }) {
    this.ingress = `http://127.0.0.1:${port}`;
    this.admin = `http://127.0.0.1:${port + 1}`;
    this.folder = mkdtempSync(join(tmpdir(), "hookfan-browser-"));
    this.file = join(this.folder, "routes.toml");
    this.port = port;
    this.env = env;
    this.write(routes);
  }
  head(extra = "") {
    return `[server]\nlisten   = "127.0.0.1:${this.port}"\nadmin    = "127.0.0.1:${this.port + 1}"\ndata_dir = "${join(this.folder, "data")}"\n${extra}\n[log]\nmin_free = "64MiB"\n\n`;
  }
  write(routes) {
    this.routes = routes;
    writeFileSync(this.file, typeof routes === "function" ? routes(this) : routes);
  }
  secret(name, text) {
    writeFileSync(join(this.folder, name), text, { mode: 0o600 });
  }
  async start() {
    this.said = "";
    this.process = spawn(BINARY, ["run", "-c", this.file], {
      env: { ...process.env, ...this.env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    for (const stream of [this.process.stdout, this.process.stderr])
      stream.on("data", (chunk) => {
        this.said = (this.said + chunk).slice(-20_000);
      });
    this.ended = new Promise((resolve) => this.process.once("exit", resolve));
    await until("the gateway answers /livez", async () => {
      if (this.process.exitCode !== null) throw new Error(`the gateway ended:\n${this.said}`);
      return (await fetch(`${this.admin}/livez`).catch(() => null))?.ok;
    });
    return this;
  }
  async stop() {
    this.process?.kill("SIGTERM");
    await this.ended;
  }
  async close() {
    await this.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }
  async api(path, body, token) {
    const headers = token ? { authorization: `Bearer ${token}` } : {};
    const response = await fetch(
      `${this.admin}/api/v1/${path}`,
      body === undefined
        ? { headers }
        : { method: "POST", body: JSON.stringify(body), headers: { ...headers, "content-type": "application/json" } },
    );
    const json = await response.json();
    if (!response.ok) throw new Error(`${path}: ${response.status} ${json.detail}`);
    return json;
  }
  /** Posts a webhook; answers the ingress' answer. */
  async hook(source, body, headers = {}) {
    const text = typeof body === "string" || body instanceof Uint8Array ? body : JSON.stringify(body);
    const response = await fetch(`${this.ingress}/hooks/${source}`, {
      method: "POST",
      body: text,
      headers: { "content-type": "application/json", ...headers },
    });
    if (!response.ok) throw new Error(`${source} was answered ${response.status}`);
    return response.json();
  }
  /** Until nothing is on its way, but for what is paused or is tried again. */
  async settled(...but) {
    await until(
      "all copies are settled",
      async () => {
        const { destinations } = await this.api("status");
        return destinations.every((row) => row.pending === 0 || but.includes(row.name));
      },
      60_000,
    );
  }
}

/** One of the vendors' emulators, as its own process. */
export class Emulator {
  constructor(vendor, port) {
    this.process = spawn(
      BINARY,
      ["emulate", vendor, "--listen", `127.0.0.1:${port}`, "--api-key", "demo.key-0123456789"],
      { stdio: "ignore" },
    );
    this.ended = new Promise((resolve) => this.process.once("exit", resolve));
  }
  async stop() {
    this.process.kill("SIGTERM");
    await this.ended;
  }
}

/** What a Qiscus app posts for one comment. */
export function comment({
  text = "Good morning, is the blue one back?",
  name = "Rina Wijaya",
  email = "rina@customer.example.com",
  room = 1375619,
  roomName = "Order A-1042",
  type = "post_comment_mobile",
} = {}) {
  return {
    type,
    payload: {
      from: { id: 90211, email, name },
      room: {
        id: room,
        topic_id: room,
        type: "group",
        name: roomName,
        participants: [{ id: 90211, email, username: name, avatar_url: "" }],
      },
      message: { type: "text", text, payload: {} },
    },
  };
}
