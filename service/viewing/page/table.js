/** The rows, their headings to sort by, and the keys that move between them. */

import { addressOf } from "./asking.js";
import { element } from "./dom.js";
import { kindClass, kindWord, visible } from "./text.js";
import { nats, number } from "./words.js";

const SIDE = 128;

// `order` is what the server sorts by, and `isNumber` says on which side the heading stands.
const COLUMNS = [
  { title: "Image" },
  { title: "Path", order: "path" },
  { title: "Decision", order: "kind" },
  { title: "Classifier", order: "label" },
  { title: "Source", order: "given_label", name: "given" },
  { title: "May be", order: "suspected_label", name: "suspected" },
  { title: "p-value", order: "suspicion", isNumber: true },
  { title: "Score", order: "score", isNumber: true, name: "score" },
  { title: "Barrier, nats", order: "barrier", isNumber: true, name: "barrier" },
];

export class Table {
  #place = document.getElementById("rows");
  #openers = [];

  /** `onSort` hears an order, and whether it is turned round; `onOpen` the place of a row among those shown. */
  constructor({ onSort, onOpen }) {
    this.onSort = onSort;
    this.onOpen = onOpen;
    this.#place.addEventListener("keydown", (event) => this.#move(event));
  }

  show(rows, { order, descends, token, hasGiven }) {
    this.#openers = rows.map((row, index) => this.#opener(row, index));
    const kept = hasGiven ? COLUMNS : COLUMNS.filter((column) => column.name !== "given");
    const body = rows.map((row, index) => element("tr", { class: kindClass(row.kind) }, kept.map((column) => (
      cell(column, row, this.#openers[index], token)
    ))));
    this.#place.replaceChildren(rows.length === 0
      ? element("p", { class: "note" }, "No image is like that.")
      : element("table", {},
        element("thead", {}, element("tr", {}, kept.map((column) => this.#heading(column, order, descends)))),
        element("tbody", {}, body)));
  }

  focus(index) {
    this.#openers[index]?.focus();
  }

  #heading({ title, order: own, isNumber, name }, order, descends) {
    if (own === undefined) return element("th", { scope: "col" }, element("span", { class: "unseen" }, title));
    const isSorted = own === order;
    const button = element("button", { type: "button" }, title);
    button.addEventListener("click", () => this.onSort(own, isSorted ? !descends : own === "score" || own === "barrier"));
    const sorted = isSorted ? (descends ? "descending" : "ascending") : null;
    return element("th", { scope: "col", class: classes(isNumber, name), "aria-sort": sorted }, button);
  }

  #opener(row, index) {
    const button = element("button", { type: "button", class: "path" }, visible(row.path));
    button.addEventListener("click", () => this.onOpen(index));
    return button;
  }

  #move(event) {
    const index = this.#openers.indexOf(document.activeElement);
    const last = this.#openers.length - 1;
    const next = { ArrowDown: index + 1, ArrowUp: index - 1, Home: 0, End: last }[event.key];
    if (index < 0 || next === undefined || next < 0 || next > last || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    this.focus(next);
  }
}

function cell(column, row, opener, token) {
  const { title, isNumber, name } = column;
  if (title === "Image") return element("td", { class: "thumb" }, thumbnail(row, token));
  if (title === "Path") {
    return element("th", { scope: "row", class: "long" }, opener, row.error ? element("small", { class: "why" }, visible(row.error)) : null);
  }
  if (title === "Decision") {
    return element("td", {}, element("span", { class: "mark", "aria-hidden": "true" }), kindWord(row.kind));
  }
  const texts = {
    Classifier: row.label_name, Source: row.given_label, "May be": row.suspected_label_name,
    "p-value": number(row.p_value, 2), Score: number(row.score), "Barrier, nats": nats(row.barrier),
  };
  const isWrong = title === "Source" && row.disagrees;
  return element("td", { class: classes(isNumber, name, isWrong && "wrong") }, visible(texts[title] ?? "–"));
}

function classes(isNumber, name, more) {
  return [isNumber && "number", name && `column-${name}`, more].filter(Boolean).join(" ") || null;
}

/** A small picture, or nothing where none can be had. */
export function thumbnail(row, token) {
  if (row.kind === "unreadable") return null;
  const src = addressOf(`pictures/${row.shard}/${row.row}`, { side: SIDE, of: token });
  const image = element("img", { src, alt: "", loading: "lazy", decoding: "async" });
  image.addEventListener("error", () => image.replaceWith(element("small", {}, "not to be had")));
  return image;
}
