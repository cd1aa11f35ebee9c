// Pictures of a rig on a canvas: a crop drawn over them by mouse, and points that an engine found.

import { colourOf } from "../../lib/colours.js";
import { outline } from "../../lib/marks.js";

/** @typedef {{x: number, y: number, width: number, height: number}} Box */
/** @typedef {{name: string, x: number | null, y: number | null, score: number, untaught?: boolean}} Point */

/** Where a picture that a job saved is served. @param {string} file @returns {string} */
export const pictureUrl = (file) => `/api/newrig/picture?file=${encodeURIComponent(file)}`;

/** A picture that a job saved; null where it is gone: those of the last looks alone are kept. @param {string} file @returns {Promise<HTMLImageElement | null>} */
export async function loaded(file) {
  const image = new Image();
  image.src = pictureUrl(file);
  try {
    await image.decode();
  } catch {
    return null;
  }
  return image;
}

/**
 * Draw a picture, or a part of it, as wide as its canvas is, and return pixels of the canvas to a pixel of the picture.
 * @param {HTMLCanvasElement} canvas @param {HTMLImageElement} image @param {Box} [part] @returns {number}
 */
export function drawPicture(canvas, image, part = whole(image)) {
  const scale = Math.max(1, canvas.clientWidth) / part.width;
  const dense = devicePixelRatio;
  canvas.width = Math.round(part.width * scale * dense);
  canvas.height = Math.round(part.height * scale * dense);
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.drawImage(image, part.x, part.y, part.width, part.height, 0, 0, canvas.width, canvas.height);
  return scale * dense;
}

/** @param {HTMLImageElement} image @returns {Box} */
const whole = (image) => ({ x: 0, y: 0, width: image.naturalWidth, height: image.naturalHeight });

/**
 * Draw points with their scores: one of which an engine is unsure, or that it was never taught, is hollow.
 * @param {HTMLCanvasElement} canvas @param {number} scale @param {Point[]} points
 * @param {{x: number, y: number}} from where in the picture the canvas begins @param {number} radius in pixels of the page
 */
export function drawPoints(canvas, scale, points, from, radius) {
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  points.forEach((point, index) => {
    if (point.x === null || point.y === null) return;
    outline(context, index, (point.x - from.x + 0.5) * scale, (point.y - from.y + 0.5) * scale, radius * devicePixelRatio);
    context.lineWidth = 2 * devicePixelRatio;
    context.strokeStyle = "#000";
    context.stroke();
    context.strokeStyle = colourOf(index);
    context.lineWidth = 1.5 * devicePixelRatio;
    context.stroke();
    if (point.score >= 0.5 && !point.untaught) {
      context.fillStyle = colourOf(index);
      context.fill();
    }
  });
}

/** @param {HTMLCanvasElement} canvas @param {number} scale @param {{x: number, y: number, width: number, height: number}} box */
export function drawBox(canvas, scale, box) {
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const [x, y, width, height] = [box.x, box.y, box.width, box.height].map((value) => value * scale);
  context.fillStyle = "#0008";
  context.beginPath();
  context.rect(0, 0, canvas.width, canvas.height);
  context.rect(x, y, width, height);
  context.fill("evenodd");
  context.strokeStyle = "#ffd75e";
  context.lineWidth = 2 * devicePixelRatio;
  context.strokeRect(x, y, width, height);
  context.fillStyle = "#ffd75e";
  const handle = 5 * devicePixelRatio;
  for (const corner of [[x, y], [x + width, y], [x, y + height], [x + width, y + height]]) {
    context.fillRect(corner[0] - handle, corner[1] - handle, 2 * handle, 2 * handle);
  }
}
