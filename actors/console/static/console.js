// What an open page does by itself: it takes over what the engine says every second. Without it pages are read and forms
// are sent all the same. Whatever comes from events is set as text, never as markup.

const WIDTH = 600;
const HEIGHT = 120;
const POINTS = 300; // one a second, as in charts.py
const SHOWN = 300; // events that the debugger keeps

/** Calls `take` with each thing that the engine says at `url`, until the page is left; says when it stopped saying. */
function listen(url, take) {
  const stale = document.querySelector("[data-stale]");
  const source = new EventSource(url());
  source.onopen = () => stale?.classList.add("hidden");
  source.onerror = () => stale?.classList.remove("hidden");
  source.onmessage = (message) => take(JSON.parse(message.data));
  return source;
}

/** A page that nobody sees is not kept up to date: its feed is closed, and opened again when it is shown. */
function whileVisible(open) {
  let source = open();
  document.addEventListener("visibilitychange", () => {
    source?.close();
    source = document.hidden ? null : open();
  });
  addEventListener("pagehide", () => source?.close());
  addEventListener("pageshow", (event) => {
    if (event.persisted) source = open();
  });
}

function ceiling(most) {
  if (most <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(most));
  return [1, 2, 5, 10].map((step) => step * power).find((top) => top >= most);
}

function words(value, unit) {
  if (unit === "rate") return `${value >= 10 ? Math.round(value).toLocaleString("en") : value}/s`;
  return value >= 1 ? `${value} s` : `${+(value * 1000).toPrecision(3)} ms`;
}

class Chart {
  constructor(figure) {
    this.figure = figure;
    this.lines = [...figure.querySelectorAll("[data-line]")].map((path) => ({
      path,
      area: figure.querySelector(`[data-area="${path.dataset.line}"]`),
      key: path.dataset.line,
      values: path.dataset.values.split(" ").filter(Boolean).map((text) => (text === "-" ? null : +text)),
    }));
  }

  add(numbers) {
    for (const line of this.lines) {
      line.values.push(numbers[line.key] ?? null);
      line.values.splice(0, line.values.length - POINTS);
    }
    const top = ceiling(Math.max(0, ...this.lines.flatMap((line) => line.values.map((value) => value ?? 0))));
    this.figure.querySelector("[data-top-label]").textContent = words(top, this.figure.dataset.chart);
    for (const line of this.lines) this.draw(line, top);
  }

  draw({ path, area, values }, top) {
    let d = "";
    let below = "";
    let last = null;
    values.forEach((value, place) => {
      if (value === null) {
        if (last !== null) below += `L${last} ${HEIGHT}Z`;
        last = null;
        return;
      }
      const x = (((POINTS - values.length + place) * WIDTH) / (POINTS - 1)).toFixed(1);
      const y = (HEIGHT - (value / top) * HEIGHT).toFixed(1);
      d += last === null ? `M${x} ${y}h0` : `L${x} ${y}`; // h0: a lone value is a dot
      below += last === null ? `M${x} ${HEIGHT}L${x} ${y}` : `L${x} ${y}`;
      last = x;
    });
    if (last !== null) below += `L${last} ${HEIGHT}Z`;
    path.setAttribute("d", d);
    area.setAttribute("d", below);
  }
}

const TONES = ["good", "busy", "held", "bad"];

function tinted(element, tone) {
  element.classList.remove(...TONES);
  element.classList.add(tone);
}

function overview(live) {
  const charts = [...document.querySelectorAll("[data-chart]")].map((figure) => new Chart(figure));
  const take = ({ texts, tones, widths, numbers }) => {
    for (const element of live.querySelectorAll("[data-live]")) {
      const text = texts[element.dataset.live];
      if (text !== undefined && element.textContent !== text) element.textContent = text;
    }
    for (const element of live.querySelectorAll("[data-tone]")) {
      if (tones[element.dataset.tone]) tinted(element, tones[element.dataset.tone]);
    }
    for (const bar of live.querySelectorAll("[data-width]")) {
      if (bar.dataset.width in widths) bar.setAttribute("width", widths[bar.dataset.width]);
    }
    for (const chart of charts) chart.add(numbers);
  };
  whileVisible(() => listen(() => live.dataset.feed, take));
}

/** Returns one event as a line; every value of it becomes text. */
function line(template, told) {
  const made = template.content.firstElementChild.cloneNode(true);
  made.dataset.id = told.id;
  for (const element of made.querySelectorAll("[data-of]")) {
    const value = told[element.dataset.of];
    if (element.dataset.of === "took") element.replaceChildren(...value.map(chip));
    else element.textContent = value;
  }
  made.querySelector("time").dateTime = told.iso;
  made.querySelector("[data-lineage]").href = `/lineage?value=${encodeURIComponent(told.id)}`;
  tinted(made.querySelector(".pill"), told.tone);
  return made;
}

function chip(took) {
  const made = document.createElement("span");
  made.className = `chip ${TONES.includes(took.tone) ? took.tone : ""}`;
  const name = document.createElement("b");
  name.textContent = took.sync;
  made.append(name, ` ${took.as}`);
  return made;
}

function debug(live) {
  const events = live.querySelector("[data-events]");
  const template = live.querySelector("template[data-line]");
  const count = live.querySelector("[data-count]");
  const search = document.querySelector("[data-search]");
  const pause = document.querySelector("[data-pause]");
  let upto = +live.dataset.upto;
  let missed = 0;
  let paused = false;
  let held = [];

  const fits = (element) => element.textContent.toLowerCase().includes(search.value.toLowerCase());
  const say = () => {
    const shown = events.querySelectorAll(".event:not(.out)").length;
    const rest = [missed && `${missed.toLocaleString("en")} came too fast to be shown`, held.length && `${held.length} held`];
    count.textContent = [`${shown} shown`, ...rest.filter(Boolean)].join(", ");
  };
  const show = (told) => {
    const made = told.map((one) => line(template, one)).reverse();
    for (const element of made) element.classList.toggle("out", !fits(element));
    events.prepend(...made);
    while (events.childElementCount > SHOWN) events.lastElementChild.remove();
  };
  const take = ({ shown, skipped }) => {
    missed += skipped;
    if (paused) held = [...held, ...shown].slice(-SHOWN);
    else show(shown);
    for (const one of shown) upto = Math.max(upto, one.n);
    say();
  };
  search.addEventListener("input", () => {
    for (const element of events.children) element.classList.toggle("out", !fits(element));
    say();
  });
  pause.classList.remove("hidden");
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", paused);
    pause.textContent = paused ? "Go on" : "Pause";
    if (!paused) show(held.splice(0));
    say();
  });
  const url = () => `${live.dataset.debugger}?after=${upto}&filter=${encodeURIComponent(live.dataset.filter)}`;
  if (!live.dataset.pausedFeed) whileVisible(() => listen(url, take));
}

const page = document.querySelector("[data-feed]");
if (page) overview(page);
const debugged = document.querySelector("[data-debugger]");
if (debugged) debug(debugged);
