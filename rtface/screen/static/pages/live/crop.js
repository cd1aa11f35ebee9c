// The crop: drawn by the mouse, moved, and pulled at its corners and sides; in whole pixels of the camera's frame.

import { LEAST, typed } from "../../lib/crops.js";

/** @typedef {import("../../lib/crops.js").Crop} Crop */

const GRIP = 9;
const MOVE = "inside";

export class CropEditor {
  /** @param {import("./view.js").PictureView} view */
  constructor(view) {
    this.view = view;
    this.editing = false;
    /** @type {Crop | null} what is being drawn */
    this.crop = null;
    /** @type {{grip: string, from: {x: number, y: number}, before: Crop} | null} */
    this.drag = null;
    this.changed = () => {};
  }

  /** Begin with a crop. @param {Crop} crop */
  begin(crop) {
    this.editing = true;
    this.crop = { ...crop };
    this.changed();
  }

  end() {
    this.editing = false;
    this.crop = this.drag = null;
    this.changed();
  }

  /** @param {{x: number, y: number}} at @returns {boolean} whether the pointer is the crop's */
  down(at) {
    if (!this.editing) return false;
    const grip = this.crop ? this.gripAt(at) : "";
    const from = this.view.toCamera(at.x, at.y);
    const before = this.crop && grip ? { ...this.crop } : { x: from.x, y: from.y, width: 0, height: 0, mirrored: this.crop?.mirrored ?? false };
    this.drag = { grip: grip || "se", from, before };
    return true;
  }

  /** @param {{x: number, y: number}} at */
  move(at) {
    if (!this.drag) return;
    const { grip, from, before } = this.drag;
    const here = this.view.toCamera(at.x, at.y);
    const dx = here.x - from.x;
    const dy = here.y - from.y;
    let [left, top, right, bottom] = [before.x, before.y, before.x + before.width, before.y + before.height];
    const sides = grip === MOVE ? "nesw" : grip;
    if (sides.includes("w")) left += dx;
    if (sides.includes("e")) right += dx;
    if (sides.includes("n")) top += dy;
    if (sides.includes("s")) bottom += dy;
    this.crop = { ...this.within(left, top, right, bottom, grip === MOVE), mirrored: before.mirrored };
    this.changed();
  }

  up() {
    this.drag = null;
  }

  /** Keep a crop in the frame, and in whole pixels. @param {number} left @param {number} top @param {number} right @param {number} bottom @param {boolean} whole */
  within(left, top, right, bottom, whole) {
    const { width, height } = this.view.data.frame;
    let [x0, x1] = [Math.min(left, right), Math.max(left, right)];
    let [y0, y1] = [Math.min(top, bottom), Math.max(top, bottom)];
    if (whole) {
      const dx = Math.max(0, -x0) - Math.max(0, x1 - width);
      const dy = Math.max(0, -y0) - Math.max(0, y1 - height);
      [x0, x1, y0, y1] = [x0 + dx, x1 + dx, y0 + dy, y1 + dy];
    }
    const x = Math.round(Math.min(Math.max(0, x0), width - LEAST));
    const y = Math.round(Math.min(Math.max(0, y0), height - LEAST));
    return {
      x, y,
      width: Math.round(Math.max(LEAST, Math.min(x1, width) - x)),
      height: Math.round(Math.max(LEAST, Math.min(y1, height) - y)),
    };
  }

  /** Mirror the crop, or not. @param {boolean} mirrored */
  mirror(mirrored) {
    if (this.crop) this.take({ ...this.crop, mirrored });
  }

  /** Take a number that was typed. @param {"x" | "y" | "width" | "height"} name @param {string} text @returns {string} what became other than it was typed */
  type(name, text) {
    if (!this.crop) return "";
    const { crop, note } = typed(this.crop, name, text, this.view.data.frame);
    this.take(crop);
    return note;
  }

  /** @param {Crop} crop */
  take(crop) {
    this.crop = crop;
    this.changed();
    this.view.draw();
  }

  /** @param {{x: number, y: number}} at @returns {string} which sides it would pull, `MOVE` within, empty outside */
  gripAt(at) {
    if (!this.crop) return "";
    const { x, y, width, height } = this.crop;
    const a = this.view.toScreen(x - 0.5, y - 0.5);
    const b = this.view.toScreen(x + width - 0.5, y + height - 0.5);
    if (at.x < a.x - GRIP || at.x > b.x + GRIP || at.y < a.y - GRIP || at.y > b.y + GRIP) return "";
    const vertical = Math.abs(at.y - a.y) < GRIP ? "n" : Math.abs(at.y - b.y) < GRIP ? "s" : "";
    const horizontal = Math.abs(at.x - a.x) < GRIP ? "w" : Math.abs(at.x - b.x) < GRIP ? "e" : "";
    return vertical + horizontal || MOVE;
  }

  /** @param {{x: number, y: number}} at @returns {string} */
  cursor(at) {
    if (!this.editing) return "grab";
    const grip = this.drag?.grip ?? this.gripAt(at);
    return !grip ? "crosshair" : grip === MOVE ? "move" : `${grip}-resize`;
  }

  /** @param {CanvasRenderingContext2D} ctx */
  draw(ctx) {
    const { crop, frame, area } = this.view.data;
    const whole = crop.width === frame.width && crop.height === frame.height;
    if (!this.editing && !whole && area.width > crop.width) this.box(ctx, crop, "#6cb6f2", [5, 4]);
    if (!this.editing || !this.crop) return;
    this.shade(ctx, this.crop);
    this.box(ctx, this.crop, "#ffd75e", []);
    const a = this.view.toScreen(this.crop.x - 0.5, this.crop.y - 0.5);
    const b = this.view.toScreen(this.crop.x + this.crop.width - 0.5, this.crop.y + this.crop.height - 0.5);
    ctx.fillStyle = "#ffd75e";
    for (const x of [a.x, (a.x + b.x) / 2, b.x]) for (const y of [a.y, (a.y + b.y) / 2, b.y]) {
      if (x === (a.x + b.x) / 2 && y === (a.y + b.y) / 2) continue;
      ctx.fillRect(x - 4, y - 4, 8, 8);
    }
  }

  /** @param {CanvasRenderingContext2D} ctx @param {Crop} crop @param {string} stroke @param {number[]} dash */
  box(ctx, { x, y, width, height }, stroke, dash) {
    const a = this.view.toScreen(x - 0.5, y - 0.5);
    const b = this.view.toScreen(x + width - 0.5, y + height - 0.5);
    ctx.strokeStyle = stroke;
    ctx.lineWidth = 2;
    ctx.setLineDash(dash);
    ctx.strokeRect(a.x, a.y, b.x - a.x, b.y - a.y);
    ctx.setLineDash([]);
  }

  /** @param {CanvasRenderingContext2D} ctx @param {Crop} crop */
  shade(ctx, { x, y, width, height }) {
    const a = this.view.toScreen(x - 0.5, y - 0.5);
    const b = this.view.toScreen(x + width - 0.5, y + height - 0.5);
    ctx.fillStyle = "#0007";
    ctx.beginPath();
    ctx.rect(0, 0, ctx.canvas.width, ctx.canvas.height);
    ctx.rect(a.x, a.y, b.x - a.x, b.y - a.y);
    ctx.fill("evenodd");
  }
}
