// The console: puts the view of the address on the page, follows the stream, and
// says so when what is shown is no longer how it is.

import { whenTokenIsNeeded } from "./api.js";
import { deadView } from "./dead.js";
import { destinationView } from "./destination.js";
import { destinationsView } from "./destinations.js";
import { askToken, problem } from "./dialog.js";
import { fill, h, set } from "./dom.js";
import { eventView } from "./event.js";
import { eventsView } from "./events.js";
import { flowView } from "./flow.js";
import { local, short } from "./format.js";
import { jobsView, poll, tray, watch } from "./jobs.js";
import { help, listen } from "./keys.js";
import { letterView } from "./letter.js";
import { linksView } from "./links.js";
import { here, onMove } from "./router.js";
import { routesView } from "./routes.js";
import { shape } from "./shape.js";
import { follow, start, watchStream } from "./stream.js";
import { themeSwitch } from "./theme.js";

/** The first part of the address: the list, and one thing of it. */
const VIEWS = {
  flow: [flowView],
  events: [eventsView, eventView],
  dead: [deadView, letterView],
  destinations: [destinationsView, destinationView],
  routes: [routesView],
  links: [linksView],
  jobs: [jobsView],
};

const page = (id) => document.getElementById(id);
let view = null;
let place = "";

function show() {
  const route = here();
  const [name = "flow", thing] = route.parts;
  const views = VIEWS[name];
  const now = `${name}/${thing ?? ""}`;
  if (view && now === place && view.moved?.(route)) return;
  view?.close?.();
  const first = place === "";
  place = now;
  const make = thing === undefined ? views?.[0] : views?.[1];
  try {
    view = make ? make(route) : nowhere();
  } catch (error) {
    view = { title: "Error", root: h("div", {}, h("h1", { tabindex: "-1" }, "This view failed"), problem(error)) };
  }
  fill(page("main"), view.root);
  document.title = `${view.title} · hookfan`;
  for (const link of document.querySelectorAll("#nav a"))
    set(link, "aria-current", link.dataset.view === name ? "page" : null);
  if (first) return;
  scrollTo(0, 0);
  view.root.querySelector("h1")?.focus({ preventScroll: true });
}

function nowhere() {
  return {
    title: "Nowhere",
    root: h(
      "div",
      {},
      h("h1", { tabindex: "-1" }, "There is no such page"),
      h("p", {}, h("a", { href: "#/flow" }, "To the flow")),
    ),
  };
}

/** The bar on top: how fresh it is, and how much is dead. */
function bar({ status, lostSince, why }) {
  const mark = page("live");
  const lost = lostSince !== null;
  set(mark, "data-state", lost ? "lost" : "live");
  fill(mark, shape(lost ? "fail" : "ok"), lost ? "not live" : "live");
  const banner = page("stale");
  set(banner, "hidden", !lost);
  set(document.body, "data-stale", lost ? "yes" : null);
  const text = lost ? `What you see is from ${local(new Date(lostSince))}. ${why ?? ""} Trying again.` : "";
  if (banner.textContent !== text) fill(banner, text);
  if (!status) return;
  const dead = status.destinations.reduce((sum, row) => sum + row.dead_letters, 0);
  const badge = page("dead-count");
  set(badge, "hidden", dead === 0);
  const figure = dead > 0 ? short(dead) : "";
  if (badge.textContent !== figure) badge.textContent = figure;
  set(badge, "title", `${dead} dead letters`);
  if (page("version").textContent === "") page("version").textContent = status.version;
}

whenTokenIsNeeded(askToken);
themeSwitch(page("theme"));
page("keys").addEventListener("click", help);
listen();
tray(page("jobs"));
watchStream(bar);
follow(watch);
onMove(show);
// The picture needs the first word of the stream; nothing else waits for it.
show();
start();
poll();
