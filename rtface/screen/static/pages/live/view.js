// The picture of one rig with its points: zoom, pan, names, trails; and the crop that is drawn on it.

import { fill, h } from "../../lib/dom.js";
import { outline } from "../../lib/marks.js";
import { CropEditor } from "./crop.js";

const TRAIL = 40;
const NEAR = 14;

/** Colours by score, from the set of Okabe and Ito; filled, half and hollow tell them apart without colour. */
const SURE = "#00c389";
const DOUBTFUL = "#e69f00";
const UNSURE = "#ff6f3c";

/** @param {number} score */
export function scoreColour(score) {
  return score >= 0.8 ? SURE : score >= 0.5 ? DOUBTFUL : UNSURE;
}

export class PictureView {
  /** @param {() => string[]} names of the keypoints, in their order */
  constructor(names) {
    this.names = names;
    this.image = /** @type {HTMLCanvasElement} */ (h("canvas", { class: "image", "aria-hidden": "true" }));
    this.over = h("canvas", {
      class: "over", tabindex: "0", role: "img",
      "aria-label": "Picture of the camera with the keypoints. Plus and minus zoom, arrows move, 0 fits.",
    });
    this.wait = h("p", { class: "waiting" }, "No picture yet.");
    this.element = h("div", { class: "picture" }, this.image, this.over, this.wait);
    /** @type {any} */
    this.data = null;
    /** @type {ImageBitmap | null} */
    this.bitmap = null;
    /** @type {number[][][]} */
    this.trail = [];
    this.options = { names: false, trail: false };
    this.zoom = 1;
    this.centre = { x: 0, y: 0 };
    /** @type {{x: number, y: number} | null} */
    this.pointer = null;
    this.shownTimes = /** @type {number[]} */ ([]);
    this.ended = false;
    /** CSS pixels of this element: asked for once a change, not for every point that is drawn. */
    this.width = this.height = 1;
    this.crop = new CropEditor(this);
    this.listen();
    this.size = new ResizeObserver(() => {
      this.width = this.element.clientWidth;
      this.height = this.element.clientHeight;
      this.draw();
    });
    this.size.observe(this.element);
  }

  /**
   * Show a picture, and the keypoints of its own frame.
   * @param {any} data header of the picture, with its JPEG
   */
  async show(data) {
    const bitmap = await createImageBitmap(data.jpeg);
    if (this.ended) {
      bitmap.close();
      return;
    }
    this.bitmap?.close();
    const other = !this.data || JSON.stringify(this.data.area) !== JSON.stringify(data.area);
    this.bitmap = bitmap;
    this.data = data;
    if (other) this.fit();
    this.trail.push(data.xy);
    if (this.trail.length > TRAIL) this.trail.shift();
    this.wait.hidden = true;
    const now = performance.now();
    this.shownTimes.push(now);
    while (this.shownTimes[0] < now - 2000) this.shownTimes.shift();
    this.draw();
  }

  /** Pictures shown a second, lately. */
  get rate() {
    const now = performance.now();
    return this.shownTimes.filter((t) => t > now - 2000).length / 2;
  }

  /** Say why there is no picture, and what to do; what is said already stays as it is. @param {string} text @param {HTMLElement} [more] */
  none(text, more) {
    this.wait.hidden = false;
    if (this.wait.dataset.says === text) return;
    this.wait.dataset.says = text;
    fill(this.wait, h("p", {}, text), more);
  }

  fit() {
    const { area } = this.data;
    this.zoom = 1;
    this.centre = { x: area.x + area.width / 2 - 0.5, y: area.y + area.height / 2 - 0.5 };
    this.trail = [];
  }

  /** CSS pixels a pixel of the camera. */
  get scale() {
    const { area } = this.data;
    return Math.min(this.width / area.width, this.height / area.height) * this.zoom;
  }

  /** From the camera's pixels to CSS pixels of this element. @param {number} x @param {number} y */
  toScreen(x, y) {
    const scale = this.scale;
    return { x: (x - this.centre.x) * scale + this.width / 2, y: (y - this.centre.y) * scale + this.height / 2 };
  }

  /** From CSS pixels of this element to the camera's. @param {number} x @param {number} y */
  toCamera(x, y) {
    const scale = this.scale;
    return { x: (x - this.width / 2) / scale + this.centre.x, y: (y - this.height / 2) / scale + this.centre.y };
  }

  /** @param {number} factor @param {{x: number, y: number}} [at] CSS pixels that stay where they are */
  zoomBy(factor, at) {
    if (!this.data) return;
    const place = at ?? { x: this.width / 2, y: this.height / 2 };
    const before = this.toCamera(place.x, place.y);
    this.zoom = Math.min(40, Math.max(0.5, this.zoom * factor));
    const after = this.toCamera(place.x, place.y);
    this.centre.x += before.x - after.x;
    this.centre.y += before.y - after.y;
    this.draw();
  }

  draw() {
    if (!this.data || !this.bitmap) return;
    const { width, height } = this;
    const ratio = devicePixelRatio;
    for (const canvas of [this.image, this.over]) {
      if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
        canvas.width = Math.round(width * ratio);
        canvas.height = Math.round(height * ratio);
      }
    }
    const picture = /** @type {CanvasRenderingContext2D} */ (this.image.getContext("2d"));
    const { area } = this.data;
    const corner = this.toScreen(area.x - 0.5, area.y - 0.5);
    picture.setTransform(ratio, 0, 0, ratio, 0, 0);
    picture.clearRect(0, 0, width, height);
    picture.imageSmoothingEnabled = this.scale < 2;
    picture.drawImage(this.bitmap, corner.x, corner.y, area.width * this.scale, area.height * this.scale);
    const over = /** @type {CanvasRenderingContext2D} */ (this.over.getContext("2d"));
    over.setTransform(ratio, 0, 0, ratio, 0, 0);
    over.clearRect(0, 0, width, height);
    if (this.options.trail) this.drawTrail(over);
    this.drawPoints(over);
    this.crop.draw(over);
  }

  /** @param {CanvasRenderingContext2D} ctx */
  drawTrail(ctx) {
    ctx.lineWidth = 1.5;
    this.data.score.forEach((/** @type {number | null} */ score, /** @type {number} */ index) => {
      if (score === null) return;
      ctx.strokeStyle = `${scoreColour(score)}99`;
      ctx.beginPath();
      let begun = false;
      for (const xy of this.trail) {
        const point = xy[index];
        if (!point || point[0] === null) continue;
        const at = this.toScreen(point[0], point[1]);
        if (begun) ctx.lineTo(at.x, at.y);
        else ctx.moveTo(at.x, at.y);
        begun = true;
      }
      ctx.stroke();
    });
  }

  /** @param {CanvasRenderingContext2D} ctx */
  drawPoints(ctx) {
    const names = this.names();
    const near = this.nearest();
    this.data.xy.forEach((/** @type {[number | null, number | null]} */ [x, y], /** @type {number} */ index) => {
      const score = this.data.score[index];
      if (x === null || y === null || score === null) return;
      const at = this.toScreen(x, y);
      dot(ctx, at, score, index);
      if (this.options.names || index === near) {
        const more = index === near ? `  ${score.toFixed(2)}  (${x.toFixed(1)}, ${y.toFixed(1)})` : "";
        label(ctx, `${names[index] ?? index}${more}`, at);
      }
    });
  }

  /** @returns {number} the keypoint under the pointer, or -1 */
  nearest() {
    const pointer = this.pointer;
    if (!pointer || !this.data) return -1;
    let best = -1;
    let distance = NEAR;
    this.data.xy.forEach((/** @type {[number | null, number | null]} */ [x, y], /** @type {number} */ index) => {
      if (x === null || y === null) return;
      const at = this.toScreen(x, y);
      const far = Math.hypot(at.x - pointer.x, at.y - pointer.y);
      if (far < distance) [best, distance] = [index, far];
    });
    return best;
  }

  listen() {
    const over = this.over;
    /** @param {MouseEvent} event */
    const place = (event) => {
      const box = over.getBoundingClientRect();
      return { x: event.clientX - box.left, y: event.clientY - box.top };
    };
    /** @type {{x: number, y: number} | null} */
    let dragged = null;
    over.addEventListener("pointerdown", (event) => {
      if (!this.data) return;
      over.setPointerCapture(event.pointerId);
      const at = place(event);
      if (!this.crop.down(at)) dragged = at;
    });
    over.addEventListener("pointermove", (event) => {
      const at = (this.pointer = place(event));
      if (!this.data) return;
      if (dragged) {
        this.centre.x -= (at.x - dragged.x) / this.scale;
        this.centre.y -= (at.y - dragged.y) / this.scale;
        dragged = at;
      } else this.crop.move(at);
      over.style.cursor = dragged ? "grabbing" : this.crop.cursor(at);
      this.draw();
    });
    for (const kind of ["pointerup", "pointercancel"]) {
      over.addEventListener(kind, () => {
        dragged = null;
        this.crop.up();
        this.draw();
      });
    }
    over.addEventListener("pointerleave", () => {
      this.pointer = null;
      this.draw();
    });
    over.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoomBy(Math.exp(-event.deltaY / 400), place(event));
    }, { passive: false });
    over.addEventListener("dblclick", () => {
      if (!this.data) return;
      this.fit();
      this.draw();
    });
    over.addEventListener("keydown", (event) => {
      const step = 30 / (this.data ? this.scale : 1);
      /** @type {Record<string, () => void>} */
      const does = {
        "+": () => this.zoomBy(1.25), "-": () => this.zoomBy(0.8), "0": () => this.fit(),
        ArrowLeft: () => (this.centre.x -= step), ArrowRight: () => (this.centre.x += step),
        ArrowUp: () => (this.centre.y -= step), ArrowDown: () => (this.centre.y += step),
      };
      const found = does[event.key];
      if (!found || !this.data) return;
      event.preventDefault();
      found();
      this.draw();
    });
  }

  end() {
    this.ended = true;
    this.size.disconnect();
    this.bitmap?.close();
    this.bitmap = null;
  }
}

/** @param {CanvasRenderingContext2D} ctx @param {{x: number, y: number}} at @param {number} score @param {number} index */
function dot(ctx, at, score, index) {
  ctx.lineWidth = 4;
  ctx.strokeStyle = "#000a";
  outline(ctx, index, at.x, at.y, 5);
  ctx.stroke();
  ctx.lineWidth = 2;
  ctx.strokeStyle = ctx.fillStyle = scoreColour(score);
  ctx.stroke();
  if (score < 0.5) return;
  outline(ctx, index, at.x, at.y, score >= 0.8 ? 4 : 2);
  ctx.fill();
}

/** @param {CanvasRenderingContext2D} ctx @param {string} text @param {{x: number, y: number}} at */
function label(ctx, text, at) {
  ctx.font = "13px system-ui, 'DejaVu Sans', sans-serif";
  ctx.textBaseline = "middle";
  const width = ctx.measureText(text).width;
  const x = at.x + 12 + width > ctx.canvas.width / devicePixelRatio ? at.x - 16 - width : at.x + 10;
  ctx.fillStyle = "#000c";
  ctx.fillRect(x - 4, at.y - 10, width + 8, 20);
  ctx.fillStyle = "#fff";
  ctx.fillText(text, x, at.y);
}
