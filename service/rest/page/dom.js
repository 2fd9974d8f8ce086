/** Elements made from plain values. Text becomes text nodes alone, so nothing foreign is ever read as markup. */

const SVG = "http://www.w3.org/2000/svg";

/** An HTML element; attributes that are false, null or undefined are left out, true ones are empty. */
export function element(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** The same inside a drawing. */
export function drawn(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** Pairs as the rows of a description list; those without a value are left out. */
export function descriptions(pairs, attributes = {}) {
  const rows = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return element("dl", attributes, rows.map(([name, value]) => (
    element("div", {}, element("dt", {}, name), element("dd", {}, value))
  )));
}

export function show(node, isShown) {
  node.hidden = !isShown;
}

let made = 0;

/** An id that no other element of the page has. */
export function newId(stem) {
  made += 1;
  return `${stem}-${made}`;
}
