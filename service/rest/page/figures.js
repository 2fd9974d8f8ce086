/** What was measured on one image, as a list of names and figures, and the numbers along its path as a table. */

import { descriptions, element } from "./dom.js";
import { share } from "./path.js";
import { pValueScale } from "./scale.js";
import { isNumber, labelName, milliseconds, nats, number } from "./words.js";

const STAGES = ["decode", "queue", "compute"];

/** The figures of the first result of an answer of `/v1/detect`. */
export function figures(answer, bundle) {
  const result = answer.results[0];
  return descriptions([
    ["classifier", labelName(result, "label")],
    ["suspected", labelName(result, "suspected_label")],
    ["p-value", pValue(result, bundle)],
    ["score", isNumber(result.score) ? number(result.score) : null],
    ["barrier", isNumber(result.barrier) ? `${nats(result.barrier)} nats` : null],
    ["time", time(answer.timing_ms ?? {})],
    ["detector", withDetail(answer.bundle, String(answer.bundle_digest ?? "").slice(0, 12))],
    ["request", element("small", { class: "request" }, answer.request_id ?? "")],
  ]);
}

function pValue(result, { nCalibration }) {
  if (!isNumber(result.p_value)) return null;
  const rate = result.false_positive_rate;
  const compared = result.p_value <= rate ? "at most" : "above";
  return element("span", {},
    withDetail(number(result.p_value, 2), `${compared} ${number(rate, 2)}`),
    pValueScale({ pValue: result.p_value, rate, nCalibration }));
}

function time(timing) {
  if (!isNumber(timing.total)) return null;
  const stages = STAGES.filter((stage) => isNumber(timing[stage])).map((stage) => [stage, timing[stage]]);
  // Reading the request and drawing the pictures.
  const rest = stages.reduce((left, [, milliseconds]) => left - milliseconds, timing.total);
  const parts = [...stages, ["rest", Math.max(0, rest)]].map(([name, part]) => `${name} ${number(part, 2)}`);
  return withDetail(milliseconds(timing.total), parts.join(", "));
}

function withDetail(text, detail) {
  return element("span", {}, `${text} `, element("small", {}, detail));
}

/** Position and cross-entropy of each point; null where there is no path. */
export function numberTable(points) {
  if (points.length === 0) return null;
  const heading = (text) => element("th", { scope: "col", class: "number" }, text);
  const rows = points.map((point) => element("tr", {},
    element("th", { scope: "row", class: "number" }, share(point.position)),
    element("td", { class: "number" }, nats(point.cross_entropy))));
  return element("div", { class: "table" }, element("table", {},
    element("thead", {}, element("tr", {}, heading("position"), heading("cross-entropy, nats"))),
    element("tbody", {}, rows)));
}
