// A browser with its guards up: whatever a page should never do is written down,
// and a test that ends with a guard's word is red.

import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { until } from "./stage.mjs";

export const OUT = resolve(process.env.CARGO_TARGET_DIR ?? "target", "browser");
const require = createRequire(join(OUT, "package.json"));
const { chromium } = require("playwright-core");
const AXE = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const ARGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export const DESKTOP = { width: 1280, height: 800 };
export const PHONE = { width: 360, height: 740 };

/** One chromium with a fresh profile; `page` opens pages in it. */
export class Browser {
  async start() {
    this.profile = mkdtempSync(join(tmpdir(), "hookfan-chromium-"));
    this.context = await chromium.launchPersistentContext(this.profile, {
      executablePath: CHROMIUM,
      args: ARGS,
      viewport: DESKTOP,
      serviceWorkers: "block",
      permissions: ["clipboard-write"],
    });
    return this;
  }
  /** A page of this gateway, watched from its first byte on. */
  async page(admin, { size = DESKTOP, scheme = "light", still = true } = {}) {
    // A browser keeps six connections to one address, and each page holds a stream.
    await this.last?.close();
    const page = await this.context.newPage();
    this.last = page;
    await page.setViewportSize(size);
    await page.emulateMedia({ colorScheme: scheme, reducedMotion: still ? "reduce" : "no-preference" });
    page.guard = new Guard(page, admin);
    await page.guard.up();
    page.admin = admin;
    return page;
  }
  async close() {
    await this.context.close();
    rmSync(this.profile, { recursive: true, force: true });
  }
}

/** What a page did that it should not have. */
export class Guard {
  constructor(page, admin) {
    Object.assign(this, { page, admin, dialogs: [], reports: [], errors: [], ran: [], elsewhere: [] });
  }
  async up() {
    const { page } = this;
    page.on("dialog", (dialog) => {
      this.dialogs.push(dialog.message());
      dialog.dismiss();
    });
    page.on("pageerror", (error) => this.errors.push(error.stack ?? error.message));
    page.on("console", (line) => {
      if (line.type() === "error" && !/Failed to load resource/.test(line.text())) this.errors.push(line.text());
    });
    page.on("request", (request) => {
      if (!request.url().startsWith(`${this.admin}/`)) this.elsewhere.push(request.url());
    });
    await page.exposeBinding("__report", (_, what) => {
      this.reports.push(what);
    });
    await page.exposeBinding("pwned", (_, what) => {
      this.ran.push(String(what));
    });
    await page.addInitScript(() => {
      document.addEventListener("securitypolicyviolation", (event) =>
        globalThis.__report(`${event.effectiveDirective} ${event.sourceFile}:${event.lineNumber} ${event.sample}`),
      );
    });
  }
  /** Everything, for one assertion. */
  get words() {
    const { dialogs, reports, errors, ran, elsewhere } = this;
    return { dialogs, reports, errors, ran, elsewhere };
  }
}

export const NOTHING = { dialogs: [], reports: [], errors: [], ran: [], elsewhere: [] };

/** Goes to a view and waits until it shows what it is about. */
export async function visit(page, hash, ready = "main h1") {
  const target = `${page.admin}/#/${hash}`;
  if (page.url().startsWith(page.admin))
    await page.evaluate((to) => {
      location.hash = to;
    }, `#/${hash}`);
  else await page.goto(target);
  await page.waitForSelector(ready, { timeout: 15_000 });
  await page.waitForFunction(
    () => !/Loading…|Asking…|Checking the files/.test(document.querySelector("main").textContent),
    null,
    { timeout: 15_000 },
  );
}

/** Findings of axe-core that are serious or critical. */
export async function axe(page) {
  if (!(await page.evaluate(() => "axe" in globalThis))) await page.evaluate(AXE);
  const found = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  return found.violations
    .filter((one) => ["serious", "critical"].includes(one.impact))
    .flatMap((one) =>
      one.nodes.map(
        (node) =>
          `${one.impact} ${one.id}: ${node.target.join(" ")} ${node.failureSummary?.split("\n").slice(1, 2).join("").trim()}`,
      ),
    );
}

/** How much wider the page is than the window: 0, or it scrolls sideways. */
export function sideways(page) {
  return page.evaluate(() => Math.max(0, document.documentElement.scrollWidth - document.documentElement.clientWidth));
}

/** A picture below target/browser/screenshots. */
export async function shot(page, name) {
  const folder = join(OUT, "screenshots");
  mkdirSync(folder, { recursive: true });
  await page.screenshot({ path: join(folder, `${name}.png`), fullPage: true, animations: "disabled" });
}

/** The text of the view. */
export const words = (page) => page.evaluate(() => document.querySelector("main").textContent);

/** Waits until the view says something. */
export const says = (page, text, ms) =>
  until(`the view says ${text}`, async () => (await words(page)).includes(text), ms);
