// Bulk work that runs inside the gateway: started here, followed here, and found
// here again by a page that is opened later.

import { get, post, segment } from "./api.js";
import { announce, fill, h, keyed, said, set } from "./dom.js";
import { notice, problem, tried } from "./dialog.js";
import { age, count, things, when } from "./format.js";
import { shape } from "./shape.js";
import { live } from "./stream.js";

const EVERY_MS = 700;
const WHAT = {
  "dead:retry": { title: "Retry dead letters", done: (n) => `${things(n, "dead letter")} retried.` },
  "dead:drop": { title: "Drop dead letters", done: (n) => `${things(n, "dead letter")} dropped.` },
  replay: { title: "Replay events", done: (n) => `${things(n, "copy", "copies")} owed anew.` },
};

let known = [];
let timer = null;
let failing = false;
const listeners = new Set();

/** Starts a job; throws what the API refuses. */
export async function begin(what, selection) {
  const { job } = await post("jobs", { what, ...selection });
  known = [job, ...known.filter((one) => one.id !== job.id)];
  changed();
  poll();
  return job;
}

/** Looks for jobs now, and again for as long as one runs. */
export async function poll() {
  clearTimeout(timer);
  timer = null;
  try {
    const before = new Map(known.map((job) => [job.id, job.state]));
    ({ jobs: known } = await get("jobs"));
    for (const job of known) {
      if (before.get(job.id) === "running" && job.state !== "running") ended(job);
    }
    changed();
    failing = false;
  } catch (error) {
    // The stream says that the gateway is gone; another error is said once.
    if (error.status !== 0 && !failing) notice(`Jobs: ${error.message}`, { tone: "bad" });
    failing = true;
  }
  if (known.some((job) => job.state === "running")) timer ??= setTimeout(poll, EVERY_MS);
}

/** The stream tells how many run; one that this page does not know of was started elsewhere. */
export function watch() {
  const mine = known.filter((job) => job.state === "running").length;
  if ((live.status?.jobs ?? 0) > 0 && mine === 0 && timer === null) poll();
}

/** Calls `told(jobs)` now and at each change; returns how to stop. */
function onJobs(told) {
  listeners.add(told);
  told(known);
  return () => listeners.delete(told);
}

function changed() {
  for (const told of [...listeners]) told(known);
}

function ended(job) {
  const text =
    job.state === "done"
      ? (WHAT[job.what]?.done(job.done) ?? `${job.what}: done.`)
      : `${title(job)}: ${job.state}. ${job.error ?? ""}`;
  announce(text);
  notice(text, { tone: job.state === "failed" ? "bad" : "ok" });
}

function title(job) {
  return WHAT[job.what]?.title ?? job.what;
}

/** The running jobs, in the corner of every page. */
export function tray(root) {
  onJobs((jobs) => {
    const running = jobs.filter((job) => job.state === "running");
    set(root, "hidden", running.length === 0);
    keyed(
      root,
      running,
      (job) => job.id,
      card,
      (element, job) => element.refresh(job),
    );
  });
}

/** A button that stops a job after the step it is in. */
function stopper(job, text) {
  const click = () =>
    tried(async () => {
      await post(`jobs/${segment(job.id)}:stop`, {});
      poll();
    });
  return h("button", { class: "button small", type: "button", on: { click } }, text);
}

/** One job: what, how far, and how to stop it. */
function card(job) {
  const figure = h("span", { class: "job-figure" });
  const bar = h("progress", { max: 1, "aria-label": title(job) });
  const stop = stopper(job, "Stop");
  const element = h(
    "div",
    { class: "job" },
    h("div", { class: "job-head" }, h("b", {}, title(job)), figure),
    bar,
    h("div", { class: "job-head" }, h("span", { class: "soft" }, chosen(job.selection)), stop),
  );
  element.refresh = (now) => {
    fill(figure, now.total === null ? `${count(now.done)} done` : `${count(now.done)} of ${count(now.total)}`);
    if (now.total) bar.value = (now.done + now.skipped) / now.total;
    else bar.removeAttribute("value");
  };
  element.refresh(job);
  return element;
}

/** The filter or the ids of a selection, in words. */
function chosen(selection) {
  const parts = Object.entries(selection ?? {}).filter(([name]) => !["what", "all", "ids"].includes(name));
  const ids = selection?.ids ? [`${things(selection.ids.length, "chosen one")}`] : [];
  const all = selection?.all && parts.length === 0 ? ["all there are"] : [];
  return [
    ...ids,
    ...all,
    ...parts.map(([name, value]) => `${name} = ${Array.isArray(value) ? value.join(", ") : value}`),
  ].join(" · ");
}

/** The view of all jobs that are remembered. */
export function jobsView() {
  const rows = h("div", { class: "stack" });
  const trouble = h("div", { role: "alert" });
  const stop = onJobs((jobs) => {
    fill(
      rows,
      jobs.length === 0
        ? h(
            "p",
            { class: "empty" },
            "No bulk work has been done since the gateway started. Retry, drop and replay from the lists of dead letters and events.",
          )
        : jobs.map(row),
    );
  });
  get("jobs")
    .then(({ jobs }) => {
      known = jobs;
      changed();
      poll();
    })
    .catch((error) => fill(trouble, problem(error)));
  return {
    title: "Jobs",
    root: h(
      "div",
      {},
      h("h1", { tabindex: "-1" }, "Jobs"),
      h(
        "p",
        { class: "lead" },
        "Bulk work runs inside the gateway and goes on when this page is closed. The last fifty are remembered.",
      ),
      trouble,
      rows,
    ),
    close: stop,
  };
}

function row(job) {
  const looks = {
    running: ["wait", "wait"],
    done: ["yes", "ok"],
    failed: ["fail", "bad"],
    stopped: ["pause", "pause"],
  }[job.state] ?? ["wait", "wait"];
  const share = job.total ? Math.min(1, (job.done + job.skipped) / job.total) : null;
  const seconds = job.ended_at ? (new Date(job.ended_at) - new Date(job.started_at)) / 1000 : null;
  return h(
    "article",
    { class: "card job-row" },
    h(
      "div",
      { class: "job-head" },
      h("h2", {}, title(job)),
      h("span", { class: `state tone-${looks[1]}` }, shape(looks[0]), job.state),
    ),
    h("p", {}, said(chosen(job.selection))),
    job.state === "running" &&
      (share === null
        ? h("progress", { "aria-label": "How far" })
        : h("progress", { value: share, max: 1, "aria-label": "How far" })),
    h(
      "p",
      { class: "soft" },
      `${count(job.done)}${job.total === null ? "" : ` of ${count(job.total)}`} done`,
      job.skipped > 0 && `, ${count(job.skipped)} skipped`,
      " · started ",
      when(job.started_at),
      seconds !== null && ` · took ${seconds < 1 ? "under a second" : age(seconds)}`,
    ),
    job.error && h("p", { class: "problem" }, shape("fail"), said(job.error)),
    job.state === "running" && stopper(job, "Stop after this step"),
  );
}
