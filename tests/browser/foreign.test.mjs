// Pages of other origins: they can neither read nor change anything, nor put the
// console into a frame.

import assert from "node:assert/strict";
import http from "node:http";
import { after, before, test } from "node:test";
import { Browser } from "./browser.mjs";
import { Shop } from "./scene.mjs";
import { BASE } from "./stage.mjs";

let stage, browser, evil;
before(async () => {
  stage = await new Shop().start();
  browser = await new Browser().start();
  await stage.gateway.hook("shop", { topic: "order.paid", order: { id: "A-1" } });
  evil = http.createServer((_, response) => {
    response.setHeader("content-type", "text/html");
    response.end("<!doctype html><title>evil</title>");
  });
  await new Promise((resolve) => evil.listen(BASE + 20, "127.0.0.1", resolve));
});
after(async () => {
  await browser?.close();
  await stage?.close();
  evil?.closeAllConnections();
  evil?.close();
});

test("a page of another origin can neither read nor change anything", async () => {
  const page = await browser.context.newPage();
  for (const origin of [`http://127.0.0.1:${BASE + 20}`, `http://localhost:${BASE + 20}`]) {
    await page.goto(origin);
    const tried = await page.evaluate(async (admin) => {
      const outcome = async (path, options) => {
        try {
          const response = await fetch(`${admin}${path}`, options);
          return response.type === "opaque" ? "opaque" : `${response.status} ${(await response.text()).length}`;
        } catch (error) {
          return error.name;
        }
      };
      const json = { "content-type": "application/json" };
      return {
        read: await outcome("/api/v1/status"),
        events: await outcome("/api/v1/events", { mode: "no-cors" }),
        live: await outcome("/api/v1/live"),
        asked: await outcome("/api/v1/destinations/archive:pause", { method: "POST", headers: json, body: "{}" }),
        simple: await outcome("/api/v1/destinations/archive:pause", {
          method: "POST",
          mode: "no-cors",
          headers: { "content-type": "text/plain" },
          body: "{}",
        }),
        empty: await outcome("/api/v1/destinations/archive:pause", { method: "POST", mode: "no-cors" }),
        drop: await outcome("/api/v1/dead:drop", { method: "POST", mode: "no-cors", body: '{"all":true}' }),
      };
    }, stage.admin);
    for (const [what, how] of Object.entries(tried))
      assert.match(how, /^(TypeError|opaque)$/, `${what} from ${origin}: ${how}`);
    // Neither can a form, which asks nobody's leave.
    await page.evaluate((admin) => {
      const form = document.createElement("form");
      Object.assign(form, {
        method: "post",
        enctype: "text/plain",
        action: `${admin}/api/v1/destinations/archive:pause`,
      });
      document.body.append(form);
      form.submit();
    }, stage.admin);
    await page.waitForURL(`${stage.admin}/**`);
    assert.match(await page.textContent("body"), /another site|Forbidden/);
    assert.notEqual((await stage.row("archive")).state, "paused");
  }
  await page.close();
});

test("a page of another origin can read neither as a script, a picture nor a style", async () => {
  const page = await browser.context.newPage();
  await page.goto(`http://127.0.0.1:${BASE + 20}`);
  const loaded = await page.evaluate(
    async (admin) => {
      const load = (tag, attribute, url) =>
        new Promise((resolve) => {
          const element = document.createElement(tag);
          element.onload = () => resolve("loaded");
          element.onerror = () => resolve("refused");
          if (tag === "link") element.rel = "stylesheet";
          element[attribute] = url;
          document.body.append(element);
        });
      return Promise.all([
        load("script", "src", `${admin}/api/v1/status`),
        load("script", "src", `${admin}/console/app.js`),
        load("img", "src", `${admin}/console/icon.svg`),
        load("link", "href", `${admin}/console/style.css`),
      ]);
    },
    stage.admin.replace("127.0.0.1", "localhost"),
  );
  assert.deepEqual(loaded, ["refused", "refused", "refused", "refused"]);
  await page.close();
});

test("the console cannot be framed", async () => {
  const page = await browser.context.newPage();
  await page.goto(`http://127.0.0.1:${BASE + 20}`);
  await page.evaluate((admin) => {
    const frame = document.createElement("iframe");
    frame.src = admin;
    document.body.append(frame);
    return new Promise((resolve) => {
      frame.onload = resolve;
    });
  }, stage.admin);
  const inside = page.frames().find((frame) => frame !== page.mainFrame());
  assert.ok(!(await inside.content()).includes("hookfan"), "the console shows in a frame");
  await page.close();
});

test("another name for the address, as after DNS rebinding, is refused", async () => {
  const answer = await new Promise((resolve, reject) => {
    http
      .get(
        { host: "127.0.0.1", port: BASE + 1, path: "/api/v1/status", headers: { host: "rebound.example:21001" } },
        (response) => resolve(response.statusCode),
      )
      .on("error", reject);
  });
  assert.equal(answer, 421);
});
