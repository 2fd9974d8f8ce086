/** The form beside the table. */

import { element, show } from "./dom.js";
import { FILTERS } from "./state.js";
import { kindWord, visible } from "./text.js";
import { count, number } from "./words.js";

const KINDS = ["", "flagged", "adversarial", "undecided", "clean", "unreadable"];
const WORDS = { "": "All", flagged: "Flagged" };
const PAUSE_MILLISECONDS = 250;
const NARROW = "(max-width: 62rem)";

export class Filters {
  #form = document.getElementById("form");
  #counts = new Map();
  #timer = null;

  /** `onChange` hears the values whenever one of them is another. */
  constructor(onChange) {
    this.onChange = onChange;
    document.getElementById("kinds").append(...KINDS.map((kind) => this.#kind(kind)));
    document.getElementById("filters").open = !matchMedia(NARROW).matches;
    this.#form.addEventListener("input", (event) => this.#changed(event.target.type === "text" || event.target.type === "number"));
    this.#form.addEventListener("submit", (event) => event.preventDefault());
    this.#form.addEventListener("reset", () => setTimeout(() => this.onChange(this.values)));
  }

  get values() {
    const data = new FormData(this.#form);
    return Object.fromEntries(FILTERS.map((name) => {
      const value = String(data.get(name) ?? "").trim();
      return [name, value === "on" ? "true" : value];
    }));
  }

  set values(values) {
    for (const name of FILTERS) {
      const field = this.#form.elements[name];
      if (field.type === "checkbox") field.checked = values[name] === "true";
      else if (field instanceof HTMLSelectElement) this.#keep(field, values[name]);
      else field.value = values[name];
    }
  }

  /** Show these p-values alone. */
  setRange(least, most) {
    this.#form.elements.p_value_least.value = least;
    this.#form.elements.p_value_most.value = most;
    this.onChange(this.values);
  }

  focusText() {
    document.getElementById("filters").open = true;
    this.#form.elements.text.focus();
  }

  /** Whether each number is one that can be asked for. */
  get areValid() {
    return this.#form.checkValidity();
  }

  setCounts(kinds) {
    const all = ["adversarial", "undecided", "clean", "unreadable"].reduce((sum, kind) => sum + (kinds[kind] ?? 0), 0);
    for (const [kind, node] of this.#counts) node.textContent = count(kind === "" ? all : (kinds[kind] ?? 0));
  }

  setChoices(choices) {
    const columns = { label: "label_name", given_label: "given_label", suspected_label: "suspected_label_name" };
    for (const [name, column] of Object.entries(columns)) {
      const select = this.#form.elements[name];
      const chosen = select.value;
      const options = (choices[column] ?? []).map(([label, n]) => option(label, `${visible(label)} (${count(n)})`));
      select.replaceChildren(option("", "anything"), ...options);
      this.#keep(select, chosen);
    }
    const hasGiven = (choices.given_label ?? []).length > 0;
    show(this.#form.elements.given_label.parentElement, hasGiven);
    show(document.getElementById("disagrees-choice"), hasGiven);
    const folders = (choices.folder ?? []).map(([folder, n]) => element("option", { value: folder }, `${count(n)} flagged`));
    document.getElementById("folders").replaceChildren(...folders);
  }

  setDiscoveries({ has_discoveries: isMade, threshold }) {
    this.#form.elements.discoveries.disabled = !isMade;
    document.getElementById("discoveries-hint").textContent = !isMade
      ? "The list is made when everything is judged."
      : threshold === null ? "The list is empty." : `p-value at most ${number(threshold, 2)}`;
  }

  #changed(isTyping) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.onChange(this.values), isTyping ? PAUSE_MILLISECONDS : 0);
  }

  // A label of an address stays chosen before the choices are there, or where there are too many of them.
  #keep(select, value) {
    if (value && ![...select.options].some((known) => known.value === value)) select.append(option(value, visible(value)));
    select.value = value;
  }

  #kind(kind) {
    const number_ = element("span", { class: "n" });
    this.#counts.set(kind, number_);
    const word = WORDS[kind] ?? kindWord(kind);
    return element("label", { class: "choice" },
      element("input", { type: "radio", name: "kind", value: kind, checked: kind === "" }), element("span", {}, word), number_);
  }
}

function option(value, text) {
  return element("option", { value }, text);
}
