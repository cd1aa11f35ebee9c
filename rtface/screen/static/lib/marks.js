// How keypoints are drawn: each has a colour and a shape. Those that follow each other in the list differ in both, and no two of
// 28 are alike. A label is solid, a guess is hollow and dashed.

import { colourOf } from "./colours.js";

const SHAPES = 4;

/**
 * Trace the outline of a keypoint's mark: a circle, a square, a diamond or a triangle.
 * @param {CanvasRenderingContext2D} context @param {number} index @param {number} x @param {number} y @param {number} r
 */
export function outline(context, index, x, y, r) {
  context.beginPath();
  const shape = index % SHAPES;
  if (shape === 0) context.arc(x, y, r, 0, 2 * Math.PI);
  else if (shape === 1) context.rect(x - r * 0.9, y - r * 0.9, r * 1.8, r * 1.8);
  else {
    const corners = shape === 2 ? [[0, -1.25], [1.25, 0], [0, 1.25], [-1.25, 0]] : [[0, -1.25], [1.15, 0.8], [-1.15, 0.8]];
    corners.forEach(([dx, dy], at) => (at ? context.lineTo(x + dx * r, y + dy * r) : context.moveTo(x + dx * r, y + dy * r)));
    context.closePath();
  }
}

/**
 * Draw a keypoint.
 * @param {CanvasRenderingContext2D} context
 * @param {{index: number, x: number, y: number, hollow?: boolean, chosen?: boolean, faint?: boolean, r?: number}} mark
 */
export function drawMark(context, { index, x, y, hollow = false, chosen = false, faint = false, r = 6 }) {
  const colour = colourOf(index);
  context.save();
  context.globalAlpha = faint ? 0.7 : 1;
  outline(context, index, x, y, r);
  context.lineWidth = 4;
  context.strokeStyle = "#000b";
  context.stroke();
  if (hollow) context.setLineDash([3, 2]);
  if (!hollow) {
    context.fillStyle = `${colour}55`;
    context.fill();
  }
  context.lineWidth = 2;
  context.strokeStyle = colour;
  context.stroke();
  context.setLineDash([]);
  if (!hollow) dot(context, x, y, colour);
  if (chosen) cross(context, x, y, r);
  context.restore();
}

/** @param {CanvasRenderingContext2D} context @param {number} x @param {number} y @param {string} colour */
function dot(context, x, y, colour) {
  context.beginPath();
  context.arc(x, y, 1.6, 0, 2 * Math.PI);
  context.fillStyle = "#000";
  context.fill();
  context.beginPath();
  context.arc(x, y, 1, 0, 2 * Math.PI);
  context.fillStyle = colour;
  context.fill();
}

/**
 * Draw a cross with an open middle.
 * @param {CanvasRenderingContext2D} context @param {number} x @param {number} y @param {number} r
 */
export function cross(context, x, y, r) {
  for (const [width, colour] of /** @type {[number, string][]} */ ([[3, "#000c"], [1.25, "#fff"]])) {
    context.beginPath();
    for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
      context.moveTo(x + dx * (r + 2), y + dy * (r + 2));
      context.lineTo(x + dx * (r + 10), y + dy * (r + 10));
    }
    context.lineWidth = width;
    context.strokeStyle = colour;
    context.stroke();
  }
}

/**
 * Write a name beside a point.
 * @param {CanvasRenderingContext2D} context @param {string} text @param {number} x @param {number} y
 */
export function drawName(context, text, x, y) {
  context.font = "12px system-ui, sans-serif";
  context.textBaseline = "middle";
  context.lineWidth = 3.5;
  context.lineJoin = "round";
  context.strokeStyle = "#000c";
  context.strokeText(text, x + 12, y - 10);
  context.fillStyle = "#fff";
  context.fillText(text, x + 12, y - 10);
}

/**
 * Make a small picture of a keypoint's mark, for lists.
 * @param {number} index @returns {HTMLCanvasElement}
 */
export function swatch(index) {
  const canvas = document.createElement("canvas");
  const ratio = devicePixelRatio || 1;
  canvas.width = canvas.height = 18 * ratio;
  canvas.className = "swatch";
  canvas.setAttribute("aria-hidden", "true");
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.scale(ratio, ratio);
  drawMark(context, { index, x: 9, y: 9, r: 5 });
  return canvas;
}
