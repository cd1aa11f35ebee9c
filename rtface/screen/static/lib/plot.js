// A plot that scrolls: one series against time, thresholds as lines, marks where something happened.

import uPlot from "../vendor/uPlot.js";
import { colour } from "./colours.js";
import { short } from "./short.js";

/**
 * @typedef {{t: number, kind: "fired" | "withheld" | "light", text: string}} Mark `t` in seconds, on the axis of the series
 */

export class ScrollPlot {
  /**
   * @param {HTMLElement} place
   * @param {{title: string, seconds: number, height?: number, range?: [number, number]}} options
   */
  constructor(place, { title, seconds, height = 92, range }) {
    this.place = place;
    this.seconds = seconds;
    /** @type {number[]} */
    this.times = [];
    /** @type {(number | null)[]} */
    this.values = [];
    /** @type {{limit: number, begins: boolean}[]} */
    this.thresholds = [];
    /** @type {Mark[]} */
    this.marks = [];
    this.visible = true;
    const axis = { stroke: () => colour("muted"), grid: { stroke: () => colour("line"), width: 1 }, ticks: { show: false } };
    this.plot = new uPlot(
      {
        width: Math.max(160, place.clientWidth),
        height,
        legend: { show: false },
        cursor: { y: false, drag: { x: false, y: false } },
        scales: {
          x: { time: false, range: () => [-this.seconds, 0] },
          y: { range: (_plot, low, high) => range ?? this.span(low, high) },
        },
        axes: [
          { ...axis, size: 22, values: (_plot, ticks) => ticks.map((tick) => `${tick} s`) },
          { ...axis, size: 54, values: (_plot, ticks) => ticks.map((tick) => short(tick)) },
        ],
        series: [{}, { label: title, stroke: () => colour("accent"), width: 1.5, points: { show: false } }],
        hooks: { draw: [(plot) => this.decorate(plot)] },
      },
      [[], []],
      place,
    );
    this.watch = new IntersectionObserver((seen) => (this.visible = seen.some((each) => each.isIntersecting)));
    this.watch.observe(place);
    this.size = new ResizeObserver(() => this.plot.setSize({ width: Math.max(160, place.clientWidth), height }));
    this.size.observe(place);
  }

  /** @param {number} t @param {number | null} value */
  add(t, value) {
    if (this.times.length && t <= this.times[this.times.length - 1]) {
      if (t < this.times[this.times.length - 1] - 1) this.clear(); // another service, whose clock began anew
      else return;
    }
    this.times.push(t);
    this.values.push(value);
    const oldest = t - this.seconds * 1.25;
    if (this.times[0] < oldest && this.times.length % 64 === 0) {
      const from = this.times.findIndex((each) => each >= oldest);
      this.times.splice(0, from);
      this.values.splice(0, from);
    }
  }

  /** @param {Mark} mark */
  mark(mark) {
    this.marks.push(mark);
    if (this.marks.length > 200) this.marks.shift();
  }

  clear() {
    this.times = [];
    this.values = [];
    this.marks = [];
  }

  /** Draw, with `now` at the right. @param {number} now */
  draw(now) {
    if (!this.visible) return;
    this.now = now;
    this.plot.setData([this.times.map((t) => t - now), this.values]);
  }

  end() {
    this.watch.disconnect();
    this.size.disconnect();
    this.plot.destroy();
  }

  /** @param {number | null} low @param {number | null} high @returns {[number, number]} */
  span(low, high) {
    const limits = this.thresholds.map(({ limit }) => limit);
    const least = Math.min(low ?? Infinity, ...limits);
    const most = Math.max(high ?? -Infinity, ...limits);
    if (least > most) return [0, 1];
    const room = (most - least || Math.abs(most) || 1) * 0.08;
    return [least - room, most + room];
  }

  /** @param {uPlot} plot */
  decorate(plot) {
    const { ctx, bbox } = plot;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    ctx.lineWidth = devicePixelRatio;
    for (const { limit, begins } of this.thresholds) {
      const y = Math.round(plot.valToPos(limit, "y", true)) + 0.5;
      ctx.strokeStyle = colour("warn");
      ctx.setLineDash(begins ? [] : [6 * devicePixelRatio, 4 * devicePixelRatio]);
      ctx.beginPath();
      ctx.moveTo(bbox.left, y);
      ctx.lineTo(bbox.left + bbox.width, y);
      ctx.stroke();
    }
    ctx.setLineDash([]);
    const now = this.now ?? 0;
    for (const { t, kind } of this.marks) {
      if (t < now - this.seconds) continue;
      drawMark(ctx, plot.valToPos(t - now, "x", true), bbox.top, kind);
    }
    ctx.restore();
  }
}

/** @param {CanvasRenderingContext2D} ctx @param {number} x @param {number} top @param {Mark["kind"]} kind */
function drawMark(ctx, x, top, kind) {
  const size = 5 * devicePixelRatio;
  const y = top + size + 1;
  ctx.beginPath();
  if (kind === "withheld") {
    ctx.strokeStyle = colour("warn");
    ctx.lineWidth = 2 * devicePixelRatio;
    ctx.moveTo(x - size, y - size);
    ctx.lineTo(x + size, y + size);
    ctx.moveTo(x + size, y - size);
    ctx.lineTo(x - size, y + size);
    ctx.stroke();
    return;
  }
  ctx.fillStyle = kind === "light" ? colour("accent") : colour("ok");
  ctx.moveTo(x - size, y - size);
  ctx.lineTo(x + size, y - size);
  ctx.lineTo(x, y + size);
  ctx.fill();
}
