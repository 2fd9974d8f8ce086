/** What is asked for, as the address of the page keeps it. */

export const FILTERS = [
  "kind", "label", "given_label", "suspected_label", "p_value_least", "p_value_most", "folder", "text", "discoveries",
  "disagrees",
];

const ORDER = "suspicion";

/** The filters and the order that stand in the address. */
export function remembered() {
  const query = new URLSearchParams(location.search);
  const filters = Object.fromEntries(FILTERS.map((name) => [name, query.get(name) ?? ""]));
  return { filters, order: query.get("order") ?? ORDER, descends: query.get("descends") === "true" };
}

/** Let the address say what is asked for. */
export function remember({ filters, order, descends }) {
  const kept = Object.entries(filters).filter(([, value]) => value !== "");
  if (order !== ORDER || descends) kept.push(["order", order], ["descends", String(descends)]);
  const query = new URLSearchParams(kept).toString();
  history.replaceState(null, "", `${location.pathname}${query ? `?${query}` : ""}`);
}
