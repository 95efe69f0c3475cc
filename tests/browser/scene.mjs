// The shop of most tests, in the state an operator would find it at three in the
// morning: one destination refuses, one is down, one is paused.

import { DIMENSION, DIXA, RECEIVER, shop } from "./routes.mjs";
import { comment, Emulator, Gateway, Receiver, until } from "./stage.mjs";

const CUSTOMERS = ["Rina Wijaya", "Budi Santoso", "Evan Chandra", "Sari Dewi"];
const SAID = [
  "Good morning, is the blue one back?",
  "When will order A-1042 arrive?",
  "Thank you!",
  "The link does not open",
];

export class Shop {
  async start({ extra = "", secrets = {}, token } = {}) {
    this.token = token;
    this.receiver = new Receiver(RECEIVER);
    await this.receiver.start();
    this.receiver.answer("/crm", {
      status: 422,
      body: '{"error":"customer.email is not an e-mail address","field":"customer.email"}',
    });
    this.receiver.answer("/billing", {
      status: 503,
      body: "upstream connect error or disconnect/reset before headers",
    });
    this.vendors = [new Emulator("dimension", DIMENSION), new Emulator("dixa", DIXA)];
    this.gateway = new Gateway({ routes: "" });
    this.gateway.secret("api-key", "demo.key-0123456789");
    for (const [name, text] of Object.entries(secrets)) this.gateway.secret(name, text);
    this.gateway.write(shop(extra));
    await this.gateway.start();
    this.admin = this.gateway.admin;
    this.posted = 0;
    return this;
  }
  /** Customers write, orders come in, one of them is not understood by the crm. */
  async day(rounds = 12) {
    await this.gateway.api("destinations/ledger:pause", {}, this.token);
    for (let round = 0; round < rounds; round += 1) await this.round();
    await until("the crm has refused", async () => (await this.row("crm")).dead_letters > 0);
    await until("billing is failing", async () => (await this.row("billing")).state === "failing");
    await this.gateway.settled("billing", "ledger");
  }
  async round() {
    const n = (this.posted += 1);
    const name = CUSTOMERS[n % 4];
    await this.gateway.hook(
      "qiscus",
      comment({
        name,
        email: `${name.split(" ")[0].toLowerCase()}@customer.example.com`,
        room: 1375619 + (n % 4),
        text: SAID[n % 4],
      }),
    );
    await this.gateway.hook(
      "shop",
      `{"topic":"order.paid","order":{"id":"A-${1000 + n}","total":9007199254740993,"rate":1.10,"currency":"IDR"}}`,
      { "x-shop-id": `order-${n}` },
    );
    if (n % 3 === 0) await this.customer();
  }
  /** An event that the crm refuses. */
  async customer() {
    const n = (this.posted += 1);
    return this.gateway.hook(
      "shop",
      { topic: "customer.created", order: { id: `C-${n}` }, customer: { id: n, email: "nobody at example" } },
      { "x-shop-id": `customer-${n}` },
    );
  }
  async row(name) {
    return (await this.gateway.api("status", undefined, this.token)).destinations.find((row) => row.name === name);
  }
  async close() {
    await this.gateway.close();
    for (const vendor of this.vendors) await vendor.stop();
    await this.receiver.stop();
  }
}
