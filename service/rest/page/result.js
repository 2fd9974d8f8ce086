/** One image and what became of it, as an article: under way, failed or judged. */

import { element, newId } from "./dom.js";
import { feedbackForm } from "./feedback.js";
import { figures, numberTable } from "./figures.js";
import { pathTracks, pointsOf, share } from "./path.js";
import { thumbnail } from "./thumbnail.js";
import { decision, isNumber, sentences } from "./words.js";

export class ResultCard {
  #body = element("div", { class: "body" });
  #state = element("p", { class: "verdict" });
  #actions = element("div", { class: "actions" });
  #report = element("div");

  constructor(file, { onAgain, onRemove }) {
    this.file = file;
    this.name = file.name || "pasted image";
    this.came = thumbnail(file);
    const id = newId("result");
    this.heading = element("h3", { id, tabindex: -1 }, this.name);
    this.node = element("article", { "aria-labelledby": id },
      element("div", { class: "head" }, this.heading, this.#state), this.#body, this.#actions, this.#report);
    this.again = button("Inspect again", id, onAgain);
    this.remove = button("Remove", id, onRemove);
    this.wait("waiting");
  }

  /** It is under way; the text says how far. */
  wait(text) {
    this.node.className = "pending";
    this.node.setAttribute("aria-busy", "true");
    this.#state.replaceChildren(text);
    this.#body.replaceChildren(element("div", { class: "sight" }, this.came));
    this.#actions.replaceChildren(this.remove);
    this.#report.replaceChildren();
  }

  fail(error) {
    this.#settle("failed", "Not judged", [
      element("p", { class: "failure" }, error.message),
      error.requestId ? element("p", { class: "hint" }, `Request ${error.requestId}`) : null,
      element("div", { class: "sight" }, this.came),
    ], [this.again, this.remove]);
  }

  /** Show the answer of `/v1/detect` for this one file. */
  judge(answer, bundle) {
    const result = answer.results[0];
    const { name, word } = decision(result);
    const actions = [this.again, this.remove];
    this.#body.classList.toggle("pixelated", bundle.isSmall);
    const parts = [element("p", { class: "said" }, sentences(result, bundle.nCalibration).join(" "))];
    if (result.error) parts.push(element("p", { class: "failure" }, result.error));
    if (isNumber(result.label)) {
      const form = feedbackForm({ answer, bundle, file: this.file, name: this.name });
      actions.unshift(form.opener);
      parts.push(...this.#measured(answer, bundle));
      this.#report.replaceChildren(form.node);
    } else {
      parts.push(element("div", { class: "sight" }, this.came));
    }
    this.#settle(name, word, parts, actions);
  }

  #settle(className, word, parts, actions) {
    this.node.className = className;
    this.node.removeAttribute("aria-busy");
    this.#state.replaceChildren(element("span", { class: "mark", "aria-hidden": "true" }), element("b", {}, word));
    this.#body.replaceChildren(...parts.filter((part) => part !== null));
    this.#actions.replaceChildren(...actions);
  }

  #measured(answer, bundle) {
    const result = answer.results[0];
    const points = pointsOf(result, bundle.profilePositions);
    const view = new PointView(points, result.prototype);
    return [
      element("div", { class: "sight" }, this.came, view.node, figures(answer, bundle)),
      pathTracks({ points, name: this.name, onMove: (index) => view.stand(index) }),
      details("Numbers", numberTable(points)),
      details("Answer as JSON", element("pre", { tabindex: 0, role: "region", "aria-label": "JSON" }, asJson(answer))),
    ];
  }
}

/** The picture at the point of the path on which the reader stands. */
class PointView {
  #picture = element("img", { alt: "" });
  #caption = element("figcaption");

  constructor(points, prototype) {
    this.points = points;
    this.prototype = prototype;
    this.node = element("figure", { hidden: !points[0]?.uri }, this.#picture, this.#caption);
  }

  stand(index) {
    const point = this.points[index];
    if (!point.uri) return;
    const text = this.#described(index, point);
    this.#picture.src = point.uri;
    this.#picture.alt = text;
    this.#caption.replaceChildren(text);
  }

  #described(index, point) {
    if (index === 0) return "what was judged";
    if (index < this.points.length - 1) return `${share(point.position)} of the path`;
    return isNumber(this.prototype) ? `prototype ${this.prototype}` : "the prototype";
  }
}

function details(title, content) {
  return content === null ? null : element("details", {}, element("summary", {}, title), content);
}

function asJson(answer) {
  const shortened = (key, value) => (key === "uri" && typeof value === "string" ? `${value.slice(0, 22)}…` : value);
  return JSON.stringify(answer, shortened, 2);
}

function button(text, describedBy, onClick) {
  const node = element("button", { type: "button", class: "quiet", "aria-describedby": describedBy }, text);
  node.addEventListener("click", onClick);
  return node;
}
