// Makes one SDK for Node send: calls.mjs MODULES PACKAGE URL KEY SCENE; prints what the SDK said, as JSON.
import { createRequire } from "node:module";

const [modules, name, url, key, scene] = process.argv.slice(2);
const require = createRequire(`${modules}/package.json`);
const said = [];
const raised = [];
// RudderStack's SDK ends its whole process when a flush of its own fails, unless somebody listens.
process.on("unhandledRejection", (error) => said.push(String(error.message)));

function deep(levels) {
  let value = {};
  for (let level = 0; level < levels; level += 1) value = { a: value };
  return value;
}

const at = new Date("2026-03-02T08:00:00Z");
const scenes = {
  all: [
    ["identify", { userId: "u1", traits: { plan: "pro" } }],
    ["track", { userId: "u1", event: "Order Completed", properties: { price: 9.5 }, timestamp: at }],
    ["page", { userId: "u1", category: "Docs", name: "Home", properties: { path: "/" } }],
    ["screen", { userId: "u1", category: "App", name: "Start", properties: { tab: 1 } }],
    ["group", { userId: "u1", groupId: "g1", traits: { size: 3 } }],
    ["alias", { userId: "u1", previousId: "u0" }],
  ],
  bad: ["first", "deep", "last"].map((event) => [
    "track",
    { userId: "u1", event, properties: event === "deep" ? deep(150) : {} },
  ]),
  large: ["first", "large", "last"].map((event) => [
    "track",
    { userId: "u1", event, properties: { text: event === "large" ? "x".repeat(40000) : "" } },
  ]),
  one: [["track", { userId: "u1", event: "only", properties: {} }]],
};

function called(client, extra = []) {
  for (const [call, body] of scenes[scene]) {
    try {
      client[call](body, ...extra);
    } catch (error) {
      raised.push(String(error));
    }
  }
}

if (name === "@segment/analytics-node") {
  const { Analytics } = require(name);
  const client = new Analytics({ writeKey: key, host: url, maxRetries: 3, flushInterval: 200 });
  client.on("error", (error) => said.push(String(error.reason?.message ?? error.code)));
  called(client);
  await client.closeAndFlush();
} else {
  const RudderAnalytics = require(name);
  const client = new RudderAnalytics(key, { dataPlaneUrl: url, flushInterval: 200, flushAt: 20 });
  called(client, [(error) => error && said.push(String(error.message))]);
  await new Promise((done) => setTimeout(done, 300));
  await client.flush().catch((error) => said.push(String(error.message)));
  await new Promise((done) => setTimeout(done, 2500));
}
console.log(JSON.stringify({ said, raised: raised.join("; ") }));
process.exit(0);
