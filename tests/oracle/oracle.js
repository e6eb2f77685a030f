// Reads {"filters": [{"text", "events"}], "templates": [{"text"}], "row", "context"} and prints what the oracles make of
// it: for every filter its answer to every event, for every template its value or why it failed.
"use strict";

const { readFileSync } = require("node:fs");
const { parseFql, validate } = require("@segment/destination-subscriptions");
const { Liquid } = require("liquidjs");

const asked = JSON.parse(readFileSync(0, "utf8"));
const engine = new Liquid({ timezoneOffset: 0, ownPropertyOnly: true, strictFilters: true });

function answers({ text, events }) {
  const parsed = parseFql(text);
  if (parsed.error) {
    return { error: String(parsed.error.message) };
  }
  return { values: events.map((event) => validate(parsed, event)) };
}

// A lone output keeps its type, as ours does; `undefined` has no JSON, so it is told apart.
function rendered({ text }) {
  const variables = { row: asked.row, context: asked.context };
  try {
    const nodes = engine.parse(text);
    const lone = nodes.length === 1 && nodes[0].constructor.name === "Output";
    const value = lone
      ? engine.evalValueSync(text.trim().replace(/^\{\{-?/, "").replace(/-?\}\}$/, ""), variables)
      : engine.renderSync(nodes, variables);
    return value === undefined ? { missing: true } : { value };
  } catch (error) {
    return { error: String(error.message).split("\n")[0] };
  }
}

process.stdout.write(
  JSON.stringify({ filters: asked.filters.map(answers), templates: asked.templates.map(rendered) }),
);
