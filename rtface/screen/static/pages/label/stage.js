// The picture of a frame on a canvas, with its own zoom and place. Pixel centres lie at whole numbers.

const MOST = 60;
const AROUND = 0.1;

export class Stage {
  /** @param {HTMLCanvasElement} canvas @param {(stage: Stage) => void} paint draws over the picture, in pixels of the page */
  constructor(canvas, paint) {
    this.canvas = canvas;
    this.paint = paint;
    this.context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    /** @type {ImageBitmap | null} */
    this.image = null;
    this.scale = 1;
    this.left = this.top = 0;
    this.width = this.height = 1;
    this.brightness = this.contrast = 1;
    this.asked = false;
    this.fitted = true;
    this.atFace = false;
    /** Where the face is in all frames, if that is known: shown when a picture of another size comes. @type {{x: number, y: number, width: number, height: number} | null} */
    this.face = null;
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(canvas);
  }

  close() {
    this.observer.disconnect();
    this.image = null;
  }

  resize() {
    const box = this.canvas.getBoundingClientRect();
    const ratio = devicePixelRatio || 1;
    [this.width, this.height] = [box.width, box.height];
    this.canvas.width = Math.max(1, Math.round(box.width * ratio));
    this.canvas.height = Math.max(1, Math.round(box.height * ratio));
    if (this.fitted) this.again();
    this.draw();
  }

  /** Fit to the new size what was fitted to the one before. */
  again() {
    if (this.atFace) this.showFace();
    else this.fit();
  }

  /** @param {ImageBitmap | null} image */
  show(image) {
    const same = image && this.image && image.width === this.image.width && image.height === this.image.height;
    this.image = image;
    if (!same && image) this.showFace();
    this.draw();
  }

  /** Show all of the picture. */
  fit() {
    if (!this.image) return;
    this.atFace = false;
    this.fill({ x: 0, y: 0, width: this.image.width, height: this.image.height });
  }

  /** Show the face with a little around it; all of the picture where it is not known. */
  showFace() {
    const { face, image } = this;
    if (!image) return;
    const within = face && face.x >= 0 && face.y >= 0 && face.x + face.width <= image.width && face.y + face.height <= image.height;
    if (!within) return this.fit();
    const [more, down] = [AROUND * face.width, AROUND * face.height];
    const [left, top] = [Math.max(0, face.x - more), Math.max(0, face.y - down)];
    const [right, bottom] = [Math.min(image.width, face.x + face.width + more), Math.min(image.height, face.y + face.height + down)];
    this.atFace = true;
    this.fill({ x: left, y: top, width: right - left, height: bottom - top });
  }

  /** Show all of the picture, or, where that is shown, the face. */
  wholeOrFace() {
    if (this.fitted && !this.atFace) this.showFace();
    else this.fit();
  }

  /** Make a part of the picture as large as there is room. @param {{x: number, y: number, width: number, height: number}} part */
  fill({ x, y, width, height }) {
    this.scale = Math.min(this.width / width, this.height / height);
    this.left = (this.width - width * this.scale) / 2 - x * this.scale;
    this.top = (this.height - height * this.scale) / 2 - y * this.scale;
    this.fitted = true;
    this.draw();
  }

  /** Show a place of the picture in the middle. @param {number} x @param {number} y @param {number} scale */
  centre(x, y, scale) {
    this.scale = scale;
    this.left = this.width / 2 - (x + 0.5) * scale;
    this.top = this.height / 2 - (y + 0.5) * scale;
    this.fitted = false;
    this.draw();
  }

  /** Zoom, the place under the pointer staying where it is. @param {number} factor @param {number} px @param {number} py */
  zoom(factor, px = this.width / 2, py = this.height / 2) {
    if (!this.image) return;
    const least = 0.5 * Math.min(this.width / this.image.width, this.height / this.image.height);
    const scale = Math.min(MOST, Math.max(least, this.scale * factor));
    this.left = px - ((px - this.left) * scale) / this.scale;
    this.top = py - ((py - this.top) * scale) / this.scale;
    this.scale = scale;
    this.fitted = false;
    this.draw();
  }

  /** @param {number} dx @param {number} dy */
  pan(dx, dy) {
    this.left += dx;
    this.top += dy;
    this.fitted = false;
    this.draw();
  }

  /** @param {number} px @param {number} py @returns {[number, number]} pixels of the frame */
  toFrame(px, py) {
    return [(px - this.left) / this.scale - 0.5, (py - this.top) / this.scale - 0.5];
  }

  /** @param {number} x @param {number} y @returns {[number, number]} pixels of the page, from the canvas' corner */
  toPage(x, y) {
    return [(x + 0.5) * this.scale + this.left, (y + 0.5) * this.scale + this.top];
  }

  /** @param {number} x @param {number} y @returns {boolean} */
  within(x, y) {
    return Boolean(this.image) && x >= -0.5 && y >= -0.5 && x <= /** @type {ImageBitmap} */ (this.image).width - 0.5 && y <= /** @type {ImageBitmap} */ (this.image).height - 0.5;
  }

  get filter() {
    return this.brightness === 1 && this.contrast === 1 ? "none" : `brightness(${this.brightness}) contrast(${this.contrast})`;
  }

  /** Draw with the next picture of the screen. */
  draw() {
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame(() => {
      this.asked = false;
      this.drawNow();
    });
  }

  drawNow() {
    const { context } = this;
    const ratio = devicePixelRatio || 1;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    if (!this.image) return;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.imageSmoothingEnabled = this.scale < 3;
    context.filter = this.filter;
    context.drawImage(this.image, this.left, this.top, this.image.width * this.scale, this.image.height * this.scale);
    context.filter = "none";
    this.paint(this);
  }
}

/**
 * Draw the surroundings of a place, enlarged.
 * @param {HTMLCanvasElement} canvas @param {Stage} stage @param {[number, number] | null} place @param {number} zoom
 */
export function magnify(canvas, stage, place, zoom) {
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const ratio = devicePixelRatio || 1;
  const width = canvas.clientWidth;
  const height = canvas.clientHeight;
  if (canvas.width !== Math.round(width * ratio)) [canvas.width, canvas.height] = [Math.round(width * ratio), Math.round(height * ratio)];
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  if (!stage.image || !place) return;
  const [x, y] = place;
  context.imageSmoothingEnabled = false;
  context.filter = stage.filter;
  context.drawImage(stage.image, width / 2 - (x + 0.5) * zoom, height / 2 - (y + 0.5) * zoom, stage.image.width * zoom, stage.image.height * zoom);
  context.filter = "none";
  for (const [line, colour] of /** @type {[number, string][]} */ ([[3, "#0009"], [1, "#fffd"]])) {
    context.beginPath();
    for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
      context.moveTo(width / 2 + dx * 6, height / 2 + dy * 6);
      context.lineTo(width / 2 + dx * 40, height / 2 + dy * 40);
    }
    context.lineWidth = line;
    context.strokeStyle = colour;
    context.stroke();
  }
}
