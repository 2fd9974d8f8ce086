/** The image as it came, reduced in the browser so that many large photographs do not fill its memory. */

import { EXACT_SIDE } from "./bundles.js";
import { element } from "./dom.js";

const REDUCED_SIDE = 288;

/** A figure that shows the file once it is decoded, and stays hidden where the browser cannot. */
export function thumbnail(file) {
  const canvas = element("canvas", { role: "img", "aria-label": "the image as it came" });
  const figure = element("figure", { hidden: true }, canvas, element("figcaption", {}, "what came"));
  draw(file, canvas).then((isDrawn) => {
    figure.hidden = !isDrawn;
  });
  return figure;
}

async function draw(file, canvas) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    return false;
  }
  const scale = Math.min(1, REDUCED_SIDE / Math.max(bitmap.width, bitmap.height));
  canvas.width = Math.max(1, Math.round(scale * bitmap.width));
  canvas.height = Math.max(1, Math.round(scale * bitmap.height));
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  canvas.classList.toggle("pixelated", Math.max(bitmap.width, bitmap.height) <= EXACT_SIDE);
  bitmap.close();
  return true;
}
