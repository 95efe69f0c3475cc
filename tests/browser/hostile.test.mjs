// What strangers send is shown letter by letter, in every view, and runs nowhere:
// markup of 150 forms and two lists of naughty strings, through real webhooks.

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { asShown } from "../../src/admin/console/visible.js";
import { Browser, NOTHING, sideways, visit } from "./browser.mjs";
import { MARKUP, NAUGHTY } from "./payloads.mjs";
import { RECEIVER } from "./routes.mjs";
import { comment, Gateway, Receiver, until } from "./stage.mjs";

/** The big list of naughty strings, where a checkout of the corpora lies beside this one. */
const BLNS = ["../../../shared", "../../../../shared"]
  .map((place) => new URL(`${place}/corpora/naughty-strings/blns.json`, import.meta.url))
  .find((url) => existsSync(url));
const STRINGS = [...MARKUP, ...NAUGHTY, ...(BLNS ? JSON.parse(readFileSync(BLNS, "utf8")) : [])];

/** Everything goes to one destination that refuses with the stranger's own words. */
const routes = (gateway) => `${gateway.head()}
[source.shop]
kind = "generic"
auth = "none"
type = [{ body = "topic" }]
key  = [{ body = "order.id" }]
unreadable = "keep"

[source.qiscus]
kind = "qiscus"
auth = "none"
unreadable = "keep"

[destination.echo]
kind          = "http"
url           = "http://127.0.0.1:${RECEIVER}/echo"
headers       = { x-note = "{{ payload.note | default('') | urlencode }}" }
allow_private = true
[destination.echo.body]
note = "{{ payload }}"

[[route]]
name = "<img src=x onerror=pwned(1)> \\u202eetuor"
when = "payload.note | default('x') != '</code><script>alert(1)</script>'"
to   = "echo"
`;

/** Answers 422 with what the body says, as a stranger's server would. */
class Echo extends Receiver {
  constructor(port) {
    super(port);
    this.server.removeAllListeners("request");
    this.server.on("request", (request, response) => {
      const chunks = [];
      request.on("data", (chunk) => chunks.push(chunk));
      request.on("end", () => {
        const { note } = JSON.parse(Buffer.concat(chunks));
        response.statusCode = 422;
        response.end(String(note.note ?? note.payload?.message?.text ?? note));
      });
    });
  }
}

describe(`${STRINGS.length} strings of strangers`, () => {
  let gateway, receiver, browser, page, events, letters;
  before(async () => {
    receiver = new Echo(RECEIVER);
    await receiver.start();
    gateway = await new Gateway({ routes }).start();
    browser = await new Browser().start();
    page = await browser.page(gateway.admin);
    for (const text of STRINGS) {
      await gateway.hook("shop", { topic: text, order: { id: text }, note: text, [text]: [text] }, header(text));
      await gateway.hook(
        "qiscus",
        comment({ text, name: text, email: text, room: text, roomName: text }),
        header(text),
      );
    }
    await gateway.settled();
    events = await all("events", "before");
    letters = await all("dead", "after");
  });
  after(async () => {
    await browser?.close();
    await gateway?.close();
    await receiver?.stop();
  });

  /** As a header, where HTTP can carry it. */
  const header = (text) => (/^[\x20-\x7e]{1,200}$/.test(text) ? { "x-note": text } : {});

  async function all(what, cursor) {
    const found = [];
    for (let next = ""; next !== null;) {
      const answer = await gateway.api(`${what}?limit=1000${next === "" ? "" : `&${cursor}=${next}`}`);
      found.push(...answer[what]);
      next = answer.next;
    }
    return found;
  }

  const main = () => page.evaluate(() => document.querySelector("main").textContent);
  const calm = async () => {
    assert.deepEqual(page.guard.words, NOTHING);
    assert.equal(
      await page.evaluate(
        () =>
          document.querySelectorAll(
            "main script, main iframe, main object, main embed, main form[action], main style, main base, main img",
          ).length,
      ),
      0,
    );
  };

  test("were all accepted, and all refused by the echo", () => {
    assert.ok(events.length >= 2 * STRINGS.length - 40, `${events.length} events`);
    assert.ok(letters.length > STRINGS.length, `${letters.length} letters`);
  });

  test("stand literally in the lists of events and dead letters", async () => {
    for (const [view, rows] of [
      ["events", events],
      ["dead", [...letters].reverse()],
    ]) {
      await visit(page, view, "tbody tr");
      for (let at = 0; at < rows.length; at += 50) {
        const shown = rows.slice(at, at + 50);
        await until(`page ${at / 50 + 1} of ${view}`, () =>
          page.evaluate((id) => document.querySelector("tbody tr:last-child a")?.href.endsWith(id), shown.at(-1).id),
        );
        const text = await main();
        for (const row of shown)
          for (const word of [row.type, row.key, row.detail])
            if (word) assert.ok(text.includes(asShown(word)), `${view}: ${JSON.stringify(word).slice(0, 200)}`);
        assert.equal(await sideways(page), 0, `${view} scrolls sideways at ${at}`);
        if (at + 50 < rows.length) await page.click("text=Older");
      }
    }
    await calm();
  });

  test("stand literally in the page of each event: type, key, message, body, headers", async () => {
    const visits = [];
    for (const { id } of events) {
      const event = await gateway.api(`events/${id}`);
      const { message } = event;
      const note = /"note":("(?:[^"\\]|\\.)*")/.exec(event.body)?.[1];
      const said = [event.type, event.key, event.headers["x-note"], note];
      if (message) said.push(message.text, message.author.name, message.conversation.name);
      visits.push({ hash: `#/events/${id}`, mark: id, said: said.filter(Boolean).map(asShown) });
    }
    assert.deepEqual(await misses(visits), []);
    await calm();
  });

  test("stand literally in the page of each dead letter, and in the last error", async () => {
    const visits = letters.map((letter) => ({
      hash: `#/dead/${letter.id}`,
      mark: letter.event,
      said: [letter.type, letter.key, letter.detail].filter(Boolean).map(asShown),
    }));
    assert.deepEqual(await misses(visits), []);
    for (const view of ["flow", "destinations", "destinations/echo", "routes", "links", "jobs"]) {
      await visit(page, view);
      await until(`${view} is drawn`, async () => (await main()).length > 60);
    }
    await calm();
  });

  /** Opens one view after the other inside the page; what was not shown, and where. */
  async function misses(visits) {
    const found = [];
    for (let at = 0; at < visits.length; at += 20) {
      found.push(
        ...(await page.evaluate(
          async (some) => {
            const missed = [];
            const main = document.querySelector("main");
            for (const { hash, mark, said } of some) {
              location.hash = hash;
              const drawn = () => main.textContent.includes(mark) && main.querySelector(".why");
              const late = performance.now() + 15_000;
              while (!drawn() && performance.now() < late) await new Promise((resolve) => setTimeout(resolve, 5));
              const text = main.textContent;
              for (const word of [mark, ...said])
                if (!text.includes(word)) missed.push(`${hash} does not show ${word.slice(0, 200)}`);
            }
            return missed;
          },
          visits.slice(at, at + 20),
        )),
      );
    }
    return found;
  }

  test("stand literally where they are pasted, filtered for, or part of the address", async () => {
    await visit(page, "routes", ".code-line");
    await page.selectOption("#try-source", "shop");
    for (const text of [...MARKUP.slice(0, 40), ...NAUGHTY.slice(0, 30)]) {
      await page.fill("#try-body", JSON.stringify({ topic: "t", order: { id: "k" }, note: text }));
      await page.click("text=Show where it would go");
      await until("the clause shows it", () =>
        page.evaluate(
          (shown) => document.querySelector(".try-answer").textContent.includes(shown),
          asShown(JSON.stringify(text)).slice(0, 300),
        ),
      );
    }
    for (const text of MARKUP) {
      await page.evaluate(
        (to) => {
          location.hash = to;
        },
        `#/${["dead", "events", "links"][text.length % 3]}?key=${encodeURIComponent(text)}`,
      );
      await page.evaluate(
        (to) => {
          location.hash = to;
        },
        `#/destinations/${encodeURIComponent(text)}`,
      );
    }
    await page.evaluate(() => {
      location.hash = "#/%E0%A4%A/<img src=x onerror=pwned(2)>?=%&=&";
    });
    await page.waitForSelector("h1:has-text('no such page')");
    await calm();
  });
});

describe("the guards", () => {
  let gateway, receiver, browser;
  before(async () => {
    receiver = new Echo(RECEIVER);
    await receiver.start();
    gateway = await new Gateway({ routes }).start();
    browser = await new Browser().start();
    await gateway.hook("shop", {
      topic: "<img src=x onerror=pwned(7)>",
      order: { id: "<img src=y onerror=alert(8)>" },
      note: "<img src=//elsewhere.example/x.png>",
    });
    await gateway.settled();
  });
  after(async () => {
    await browser?.close();
    await gateway?.close();
    await receiver?.stop();
  });

  /** A console that was made careless on its way to the browser. */
  async function careless(page, { withoutPolicy = false } = {}) {
    await page.route("**/console/dom.js", async (route) => {
      const response = await route.fetch();
      const body = (await response.text()).replace(
        "found.push(...letters(String(child)))",
        "{ const box = document.createElement('span'); box.innerHTML = String(child); found.push(box); }",
      );
      await route.fulfill({ response, body });
    });
    if (withoutPolicy) {
      await page.route(`${gateway.admin}/`, async (route) => {
        const response = await route.fetch();
        const headers = response.headers();
        delete headers["content-security-policy"];
        await route.fulfill({ response, headers });
      });
    }
  }

  test("see innerHTML that the policy stops", async () => {
    const page = await browser.page(gateway.admin);
    await careless(page);
    await page.goto(`${gateway.admin}/#/events`);
    await until("a report", () => page.guard.reports.some((one) => one.startsWith("require-trusted-types-for")));
    assert.ok(page.guard.errors.length > 0);
    assert.deepEqual(page.guard.ran, []);
    await page.close();
  });

  test("see what runs where there is neither care nor policy", async () => {
    const page = await browser.page(gateway.admin);
    await careless(page, { withoutPolicy: true });
    await page.goto(`${gateway.admin}/#/events`);
    await until("markup ran", () => page.guard.ran.includes("7") && page.guard.dialogs.includes("8"));
    await page.close();
  });
});
