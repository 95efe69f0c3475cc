// What conversations and users are called over there: looked at, set, removed.

import { get, post } from "./api.js";
import { confirm, problem } from "./dialog.js";
import { fill, h, said, set } from "./dom.js";
import { pairs } from "./body.js";
import { things } from "./format.js";
import { go } from "./router.js";
import { follow } from "./stream.js";

export function linksView(route) {
  let query = route.query;
  let links = [];
  const rows = h("tbody", { role: "rowgroup" });
  const table = h(
    "table",
    { class: "rows", role: "table", "aria-label": "Links" },
    h(
      "thead",
      { role: "rowgroup" },
      h(
        "tr",
        { role: "row" },
        ["Here", "What", "There", "Destinations", "State", ""].map((text) =>
          h("th", { role: "columnheader", scope: "col" }, text || h("span", { class: "aside" }, "Actions")),
        ),
      ),
    ),
    rows,
  );
  const trouble = h("div", { role: "alert" });
  const foot = h("nav", { class: "pager", "aria-label": "Pages" });
  const destination = h("select", { id: "filter-destination", on: { change: submit } });
  const what = h(
    "select",
    { id: "filter-what", on: { change: submit } },
    h("option", { value: "" }, "any"),
    ["conversation", "user"].map((word) => h("option", { value: word }, word)),
  );
  const ours = h("input", {
    id: "filter-ours",
    type: "text",
    placeholder: "qiscus/13…",
    spellcheck: "false",
    on: { change: submit },
  });
  const form = h(
    "form",
    { class: "filters", role: "search", "aria-label": "Filter links", on: { submit } },
    field("filter-destination", "Destination", destination),
    field("filter-what", "What", what),
    field("filter-ours", "Here begins with", ours),
    h("div", { class: "field actions" }, h("button", { class: "button", type: "submit" }, "Filter")),
  );

  function submit(event) {
    event?.preventDefault();
    go(["links"], { destination: destination.value, what: what.value, ours: ours.value.trim() });
  }
  const load = async () => {
    try {
      const page = await get("links", query);
      links = page.links;
      fill(trouble);
      set(table, "hidden", links.length === 0);
      fill(rows, links.map(row));
      fill(
        foot,
        links.length === 0 ? "No link is known here." : things(links.length, "link"),
        page.next &&
          h("a", { class: "button", href: `#/links?${new URLSearchParams({ ...query, after: page.next })}` }, "More"),
      );
    } catch (error) {
      fill(trouble, problem(error));
    }
  };
  const row = (one) =>
    h(
      "tr",
      { role: "row" },
      h("td", { role: "cell", "data-label": "Here", class: "long" }, said(one.ours)),
      h("td", { role: "cell", "data-label": "What" }, one.what),
      h("td", { role: "cell", "data-label": "There", class: "long" }, said(one.id ?? "")),
      h("td", { role: "cell", "data-label": "Destinations" }, said(one.destinations.join(", "))),
      h("td", { role: "cell", "data-label": "State" }, one.standing),
      h(
        "td",
        { role: "cell", "data-label": "", class: "tight" },
        h(
          "button",
          {
            class: "button small",
            type: "button",
            disabled: one.destinations.length === 0,
            "aria-label": `Remove the link of ${one.ours}`,
            on: { click: () => remove(one) },
          },
          "Remove…",
        ),
      ),
    );
  const remove = (one) =>
    confirm({
      title: "Remove this link?",
      action: "Remove 1 link",
      tone: "danger",
      body: h(
        "div",
        {},
        pairs([
          ["here", one.ours],
          ["there", one.id],
          ["destinations", one.destinations.join(", ")],
        ]),
        h("p", { class: "soft" }, "The next event of it is looked up, or made, over there anew."),
      ),
      run: async () => {
        await post("links:remove", { links: [{ destination: one.destinations[0], ours: one.ours, what: one.what }] });
        load();
      },
    });
  const add = () => {
    const to = h(
      "select",
      { id: "link-destination" },
      [...destination.options]
        .filter((option) => option.value)
        .map((option) => h("option", { value: option.value }, option.value)),
    );
    const kind = h(
      "select",
      { id: "link-what" },
      ["conversation", "user"].map((word) => h("option", { value: word }, word)),
    );
    const mine = h("input", {
      id: "link-ours",
      type: "text",
      required: true,
      placeholder: "qiscus/1375619",
      spellcheck: "false",
    });
    const theirs = h("input", { id: "link-id", type: "text", required: true, spellcheck: "false" });
    return confirm({
      title: "Set a link",
      action: "Set 1 link",
      body: h(
        "div",
        { class: "stack" },
        field("link-what", "What", kind),
        field("link-ours", "Here: source/id", mine),
        field("link-destination", "Destination", to),
        field("link-id", "There: its id", theirs),
        h("p", { class: "soft" }, "It takes the place of what was known before."),
      ),
      run: async () => {
        await post("links:set", {
          links: [{ destination: to.value, ours: mine.value.trim(), id: theirs.value.trim(), what: kind.value }],
        });
        load();
      },
    });
  };
  const show = () => {
    destination.value = query.destination ?? "";
    what.value = query.what ?? "";
    ours.value = query.ours ?? "";
  };
  let known = null;
  const stop = follow(({ status }) => {
    const names = status.destinations.map((one) => one.name);
    if (known === names.join("\n")) return;
    known = names.join("\n");
    fill(
      destination,
      h("option", { value: "" }, "any"),
      names.map((name) => h("option", { value: name }, name)),
    );
    show();
  });
  show();
  load();
  return {
    title: "Links",
    root: h(
      "div",
      {},
      h(
        "div",
        { class: "head" },
        h(
          "div",
          {},
          h("h1", { tabindex: "-1" }, "Links"),
          h("p", { class: "lead" }, "What conversations and users here are called over there."),
        ),
        h(
          "div",
          { class: "head-actions" },
          h("button", { class: "button", type: "button", on: { click: add } }, "Set a link…"),
        ),
      ),
      form,
      trouble,
      table,
      foot,
    ),
    moved(next) {
      query = next.query;
      show();
      load();
      return true;
    },
    close: stop,
  };
}

function field(id, label, input) {
  return h("div", { class: "field" }, h("label", { for: id }, label), input);
}
