/** How the p-values of the selection lie between 0 and 1; a bar that is clicked is shown alone. */

import { drawn, element } from "./dom.js";
import { count, number } from "./words.js";

const HEIGHT = 100;

/** Draw into a figure. `expected` is the height of each bar if all were clean, null where that says nothing; bars up to
 * `rate` hold what is flagged. */
export function drawHistogram(figure, overview, { expected, rate, onChoose }) {
  const { histogram: bins, n_without_p_value: nWithout } = overview;
  const highest = Math.max(...bins, expected ?? 0, 1);
  const height = (n) => (n === 0 ? 0 : Math.max(1, (HEIGHT * n) / highest));
  const bars = bins.map((n, index) => {
    const [least, most] = [index / bins.length, (index + 1) / bins.length];
    const place = { x: index + 0.06, width: 0.88 };
    const bar = drawn("g", { class: most <= rate + 1e-9 ? "bin low" : "bin" },
      drawn("title", {}, `${count(n)} with a p-value from ${number(least, 2)} to ${number(most, 2)}`),
      drawn("rect", { ...place, class: "room", y: 0, height: HEIGHT }),
      drawn("rect", { ...place, class: "filled", y: HEIGHT - height(n), height: height(n) }));
    bar.addEventListener("click", () => onChoose(least, most));
    return bar;
  });
  const line = expected === null ? null
    : drawn("path", { class: "expected", d: `M0 ${HEIGHT - height(expected)}H${bins.length}` });
  const label = `p-values in ${bins.length} bins from 0 to 1: ${bins.map((n) => count(n)).join(", ")}`;
  const box = { viewBox: `0 0 ${bins.length} ${HEIGHT}`, preserveAspectRatio: "none" };
  figure.replaceChildren(
    drawn("svg", { ...box, role: "img", "aria-label": label }, bars, line),
    element("div", { class: "axis", "aria-hidden": "true" }, [0, 0.25, 0.5, 0.75, 1].map((tick) => element("span", {}, number(tick, 2)))),
    element("figcaption", {}, "p-values",
      expected === null ? null : [" · ", element("span", { class: "key faint", "aria-hidden": "true" }), " if all were clean"],
      nWithout > 0 ? ` · ${count(nWithout)} without one` : null),
  );
}
