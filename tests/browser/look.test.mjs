// How every view looks: a picture in both themes on a desktop and on a phone,
// nothing that axe-core calls serious, nothing that scrolls sideways.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { axe, Browser, DESKTOP, NOTHING, PHONE, shot, sideways, visit } from "./browser.mjs";
import { RECEIVER, sixty } from "./routes.mjs";
import { Shop } from "./scene.mjs";
import { comment, Gateway, Receiver, until } from "./stage.mjs";

const LOOKS = [
  ["desktop-light", DESKTOP, "light"],
  ["desktop-dark", DESKTOP, "dark"],
  ["phone-light", PHONE, "light"],
  ["phone-dark", PHONE, "dark"],
];

describe("a shop with troubles", () => {
  let stage, browser, views;
  before(async () => {
    stage = await new Shop().start();
    browser = await new Browser().start();
    await stage.day(30);
    const letter = (await stage.gateway.api("dead?limit=1")).dead[0];
    const event = (await stage.gateway.api("events?source=qiscus&limit=1")).events[0];
    const job = await stage.gateway.api("jobs", { what: "dead:retry", ids: [letter.id] });
    await until("the job has ended", async () => (await stage.gateway.api(`jobs/${job.job.id}`)).state !== "running");
    const left = (await stage.gateway.api("dead?limit=1")).dead[0];
    views = [
      ["flow", "flow", ".picture .destinations .node"],
      ["events", "events", "tbody tr"],
      ["event", `events/${event.id}`, ".why"],
      ["dead", "dead", "tbody tr"],
      ["dead-none", "dead?type=nothing", ".empty:not([hidden])"],
      ["letter", `dead/${left.id}`, ".why"],
      ["destinations", "destinations", "tbody tr"],
      ["destination-failing", "destinations/billing", ".chart"],
      ["destination-well", "destinations/archive", ".chart"],
      ["destination-gone", "destinations/nobody", ".problem"],
      ["routes", "routes", ".code-line"],
      ["links", "links", "h1"],
      ["jobs", "jobs", ".job-row"],
      ["nowhere", "elsewhere", "h1"],
    ];
    // The first sample of the history comes after ten seconds.
    await until(
      "there is a history",
      async () => (await stage.gateway.api("destinations/archive/history")).samples.length > 1,
      40_000,
    );
  });
  after(async () => {
    await browser?.close();
    await stage?.close();
  });

  for (const [name, size, scheme] of LOOKS) {
    test(`every view on ${name}: nothing serious by axe-core, nothing sideways, nothing said by the guards`, async () => {
      const page = await browser.page(stage.admin, { size, scheme });
      const [found, wide] = [[], []];
      for (const [view, hash, ready] of views) {
        await visit(page, hash, ready);
        await shot(page, `${view}-${name}`);
        found.push(...(await axe(page)).map((one) => `${view}: ${one}`));
        const over = await sideways(page);
        if (over > 0) wide.push(`${view}: ${over} px`);
      }
      assert.deepEqual({ found, wide }, { found: [], wide: [] });
      assert.deepEqual(page.guard.words, NOTHING);
    });

    test(`the dialogues on ${name}`, async () => {
      const page = await browser.page(stage.admin, { size, scheme });
      const dialogues = [
        ["retry-all", "dead", "text=Retry all…"],
        ["drop-all", "dead?destination=crm", "text=Drop all that match…"],
        ["replay-all", "events", "text=Replay all…"],
        ["pause", "destinations/archive", "text=Pause…"],
        ["reload", "routes", "text=Reload…"],
        ["set-link", "links", "text=Set a link…"],
      ];
      const found = [];
      for (const [view, hash, button] of dialogues) {
        await visit(page, hash);
        await page.click(button);
        await page.waitForSelector("dialog button[type=submit]:not([disabled])");
        await shot(page, `dialogue-${view}-${name}`);
        found.push(
          ...(await axe(page)).map((one) => `${view}: ${one}`),
          ...((await sideways(page)) ? [`${view}: sideways`] : []),
        );
        await page.keyboard.press("Escape");
      }
      await page.click("#keys");
      await shot(page, `keys-${name}`);
      found.push(...(await axe(page)).map((one) => `keys: ${one}`));
      assert.deepEqual(found, []);
      assert.deepEqual(page.guard.words, NOTHING);
    });

    test(`a webhook that is tried on ${name}`, async () => {
      const page = await browser.page(stage.admin, { size, scheme });
      await visit(page, "routes", ".code-line");
      await page.selectOption("#try-source", "qiscus");
      await page.fill("#try-body", JSON.stringify(comment()));
      await page.click("text=Show where it would go");
      await page.waitForSelector(".try-answer .request");
      await page.click(".try-answer .request summary");
      await shot(page, `tried-${name}`);
      assert.deepEqual({ found: await axe(page), wide: await sideways(page) }, { found: [], wide: 0 });
    });
  }
});

describe("sixty destinations", () => {
  let gateway, receiver, browser;
  before(async () => {
    receiver = new Receiver(RECEIVER);
    await receiver.start();
    receiver.answer("/down", { status: 503, body: "down for maintenance" });
    receiver.answer("/refuse", { status: 400, body: "unknown branch" });
    gateway = await new Gateway({ routes: sixty }).start();
    browser = await new Browser().start();
    for (let n = 0; n < 240; n += 1)
      await gateway.hook(["north", "south", "web"][n % 3], {
        topic: `order.${1 + (n % 6)}`,
        order: { id: `O-${n % 50}` },
      });
    await until("one is failing", async () =>
      (await gateway.api("status")).destinations.some((row) => row.state === "failing"),
    );
  });
  after(async () => {
    await browser?.close();
    await gateway?.close();
    await receiver?.stop();
  });

  for (const [name, size, scheme] of LOOKS) {
    test(`are all told apart on ${name}`, async () => {
      const page = await browser.page(gateway.admin, { size, scheme });
      await visit(page, "flow", ".picture .destinations .node");
      assert.equal(await page.locator(".destinations .node").count(), 60);
      const boxes = await page.$$eval(".destinations .node-name", (all) =>
        all.map((one) => one.getBoundingClientRect()).map(({ top, height, width }) => [top, height, width]),
      );
      assert.ok(
        boxes.every(([, height, width]) => height >= 15 && width >= 60),
        "a name is too small to be read",
      );
      assert.ok(
        boxes.every(([top], index) => index === 0 || top >= boxes[index - 1][0] + boxes[index - 1][1]),
        "names lie over one another",
      );
      await shot(page, `sixty-${name}`);
      assert.deepEqual({ found: await axe(page), wide: await sideways(page) }, { found: [], wide: 0 });
      assert.deepEqual(page.guard.words, NOTHING);
    });
  }
});
