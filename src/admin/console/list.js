// A list with filters, pages and a live first page: what events and dead letters
// have in common. The filters are in the address, so that a list can be linked.

import { announce, fill, h, keyed, set } from "./dom.js";
import { problem } from "./dialog.js";
import { things } from "./format.js";
import { go } from "./router.js";
import { follow } from "./stream.js";

const PAGE = 50;
/** No sooner than this after the last look, however much happens. */
const AT_MOST_EVERY_MS = 400;

/**
 * `spec`: `path`, `title`, `lead`, `noun`, `filters` (`{name, label, kind,
 * options}`), `columns` (`{label, cell, wide}`), `load(query, page)` →
 * `{rows, next, total}`, `key(row)`, `href(row)`, `changes(status)` (a figure
 * that moves when the list may have), `bar(list)` (buttons), `empty(filtered)`.
 */
export function list(spec, route) {
  let query = route.query;
  let rows = [];
  let seen = null;
  let [asked, shown, lastAt, timer] = [0, 0, 0, null];
  let [total, next, drawn, missed] = [null, null, null, false];
  const chosen = new Set();

  const form = filterForm(
    spec,
    () => query,
    (changed) => go(spec.path, { ...changed }),
  );
  const trouble = h("div", { role: "alert" });
  const table = new Table(spec, chosen, () => around());
  const foot = h("nav", { class: "pager", "aria-label": "Pages" });
  const tools = h("div", { class: "list-bar" });
  const self = {
    get query() {
      return filtersOf(spec, query);
    },
    get chosen() {
      return [...chosen];
    },
    get rows() {
      return rows;
    },
    clear() {
      chosen.clear();
      table.draw(rows);
      around();
    },
  };

  async function refresh() {
    clearTimeout(timer);
    timer = null;
    lastAt = Date.now();
    const mine = ++asked;
    try {
      const page = await spec.load(query, PAGE);
      if (mine < shown) return;
      shown = mine;
      rows = page.rows;
      for (const id of [...chosen]) if (!rows.some((row) => spec.key(row) === id)) chosen.delete(id);
      [total, next] = [page.total ?? null, page.next ?? null];
      fill(trouble);
      table.draw(rows, query);
      around();
    } catch (error) {
      if (mine > shown) fill(trouble, problem(error));
    }
  }

  /** What stands around the rows; redrawn only where it changed, so that a button stays under its pointer. */
  function around() {
    const text = JSON.stringify([query, [...chosen], rows.length, total, next]);
    if (text === drawn) return;
    drawn = text;
    fill(tools, spec.bar(self, total));
    pages();
    if (chosen.size === 0 && missed) refresh();
    missed = false;
  }

  function pages() {
    fill(
      foot,
      query.before
        ? h("a", { class: "button", href: pageLink(null) }, "Newest")
        : h(
            "span",
            { class: "live-mark" },
            chosen.size > 0 ? "Held while some are chosen" : "Live: new ones show by themselves",
          ),
      h("span", { class: "soft" }, rows.length > 0 && `${things(rows.length, spec.noun)} on this page`),
      next !== null && h("a", { class: "button", href: pageLink(next) }, "Older"),
    );
  }

  function pageLink(before) {
    const pairs = new URLSearchParams(
      Object.entries({ ...filtersOf(spec, query), ...(before === null ? {} : { before: String(before) }) }),
    );
    return `#/${spec.path.join("/")}?${pairs}`;
  }

  const stop = follow(({ status }) => {
    form.options(status);
    const figure = spec.changes(status);
    const moved = seen !== null && seen !== figure;
    seen = figure;
    if (!moved || query.before || timer !== null) return;
    // Rows must not move away under somebody who chooses among them.
    if (chosen.size > 0) {
      missed = true;
      return;
    }
    timer = setTimeout(refresh, Math.max(0, lastAt + AT_MOST_EVERY_MS - Date.now()));
  });
  refresh();
  around();

  return {
    title: spec.title,
    root: h(
      "div",
      { class: "list" },
      h("h1", { tabindex: "-1" }, spec.title),
      h("p", { class: "lead" }, spec.lead),
      form.root,
      tools,
      trouble,
      table.root,
      foot,
    ),
    /** Another query of the same list: the form keeps its focus. */
    moved(now) {
      query = now.query;
      chosen.clear();
      form.show();
      // The links to other pages are the old query's until the answer is there.
      drawn = null;
      fill(foot);
      refresh();
      announce(`${spec.title}: filter changed`);
      return true;
    },
    close() {
      stop();
      clearTimeout(timer);
      asked = Infinity;
    },
  };
}

/** The filters of a query, without the page. */
function filtersOf(spec, query) {
  return Object.fromEntries(spec.filters.map(({ name }) => [name, query[name]]).filter(([, value]) => value));
}

/** How many there are, by asking page after page; `told` hears how far it is. */
export async function countAll(load, told, open = () => true) {
  let [n, before] = [0, undefined];
  while (open()) {
    const page = await load(before, 1000);
    n += page.n;
    if (page.next === null || page.next === undefined) return n;
    told(n);
    before = page.next;
  }
  return n;
}

/** The rows; as cards where the screen is narrow. */
class Table {
  constructor(spec, chosen, changed) {
    this.spec = spec;
    this.chosen = chosen;
    this.changed = changed;
    this.body = h("tbody", { role: "rowgroup" });
    this.empty = h("div", { class: "empty", hidden: true });
    this.all =
      spec.selectable &&
      h("input", {
        type: "checkbox",
        "aria-label": `Choose all ${spec.noun}s on this page`,
        on: { change: () => this.chooseAll() },
      });
    this.table = h(
      "table",
      { class: "rows", role: "table", "aria-label": spec.title },
      h(
        "thead",
        { role: "rowgroup" },
        h(
          "tr",
          { role: "row" },
          spec.selectable && h("th", { role: "columnheader", scope: "col", class: "pick" }, this.all),
          spec.columns.map((column) =>
            h("th", { role: "columnheader", scope: "col", class: column.class }, column.label),
          ),
        ),
      ),
      this.body,
    );
    this.root = h("div", {}, this.table, this.empty);
    this.first = true;
  }

  draw(rows, query) {
    const fresh = keyed(
      this.body,
      rows,
      this.spec.key,
      (row) => this.row(row),
      (element, row) => element.refresh(row),
    );
    if (!this.first) for (const element of fresh) element.classList.add("fresh");
    this.first = false;
    this.rows = rows;
    set(this.table, "hidden", rows.length === 0);
    set(this.empty, "hidden", rows.length > 0);
    if (rows.length === 0)
      fill(this.empty, this.spec.empty(query && Object.keys(filtersOf(this.spec, query)).length > 0));
    this.pickState();
  }

  row(first) {
    let row = first;
    const key = this.spec.key(row);
    const pick =
      this.spec.selectable &&
      h("input", {
        type: "checkbox",
        "aria-label": `Choose ${this.spec.noun} ${key}`,
        on: {
          change: () => {
            if (pick.checked) this.chosen.add(key);
            else this.chosen.delete(key);
            this.pickState();
            this.changed();
          },
        },
      });
    const element = h("tr", {
      role: "row",
      on: {
        click: (event) => {
          if (event.target.closest("a,input,button,label") || String(getSelection())) return;
          element.querySelector("a")?.click();
        },
      },
    });
    let drawn = null;
    element.refresh = (now) => {
      row = now;
      const text = JSON.stringify(now);
      if (pick) pick.checked = this.chosen.has(key);
      if (text === drawn) return;
      drawn = text;
      fill(
        element,
        pick && h("td", { role: "cell", class: "pick" }, pick),
        this.spec.columns.map((column) =>
          h("td", { role: "cell", class: column.class, "data-label": column.label }, column.cell(row)),
        ),
      );
    };
    element.refresh(row);
    return element;
  }

  chooseAll() {
    for (const row of this.rows) {
      if (this.all.checked) this.chosen.add(this.spec.key(row));
      else this.chosen.delete(this.spec.key(row));
    }
    this.draw(this.rows);
    this.changed();
  }

  pickState() {
    if (!this.all) return;
    this.all.checked = this.rows.length > 0 && this.chosen.size === this.rows.length;
    this.all.indeterminate = this.chosen.size > 0 && !this.all.checked;
  }
}

/** The form above a list; what is chosen goes into the address. */
function filterForm(spec, queryNow, changed) {
  const fields = new Map();
  const submit = (event) => {
    event?.preventDefault();
    changed(
      Object.fromEntries([...fields].map(([name, field]) => [name, field.value.trim()]).filter(([, value]) => value)),
    );
  };
  const boxes = spec.filters.map((filter) => {
    const id = `filter-${filter.name}`;
    const field =
      filter.kind === "select"
        ? h("select", { id, on: { change: submit } })
        : h("input", {
            id,
            type: "text",
            list: filter.kind === "time" ? "ages" : null,
            placeholder: filter.hint,
            autocomplete: "off",
            spellcheck: "false",
            on: { change: submit },
          });
    fields.set(filter.name, field);
    return h("div", { class: "field" }, h("label", { for: id }, filter.label), field);
  });
  const clear = h("a", { class: "button", href: `#/${spec.path.join("/")}` }, "Clear");
  let drawn = null;
  const self = {
    root: h(
      "form",
      { class: "filters", role: "search", "aria-label": `Filter ${spec.noun}s`, on: { submit } },
      boxes,
      h("div", { class: "field actions" }, h("button", { class: "button", type: "submit" }, "Filter"), clear),
      h(
        "datalist",
        { id: "ages" },
        ["5m", "15m", "1h", "6h", "24h", "7d"].map((text) => h("option", { value: text })),
      ),
    ),
    options(status) {
      const lists = spec.filters.map((filter) => (filter.kind === "select" ? filter.options(status) : null));
      const text = JSON.stringify(lists);
      if (text === drawn) return;
      drawn = text;
      spec.filters.forEach((filter, index) => {
        if (!lists[index]) return;
        const field = fields.get(filter.name);
        const now = field.value || queryNow()[filter.name] || "";
        const names = now && !lists[index].includes(now) ? [...lists[index], now] : lists[index];
        fill(
          field,
          h("option", { value: "" }, "any"),
          names.map((name) => h("option", { value: name }, name)),
        );
        field.value = now;
      });
    },
    show() {
      const query = queryNow();
      for (const [name, field] of fields) field.value = query[name] ?? "";
      set(clear, "hidden", Object.keys(filtersOf(spec, query)).length === 0);
    },
  };
  self.options({ sources: [], destinations: [] });
  self.show();
  return self;
}
