/** The path from the image to its prototype: pictures, the cross-entropy along them, and a slider that walks it. */

import { drawn, element } from "./dom.js";
import { nats, number } from "./words.js";

const TOP = 6;
const BOTTOM = 94;
const SMALLEST_SPAN = 0.05;

/** Points of an answer that can be shown: pictures, if they are inline images, or else the profile, standing where
 * its bundle says. */
export function pointsOf(result, profilePositions) {
  const strip = result.pictures?.strip ?? [];
  if (strip.length > 1) return strip.map((point) => ({ ...point, uri: isPicture(point.uri) ? point.uri : null }));
  const profile = result.profile ?? [];
  if (profile.length !== profilePositions.length) return [];
  return profile.map((value, index) => ({ position: profilePositions[index], uri: null, cross_entropy: value }));
}

function isPicture(uri) {
  return typeof uri === "string" && uri.startsWith("data:image/");
}

/** The tracks; `onMove` gets the index of the point that the reader stands on. Null for fewer than two that were
 * measured. */
export function pathTracks({ points, name, onMove }) {
  if (points.filter((point) => Number.isFinite(point.cross_entropy)).length < 2) return null;
  const curve = new Curve(points);
  const slider = element("input", {
    type: "range", min: 0, max: points.length - 1, step: 1, value: 0, "aria-label": `Walk along the path of ${name}`,
  });
  const items = points.map((point, index) => stripItem(point, index));

  function stand(index) {
    slider.value = String(index);
    slider.setAttribute("aria-valuetext", spoken(points[index]));
    curve.mark(index);
    items.forEach((item, other) => item.classList.toggle("here", other === index));
    onMove(index);
  }

  slider.addEventListener("input", () => stand(Number(slider.value)));
  items.forEach((item, index) => item.addEventListener("pointerenter", (event) => {
    if (event.pointerType === "mouse") stand(index);
  }));
  const tracks = element("div", { class: "tracks" },
    points.some((point) => point.uri) && [
      element("div", { class: "label" }, "path"),
      element("ol", { class: "strip" }, items),
    ],
    element("div", { class: "label" },
      element("span", {}, "cross-entropy ", element("small", {}, "nats")),
      element("span", { class: "range" },
        element("span", {}, nats(curve.lowest + curve.span)), element("span", {}, nats(curve.lowest)))),
    element("div", { class: "curve" }, curve.node),
    element("div", { class: "label walk-label", "aria-hidden": "true" }, "walk along it"),
    element("div", { class: "walk" }, slider));
  tracks.style.setProperty("--points", points.length);
  // On a narrow screen every second picture is left out; an odd number keeps both ends.
  tracks.classList.toggle("dense", points.length > 9 && points.length % 2 === 1);
  stand(0);
  return tracks;
}

/** Where a point is, as a reader hears it. */
export function spoken({ position, cross_entropy: value }) {
  return `${share(position)} of the path, cross-entropy ${nats(value)} nats`;
}

export function share(position) {
  return number(Math.round(100 * position) / 100, 2);
}

function stripItem(point, index) {
  const picture = point.uri
    ? element("img", { src: point.uri, alt: `at ${share(point.position)} of the path`, loading: "lazy" })
    : null;
  return element("li", {}, picture, element("span", { class: index % 2 ? "between" : "" }, share(point.position)));
}

/** The curve as a drawing that fills its box; a dashed line at its higher end, and what rises above it shaded. */
class Curve {
  constructor(points) {
    this.places = points.map((point) => round(point.position * (points.length - 1)));
    this.values = points.map((point) => (Number.isFinite(point.cross_entropy) ? point.cross_entropy : null));
    const known = this.values.filter((value) => value !== null);
    this.lowest = Math.min(...known);
    this.highest = Math.max(...known);
    // A curve that hardly moves is drawn as the flat line it is, not stretched until it looks like a hill.
    this.span = Math.max(this.highest - this.lowest, SMALLEST_SPAN);
    const level = Math.max(this.values[0] ?? this.lowest, this.values.at(-1) ?? this.lowest);
    const last = points.length - 1;
    this.marker = drawn("path", { class: "marker" });
    const box = { viewBox: `0 0 ${last} 100`, preserveAspectRatio: "none" };
    this.node = drawn("svg", { ...box, role: "img", "aria-label": this.label(level) },
      drawn("path", { class: "risen", d: this.area(level) }),
      drawn("path", { class: "level", d: `M0 ${this.y(level)}H${last}` }),
      this.marker,
      drawn("path", { class: "line", d: this.line() }),
      drawn("path", { class: "dots", d: this.points().map(([x, y]) => `M${x} ${y}h0`).join("") }));
  }

  label(level) {
    const rise = this.highest - level;
    const first = nats(this.values[0]);
    const last = nats(this.values.at(-1));
    const between = rise > 1e-3 ? `, rising ${nats(rise)} above the higher end` : ", never above the higher end";
    return `Cross-entropy from ${first} nats at the image to ${last} at the prototype${between}`;
  }

  y(value) {
    return round(BOTTOM - ((BOTTOM - TOP) * (value - this.lowest)) / this.span);
  }

  points() {
    return this.values.flatMap((value, index) => (value === null ? [] : [[this.places[index], this.y(value)]]));
  }

  line() {
    return this.points().map(([x, y], index) => `${index ? "L" : "M"}${x} ${y}`).join("");
  }

  area(level) {
    const floor = this.y(level);
    const points = this.points();
    const edge = points.flatMap(([x, y], index) => {
      const [nextX, nextY] = points[index + 1] ?? [x, y];
      const isCrossed = Math.min(y, nextY) < floor && Math.max(y, nextY) > floor;
      const crossing = x + ((nextX - x) * (floor - y)) / (nextY - y);
      return [[x, Math.min(y, floor)], ...(isCrossed ? [[round(crossing), floor]] : [])];
    });
    return `M0 ${floor}${edge.map(([x, y]) => `L${x} ${y}`).join("")}L${this.values.length - 1} ${floor}Z`;
  }

  mark(index) {
    this.marker.setAttribute("d", `M${this.places[index]} 0V100`);
  }
}

function round(value) {
  return Math.round(100 * value) / 100;
}
