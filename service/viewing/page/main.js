import { addressOf, ask } from "./asking.js";
import { Detail } from "./detail.js";
import { element, show } from "./dom.js";
import { Filters } from "./filters.js";
import { drawHistogram } from "./histogram.js";
import { remember, remembered } from "./state.js";
import { Table } from "./table.js";
import { visible } from "./text.js";
import { count } from "./words.js";

const N_ROWS = 50;
const POLL_MILLISECONDS = 3000;
const FORMS = [["csv", "CSV"], ["jsonl", "JSON Lines"], ["parquet", "Parquet"]];
const part = (id) => document.getElementById(id);

let { filters: asked, order, descends } = remembered();
let audit = { n_images: 0, token: "" };
let hasGiven = false;
let places = [null];
let page = { rows: [], next: null };
let nShown = 0;
let asking = new AbortController();

const filters = new Filters((values) => {
  asked = values;
  begin();
});
const table = new Table({
  onSort: (chosen, isTurned) => {
    [order, descends] = [chosen, isTurned];
    begin();
  },
  onOpen: (index) => detail.openAt(index),
});
const detail = new Detail({ rowAt: (index) => page.rows[index], onClose: (index) => table.focus(index ?? 0) });

filters.values = asked;
part("previous").addEventListener("click", () => turn(-1));
part("next").addEventListener("click", () => turn(1));
part("newer").addEventListener("click", begin);
addEventListener("keydown", (event) => {
  if (event.key !== "/" || detail.isOpen || event.target.matches("input, select")) return;
  event.preventDefault();
  filters.focusText();
});
follow();

/** Ask again from the first page. */
function begin() {
  remember({ filters: asked, order, descends });
  places = [null];
  refresh();
}

function turn(step) {
  if (step > 0) places.push(page.next);
  else places.pop();
  refresh().then(() => part("count").scrollIntoView({ block: "nearest" }));
}

async function refresh() {
  asking.abort();
  asking = new AbortController();
  const { signal } = asking;
  if (!filters.areValid) return tell("A p-value lies between 0 and 1.");
  try {
    const rows = { ...asked, order, descends, n: N_ROWS, after: places.at(-1) };
    const answers = await Promise.all([ask("rows", rows, signal), ask("overview", asked, signal)]);
    if (signal.aborted) return;
    tell(null);
    showRows(answers[0]);
    showOverview(answers[1]);
  } catch (error) {
    if (error.name !== "AbortError") tell(error.message);
  }
}

function tell(message) {
  part("failure").textContent = message ?? "";
  show(part("failure"), message !== null);
}

function showRows(answer) {
  page = answer;
  nShown = audit.n_images;
  show(part("newer"), false);
  table.show(page.rows, { order, descends, token: audit.token, hasGiven });
  const first = (places.length - 1) * N_ROWS;
  part("range").textContent = page.rows.length ? `${count(first + 1)} to ${count(first + page.rows.length)}` : "";
  part("previous").disabled = places.length < 2;
  part("next").disabled = page.next === null;
}

function showOverview(overview) {
  part("count").textContent = overview.n_images === 1 ? "1 image" : `${count(overview.n_images)} images`;
  filters.setCounts(overview.kinds);
  // Chosen by what they were judged to be, even clean images would not be spread evenly.
  const isWhole = ["kind", "p_value_least", "p_value_most", "discoveries"].every((name) => asked[name] === "");
  const n = overview.histogram.reduce((sum, bin) => sum + bin, 0);
  drawHistogram(part("histogram"), overview, {
    expected: isWhole && n > 0 ? n / overview.histogram.length : null,
    rate: audit.false_positive_rate,
    onChoose: (least, most) => filters.setRange(least, most),
  });
  const links = FORMS.map(([form, name]) => element("a", { href: addressOf(`selection.${form}`, asked), download: `selection.${form}` }, name));
  part("downloads").replaceChildren("as ", ...links.flatMap((link, index) => (index ? [", ", link] : [link])));
}

/** Look what the audit has written since, from time to time while it writes and the page is seen. */
async function follow() {
  try {
    const known = await ask("audit");
    const isNew = known.n_images !== audit.n_images || known.has_report !== audit.has_report || audit.token === "";
    audit = known;
    detail.audit = known;
    if (isNew) await showAudit();
  } catch (error) {
    standing("away", error.message);
  }
  setTimeout(() => whenSeen(follow), POLL_MILLISECONDS);
}

async function showAudit() {
  const where = audit.source.location ?? audit.source.path ?? Object.values(audit.source).find((value) => typeof value === "string");
  part("source").textContent = [where, audit.bundle].filter(Boolean).map(visible).join(" · ");
  standing(audit.n_listed !== null && audit.n_images >= audit.n_listed ? "ready" : "busy", progress());
  filters.setDiscoveries(audit);
  part("report").replaceChildren(...(audit.has_report ? [element("a", { href: "report" }, "The report"), " · "] : []));
  const choices = await ask("choices");
  hasGiven = choices.given_label.length > 0;
  filters.setChoices(choices);
  if (page.rows.length < N_ROWS && !detail.isOpen) await refresh();
  else if (audit.n_images > nShown) {
    show(part("newer"), true);
    showOverview(await ask("overview", asked));
  }
}

function progress() {
  const damaged = audit.n_shards_damaged ? ` · ${count(audit.n_shards_damaged)} shards cannot be read: isthmus audit --verify` : "";
  const loading = audit.n_shards < audit.n_shards_done - audit.n_shards_damaged ? " so far" : "";
  if (audit.n_listed === null) return `${count(audit.n_images)} images${loading}, and the source is still listed${damaged}`;
  const of = audit.n_images < audit.n_listed ? ` of ${count(audit.n_listed)}` : "";
  return `${count(audit.n_images)}${of} images${loading}${damaged}`;
}

function standing(state, text) {
  if (part("standing").textContent === text) return;
  part("standing").dataset.state = state;
  part("standing").textContent = text;
}

function whenSeen(act) {
  if (document.visibilityState === "visible") act();
  else document.addEventListener("visibilitychange", () => whenSeen(act), { once: true });
}
