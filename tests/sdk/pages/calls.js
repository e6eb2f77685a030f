// What every page does with its SDK; `sdk(url, key)` comes from the page, and returns its client.
function deep(levels) {
  let value = {};
  for (let level = 0; level < levels; level += 1) value = { a: value };
  return value;
}

const scenes = {
  all(client) {
    client.identify("u1", { plan: "pro" });
    client.track("Order Completed", { price: 9.5 });
    client.page("Docs", "Home", { path: "/x" });
    client.group("g1", { size: 3 });
    client.alias("u1", "u0");
  },
  bad(client) {
    client.track("first", {});
    client.track("deep", deep(150));
    client.track("last", {});
  },
  large(client) {
    client.track("first", {});
    client.track("large", { text: "x".repeat(40000) });
    client.track("last", {});
  },
  one(client) {
    client.track("only", {});
  },
};

async function play(url, key, scene) {
  scenes[scene](await sdk(url, key));
}
