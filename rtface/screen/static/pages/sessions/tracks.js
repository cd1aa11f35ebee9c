// The tracks of a timeline on one canvas: values as envelopes, thresholds, decisions of each rule, light, marks.

import { LIGHT, colour, colourOf } from "../../lib/colours.js";
import { h } from "../../lib/dom.js";
import { clipped, niceStep, short } from "../../lib/short.js";

const LEFT = 132;
const RIGHT = 10;
const TOP = 24;
const VALUE = 86;
const LANE = 24;
const GAP = 6;
/** @type {Record<string, [string, string]>} colour and shape of each action, told apart by both */
const ACTIONS = {
  fire: ["#e69f00", "bar"], trial: ["#e69f00", "bar"], sham: ["#56b4e9", "open"], catch: ["#cc79a7", "cross"],
  withhold: ["#9aa7b2", "tick"], cancel: ["#d55e00", "cross"],
};

/** @typedef {{pan: (seconds: number) => void, zoom: (factor: number, around: number) => void, choose: (at: number) => void}} Acts */

export class Tracks {
  /** @param {Acts} acts */
  constructor(acts) {
    this.acts = acts;
    this.canvas = h("canvas", { role: "img", tabindex: "0", "aria-label": "Values, decisions and light over time" });
    this.element = h("div", { class: "tracks" }, this.canvas);
    /** @type {any} */
    this.told = null;
    this.from = 0;
    this.to = 1;
    this.at = 0;
    this.width = 800;
    this.waiting = 0;
    this.onResize = () => {};
    this.observer = new ResizeObserver(() => {
      const width = this.element.clientWidth;
      if (!width || width === this.width) return;
      this.width = width;
      this.paint();
      this.onResize();
    });
    this.observer.observe(this.element);
    this.canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    this.canvas.addEventListener("pointerdown", (event) => this.press(event));
  }

  /** Columns of pixels that values can have. */
  get points() {
    return Math.max(100, Math.round((this.element.clientWidth || this.width) - LEFT - RIGHT));
  }

  end() {
    this.observer.disconnect();
    cancelAnimationFrame(this.waiting);
  }

  /** @param {any} told @param {number} from @param {number} to */
  draw(told, from, to) {
    this.told = told;
    this.show(from, to);
  }

  /** Show another stretch of what is known, until more is. @param {number} from @param {number} to */
  show(from, to) {
    this.from = from;
    this.to = to;
    this.paint();
  }

  /** @param {number} at */
  cursor(at) {
    this.at = at;
    this.paint();
  }

  paint() {
    cancelAnimationFrame(this.waiting);
    this.waiting = requestAnimationFrame(() => this.paintNow());
  }

  /** @param {number} seconds */
  x(seconds) {
    return LEFT + ((seconds - this.from) / (this.to - this.from)) * (this.width - LEFT - RIGHT);
  }

  /** @param {number} x */
  seconds(x) {
    return this.from + ((x - LEFT) / (this.width - LEFT - RIGHT)) * (this.to - this.from);
  }

  paintNow() {
    const told = this.told;
    if (!told) return;
    const lanes = told.rules.length;
    const height = TOP + told.series.length * (VALUE + GAP) + (lanes + 2) * LANE + GAP + 8;
    const scale = devicePixelRatio || 1;
    this.canvas.width = Math.round(this.width * scale);
    this.canvas.height = Math.round(height * scale);
    this.canvas.style.height = `${height}px`;
    const pen = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext("2d"));
    pen.scale(scale, scale);
    const look = Object.fromEntries(["fg", "muted", "line", "raised", "focus", "ok", "bad"].map((name) => [name, colour(name)]));
    pen.font = "12px system-ui, sans-serif";
    pen.textBaseline = "middle";
    pen.clearRect(0, 0, this.width, height);
    this.axis(pen, look, height);
    let top = TOP;
    for (const lane of told.rules) {
      this.lane(pen, look, top, lane);
      top += LANE;
    }
    this.light(pen, look, top, told);
    this.marks(pen, look, top + LANE, told);
    top += 2 * LANE + GAP;
    for (const [place, series] of told.series.entries()) {
      this.value(pen, look, top, series, told.thresholds[series.name] ?? [], colourOf(place + 1));
      top += VALUE + GAP;
    }
    pen.strokeStyle = look.focus;
    pen.lineWidth = 1.5;
    const x = this.x(this.at);
    if (x >= LEFT && x <= this.width - RIGHT) {
      pen.beginPath();
      pen.moveTo(x, TOP - 6);
      pen.lineTo(x, height - 4);
      pen.stroke();
    }
  }

  /** @param {CanvasRenderingContext2D} pen @param {any} look @param {number} height */
  axis(pen, look, height) {
    const step = niceStep((this.to - this.from) / Math.max(2, (this.width - LEFT) / 110));
    pen.lineWidth = 1;
    for (let at = Math.ceil(this.from / step) * step; at <= this.to; at += step) {
      const x = Math.round(this.x(at)) + 0.5;
      pen.strokeStyle = look.line;
      pen.globalAlpha = 0.5;
      pen.beginPath();
      pen.moveTo(x, TOP - 4);
      pen.lineTo(x, height - 4);
      pen.stroke();
      pen.globalAlpha = 1;
      pen.fillStyle = look.muted;
      pen.textAlign = "center";
      pen.fillText(`${Number(at.toFixed(6))} s`, Math.min(x, this.width - 24), 10);
    }
    pen.textAlign = "left";
  }

  /** @param {CanvasRenderingContext2D} pen @param {any} look @param {number} top @param {any} series @param {any[]} limits @param {string} colour */
  value(pen, look, top, series, limits, colour) {
    const [least, most] = spread(series, limits, this.from, this.to);
    /** @param {number} value */
    const y = (value) => top + VALUE - 4 - ((value - least) / (most - least)) * (VALUE - 8);
    pen.fillStyle = look.fg;
    pen.fillText(clipped(pen, series.name, LEFT - 12), 4, top + VALUE / 2 - 8);
    pen.fillStyle = look.muted;
    pen.fillText(series.unit === "1" ? "" : series.unit, 4, top + VALUE / 2 + 8);
    pen.textAlign = "right";
    pen.fillText(short(most, { digits: 3 }), LEFT - 6, top + 8);
    pen.fillText(short(least, { digits: 3 }), LEFT - 6, top + VALUE - 8);
    pen.textAlign = "left";
    pen.strokeStyle = look.line;
    pen.strokeRect(LEFT + 0.5, top + 0.5, this.width - LEFT - RIGHT - 1, VALUE - 1);
    pen.save();
    pen.beginPath();
    pen.rect(LEFT, top, this.width - LEFT - RIGHT, VALUE);
    pen.clip();
    for (const { limit, begins } of limits) {
      pen.strokeStyle = look.fg;
      pen.globalAlpha = 0.75;
      pen.setLineDash(begins ? [7, 4] : [2, 4]);
      pen.beginPath();
      pen.moveTo(LEFT, y(limit));
      pen.lineTo(this.width - RIGHT, y(limit));
      pen.stroke();
    }
    pen.setLineDash([]);
    pen.globalAlpha = 1;
    this.envelope(pen, series, y, colour);
    pen.restore();
  }

  /** @param {CanvasRenderingContext2D} pen @param {any} series @param {(value: number) => number} y @param {string} colour */
  envelope(pen, series, y, colour) {
    pen.fillStyle = pen.strokeStyle = colour;
    pen.lineWidth = 1.2;
    pen.beginPath();
    let open = false;
    for (const [place, t] of series.t.entries()) {
      const low = series.low[place];
      const high = series.high[place];
      if (low === null) {
        open = false;
        continue;
      }
      const x = this.x(t);
      if (!open) pen.moveTo(x, y(low));
      else pen.lineTo(x, y(low));
      if (high !== low) pen.lineTo(x, y(high));
      open = true;
    }
    pen.stroke();
  }

  /** @param {CanvasRenderingContext2D} pen @param {any} look @param {number} top @param {any} lane */
  lane(pen, look, top, lane) {
    this.label(pen, look, top, lane.rule);
    const middle = top + LANE / 2;
    for (const [t, action] of lane.decisions) {
      const x = this.x(t);
      if (x < LEFT - 2 || x > this.width - RIGHT + 2) continue;
      const [colour, shape] = ACTIONS[action] ?? [look.muted, "tick"];
      pen.strokeStyle = pen.fillStyle = colour;
      pen.lineWidth = 2;
      pen.beginPath();
      if (shape === "bar") pen.fillRect(x - 1.5, top + 3, 3, LANE - 6);
      else if (shape === "open") pen.strokeRect(x - 2, top + 4, 4, LANE - 8);
      else if (shape === "tick") pen.fillRect(x - 0.75, middle + 1, 1.5, LANE / 2 - 4);
      else {
        pen.moveTo(x - 4, middle - 4);
        pen.lineTo(x + 4, middle + 4);
        pen.moveTo(x + 4, middle - 4);
        pen.lineTo(x - 4, middle + 4);
        pen.stroke();
      }
    }
  }

  /** @param {CanvasRenderingContext2D} pen @param {any} look @param {number} top @param {any} told */
  light(pen, look, top, told) {
    this.label(pen, look, top, "light, armed");
    pen.fillStyle = look.ok;
    pen.globalAlpha = 0.35;
    for (const [begin, end] of told.armed) this.span(pen, begin, end, top + LANE - 7, 4);
    pen.globalAlpha = 1;
    if (told.light === null) {
      pen.fillStyle = look.muted;
      pen.fillText("blinded", LEFT + 6, top + LANE / 2 - 2);
      return;
    }
    pen.fillStyle = LIGHT;
    for (const [begin, end] of told.light) this.span(pen, begin, end, top + 4, LANE - 13);
  }

  /** @param {CanvasRenderingContext2D} pen @param {number} begin @param {number} end @param {number} top @param {number} height */
  span(pen, begin, end, top, height) {
    const from = Math.max(this.x(begin), LEFT);
    const to = Math.min(this.x(end), this.width - RIGHT);
    if (to >= from) pen.fillRect(from, top, Math.max(1.5, to - from), height);
  }

  /** @param {CanvasRenderingContext2D} pen @param {any} look @param {number} top @param {any} told */
  marks(pen, look, top, told) {
    this.label(pen, look, top, "marks, faults");
    let free = LEFT;
    for (const each of [...told.marks.map((/** @type {any} */ mark) => ({ ...mark, colour: look.fg })), ...told.faults.map((/** @type {any} */ fault) => ({ ...fault, colour: look.bad }))].sort((one, two) => one.t - two.t)) {
      const x = this.x(each.t);
      if (x < LEFT || x > this.width - RIGHT) continue;
      pen.fillStyle = each.colour;
      pen.fillRect(x - 1, top + 2, 2, LANE - 4);
      if (x < free) continue;
      const text = clipped(pen, each.text, Math.min(200, this.width - RIGHT - x - 8));
      pen.fillText(text, x + 5, top + LANE / 2);
      free = x + pen.measureText(text).width + 12;
    }
  }

  /** @param {CanvasRenderingContext2D} pen @param {any} look @param {number} top @param {string} text */
  label(pen, look, top, text) {
    pen.fillStyle = look.raised;
    pen.globalAlpha = 0.5;
    pen.fillRect(LEFT, top + 1, this.width - LEFT - RIGHT, LANE - 2);
    pen.globalAlpha = 1;
    pen.fillStyle = look.fg;
    pen.fillText(clipped(pen, text, LEFT - 12), 4, top + LANE / 2);
  }

  /** @param {WheelEvent} event */
  wheel(event) {
    event.preventDefault();
    const width = this.to - this.from;
    if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      this.acts.pan(((event.deltaX || event.deltaY) / this.width) * width);
      return;
    }
    this.acts.zoom(Math.exp(Math.max(-1, Math.min(1, event.deltaY / 300))), this.seconds(event.offsetX));
  }

  /** @param {PointerEvent} event */
  press(event) {
    if (event.button !== 0) return;
    const began = event.clientX;
    let last = began;
    let moved = false;
    this.canvas.setPointerCapture(event.pointerId);
    /** @param {PointerEvent} each */
    const move = (each) => {
      moved = moved || Math.abs(each.clientX - began) > 4;
      if (moved) this.acts.pan(((last - each.clientX) / (this.width - LEFT - RIGHT)) * (this.to - this.from));
      last = each.clientX;
    };
    const pressed = new AbortController();
    const { signal } = pressed;
    const up = () => {
      pressed.abort();
      if (!moved) this.acts.choose(this.seconds(event.offsetX));
    };
    this.canvas.addEventListener("pointermove", move, { signal });
    this.canvas.addEventListener("pointerup", up, { signal });
    this.canvas.addEventListener("pointercancel", () => pressed.abort(), { signal });
  }
}

/** Least and largest of what is shown, thresholds among it where they are near. @param {any} series @param {any[]} limits @param {number} from @param {number} to @returns {[number, number]} */
function spread(series, limits, from, to) {
  let least = Infinity;
  let most = -Infinity;
  for (const [place, t] of series.t.entries()) {
    if (series.low[place] === null || t < from - (to - from) / 50 || t > to) continue;
    least = Math.min(least, series.low[place]);
    most = Math.max(most, series.high[place]);
  }
  if (least > most) [least, most] = [0, 1];
  const room = Math.max(most - least, 1e-9);
  for (const { limit } of limits) {
    if (limit > least - 2 * room && limit < most + 2 * room) {
      least = Math.min(least, limit);
      most = Math.max(most, limit);
    }
  }
  const beside = Math.max((most - least) * 0.06, Math.abs(most) * 1e-6, 1e-9);
  return [least - beside, most + beside];
}
