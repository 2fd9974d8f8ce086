/** One image, large, with all that is known of it. */

import { addressOf, ask } from "./asking.js";
import { descriptions, element } from "./dom.js";
import { profileFigure } from "./profile.js";
import { pValueScale } from "./scale.js";
import { kindClass, kindWord, visible } from "./text.js";
import { count, isNumber, nats, number, sentences } from "./words.js";

const SIDE = 768;
const SMALL_SIDE = 64;

export class Detail {
  #dialog = document.getElementById("detail");
  #asked = 0;
  #index = null;

  /** `rowAt` gives the row at a place of the table, if there is one; `onClose` hears the place that was left. */
  constructor({ rowAt, onClose }) {
    this.rowAt = rowAt;
    this.audit = {};
    this.#dialog.addEventListener("close", () => onClose(this.#index));
    this.#dialog.addEventListener("click", (event) => {
      if (event.target === this.#dialog) this.#dialog.close();
    });
    this.#dialog.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (step !== undefined && !event.ctrlKey && !event.altKey && !event.metaKey) this.#step(step);
    });
  }

  get isOpen() {
    return this.#dialog.open;
  }

  /** Open the image at a place of the table. */
  openAt(index) {
    this.#index = index;
    return this.#open(this.rowAt(index));
  }

  #step(step) {
    if (this.#index !== null && this.rowAt(this.#index + step)) this.openAt(this.#index + step);
  }

  async #open({ shard, row }) {
    const asked = ++this.#asked;
    try {
      const known = await ask(`rows/${shard}/${row}`);
      if (asked === this.#asked) this.#show(known);
    } catch (error) {
      if (asked === this.#asked) this.#fill("Not to be had", "failed", element("p", { class: "failure" }, error.message));
    }
  }

  #show(known) {
    const { record } = known;
    const kind = record.outcome === null ? "unreadable" : record.decision;
    const says = kind === "unreadable" ? [] : sentences(named(record), this.audit.n_calibration);
    this.#fill(visible(record.path), kindClass(kind),
      element("p", { class: "verdict" }, element("span", { class: "mark", "aria-hidden": "true" }), element("b", {}, kindWord(kind))),
      element("p", { class: "said" }, says.join(" ")),
      record.error ? element("p", { class: "failure" }, visible(record.error)) : null,
      element("div", { class: "sides" },
        element("div", { class: "large" }, kind === "unreadable" ? null : this.#picture(known), profileFigure(record.profile)),
        element("div", {}, this.#facts(known), this.#duplicates(known))));
  }

  #fill(name, className, ...content) {
    const again = (text, step) => button(text, () => this.#step(step), !this.rowAt((this.#index ?? NaN) + step));
    this.#dialog.className = className;
    this.#dialog.replaceChildren(
      element("div", { class: "head" }, element("h2", { id: "detail-name", tabindex: -1 }, name),
        element("div", { class: "actions" }, again("Before", -1), again("Next", 1), button("Close", () => this.#dialog.close()))),
      ...content.filter((part) => part !== null));
    if (!this.#dialog.open) this.#dialog.showModal();
    this.#dialog.scrollTop = 0;
    document.getElementById("detail-name").focus();
  }

  #picture({ shard, row }) {
    const asked = { side: SIDE, of: this.audit.token };
    const image = element("img", { alt: "the image as it lies in the source", src: addressOf(`pictures/${shard}/${row}`, asked) });
    image.addEventListener("load", () => {
      image.classList.toggle("pixelated", Math.max(image.naturalWidth, image.naturalHeight) <= SMALL_SIDE);
    });
    // Only a second question brings the reason.
    image.addEventListener("error", () => ask(`pictures/${shard}/${row}`, asked).catch((error) => {
      image.replaceWith(element("p", { class: "failure" }, visible(error.message)));
    }));
    return image;
  }

  #facts({ record, own, place }) {
    const scale = pValueScale({ pValue: record.p_value, rate: record.false_positive_rate, nCalibration: this.audit.n_calibration });
    const pValue = isNumber(record.p_value) ? element("span", {}, number(record.p_value, 2), scale) : null;
    return descriptions([
      ["classifier", shown(record.label_name)],
      ["source", shown(record.given_label)],
      ["may be", shown(record.suspected_label_name)],
      ["p-value", pValue],
      ["score", isNumber(record.score) ? number(record.score) : null],
      ["barrier", isNumber(record.barrier) ? `${nats(record.barrier)} nats` : null],
      ["prototype", isNumber(record.prototype) ? String(record.prototype) : null],
      ["outcome", shown(record.outcome)],
      ["digest", shown(record.digest)],
      ["lies in", place ? visible(place.container) : null],
      ["bytes", isNumber(place?.size) ? count(place.size) : null],
      ...own.map(([name, value]) => [visible(name), visible(value)]),
    ]);
  }

  #duplicates({ duplicates, n_same: nSame }) {
    if (duplicates.length === 0) return null;
    const items = duplicates.map((other) => {
      const text = other.given_label === null ? visible(other.path) : `${visible(other.path)} (${visible(other.given_label)})`;
      const opener = element("button", { type: "button", class: "path" }, text);
      opener.addEventListener("click", () => {
        this.#index = null;
        this.#open(other);
      });
      return element("li", {}, opener);
    });
    return element("section", { class: "same" },
      element("h3", {}, `${count(nSame - 1)} more with the same pixels`), element("ul", {}, items));
  }
}

function named(record) {
  const names = ["label_name", "suspected_label_name"].map((name) => [name, record[name] === null ? null : visible(record[name])]);
  return { ...record, ...Object.fromEntries(names) };
}

function shown(value) {
  return value === null || value === undefined ? null : visible(value);
}

function button(text, onClick, disabled = false) {
  const node = element("button", { type: "button", class: "quiet", disabled }, text);
  node.addEventListener("click", onClick);
  return node;
}
