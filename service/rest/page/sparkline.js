/** A small curve of the last values; it says nothing to a screen reader, whose reader has the figure beside it. */

import { drawn } from "./dom.js";

export class Sparkline {
  #values = [];
  #line = drawn("path", { class: "line" });
  #area = drawn("path", { class: "area" });

  constructor(length) {
    this.length = length;
    this.node = drawn(
      "svg",
      { class: "sparkline", viewBox: `0 0 ${length - 1} 100`, preserveAspectRatio: "none", "aria-hidden": "true" },
      this.#area,
      this.#line,
    );
  }

  /** Add a value at the right end; null leaves a gap. */
  push(value) {
    this.set([...this.#values, value]);
  }

  /** Show these values instead, the last one at the right end. */
  set(values) {
    this.#values = values.slice(-this.length).map((value) => (Number.isFinite(value) ? value : null));
    const highest = Math.max(...this.#values, 1e-12);
    const offset = this.length - this.#values.length;
    const runs = [[]];
    this.#values.forEach((known, index) => {
      if (known === null) runs.push([]);
      else runs.at(-1).push([offset + index, 96 - (90 * known) / highest]);
    });
    const kept = runs.filter((run) => run.length > 0);
    this.#line.setAttribute("d", kept.map((run) => `M${trace(run)}${run.length === 1 ? "h0" : ""}`).join(""));
    this.#area.setAttribute("d", kept.map((run) => `M${run[0][0]} 100L${trace(run)}L${run.at(-1)[0]} 100Z`).join(""));
  }
}

function trace(run) {
  return run.map(([x, y]) => `${x} ${y.toFixed(1)}`).join("L");
}
