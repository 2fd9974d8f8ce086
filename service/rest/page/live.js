/** The second view: what the server has done in the last minute, asked again each second while it is looked at. */

import { getStats } from "./api.js";
import { element, show } from "./dom.js";
import { Sparkline } from "./sparkline.js";
import { statsOf } from "./stats.js";
import { count, milliseconds, number, percent } from "./words.js";

const POLL_MILLISECONDS = 1000;
const SECONDS = 60;

const TILES = [
  {
    name: "images a second",
    figure: (stats) => number(stats.imageRate, stats.imageRate < 10 ? 2 : 3),
    note: (stats) => `${number(stats.requestRate, 2)} requests a second, ${number(stats.refusalRate, 2)} refused`,
    draw: (sparkline, stats) => sparkline.set(stats.history),
  },
  {
    name: "images in hand",
    figure: (stats) => count(stats.inHand),
    note: (stats) => `${count(stats.waiting)} waiting, ${count(stats.computing)} being computed`,
    draw: (sparkline, stats) => sparkline.push(stats.inHand),
  },
  {
    name: "median time of a request",
    figure: (stats) => milliseconds(stats.p50),
    note: () => "from its arrival to its answer",
    draw: (sparkline, stats) => sparkline.push(stats.p50),
  },
  {
    name: "time that one in a hundred exceeds",
    figure: (stats) => milliseconds(stats.p99),
    note: () => "99th percentile",
    draw: (sparkline, stats) => sparkline.push(stats.p99),
  },
];

const DECISIONS = ["clean", "adversarial", "undecided"];

export class LiveView {
  #isShown = false;
  #isPaused = false;
  #timer = null;
  #asked = null;
  #tiles = TILES.map((tile) => new Tile(tile));
  #verdicts = new VerdictBar();
  #drift = new DriftTable();
  #pause = document.getElementById("pause");
  #failure = document.getElementById("live-failure");

  constructor() {
    document.getElementById("live-figures").append(
      element("dl", { class: "summary" }, this.#tiles.map((tile) => tile.node)), this.#verdicts.node, this.#drift.node);
    this.#pause.addEventListener("click", () => {
      this.#isPaused = !this.#isPaused;
      this.#pause.setAttribute("aria-pressed", String(this.#isPaused));
      this.#restart();
    });
    document.addEventListener("visibilitychange", () => this.#restart());
  }

  setShown(isShown) {
    this.#isShown = isShown;
    this.#restart();
  }

  #restart() {
    clearTimeout(this.#timer);
    this.#asked?.abort();
    if (this.#isShown && !this.#isPaused && document.visibilityState === "visible") this.#poll();
  }

  async #poll() {
    const asked = new AbortController();
    this.#asked = asked;
    try {
      const stats = statsOf(await getStats(asked.signal));
      this.#complain(null);
      for (const tile of this.#tiles) tile.update(stats);
      this.#verdicts.update(stats);
      this.#drift.update(stats);
    } catch (error) {
      if (asked.signal.aborted) return;
      this.#complain(error.message);
    }
    if (!asked.signal.aborted) this.#timer = setTimeout(() => this.#poll(), POLL_MILLISECONDS);
  }

  #complain(text) {
    if (this.#failure.textContent !== (text ?? "")) this.#failure.textContent = text ?? "";
    show(this.#failure, text !== null);
  }
}

class Tile {
  #figure = element("b", {}, "–");
  #note = element("span");
  #sparkline = new Sparkline(SECONDS);

  constructor(tile) {
    this.tile = tile;
    this.node = element("div", {},
      element("dt", {}, tile.name), element("dd", {}, this.#figure, this.#sparkline.node, this.#note));
  }

  update(stats) {
    this.#figure.textContent = this.tile.figure(stats);
    this.#note.textContent = this.tile.note(stats);
    this.tile.draw(this.#sparkline, stats);
  }
}

/** The shares of the three decisions, as one bar and in words. */
class VerdictBar {
  #parts = DECISIONS.map((name) => {
    const figure = element("span", {}, "–");
    const mark = element("span", { class: "mark", "aria-hidden": "true" });
    const node = element("li", { class: name }, mark, `${name} `, figure);
    return { name, figure, node, bar: element("span", { class: name }) };
  });

  node = element("section", { class: "verdicts", "aria-labelledby": "verdicts-heading" },
    element("h3", { id: "verdicts-heading" }, "Verdicts"),
    element("div", { class: "bar", "aria-hidden": "true" }, this.#parts.map((part) => part.bar)),
    element("ul", {}, this.#parts.map((part) => part.node)));

  update({ decisions }) {
    const total = DECISIONS.reduce((sum, name) => sum + (decisions[name] ?? 0), 0);
    for (const { name, figure, bar } of this.#parts) {
      const known = decisions[name] ?? 0;
      bar.style.setProperty("flex-grow", String(known));
      figure.textContent = total > 0 ? `${count(known)} · ${percent(known / total)}` : "none";
    }
  }
}

/** Evidence, bundle by bundle, that clean images are no longer what they were in calibration. */
class DriftTable {
  #body = element("tbody");
  #rows = new Map();
  #news = element("p", { class: "unseen", role: "status" });

  node = element("section", { class: "drift", "aria-labelledby": "drift-heading", hidden: true },
    element("h3", { id: "drift-heading" }, "Drift of the p-values"),
    element("p", { class: "note" },
      "Images like those of calibration give p-values that spread evenly from 0 to 1. ",
      "Evidence that they do not is gathered here, in powers of ten; at its limit the alarm goes off."),
    element("div", { class: "table" }, element("table", {}, element("thead", {}, element("tr", {},
      heading("detector"), heading("images", "number"), heading("evidence", "number"), heading("of its limit"),
      heading("state"))), this.#body)),
    this.#news);

  update({ drift }) {
    show(this.node, drift.length > 0);
    for (const entry of drift) this.#row(entry.bundle).update(entry);
    const alarmed = drift.filter((entry) => entry.isAlarmed).map((entry) => entry.bundle);
    const news = alarmed.length > 0 ? `Drift alarm: ${alarmed.join(", ")}` : "";
    if (this.#news.textContent !== news) this.#news.textContent = news;
  }

  #row(bundle) {
    if (!this.#rows.has(bundle)) {
      const row = new DriftRow(bundle);
      this.#rows.set(bundle, row);
      this.#body.append(row.node);
    }
    return this.#rows.get(bundle);
  }
}

function heading(text, className) {
  return element("th", { scope: "col", class: className }, text);
}

class DriftRow {
  #images = element("td", { class: "number" });
  #limit = element("span", { class: "unseen" });
  #evidence = element("td", { class: "number" });
  #meter = element("span");
  #mark = element("span", { class: "mark", "aria-hidden": "true" });
  #word = element("span");

  constructor(bundle) {
    this.node = element("tr", {},
      element("th", { scope: "row" }, bundle),
      this.#images,
      this.#evidence,
      element("td", {}, this.#limit, element("span", { class: "meter" }, this.#meter)),
      element("td", {}, this.#mark, this.#word));
  }

  update({ evidence, threshold, nImages, isAlarmed }) {
    this.node.className = isAlarmed ? "adversarial" : "clean";
    this.#evidence.textContent = number(evidence, 2);
    this.#images.textContent = count(nImages);
    this.#limit.textContent = number(threshold, 2);
    const share = threshold > 0 ? Math.min(1, Math.max(0, evidence / threshold)) : 0;
    this.#meter.style.setProperty("width", `${100 * share}%`);
    this.#word.textContent = isAlarmed ? "alarm" : "steady";
  }
}
