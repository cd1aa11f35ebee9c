// Light over time: a row a rule, and above them when the loop was armed.

import { h, say } from "../../lib/dom.js";
import { LIGHT, colour } from "../../lib/colours.js";
import { clipped } from "../../lib/short.js";

const SPANS = [30, 120, 600];
const LABEL_PX = 120;
const ROW_PX = 26;
const AXIS_PX = 20;
const DRAWN_MS = 100;
const MOST = 6000;
const OPEN_NS = 60e9;

export class Timeline {
  /** @param {() => number} now the service's clock in ns; NaN where it is not known */
  constructor(now) {
    this.now = now;
    this.span = SPANS[0];
    /** @type {any[]} */
    this.events = [];
    this.canvas = h("canvas", { class: "timeline", role: "img", "aria-label": "Timeline of light: nothing is known yet." });
    this.buttons = SPANS.map((span) => h("button", { class: "button small", "aria-pressed": String(span === this.span), onclick: () => this.show(span) }, span < 120 ? `${span} s` : `${span / 60} min`));
    this.sum = h("p", { class: "small muted" });
    this.element = h(
      "section",
      { class: "panel" },
      h("div", { class: "row" }, h("h2", { class: "grow" }, "Timeline of light"), this.buttons),
      this.canvas,
      h(
        "p", { class: "small muted legend" },
        h("span", { class: "light" }, "▬ light"), h("span", {}, "▲ fired"), h("span", {}, "◆ trial, light or sham"), h("span", {}, "○ sham"), h("span", {}, "× left out"), h("span", {}, "| withheld"), h("span", {}, "┆ mark"),
      ),
      this.sum,
    );
    this.timer = setInterval(() => this.draw(), DRAWN_MS);
  }

  /** @param {any[]} events in their order */
  take(events) {
    this.events.push(...events.filter(({ kind, details }) => kind !== "decision" || details.action !== "none"));
    this.events.sort((one, other) => one.t_ns - other.t_ns);
    if (this.events.length > MOST) this.events.splice(0, this.events.length - MOST);
  }

  clear() {
    this.events = [];
  }

  /** @param {number} span seconds */
  show(span) {
    this.span = span;
    this.buttons.forEach((button, index) => button.setAttribute("aria-pressed", String(SPANS[index] === span)));
    this.draw();
  }

  draw() {
    const now = this.now();
    if (Number.isNaN(now) || document.hidden) return;
    const begin = now - this.span * 1e9;
    const rules = [...new Set(this.events.map(({ details }) => details.rule).filter(Boolean))];
    const width = this.canvas.clientWidth;
    const height = ROW_PX * (rules.length + 1) + AXIS_PX;
    const scale = devicePixelRatio || 1;
    if (this.canvas.width !== Math.round(width * scale) || this.canvas.height !== Math.round(height * scale)) {
      this.canvas.width = Math.round(width * scale);
      this.canvas.height = Math.round(height * scale);
      this.canvas.style.height = `${height}px`;
    }
    const draw = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext("2d"));
    draw.setTransform(scale, 0, 0, scale, 0, 0);
    draw.clearRect(0, 0, width, height);
    draw.font = "12px system-ui, sans-serif";
    draw.textBaseline = "middle";
    /** @param {number} t */
    const x = (t) => LABEL_PX + ((t - begin) / (this.span * 1e9)) * (width - LABEL_PX - 6);
    const colours = { line: colour("line"), fg: colour("fg"), muted: colour("muted"), warn: colour("warn"), accent: colour("accent"), bad: colour("bad") };
    this.drawAxis(draw, x, now, width, height, colours);
    ["armed", ...rules].forEach((name, row) => {
      const y = ROW_PX * (row + 0.5);
      draw.fillStyle = colours.fg;
      draw.fillText(clipped(draw, name, LABEL_PX - 8), 2, y);
      draw.fillStyle = colours.line;
      draw.fillRect(LABEL_PX, y + ROW_PX / 2 - 1, width - LABEL_PX, 1);
    });
    this.drawArmed(draw, x, begin, now, colours);
    const tally = { trials: 0, lights: 0, withheld: 0 };
    rules.forEach((rule, row) => {
      const of = this.events.filter(({ details }) => details.rule === rule);
      drawRule(draw, x, ROW_PX * (row + 1.5), of, begin, now, colours, tally);
    });
    for (const { kind, t_ns: t } of this.events) {
      if (kind !== "mark" || t < begin) continue;
      draw.strokeStyle = colours.accent;
      draw.setLineDash([3, 3]);
      line(draw, x(t), 0, height - AXIS_PX);
      draw.setLineDash([]);
    }
    const said = `Last ${this.span} s: ${tally.trials} trials, ${tally.lights} lights, ${tally.withheld} times withheld.`;
    say(this.sum, said);
    this.canvas.setAttribute("aria-label", said);
  }

  /** @param {CanvasRenderingContext2D} draw @param {(t: number) => number} x @param {number} now @param {number} width @param {number} height @param {Record<string, string>} colours */
  drawAxis(draw, x, now, width, height, colours) {
    draw.textAlign = "center";
    for (let part = 0; part <= 5; part++) {
      const ago = (this.span / 5) * part;
      const at = x(now - ago * 1e9);
      draw.fillStyle = colours.line;
      draw.fillRect(at, 0, 1, height - AXIS_PX);
      draw.fillStyle = colours.muted;
      draw.fillText(ago ? `-${ago} s` : "now", Math.min(at, width - 16), height - AXIS_PX / 2);
    }
    draw.textAlign = "left";
  }

  /** @param {CanvasRenderingContext2D} draw @param {(t: number) => number} x @param {number} begin @param {number} now @param {Record<string, string>} colours */
  drawArmed(draw, x, begin, now, colours) {
    let since = NaN;
    /** @param {number} end */
    const bar = (end) => {
      if (Number.isNaN(since) || end < begin) return;
      draw.fillStyle = colours.bad;
      draw.fillRect(x(Math.max(since, begin)), ROW_PX / 2 - 5, Math.max(1, x(end) - x(Math.max(since, begin))), 10);
    };
    for (const { kind, details, t_ns: t } of this.events) {
      if (kind !== "arming") continue;
      if (details.state === "armed") since = Number.isNaN(since) ? t : since;
      else {
        bar(t);
        since = NaN;
      }
    }
    bar(now);
  }

  end() {
    clearInterval(this.timer);
  }
}

/**
 * @param {CanvasRenderingContext2D} draw @param {(t: number) => number} x @param {number} y @param {any[]} events of one rule
 * @param {number} begin @param {number} now @param {Record<string, string>} colours
 * @param {{trials: number, lights: number, withheld: number}} tally
 */
function drawRule(draw, x, y, events, begin, now, colours, tally) {
  let lit = NaN;
  /** @param {number} end */
  const bar = (end) => {
    if (Number.isNaN(lit) || end < begin) return;
    draw.fillStyle = LIGHT;
    draw.fillRect(x(Math.max(lit, begin)), y - 8, Math.max(2, x(end) - x(Math.max(lit, begin))), 16);
    draw.strokeStyle = colours.fg;
    draw.strokeRect(x(Math.max(lit, begin)), y - 8, Math.max(2, x(end) - x(Math.max(lit, begin))), 16);
    tally.lights += 1;
  };
  for (const { kind, details, t_ns: at } of events) {
    const t = details.host_ns ?? at;
    if (kind === "light" && details.event === "light_on" && Number.isNaN(lit)) lit = t;
    else if (kind === "light" && !Number.isNaN(lit)) {
      bar(t);
      lit = NaN;
    }
  }
  if (now - lit < OPEN_NS) bar(now);
  for (const { kind, details, t_ns: t } of events) {
    if (kind !== "decision" || t < begin) continue;
    draw.fillStyle = draw.strokeStyle = details.action === "withhold" ? colours.warn : colours.fg;
    if (details.action === "withhold") tally.withheld += 1;
    else if (details.action !== "cancel") tally.trials += 1;
    shape(draw, details.action, x(t), y);
  }
}

/** @param {CanvasRenderingContext2D} draw @param {string} action @param {number} x @param {number} y */
function shape(draw, action, x, y) {
  draw.beginPath();
  if (action === "withhold") {
    line(draw, x, y - 6, y + 6);
  } else if (action === "sham") {
    draw.arc(x, y, 4, 0, 7);
    draw.stroke();
  } else if (action === "catch" || action === "cancel") {
    draw.moveTo(x - 4, y - 4);
    draw.lineTo(x + 4, y + 4);
    draw.moveTo(x + 4, y - 4);
    draw.lineTo(x - 4, y + 4);
    draw.stroke();
  } else {
    const corners = action === "trial" ? [[0, -6], [5, 0], [0, 6], [-5, 0]] : [[0, -6], [5, 5], [-5, 5]];
    for (const [dx, dy] of corners) draw.lineTo(x + dx, y + dy);
    draw.closePath();
    draw.fill();
  }
}

/** @param {CanvasRenderingContext2D} draw @param {number} x @param {number} top @param {number} bottom */
function line(draw, x, top, bottom) {
  draw.beginPath();
  draw.moveTo(x, top);
  draw.lineTo(x, bottom);
  draw.stroke();
}
