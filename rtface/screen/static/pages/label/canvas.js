// The picture in the middle: what is drawn over it, and what the pointer does.

import { cross, drawMark, drawName } from "../../lib/marks.js";
import { Stage } from "./stage.js";

const NEAR = 11;
const MOVED = 3;

export class LabelCanvas {
  /** @param {HTMLCanvasElement} canvas @param {import("./editor.js").Editor} editor */
  constructor(canvas, editor) {
    this.editor = editor;
    this.canvas = canvas;
    this.stage = new Stage(canvas, () => this.paint());
    this.names = false;
    /** @type {[number, number] | null} pixels of the frame under the pointer */
    this.pointer = null;
    /** @type {{point: string | null, from: [number, number], moved: boolean, pan: boolean, at: [number, number] | null} | null} */
    this.press = null;
    /** @type {string | null} */
    this.under = null;
    this.following = false;
    /** @type {Map<number, [number, number]>} fingers on the picture */
    this.fingers = new Map();
    this.onlook = () => {};
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointermove", (event) => this.moved(event));
    canvas.addEventListener("pointerup", (event) => this.up(event));
    canvas.addEventListener("pointercancel", (event) => {
      this.fingers.delete(event.pointerId);
      this.drop();
    });
    canvas.addEventListener("pointerleave", () => {
      if (!this.press) this.pointer = this.under = null;
      this.stage.draw();
      this.onlook();
    });
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  }

  close() {
    this.stage.close();
  }

  drop() {
    this.press = null;
    this.stage.draw();
  }

  /** @param {MouseEvent} event @returns {[number, number]} */
  at(event) {
    const box = this.canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  /** @param {WheelEvent} event */
  wheel(event) {
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 30 : 1;
    this.stage.zoom(Math.exp(-event.deltaY * lines * 0.0018), ...this.at(event));
    this.onlook();
  }

  /** @param {PointerEvent} event */
  down(event) {
    this.canvas.focus();
    const from = this.at(event);
    if (event.pointerType === "touch") {
      this.fingers.set(event.pointerId, from);
      if (this.fingers.size > 1) {
        this.press = null;
        return;
      }
    }
    const pan = event.button !== 0 || event.shiftKey;
    this.canvas.setPointerCapture(event.pointerId);
    this.press = { point: pan ? null : this.near(from), from, moved: false, pan, at: null };
  }

  /** @param {PointerEvent} event */
  moved(event) {
    const to = this.at(event);
    if (this.fingers.size > 1) {
      this.pinch(event.pointerId, to);
      return;
    }
    this.pointer = this.stage.toFrame(...to);
    const { press } = this;
    if (press) {
      if (Math.hypot(to[0] - press.from[0], to[1] - press.from[1]) > MOVED) press.moved = true;
      if (press.pan) {
        this.stage.pan(event.movementX, event.movementY);
      } else if (press.moved && press.point && this.stage.within(...this.pointer)) {
        press.at = this.pointer;
      }
    } else this.under = this.near(to);
    this.stage.draw();
    this.onlook();
  }

  /** @param {PointerEvent} event */
  up(event) {
    const { press, editor } = this;
    this.fingers.delete(event.pointerId);
    this.press = null;
    if (!press || press.pan) return;
    const to = this.at(event);
    const place = this.stage.toFrame(...to);
    if (press.point && press.moved) {
      editor.choose(press.point);
      if (press.at) {
        if (editor.label(press.point)) editor.move(press.point, ...press.at);
        else editor.placeAt(...press.at);
      }
    } else if (!press.moved && this.stage.within(...place)) {
      const empty = editor.point && !editor.label(editor.point);
      if (press.point && press.point !== editor.point && !empty) editor.choose(press.point);
      else if (editor.point) editor.placeAt(...place);
      else if (press.point) editor.choose(press.point);
      else editor.onsay("Choose a keypoint: w and s, a digit, or click its name.");
    }
    this.stage.draw();
  }

  /** Two fingers move and zoom. @param {number} finger @param {[number, number]} to */
  pinch(finger, to) {
    const before = this.fingers.get(finger);
    const other = [...this.fingers].find(([each]) => each !== finger)?.[1];
    if (!before || !other) return;
    const was = Math.hypot(before[0] - other[0], before[1] - other[1]);
    const is = Math.hypot(to[0] - other[0], to[1] - other[1]);
    this.stage.pan((to[0] - before[0]) / 2, (to[1] - before[1]) / 2);
    if (was > 0 && is > 0) this.stage.zoom(is / was, (to[0] + other[0]) / 2, (to[1] + other[1]) / 2);
    this.fingers.set(finger, to);
  }

  /** The label or offer next to a place of the page. @param {[number, number]} to @returns {string | null} */
  near(to) {
    let best = NEAR;
    let found = null;
    for (const { id } of this.editor.points) {
      const place = this.shownAt(id);
      if (!place) continue;
      const [x, y] = this.stage.toPage(...place);
      const far = Math.hypot(x - to[0], y - to[1]) - (id === this.editor.point ? 2 : 0);
      if (far < best) [best, found] = [far, id];
    }
    return found;
  }

  /** Where a keypoint is drawn. @param {string} point @returns {[number, number] | null} */
  shownAt(point) {
    if (this.press?.point === point && this.press.at) return this.press.at;
    const label = this.editor.label(point);
    if (label) return "x" in label ? [label.x, label.y] : null;
    const offer = this.editor.proposal(point);
    return offer ? [offer.x, offer.y] : null;
  }

  /** What the magnifier shows: what is dragged, the pointer, else the keypoint in hand. @returns {[number, number] | null} */
  get looked() {
    if (this.press?.at) return this.press.at;
    if (this.pointer && this.stage.within(...this.pointer)) return this.pointer;
    return this.editor.point ? this.editor.place(this.editor.point) : null;
  }

  /** Zoom to the keypoint in hand, and go with it from point to point; or show all again. */
  follow() {
    this.following = !this.following;
    if (this.following) this.centre();
    else this.stage.showFace();
  }

  centre() {
    const { editor, stage } = this;
    const place = editor.point ? editor.place(editor.point) : null;
    if (!this.following || !place || !stage.image) return;
    const all = Math.min(stage.width / stage.image.width, stage.height / stage.image.height);
    stage.centre(...place, Math.max(all * 4, Math.min(8, stage.scale)));
  }

  paint() {
    const { editor, stage } = this;
    const { context } = stage;
    if (editor.frame && editor.store.skipped(editor.frame)) this.cover();
    const order = [...editor.points].sort((one, other) => Number(one.id === editor.point) - Number(other.id === editor.point));
    for (const { id, name } of order) {
      const index = editor.indexOf(id);
      const place = this.shownAt(id);
      if (editor.compare) this.other(id, index, place);
      if (!place) continue;
      const [x, y] = stage.toPage(...place);
      const hollow = !editor.label(id) && this.press?.point !== id;
      const chosen = id === editor.point;
      const offer = hollow ? editor.proposal(id) : null;
      drawMark(context, { index, x, y, hollow, chosen, faint: Boolean(offer && offer.score < 0.5) });
      if (this.names || chosen || id === this.under) drawName(context, offer ? `${name}?` : name, x, y);
    }
    const pointed = this.pointer && editor.point && !this.press && !this.under && !editor.readOnly;
    if (pointed && this.pointer && stage.within(...this.pointer) && !editor.label(editor.point ?? "")) {
      const [x, y] = stage.toPage(...this.pointer);
      cross(context, x, y, 3);
      drawName(context, editor.points[editor.indexOf(editor.point ?? "")]?.name ?? "", x, y);
    }
  }

  /** Draw the other pass's label, and a line to it. @param {string} point @param {number} index @param {[number, number] | null} place */
  other(point, index, place) {
    const { editor, stage } = this;
    const label = editor.store.label(editor.pass === "first" ? "second" : "first", editor.frame ?? "", point);
    if (!label || !("x" in label)) return;
    const [x, y] = stage.toPage(label.x, label.y);
    if (place) {
      stage.context.beginPath();
      stage.context.moveTo(x, y);
      stage.context.lineTo(...stage.toPage(...place));
      stage.context.lineWidth = 1.5;
      stage.context.strokeStyle = "#fffc";
      stage.context.stroke();
    }
    drawMark(stage.context, { index, x, y, hollow: true });
  }

  /** Show that a frame is left out. */
  cover() {
    const { context, width, height } = this.stage;
    context.fillStyle = "#000a";
    context.fillRect(0, 0, width, height);
    context.font = "600 20px system-ui, sans-serif";
    context.textAlign = "center";
    context.fillStyle = "#fff";
    context.fillText("left out (t takes it back)", width / 2, height / 2);
    context.textAlign = "start";
  }
}
