// Where each keypoint is: a drawn face, with the one in hand marked and named.

import { h } from "../../lib/dom.js";
import { colourOf } from "../../lib/colours.js";
import { outline } from "../../lib/marks.js";

const OPEN = "label.where";

export class Where {
  /** @param {import("./editor.js").Editor} editor */
  constructor(editor) {
    this.editor = editor;
    /** @type {{width: number, height: number, points: Record<string, [number, number]>} | null} */
    this.face = null;
    this.image = new Image();
    this.canvas = h("canvas", { class: "where", role: "img", "aria-label": "Where the keypoint in hand is" });
    this.element = h(
      "details",
      { open: localStorage.getItem(OPEN) !== "closed", ontoggle: () => this.toggled() },
      h("summary", { class: "small" }, "Where it is"), this.canvas,
    );
    this.drawn = "";
  }

  /** @param {import("../../lib/app.js").App} app */
  async load(app) {
    this.image.src = "/api/label/where.png";
    const [face] = await Promise.all([app.get("/api/label/where"), this.image.decode()]);
    this.face = face;
    this.drawn = "";
    this.draw();
  }

  toggled() {
    localStorage.setItem(OPEN, this.element.open ? "open" : "closed");
    this.drawn = "";
    this.draw();
  }

  /** Mark the keypoint in hand, if it is another than was drawn. */
  draw() {
    const { editor, face, canvas } = this;
    const name = editor.points.find(({ id }) => id === editor.point)?.name ?? "";
    const known = editor.points.some((each) => face?.points[each.name]);
    this.element.hidden = !known;
    if (!face || !known || !this.element.open || !canvas.clientWidth) return;
    const width = canvas.clientWidth;
    const what = `${name} ${width} ${editor.points.length}`;
    if (what === this.drawn) return;
    this.drawn = what;
    const scale = (width * devicePixelRatio) / face.width;
    canvas.width = Math.round(face.width * scale);
    canvas.height = Math.round(face.height * scale);
    const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    pen.scale(scale, scale);
    pen.drawImage(this.image, 0, 0, face.width, face.height);
    editor.points.forEach((each, index) => {
      const place = face.points[each.name];
      if (place) dot(pen, place, index, each.name === name ? 20 : 7);
    });
    const there = face.points[name];
    const said = !name ? "No keypoint is in hand." : there ? `${name}, on a drawn face.` : `${name} is not one of the keypoints that rtface knows.`;
    canvas.setAttribute("aria-label", said);
    canvas.title = said;
  }
}

/** @param {CanvasRenderingContext2D} pen @param {[number, number]} place @param {number} index @param {number} radius */
function dot(pen, [x, y], index, radius) {
  outline(pen, index, x, y, radius);
  pen.lineWidth = radius > 9 ? 14 : 4;
  pen.strokeStyle = "#000";
  pen.stroke();
  pen.lineWidth = radius > 9 ? 8 : 2;
  pen.strokeStyle = pen.fillStyle = colourOf(index);
  pen.stroke();
  if (radius < 9) pen.fill();
}
