// Small charts in SVG: what happened over the last hour. Each says in words what
// it shows, and all of them can be read as a table.

import { fill, h, s } from "./dom.js";
import { local } from "./format.js";

const [W, H] = [300, 72];

/**
 * One chart. `series`: `{name, tone, values, area}` with null where nothing was;
 * `times`: a Date for each value; `unit(value)` as text.
 */
export function chart({ title, series, times, unit }) {
  const all = series.flatMap((one) => one.values).filter((value) => value !== null);
  const most = Math.max(0, ...all);
  const top = nice(most);
  const x = (index) => (times.length < 2 ? W : (index / (times.length - 1)) * W);
  const y = (value) => H - 1 - (value / top) * (H - 6);
  const reading = h("p", { class: "chart-reading" });
  const cursor = s("path", { class: "chart-cursor", d: "", "vector-effect": "non-scaling-stroke" });
  const rest = () =>
    fill(
      reading,
      series.map((one) => key(one, lastOf(one.values))),
    );
  const key = (one, value) =>
    h(
      "span",
      { class: `tone-${one.tone}` },
      h("span", { class: `swatch ${one.dash ? "dashed" : ""}` }),
      h("span", { class: "ink" }, `${one.name} `),
      h("b", { class: "ink" }, value === null || value === undefined ? "–" : unit(value)),
    );
  rest();
  const svg = s(
    "svg",
    {
      viewBox: `0 0 ${W} ${H}`,
      preserveAspectRatio: "none",
      class: "chart-svg",
      role: "img",
      "aria-label": summary(title, series, unit),
    },
    [0.5, 1].map((part) =>
      s("path", {
        class: "chart-grid",
        d: `M0 ${y(top * part).toFixed(1)}H${W}`,
        "vector-effect": "non-scaling-stroke",
      }),
    ),
    s("path", { class: "chart-base", d: `M0 ${H - 1}H${W}`, "vector-effect": "non-scaling-stroke" }),
    series.map((one) => {
      const runs = unbroken(one.values);
      const lines = runs
        .map(
          (run) =>
            run.map(([index, value], at) => `${at ? "L" : "M"}${x(index).toFixed(1)} ${y(value).toFixed(1)}`).join("") +
            (run.length === 1 ? "h0.01" : ""),
        )
        .join("");
      const area =
        one.area &&
        runs
          .map(
            (run) =>
              `M${x(run[0][0]).toFixed(1)} ${H - 1}${run.map(([index, value]) => `L${x(index).toFixed(1)} ${y(value).toFixed(1)}`).join("")}L${x(run.at(-1)[0]).toFixed(1)} ${H - 1}z`,
          )
          .join("");
      return [
        area && s("path", { class: `chart-area tone-${one.tone}`, d: area }),
        s("path", {
          class: `chart-line tone-${one.tone}`,
          d: lines,
          "stroke-dasharray": one.dash,
          "vector-effect": "non-scaling-stroke",
        }),
      ];
    }),
    cursor,
  );
  const figure = h(
    "figure",
    { class: "chart" },
    h("figcaption", {}, h("h3", {}, title), reading),
    h("div", { class: "chart-plot" }, svg, h("span", { class: "chart-top", "aria-hidden": "true" }, unit(top))),
    h(
      "div",
      { class: "chart-times soft", "aria-hidden": "true" },
      h("span", {}, times.length ? local(times[0]) : ""),
      h("span", {}, "now"),
    ),
  );
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const index = Math.round(((event.clientX - box.left) / box.width) * (times.length - 1));
    if (!times[index]) return;
    cursor.setAttribute("d", `M${x(index).toFixed(1)} 0V${H}`);
    fill(
      reading,
      h("b", {}, local(times[index])),
      " ",
      series.map((one) => key(one, one.values[index])),
    );
  });
  svg.addEventListener("pointerleave", () => {
    cursor.setAttribute("d", "");
    rest();
  });
  return figure;
}

/** In words: now, and at most. */
function summary(title, series, unit) {
  return `${title} over the last hour. ${series
    .map((one) => {
      const known = one.values.filter((value) => value !== null);
      if (known.length === 0) return `${one.name}: nothing happened`;
      return `${one.name}: now ${one.values.at(-1) === null ? "nothing" : unit(one.values.at(-1))}, at most ${unit(Math.max(...known))}`;
    })
    .join("; ")}.`;
}

function lastOf(values) {
  return values.findLast((value) => value !== null) ?? null;
}

/** Runs of `[index, value]` between gaps. */
function unbroken(values) {
  const runs = [];
  values.forEach((value, index) => {
    if (value === null) return;
    if (index > 0 && values[index - 1] !== null && runs.length) runs.at(-1).push([index, value]);
    else runs.push([[index, value]]);
  });
  return runs;
}

/** The next 1, 2 or 5 of a power of ten. */
function nice(value) {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((by) => by * power).find((top) => top >= value);
}

/** The same figures as rows, newest first, every so many samples. */
export function chartTable(columns, rows) {
  return h(
    "table",
    { class: "figures-table" },
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        columns.map((name) => h("th", { scope: "col" }, name)),
      ),
    ),
    h(
      "tbody",
      {},
      rows.map((row) =>
        h(
          "tr",
          {},
          row.map((cell, index) => (index === 0 ? h("th", { scope: "row" }, cell) : h("td", {}, cell))),
        ),
      ),
    ),
  );
}
