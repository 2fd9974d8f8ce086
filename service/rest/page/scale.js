/** Where a p-value lies between one and the smallest that the calibration set can give, beside the threshold. */

import { element } from "./dom.js";
import { isNumber, number } from "./words.js";

/** A drawing on a logarithmic axis; null where there is no p-value. Reads as one sentence. */
export function pValueScale({ pValue, rate, nCalibration }) {
  if (!isNumber(pValue) || !isNumber(rate) || pValue <= 0 || rate <= 0) return null;
  const smallest = Math.min(pValue, rate, isNumber(nCalibration) ? 1 / (nCalibration + 1) : 1e-3);
  const lowest = Math.log10(smallest) - 0.1;
  const place = (value) => `${100 * (1 - Math.log10(value) / lowest)}%`;
  const ticks = Array.from({ length: 1 + Math.floor(-lowest) }, (_, decade) => 10 ** -decade);
  const compared = pValue <= rate ? "at or below" : "above";
  const label = `p-value ${number(pValue, 2)}, ${compared} the threshold ${number(rate, 2)}`;
  return element(
    "span",
    { class: "scale", role: "img", "aria-label": label },
    element("span", { class: "scale-line" },
      placed(element("span", { class: "flagged" }), "width", place(rate)),
      placed(element("span", { class: "threshold" }), "left", place(rate)),
      placed(element("span", { class: "here" }), "left", place(pValue))),
    element("span", { class: "scale-ticks" }, ticks.map((tick) => (
      placed(element("span", {}, number(tick, 1)), "left", place(tick))
    ))),
  );
}

// Through the style object: a style attribute would be refused by the page's own policy.
function placed(node, side, share) {
  node.style.setProperty(side, share);
  return node;
}
