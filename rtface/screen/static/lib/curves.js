// Curves that grow while something trains: loss by step, and the error on held-out frames beside it.

import uPlot from "../vendor/uPlot.js";
import { colour } from "./colours.js";

export class Curve {
  /**
   * @param {HTMLElement} place
   * @param {{title: string, unit: string, points?: boolean, best?: boolean, height?: number}} options `best` marks the least
   */
  constructor(place, { title, unit, points = false, best = false, height = 170 }) {
    this.best = best;
    const axis = { stroke: () => colour("muted"), grid: { stroke: () => colour("line"), width: 1 }, ticks: { show: false } };
    this.plot = new uPlot(
      {
        width: Math.max(200, place.clientWidth),
        height,
        legend: { show: false },
        cursor: { show: true, drag: { x: false, y: false } },
        scales: { x: { time: false } },
        axes: [
          { ...axis, size: 34, label: "step", labelSize: 16, labelFont: "12px system-ui" },
          { ...axis, size: 56, label: unit, labelSize: 16, labelFont: "12px system-ui" },
        ],
        series: [{}, { label: title, stroke: () => colour("accent"), width: 2, points: { show: points, size: 7, fill: () => colour("accent") } }],
        hooks: { draw: [(plot) => this.mark(plot)] },
      },
      [[], []],
      place,
    );
    this.size = new ResizeObserver(() => this.plot.setSize({ width: Math.max(200, place.clientWidth), height }));
    this.size.observe(place);
  }

  /** @param {[number, number][]} points step and value, steps rising */
  show(points) {
    this.plot.setData([points.map(([step]) => step), points.map(([, value]) => value)]);
  }

  /** @param {uPlot} plot */
  mark(plot) {
    const [steps, values] = plot.data;
    if (!this.best || steps.length < 2) return;
    const numbers = /** @type {number[]} */ (values);
    const at = numbers.indexOf(Math.min(...numbers));
    const context = plot.ctx;
    context.save();
    context.strokeStyle = colour("ok");
    context.lineWidth = 2 * devicePixelRatio;
    context.beginPath();
    context.arc(plot.valToPos(steps[at], "x", true), plot.valToPos(numbers[at], "y", true), 7 * devicePixelRatio, 0, 7);
    context.stroke();
    context.restore();
  }

  end() {
    this.size.disconnect();
    this.plot.destroy();
  }
}
