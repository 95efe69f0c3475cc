// What an operator does, in a browser, on a desktop and on a phone: finds what is
// not delivered, reads why, sends it again, and is told what was refused.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { Browser, DESKTOP, NOTHING, PHONE, says, visit, words } from "./browser.mjs";
import { shop } from "./routes.mjs";
import { Shop } from "./scene.mjs";
import { comment, until } from "./stage.mjs";

for (const [name, size] of [
  ["a desktop", DESKTOP],
  ["a phone", PHONE],
]) {
  describe(`on ${name}`, () => {
    let stage, browser, page;
    before(async () => {
      stage = await new Shop().start();
      browser = await new Browser().start();
      await stage.day(9);
      page = await browser.page(stage.admin, { size });
    });
    after(async () => {
      await browser?.close();
      await stage?.close();
    });

    const dead = async (name) => (await stage.row(name)).dead_letters;
    const act = async (button, action) => {
      await page.click(button);
      const doIt = page.locator("dialog button[type=submit]:not([disabled])");
      await doIt.waitFor();
      assert.match(await doIt.innerText(), action);
      await doIt.click();
      await page.waitForSelector("dialog", { state: "detached" });
    };

    test("the first page says what is not delivered and why, and leads to it", async () => {
      await visit(page, "flow", ".trouble");
      await says(page, "billing is failing");
      await says(page, "upstream connect error");
      await says(page, "customer.email is not an e-mail address");
      await page.click(".trouble:has-text('crm') >> text=Look");
      await page.waitForSelector("tbody tr");
      assert.equal(page.url().split("#")[1], "/dead?destination=crm");
      assert.equal(await page.inputValue("#filter-destination"), "crm");
    });

    test("a letter tells the answer, each attempt, the message, why each route matched, and the body digit for digit", async () => {
      await page.click("tbody tr a");
      await page.waitForSelector(".why");
      const text = await words(page);
      for (const said of [
        "was not delivered to crm",
        "refused",
        "422",
        "customer.email is not an e-mail address",
        "Read its answer below",
        "2 routes of 5 match",
        'on = "order.*"',
        '"customer.created"',
        "nobody at example",
      ])
        assert.ok(text.includes(said), said);
      const order = (await stage.gateway.api("events?type=order.paid&limit=1")).events[0];
      await visit(page, `events/${order.id}`, ".why");
      assert.match(await words(page), /"total": 9007199254740993,\s+"rate": 1\.10,/);
      await page.locator("text=As received").last().click();
      assert.ok((await words(page)).includes('"total":9007199254740993,"rate":1.10'));
    });

    test("one letter is retried and arrives", async () => {
      const before = await dead("crm");
      stage.receiver.answer("/crm", { status: 200 });
      await visit(page, "dead?destination=crm", "tbody tr");
      await page.click("tbody tr a");
      await page.waitForSelector(".why");
      await act("text=Retry…", /Retry 1 dead letter/);
      await until("one letter less", async () => (await dead("crm")) === before - 1);
      await page.waitForSelector(".copies");
      await says(page, "retried");
    });

    test("chosen letters are dropped, after their number was said", async () => {
      stage.receiver.answer("/crm", { status: 422, body: "no" });
      await stage.customer();
      await stage.customer();
      await stage.customer();
      await until("three more", async () => (await dead("crm")) >= 3);
      await visit(page, "dead", "tbody tr");
      const before = await dead("crm");
      const boxes = page.locator("tbody input[type=checkbox]");
      await boxes.nth(0).check();
      await boxes.nth(1).check();
      await act("text=Drop 2…", /Drop 2 dead letters/);
      await until("two letters less", async () => (await dead("crm")) === before - 2);
    });

    test("all that match are counted, retried as a job, and the job is told of", async () => {
      for (let n = 0; n < 5; n += 1) await stage.customer();
      await until("they died", async () => (await dead("crm")) >= 5);
      await stage.gateway.settled("billing", "ledger");
      const n = await dead("crm");
      stage.receiver.answer("/crm", { status: 200 });
      await visit(page, "dead?destination=crm&type=customer.*", "tbody tr");
      await act("text=Retry all that match…", new RegExp(`Retry ${n} dead letters?`));
      await until("none is left", async () => (await dead("crm")) === 0);
      await page.waitForSelector(".empty:not([hidden])");
      await visit(page, "jobs", ".job-row");
      await says(page, `${n} of ${n} done`);
      await page.reload();
      await page.waitForSelector(".job-row");
      await says(page, `${n} of ${n} done`);
    });

    test("a job that runs is found again by a page that is opened later, and goes on without it", async () => {
      const posts = Array.from({ length: 2000 }, (_, n) => n);
      const post = async () => {
        for (let n = posts.pop(); n !== undefined; n = posts.pop()) {
          await stage.gateway.hook("shop", { topic: "bulk", order: { id: `B-${n % 50}` } });
        }
      };
      await Promise.all([1, 2, 3, 4, 5, 6, 7, 8].map(post));
      const owed = (await stage.row("ledger")).owed;
      const { job } = await stage.gateway.api("jobs", { what: "replay", type: "bulk", to: ["ledger"] });
      await page.reload();
      await page.waitForSelector("#jobs .job:has-text('Replay events')");
      await until("it is done", async () => (await stage.gateway.api(`jobs/${job.id}`)).state === "done", 60_000);
      await page.waitForSelector(".notice:has-text('2,000 copies owed anew')");
      assert.equal((await stage.row("ledger")).owed, owed + 2000);
    });

    test("events are filtered, paged, replayed to where the operator says", async () => {
      for (let n = 0; n < 60; n += 1)
        await stage.gateway.hook("qiscus", comment({ room: 7000 + n, text: `number ${n}` }));
      await visit(page, "events", "tbody tr");
      await page.selectOption("#filter-source", "qiscus");
      await page.waitForFunction(() => location.hash.includes("source=qiscus"));
      await page.fill("#filter-type", "post_*");
      await page.press("#filter-type", "Enter");
      await page.waitForFunction(() => location.hash.includes("type=post_"));
      await page.fill("#filter-key", "qiscus/70*");
      await page.press("#filter-key", "Enter");
      await until("fifty rows of rooms 70xx", () =>
        page.$$eval(
          "tbody tr",
          (rows) => rows.length === 50 && rows.every((row) => row.textContent.includes("qiscus/70")),
        ),
      );
      await page.click("text=Older");
      await until("the other ten", () => page.$$eval("tbody tr", (rows) => rows.length === 10));
      await page.goBack();
      await until("the first fifty again", () => page.$$eval("tbody tr", (rows) => rows.length === 50));
      const owed = (await stage.row("archive")).owed;
      await page.click("text=Replay all that match…");
      await page.waitForSelector("dialog >> text=60 events will be replayed");
      await page.check("dialog input[value=to]");
      await page.selectOption("dialog select", "archive");
      await page.click("dialog button[type=submit]");
      await page.waitForSelector("dialog", { state: "detached" });
      await until("sixty more are owed", async () => (await stage.row("archive")).owed === owed + 60);
      const analytics = await stage.row("analytics");
      await visit(page, "events?key=qiscus/1375620", "tbody tr");
      await until("only its own rows", () =>
        page.$$eval("tbody tr", (rows) => rows.every((row) => row.textContent.includes("1375620"))),
      );
      await page.locator("tbody input[type=checkbox]").first().check();
      await act("text=Replay 1 event…", /Replay 1/);
      await until(
        "its own destinations are owed it",
        async () => (await stage.row("analytics")).owed === analytics.owed + 1,
      );
    });

    test("a wrong filter is refused in the API's words", async () => {
      await visit(page, "events?since=yesterday");
      await says(page, "neither a time like");
    });

    test("a destination is paused and resumed, each asked first", async () => {
      await visit(page, "destinations/archive", ".figure-box");
      await act("text=Pause…", /Pause/);
      await says(page, "An operator paused it");
      await act("text=Resume…", /Resume/);
      await until("it goes on", async () => (await stage.row("archive")).state !== "paused");
      await page.waitForSelector("text=Pause…");
    });

    test("a webhook that is pasted shows each clause and the exact request, and is not stored", async () => {
      const accepted = (await stage.gateway.api("status")).sources.find((row) => row.name === "shop").accepted;
      await visit(page, "routes", ".code-line");
      await page.selectOption("#try-source", "shop");
      await page.fill("#try-headers", "X-Shop-Topic: order.refunded");
      await page.fill("#try-body", '{"order":{"id":"A-1","total":9007199254740993}}');
      await page.click("text=Show where it would go");
      await page.waitForSelector(".try-answer .request");
      const text = await page.textContent(".try-answer");
      for (const said of [
        "order.refunded",
        "shop/A-1",
        "2 routes of 5 match",
        "It goes to 4 destinations",
        "/warehouse",
      ])
        assert.ok(text.includes(said), said);
      assert.ok((await page.textContent(".try-answer .request:has-text('warehouse')")).includes("9007199254740993"));
      assert.equal((await stage.gateway.api("status")).sources.find((row) => row.name === "shop").accepted, accepted);
      await page.fill("#try-headers", "no colon");
      await page.click("text=Show where it would go");
      await page.waitForSelector(".try-answer >> text=not of the form");
    });

    test("complaints stand at their lines, and a reload that is refused changes nothing", async () => {
      const text = readFileSync(stage.gateway.file, "utf8");
      const broken = text.replace('to   = "crm"', 'to   = "crn"');
      stage.gateway.write(broken);
      const line = broken.split("\n").findIndex((one) => one.includes('"crn"')) + 1;
      await visit(page, "routes", ".code-line");
      await page.click("text=Check again");
      await page.waitForSelector(`.code-line.marked[data-line="${line}"] + .line-complaint >> text=crn`);
      await page.click("text=Reload…");
      await page.click("dialog button[type=submit]");
      await page.waitForSelector("dialog [role=alert] >> text=Nothing changed");
      await page.keyboard.press("Escape");
      stage.gateway.write(text);
      await page.click("text=Check again");
      await until("no complaint is left", async () => !(await words(page)).includes("crn"));
    });

    test("a link is set, found by its filter, and removed", async () => {
      await visit(page, "links");
      await page.click("text=Set a link…");
      await page.fill("#link-ours", "nosuch/1");
      await page.selectOption("#link-destination", "helpdesk");
      await page.fill("#link-id", "4711");
      await page.click("dialog button[type=submit]");
      await page.waitForSelector("dialog >> text=there is no source nosuch");
      await page.fill("#link-ours", "qiscus/999");
      await page.click("dialog button[type=submit]");
      await page.waitForSelector("tbody tr:has-text('qiscus/999'):has-text('4711')");
      await page.fill("#filter-ours", "qiscus/999");
      await page.press("#filter-ours", "Enter");
      await until("one row", () => page.$$eval("tbody tr", (rows) => rows.length === 1));
      await act("text=Remove…", /Remove 1 link/);
      await until("no row", () => page.$$eval("tbody tr", (rows) => rows.length === 0));
    });

    test("a page that is stale about a destination shows the refusal", async () => {
      await visit(page, "destinations/crm", ".figure-box");
      await page.click("text=Pause…");
      await page.waitForSelector("dialog[open]");
      // The destination leaves while the question stands.
      stage.gateway.write((gateway) =>
        shop()(gateway)
          .replace(/\[destination\.crm\][\s\S]*?(?=\[destination\.billing\])/, "")
          .replace(/\[\[route\]\]\nname = "customers"[\s\S]*?to {3}= "crm"\n/, ""),
      );
      await until("crm is gone", async () => !(await stage.row("crm")));
      await page.click("dialog button[type=submit]");
      await page.waitForSelector("dialog [role=alert] >> text=there is no destination crm");
      await page.keyboard.press("Escape");
      await says(page, "There is no destination of this name now");
    });

    test("the keyboard leads everywhere", async () => {
      await visit(page, "flow", ".trouble");
      await page.locator("body").press("g");
      await page.keyboard.press("e");
      await page.waitForSelector("h1:has-text('Events')");
      await page.waitForSelector("tbody tr");
      await page.keyboard.press("/");
      assert.equal(await page.evaluate(() => document.activeElement.id), "filter-source");
      await page.keyboard.press("Escape");
      await page.keyboard.press("j");
      await page.keyboard.press("x");
      assert.equal(await page.locator("tbody input:checked").count(), 1);
      await page.keyboard.press("?");
      await page.waitForSelector("dialog h2:has-text('Keys')");
      await page.keyboard.press("Escape");
      const before = await page.evaluate(() => getComputedStyle(document.body).color);
      await page.keyboard.press("t");
      assert.notEqual(await page.evaluate(() => getComputedStyle(document.body).color), before);
      await page.keyboard.press("t");
      await page.reload();
      await page.waitForSelector("tbody tr");
      await page.keyboard.press("Tab");
      assert.equal(await page.evaluate(() => document.activeElement.className), "skip");
    });

    test("nothing of all this said a word to the guards", () => {
      assert.deepEqual(page.guard.words, NOTHING);
    });
  });
}
