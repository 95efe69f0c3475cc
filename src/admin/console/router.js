// The address of a view is the fragment: `#/dead?destination=crm`. A page can be
// linked, the browser's back works, and the server sees nothing of it.

/** The route now: `{parts: ["dead"], query: {destination: "crm"}}`. */
export function here() {
  const text = location.hash.replace(/^#\/?/, "");
  const cut = text.indexOf("?");
  const path = cut < 0 ? text : text.slice(0, cut);
  const parts = path.split("/").filter(Boolean).map(decoded);
  return { parts, query: Object.fromEntries(new URLSearchParams(cut < 0 ? "" : text.slice(cut + 1))) };
}

/** `link(["dead"], {destination: "crm"})` as an href. */
export function link(parts, query) {
  const pairs = Object.entries(query ?? {}).filter(
    ([, value]) => value !== "" && value !== null && value !== undefined,
  );
  const tail = new URLSearchParams(pairs).toString();
  return `#/${parts.map(encodeURIComponent).join("/")}${tail ? `?${tail}` : ""}`;
}

export function go(parts, query) {
  location.hash = link(parts, query);
}

export function onMove(moved) {
  addEventListener("hashchange", moved);
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
