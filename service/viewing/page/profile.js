/** The cross-entropy at the points of the path that were computed, in their order. */

import { drawn, element } from "./dom.js";
import { isNumber, nats } from "./words.js";

const TOP = 6;
const BOTTOM = 94;
const SMALLEST_SPAN = 0.05;

/** A figure; null for fewer than two points. Where they stand between the ends, the audit does not say. */
export function profileFigure(profile) {
  const known = (profile ?? []).filter(isNumber);
  if (known.length < 2) return null;
  const lowest = Math.min(...known);
  const span = Math.max(Math.max(...known) - lowest, SMALLEST_SPAN);
  const points = profile.flatMap((value, index) => (
    isNumber(value) ? [[index, (BOTTOM - ((BOTTOM - TOP) * (value - lowest)) / span).toFixed(2)]] : []
  ));
  const box = { viewBox: `0 0 ${profile.length - 1} 100`, preserveAspectRatio: "none" };
  const label = `Cross-entropy along the path, in nats: ${profile.map((value) => nats(value)).join(", ")}`;
  return element("figure", { class: "profile" },
    element("figcaption", {}, "cross-entropy along the path, nats"),
    element("div", { class: "curve" },
      drawn("svg", { ...box, role: "img", "aria-label": label },
        drawn("path", { class: "line", d: points.map(([x, y], index) => `${index ? "L" : "M"}${x} ${y}`).join("") }),
        drawn("path", { class: "dots", d: points.map(([x, y]) => `M${x} ${y}h0`).join("") }))),
    element("div", { class: "axis", "aria-hidden": "true" },
      element("span", {}, `image ${nats(profile[0])}`),
      element("span", {}, `highest ${nats(Math.max(...known))}`),
      element("span", {}, `prototype ${nats(profile.at(-1))}`)));
}
