// The frame at the cursor with its keypoints: filled where the network was sure, hollow where it was not.

import { colourOf } from "../../lib/colours.js";
import { h } from "../../lib/dom.js";
import { outline } from "../../lib/marks.js";

const SURE = 0.5;

export class Face {
  constructor() {
    this.canvas = h("canvas", { role: "img", "aria-label": "The frame at the cursor" });
    this.element = h("div", { class: "face" }, this.canvas);
    /** @type {any} */
    this.moment = null;
    /** @type {HTMLImageElement | null} */
    this.image = null;
    this.observer = new ResizeObserver(() => this.paint());
    this.observer.observe(this.element);
  }

  end() {
    this.observer.disconnect();
  }

  /** Show a frame; resolves once its picture is there. @param {any} moment @param {string | null} source */
  async show(moment, source) {
    /** @type {HTMLImageElement | null} */
    let image = null;
    if (source) {
      image = new Image();
      image.src = source;
      try {
        await image.decode();
      } catch {
        image = null;
      }
    }
    this.moment = moment;
    this.image = image;
    this.canvas.setAttribute("aria-label", `Frame ${moment.frame} at ${moment.t.toFixed(3)} s${image ? "" : ", without a picture"}`);
    this.element.dataset.frame = String(moment.frame);
    this.element.dataset.picture = image ? "shown" : "none";
    this.paint();
  }

  paint() {
    const moment = this.moment;
    if (!moment) return;
    const [width, height] = moment.size ?? extent(moment.points);
    const shown = this.element.clientWidth;
    const scale = shown / width;
    const ratio = devicePixelRatio || 1;
    this.canvas.width = Math.round(shown * ratio);
    this.canvas.height = Math.round(height * scale * ratio);
    const pen = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext("2d"));
    pen.scale(ratio, ratio);
    pen.fillStyle = "#10161b";
    pen.fillRect(0, 0, shown, height * scale);
    if (this.image) pen.drawImage(this.image, 0, 0, shown, height * scale);
    for (const [place, [x, y, score]] of moment.points.entries()) {
      if (x === null || y === null) continue;
      outline(pen, place, (x + 0.5) * scale, (y + 0.5) * scale, 4);
      pen.lineWidth = 3;
      pen.strokeStyle = "#000";
      pen.stroke();
      pen.lineWidth = 1.5;
      pen.strokeStyle = pen.fillStyle = colourOf(place);
      if (score >= SURE) pen.fill();
      pen.stroke();
    }
  }
}

/** Room for points of a session without pictures. @param {[number | null, number | null, number][]} points @returns {[number, number]} */
function extent(points) {
  const xs = points.map(([x]) => x ?? 0);
  const ys = points.map(([, y]) => y ?? 0);
  return [Math.max(64, Math.max(...xs) + 20), Math.max(48, Math.max(...ys) + 20)];
}
