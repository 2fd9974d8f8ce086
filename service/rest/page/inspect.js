/** The first view: images come in, at most two at a time go to the server, results appear newest first. */

import { detect, getBundles } from "./api.js";
import { bundleOf, factsOf, fillSelect } from "./bundles.js";
import { show } from "./dom.js";
import { wireIntake } from "./intake.js";
import { ResultCard } from "./result.js";
import { decision, labelName, number } from "./words.js";

const AT_ONCE = 2;
const RETRY_MILLISECONDS = 3000;

const part = (id) => document.getElementById(id);

export class InspectView {
  #bundles = new Map();
  #waiting = [];
  #nUnderWay = 0;

  start() {
    wireIntake({
      input: part("files"), zone: part("drop"), onFiles: (files) => this.add(files), onTrouble: complain,
    });
    part("intake").addEventListener("submit", (event) => event.preventDefault());
    part("bundle").addEventListener("change", () => this.#describe({ resetRate: true }));
    part("rate").addEventListener("input", () => this.#checkRate());
    this.#loadBundles();
  }

  async #loadBundles() {
    try {
      const bundles = (await getBundles()).map(bundleOf);
      this.#bundles = new Map(bundles.map((bundle) => [bundle.name, bundle]));
      fillSelect(part("bundle"), bundles);
      complain(null);
      this.#describe({ resetRate: true });
      this.#next();
    } catch (error) {
      complain(error.message);
      setTimeout(() => this.#loadBundles(), RETRY_MILLISECONDS);
    }
  }

  get #bundle() {
    return this.#bundles.get(part("bundle").value);
  }

  #describe({ resetRate }) {
    const bundle = this.#bundle;
    part("bundle-facts").textContent = factsOf(bundle);
    const smallest = bundle.smallestRate;
    part("rate-hint").textContent = rateHint(smallest);
    if (resetRate) part("rate").value = String(Number((100 * (bundle.defaultRate ?? 0.05)).toPrecision(6)));
    this.#checkRate();
  }

  /** The rate as a share of one; null, and the field marked, where it cannot be used. */
  #checkRate() {
    const field = part("rate");
    const rate = field.value === "" ? Number.NaN : Number(field.value) / 100;
    const smallest = this.#bundle?.smallestRate ?? 0;
    const isUsable = rate > 0 && rate < 1 && rate >= smallest;
    field.setAttribute("aria-invalid", String(!isUsable));
    return isUsable ? rate : null;
  }

  add(files) {
    if (this.#checkRate() === null) {
      complain("Say first how many false alarms are allowed: a percentage that the detector supports.");
      part("rate").focus();
      return;
    }
    for (const file of files) this.#append(file);
    announce(files.length === 1 ? `Inspecting ${files[0].name}` : `Inspecting ${files.length} images`);
    this.#next();
  }

  #append(file) {
    const job = { file, abort: new AbortController() };
    job.card = new ResultCard(file, { onAgain: () => this.#repeat(job), onRemove: () => this.#remove(job) });
    part("results").prepend(job.card.node);
    show(part("welcome"), false);
    this.#waiting.push(job);
  }

  #repeat(job) {
    if (this.#checkRate() === null) {
      part("rate").focus();
      return;
    }
    job.card.wait("waiting");
    job.card.heading.focus();
    this.#waiting.push(job);
    this.#next();
  }

  #remove(job) {
    job.abort.abort();
    this.#waiting = this.#waiting.filter((other) => other !== job);
    const neighbour = job.card.node.nextElementSibling ?? job.card.node.previousElementSibling;
    job.card.node.remove();
    show(part("welcome"), !part("results").hasChildNodes());
    (neighbour?.querySelector("h3") ?? part("files")).focus();
  }

  #next() {
    while (this.#bundle && this.#nUnderWay < AT_ONCE && this.#waiting.length > 0) {
      this.#nUnderWay += 1;
      this.#run(this.#waiting.shift()).finally(() => {
        this.#nUnderWay -= 1;
        this.#next();
      });
    }
  }

  async #run({ file, abort, card }) {
    const bundle = this.#bundle;
    card.wait("being inspected");
    try {
      const answer = await detect(file, {
        bundle: bundle.name,
        falsePositiveRate: this.#checkRate() ?? bundle.defaultRate ?? 0.05,
        signal: abort.signal,
        onWait: (seconds) => card.wait(`the server is busy; again in ${number(seconds, 2)} s`),
      });
      card.judge(answer, bundle);
      announce(spokenVerdict(card.name, answer.results[0]));
    } catch (error) {
      if (abort.signal.aborted) return;
      card.fail(error);
      announce(`${card.name} was not judged: ${error.message}`);
    }
  }
}

function rateHint(smallest) {
  if (!smallest) return "per cent of clean images";
  // Rounded up, so that what is read here can be typed there.
  const digit = 10 ** (Math.floor(Math.log10(100 * smallest)) - 1);
  return `per cent of clean images, at least ${number(Math.ceil((100 * smallest) / digit - 1e-9) * digit, 2)}`;
}

function spokenVerdict(name, result) {
  const label = labelName(result, "label");
  return `${name}: ${decision(result).word}${label === null ? "" : `, the classifier names it ${label}`}`;
}

function complain(text) {
  part("intake-failure").textContent = text ?? "";
  show(part("intake-failure"), text !== null);
}

function announce(text) {
  part("announcer").textContent = text;
}
