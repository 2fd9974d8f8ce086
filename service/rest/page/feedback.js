/** “This verdict is wrong”: a form that opens beneath a result and tells the server what the truth is. */

import { sendFeedback } from "./api.js";
import { element, newId, show } from "./dom.js";
import { decision } from "./words.js";

const THANKS = "Recorded; what is reported can be exported for recalibration.";

/** The button that opens the form, and the form. */
export function feedbackForm({ answer, bundle, file, name }) {
  const id = newId("feedback");
  const opener = element("button",
    { type: "button", class: "quiet", "aria-expanded": "false", "aria-controls": id }, "This verdict is wrong");
  const fields = makeFields(answer.results[0], bundle);
  const send = element("button", { type: "submit" }, "Send report");
  const cancel = element("button", { type: "button", class: "quiet" }, "Cancel");
  const said = element("p", { class: "hint", role: "status" });
  const node = element("form", { id, class: "feedback", "aria-label": `Report on ${name}`, hidden: true },
    fields.nodes, element("div", { class: "actions" }, send, cancel), said);

  function open(isOpen) {
    show(node, isOpen);
    opener.setAttribute("aria-expanded", String(isOpen));
    if (isOpen) fields.first.focus();
    else opener.focus();
  }

  opener.addEventListener("click", () => open(node.hidden));
  cancel.addEventListener("click", () => open(false));
  node.addEventListener("keydown", (event) => event.key === "Escape" && open(false));
  node.addEventListener("submit", async (event) => {
    event.preventDefault();
    send.disabled = true;
    said.className = "hint";
    said.textContent = "Sending …";
    try {
      await sendFeedback(await reportOf({ answer, fields, file }));
      const thanks = element("p", { class: "hint", tabindex: -1 }, THANKS);
      node.replaceChildren(thanks);
      thanks.focus();
      opener.disabled = true;
    } catch (error) {
      said.className = "failure";
      said.textContent = error.message;
      send.disabled = false;
    }
  });
  return { opener, node };
}

function makeFields(result, bundle) {
  const group = newId("truth");
  const truth = decision(result).name === "adversarial" ? "clean" : "adversarial";
  const radio = (value, text) => {
    const input = element("input", { type: "radio", name: group, value, checked: value === truth });
    return { input, node: element("label", { class: "choice" }, input, text) };
  };
  const choices = [radio("clean", "clean"), radio("adversarial", "adversarial")];
  const label = element("select", { id: newId("label") },
    element("option", { value: "" }, "I do not say"),
    bundle.labels.map((text, index) => element("option", { value: index }, text)));
  const note = element("input", { type: "text", id: newId("note"), maxlength: 500, autocomplete: "off" });
  const isSent = element("input", { type: "checkbox", checked: true });
  const field = (text, control) => (
    element("div", { class: "field" }, element("label", { for: control.id }, text), control)
  );
  return {
    nodes: [
      element("fieldset", {}, element("legend", {}, "The image is"), choices.map((choice) => choice.node)),
      element("div", { class: "fields" }, field("It shows", label), field("Note", note)),
      element("label", { class: "choice" }, isSent, "keep the image with it, so that it can serve in recalibration"),
    ],
    first: (choices.find((choice) => choice.input.checked) ?? choices[0]).input,
    truth: () => choices.find((choice) => choice.input.checked).input.value,
    label,
    note,
    isSent,
  };
}

async function reportOf({ answer, fields, file }) {
  const report = { request_id: answer.request_id, index: 0, correct_decision: fields.truth() };
  if (fields.label.value !== "") report.correct_label = Number(fields.label.value);
  if (fields.note.value.trim()) report.note = fields.note.value.trim();
  if (fields.isSent.checked) report.image = await base64(file);
  return report;
}

function base64(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.addEventListener("load", () => resolve(reader.result.slice(reader.result.indexOf(",") + 1)));
    reader.addEventListener("error", () => reject(new Error("The image cannot be read any more.")));
    reader.readAsDataURL(file);
  });
}
