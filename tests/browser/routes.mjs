// Routing files for the stage: a believable shop with its troubles, and one of
// sixty destinations.

import { BASE } from "./stage.mjs";

export const RECEIVER = BASE + 2;
export const DIMENSION = BASE + 3;
export const DIXA = BASE + 4;
/** Nobody listens here. */
export const NOBODY = BASE + 9;

const http = (name, path, more = "") => `[destination.${name}]
kind          = "http"
url           = "http://127.0.0.1:${RECEIVER}${path}"
allow_private = true
${more}
`;

/** A chat platform and a shop; two vendors; some that are not well. */
export const shop =
  (extra = "") =>
  (gateway) => `# What the shop hears, and who is told.

${gateway.head(extra)}
# ---------------------------------------------------------------- who sends

[source.qiscus]
kind   = "qiscus"
auth   = "none"                        # loopback only: this is a test
agents = ["agent.*@shop.example.com"]

[source.shop]
kind = "generic"
auth = "none"
type = [{ header = "X-Shop-Topic" }, { body = "topic" }]
id   = [{ header = "X-Shop-Id" }]
key  = [{ body = "order.id" }]
unreadable = "keep"

# -------------------------------------------------------------- who listens

[destination.analytics]
kind          = "dimension"
base_url      = "http://127.0.0.1:${DIMENSION}"
api_key       = { file = "api-key" }
allow_private = true

[destination.helpdesk]
kind          = "dixa"
base_url      = "http://127.0.0.1:${DIXA}/beta"
api_key       = { file = "api-key" }
agent_id      = "0e0d1ead-dc69-470a-9b3a-e7eb16a56453"
burst         = 2
allow_private = true

${http(
  "warehouse",
  "/warehouse",
  `[destination.warehouse.body]
topic = "{{ event.type }}"
raw   = "{{ payload }}"
`,
)}
${http("archive", "/archive")}
${http("crm", "/crm")}
${http(
  "billing",
  "/billing",
  `retry   = { delays = ["1s", "2s", "5s"], for = "76h" }
breaker = { failures = 3, probe_every = "5s" }
`,
)}
${http("ledger", "/ledger")}
# ------------------------------------------------------------ what goes where

[[route]]
name = "what is said, counted"
from = "qiscus"
on   = "post_comment_*"
to   = "analytics"

[[route]]
name = "what customers say"
from = "qiscus"
on   = ["post_comment_mobile", "post_comment_rest"]
when = "message.direction == 'incoming' and message.kind == 'text'"
to   = "helpdesk"

[[route]]
name = "orders"
from = "shop"
on   = "order.*"
to   = ["warehouse", "billing", "ledger"]

[[route]]
name = "customers"
from = "shop"
on   = "customer.*"
to   = "crm"

[[route]]
name = "everything"
to   = "archive"
`;

/** Sixty destinations behind six routes. */
export const sixty = (gateway) => {
  const names = Array.from({ length: 60 }, (_, index) => `branch_${String(index + 1).padStart(2, "0")}`);
  const group = (index) =>
    names
      .filter((_, at) => at % 6 === index)
      .map((name) => `"${name}"`)
      .join(", ");
  return `# Sixty branches.

${gateway.head()}
${["north", "south", "web"].map((name) => `[source.${name}]\nkind = "generic"\nauth = "none"\ntype = [{ body = "topic" }]\nkey  = [{ body = "order.id" }]\n`).join("\n")}
${names.map((name, index) => http(name, index % 17 === 3 ? "/down" : index % 23 === 7 ? "/refuse" : `/${name}`, index === 30 ? "paused = true" : `retry   = { delays = ["5s"], for = "76h" }\nbreaker = { failures = 5, probe_every = "30s" }`)).join("\n")}
${[0, 1, 2, 3, 4, 5].map((index) => `[[route]]\nname = "region ${index + 1}"\non   = "order.${index + 1}*"\nto   = [${group(index)}]\n`).join("\n")}`;
};
