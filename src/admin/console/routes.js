// The routing file as it is in force, what `check` says about the one on the
// disk, each route with its rate, and a box to try a webhook without sending it.

import { get, post } from "./api.js";
import { confirm, notice, problem } from "./dialog.js";
import { announce, fill, h, keyed, said, set } from "./dom.js";
import { count, rate, things, when } from "./format.js";
import { tryBox } from "./paste.js";
import { link } from "./router.js";
import { shape } from "./shape.js";
import { follow, live } from "./stream.js";
import { coloured } from "./toml.js";

export function routesView(route) {
  const files = h("div", { class: "files" }, h("p", { class: "soft", role: "status" }, "Loading…"));
  const checked = h("div", { role: "status" });
  const rows = h("ul", { class: "route-rows" });
  const box = tryBox();
  const about = h("span", {}, "");
  let config = null;
  let complaints = [];

  const draw = () =>
    config &&
    fill(
      files,
      config.files.map((file) =>
        fileView(
          file,
          complaints.filter((one) => sameFile(one.file, file.file)),
        ),
      ),
    );
  const check = async () => {
    fill(checked, h("p", { class: "soft" }, "Checking the files on the disk…"));
    try {
      complaints = (await post("check", {})).complaints;
      fill(checked, verdict(complaints, config));
      announce(checked.textContent);
      draw();
    } catch (error) {
      fill(checked, problem(error));
    }
  };
  const load = async () => {
    try {
      config = await get("config");
      fill(about, "in force since ", when(config.applied_at), " · ", h("code", {}, config.hash));
      draw();
      await check();
      if (route.query.route) show(route.query.route);
    } catch (error) {
      fill(files, problem(error));
    }
  };
  const show = (name) => {
    const found = live.status?.routes?.find((one) => one.name === name);
    if (found?.line) mark(files, found.line, found.file);
  };
  const reload = () =>
    confirm({
      title: "Reload the file?",
      action: "Reload",
      body: h(
        "p",
        {},
        "The files on the disk take the place of what is in force, whole; if anything is wrong with them, nothing changes and the complaints are shown.",
      ),
      run: async () => {
        try {
          await post("reload", {});
          notice("The file on the disk is in force.");
          await load();
        } catch (error) {
          if (!error.body?.complaints) throw error;
          complaints = error.body.complaints;
          fill(checked, verdict(complaints, config));
          draw();
          throw new Error(
            `Nothing changed: ${things(complaints.length, "complaint")}. They are drawn in the file below.`,
          );
        }
      },
    });
  const stop = follow(({ status }) => {
    const all = status.routes ?? [];
    const most = Math.max(0.1, ...all.map((one) => one.rate ?? 0));
    keyed(
      rows,
      all,
      (one) => one.name,
      () => h("li", { class: "route-row" }),
    );
    all.forEach((one, index) => routeRow(rows.children[index], one, most, show));
    box.sources(status.sources.map((one) => one.name));
    if (config && status.config_hash !== config.hash) {
      config.hash = status.config_hash;
      load();
    }
  });
  load();
  return {
    title: "Routes",
    root: h(
      "div",
      { class: "routes-page" },
      h(
        "div",
        { class: "head" },
        h("div", {}, h("h1", { tabindex: "-1" }, "Routes"), h("p", { class: "lead" }, about)),
        h(
          "div",
          { class: "head-actions" },
          h("button", { class: "button", type: "button", on: { click: check } }, "Check again"),
          h("button", { class: "button", type: "button", on: { click: reload } }, "Reload…"),
        ),
      ),
      checked,
      h("section", { class: "card" }, h("h2", {}, "Where would it go?"), box.root),
      h("section", { class: "card" }, h("h2", {}, "The routes, in the order of the file"), rows),
      h("section", {}, h("h2", {}, "The file as in force"), files),
    ),
    moved(next) {
      show(next.query.route);
      return true;
    },
    close: stop,
  };
}

/** What `check` amounts to. */
function verdict(complaints) {
  const errors = complaints.filter((one) => one.severity === "error").length;
  const warnings = complaints.length - errors;
  if (complaints.length === 0)
    return h("p", { class: "calm" }, shape("ok"), "The files on the disk are right, every word of them.");
  return h(
    "div",
    {},
    h(
      "p",
      { class: errors ? "problem" : "advice" },
      shape(errors ? "fail" : "wait"),
      h(
        "span",
        {},
        h(
          "b",
          {},
          [errors && things(errors, "error"), warnings && things(warnings, "warning")].filter(Boolean).join(" and "),
        ),
        " in the files on the disk.",
        errors > 0 && " A reload would be refused; what is in force goes on.",
      ),
    ),
    h(
      "ul",
      { class: "complaint-list" },
      complaints.map((one) => h("li", {}, complaint(one, true))),
    ),
  );
}

/** One complaint, as it is drawn below its line. */
function complaint(one, placed) {
  return h(
    "div",
    { class: `complaint ${one.severity === "error" ? "tone-bad" : "tone-wait"}` },
    shape(one.severity === "error" ? "fail" : "wait"),
    h(
      "div",
      {},
      h(
        "p",
        {},
        placed && h("span", { class: "soft" }, `line ${count(one.line)}: `),
        h("span", { class: "ink" }, said(one.message)),
      ),
      one.help && h("p", { class: "soft" }, said(one.help)),
    ),
  );
}

function sameFile(a, b) {
  return a === b || a.split("/").pop() === b.split("/").pop();
}

/** A file with its lines numbered and its complaints below their lines. */
function fileView({ file, text }, complaints) {
  const lines = text.replace(/\n$/, "").split("\n");
  return h(
    "figure",
    { class: "file" },
    h("figcaption", {}, h("code", {}, said(file)), h("span", { class: "soft" }, ` ${things(lines.length, "line")}`)),
    h(
      "div",
      { class: "code numbered", tabindex: "0", role: "region", "aria-label": `The file ${file}` },
      lines.map((line, index) => {
        const here = complaints.filter((one) => one.line === index + 1);
        return [
          h(
            "div",
            { class: here.length ? "code-line marked" : "code-line", "data-line": index + 1, "data-file": file },
            h("span", { class: "line-number", "aria-hidden": "true" }, String(index + 1)),
            h("span", { class: "line-text" }, coloured(line), line === "" && " "),
          ),
          here.map((one) =>
            h(
              "div",
              { class: "line-complaint" },
              h(
                "span",
                { class: "caret", style: { "--column": String(Math.max(0, one.column - 1)) }, "aria-hidden": "true" },
                "▲",
              ),
              complaint(one, false),
            ),
          ),
        ];
      }),
    ),
  );
}

/** Brings a line into view. */
function mark(files, line, file) {
  for (const old of files.querySelectorAll(".pointed")) old.classList.remove("pointed");
  const found = [...files.querySelectorAll(`[data-line="${Number(line)}"]`)];
  const element = found.find((one) => file && sameFile(one.dataset.file, file)) ?? found[0];
  if (!element) return;
  element.classList.add("pointed");
  element.scrollIntoView({
    block: "center",
    behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth",
  });
}

function routeRow(element, one, most, show) {
  const text = JSON.stringify([one.rate, one.matched, one.from, one.on, one.when, one.to, one.action, one.line]);
  if (element.drawn === text) return;
  element.drawn = text;
  fill(
    element,
    h(
      "div",
      { class: "route-name" },
      one.line
        ? h(
            "a",
            {
              href: link(["routes"], { route: one.name }),
              on: { click: () => show(one.name) },
              title: `line ${one.line} of the file`,
            },
            said(one.name),
          )
        : h("b", {}, said(one.name)),
      one.line && h("span", { class: "soft" }, ` line ${one.line}`),
    ),
    h(
      "div",
      { class: "route-clauses" },
      h("span", {}, h("span", { class: "soft" }, "from "), one.from.length ? one.from.join(", ") : "every source"),
      one.on.length > 0 && h("span", {}, h("span", { class: "soft" }, " on "), h("code", {}, said(one.on.join(", ")))),
      one.when && h("span", {}, h("span", { class: "soft" }, " when "), h("code", {}, said(one.when))),
      h(
        "span",
        {},
        h("span", { class: "soft" }, " to "),
        one.to.map((name, index) => [index > 0 && ", ", h("a", { href: link(["destinations", name]) }, said(name))]),
      ),
      one.action && one.action !== "message" && h("span", { class: "chip" }, one.action),
    ),
    h(
      "div",
      { class: "route-rate" },
      h("meter", { min: 0, max: most, value: one.rate ?? 0, "aria-label": `Rate of ${one.name}` }),
      h("b", {}, rate(one.rate)),
      h("span", { class: "soft" }, ` ${count(one.matched)} matched`),
    ),
  );
  const meter = element.querySelector("meter");
  set(meter, "max", String(most));
}
