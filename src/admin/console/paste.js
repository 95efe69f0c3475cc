// A box to paste a webhook into: where it would go, each clause with the values
// it looked at, and as what request. Nothing is stored or sent.

import { post, queryText } from "./api.js";
import { problem } from "./dialog.js";
import { announce, fill, h } from "./dom.js";
import { explained } from "./explain.js";

/** `{root, sources(names)}`. */
export function tryBox() {
  const source = h("select", { id: "try-source" });
  const head = h("textarea", {
    id: "try-headers",
    rows: "2",
    spellcheck: "false",
    placeholder: "X-Shop-Topic: order.paid",
  });
  const body = h("textarea", {
    id: "try-body",
    rows: "8",
    spellcheck: "false",
    class: "mono",
    placeholder: '{\n  "type": "post_comment_mobile", …\n}',
  });
  const answer = h("div", {
    class: "try-answer",
    role: "region",
    "aria-label": "Where it would go",
  });
  const root = h(
    "form",
    {
      class: "try",
      on: {
        submit: async (event) => {
          event.preventDefault();
          fill(answer, h("p", { class: "soft" }, "Asking…"));
          try {
            const result = await post(`explain${queryText({ source: source.value })}`, undefined, {
              body: body.value,
              headers: explainHeaders(head.value),
            });
            fill(answer, explained(result, true));
            announce([...answer.querySelectorAll("h3")].map((title) => title.textContent).join(". "));
          } catch (error) {
            fill(answer, h("div", { role: "alert" }, problem(error)));
          }
        },
      },
    },
    h(
      "p",
      { class: "soft" },
      "Paste a webhook. It is read by the rules in force; nothing is stored, nothing is sent, and no signature is needed.",
    ),
    h(
      "div",
      { class: "try-form" },
      h("div", { class: "field" }, h("label", { for: "try-source" }, "Source"), source),
      h("div", { class: "field" }, h("label", { for: "try-headers" }, "Headers, one a line, if it needs any"), head),
      h("div", { class: "field wide" }, h("label", { for: "try-body" }, "Body"), body),
    ),
    h("div", {}, h("button", { class: "button accent", type: "submit" }, "Show where it would go")),
    answer,
  );
  let known = "";
  return {
    root,
    sources(names) {
      if (known === names.join("\n")) return;
      known = names.join("\n");
      const now = source.value;
      fill(
        source,
        names.map((name) => h("option", { value: name }, name)),
      );
      if (names.includes(now)) source.value = now;
    },
  };
}

/** `Name: value` lines as the headers that `explain` reads. */
function explainHeaders(text) {
  const found = { "content-type": "application/json" };
  for (const [index, line] of text.split("\n").entries()) {
    if (line.trim() === "") continue;
    const cut = line.indexOf(":");
    const name = cut > 0 ? line.slice(0, cut).trim().toLowerCase() : "";
    if (!/^[a-z0-9!#$%&'*+.^_`|~-]+$/.test(name))
      throw new Error(`Line ${index + 1} of the headers is not of the form Name: value.`);
    if (/[^\t\x20-\x7e\x80-\xff]/.test(line))
      throw new Error(`Line ${index + 1} has a letter that no header can carry.`);
    found[name === "content-type" ? name : `x-explain-${name}`] = line.slice(cut + 1).trim();
  }
  return found;
}
