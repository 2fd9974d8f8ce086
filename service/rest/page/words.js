/** Numbers and verdicts as people read them. */

/** A number with so many significant digits; an en dash where there is none. */
export function number(value, digits = 3) {
  if (!isNumber(value)) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size < 1e-4 || size >= 1e6) return withMinus(value.toExponential(Math.max(0, digits - 1)));
  return value.toLocaleString("en-GB", { maximumSignificantDigits: digits }).replace("-", "−");
}

function withMinus(text) {
  const [mantissa, exponent] = text.split("e");
  return `${mantissa.replace("-", "−")} × 10${superscript(Number(exponent))}`;
}

const RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹";

function superscript(exponent) {
  return [...String(exponent)].map((character) => RAISED[character] ?? "⁻").join("");
}

export function isNumber(value) {
  return typeof value === "number" && Number.isFinite(value);
}

export function count(value) {
  return isNumber(value) ? Math.round(value).toLocaleString("en-GB") : "–";
}

/** A share of one as per cent. */
export function percent(share, digits = 2) {
  return isNumber(share) ? `${number(100 * share, digits)} %` : "–";
}

/** A cross-entropy or a barrier; below a thousandth it is as good as none. */
export function nats(value) {
  return isNumber(value) && value !== 0 && Math.abs(value) < 1e-3 ? "<0.001" : number(value);
}

/** A time given in milliseconds. */
export function milliseconds(value) {
  if (!isNumber(value)) return "–";
  return value < 1000 ? `${number(value, value < 10 ? 2 : 3)} ms` : `${number(value / 1000, 3)} s`;
}

const DECISIONS = { clean: "Clean", adversarial: "Adversarial", undecided: "Undecided" };

/** The decision as a word, and the class that colours it; what is not known counts as undecided. */
export function decision(record) {
  const name = Object.hasOwn(DECISIONS, record.decision) ? record.decision : "undecided";
  return { name, word: DECISIONS[name] };
}

export function quoted(text) {
  return `“${text}”`;
}

export function labelName(record, field) {
  return record[`${field}_name`] ?? (isNumber(record[field]) ? String(record[field]) : null);
}

/** What the verdict says, in sentences. `nCalibration` may be unknown. */
export function sentences(record, nCalibration) {
  const { name } = decision(record);
  const label = labelName(record, "label");
  const suspected = labelName(record, "suspected_label");
  if (label === null) return [];
  const says = [`The classifier names it ${quoted(label)}`];
  if (name === "adversarial" && suspected !== null) says.push(`; what it truly shows may be ${quoted(suspected)}`);
  const parts = [`${says.join("")}.`];
  if (name === "undecided") parts.push("Not decided, and to be treated as adversarial.");
  const rarity = howRare(record.p_value, nCalibration);
  if (rarity) parts.push(rarity);
  return parts;
}

function howRare(p, nCalibration) {
  if (!isNumber(p)) return null;
  if (!isNumber(nCalibration)) return `Of clean images a share of ${number(p, 2)} looks at least as suspicious.`;
  const asHigh = Math.round(p * (nCalibration + 1)) - 1;
  const look = asHigh <= 0 ? "none looks" : asHigh === 1 ? "one looks" : `${count(asHigh)} look`;
  return `Of ${count(nCalibration)} clean images kept aside for comparison, ${look} at least as suspicious.`;
}
