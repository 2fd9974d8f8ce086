/** The detectors to choose from, and what is said about the chosen one. */

import { element } from "./dom.js";
import { count, isNumber, number } from "./words.js";

/** Pictures up to this many pixels a side come exactly, and are shown with their pixels visible. */
export const EXACT_SIDE = 64;

/** What the page needs to know of a bundle as `/v1/bundles` describes it. */
export function bundleOf(body) {
  return {
    name: String(body.name),
    classifier: body.classifier ?? null,
    labels: (body.labels ?? []).map(String),
    inputShape: body.input_shape ?? null,
    nCalibration: body.n_calibration ?? null,
    smallestRate: body.smallest_false_positive_rate ?? null,
    defaultRate: body.false_positive_rate ?? null,
    isSmall: Math.max(...(body.input_shape ?? [0, Infinity]).slice(1)) <= EXACT_SIDE,
    profilePositions: body.profile_positions ?? [],
    passes: body.forward_equivalents ?? null,
    digest: String(body.digest ?? ""),
  };
}

export function fillSelect(select, bundles) {
  select.replaceChildren(...bundles.map((bundle) => element("option", { value: bundle.name }, bundle.name)));
}

/** The chosen bundle in one line. */
export function factsOf(bundle) {
  const [channels, height, width] = bundle.inputShape ?? [];
  return [
    bundle.classifier && bundle.classifier !== bundle.name ? bundle.classifier : null,
    isNumber(height) && isNumber(width) ? `${width} × ${height} ${channels === 1 ? "grey" : "pixels"}` : null,
    bundle.labels.length ? `${count(bundle.labels.length)} labels` : null,
    isNumber(bundle.passes) ? `${number(bundle.passes, 2)} forward passes a clean image` : null,
  ].filter(Boolean).join(" · ");
}
