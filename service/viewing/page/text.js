/** Names of strangers, so that what cannot be seen is seen, and nothing turns the text around it. */

const HIDDEN = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/gu;

/** Control characters and marks of direction as what they are called. */
export function visible(text) {
  return String(text).replace(HIDDEN, (character) => (
    `[U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}]`
  ));
}

const KINDS = { adversarial: "Adversarial", undecided: "Undecided", clean: "Clean", unreadable: "Unreadable" };

/** What became of an image, as a word. */
export function kindWord(kind) {
  return Object.hasOwn(KINDS, kind) ? KINDS[kind] : visible(kind);
}

/** The class that colours it. */
export function kindClass(kind) {
  return kind === "unreadable" ? "failed" : Object.hasOwn(KINDS, kind) ? kind : "undecided";
}
