// A session over time: values with their thresholds, decisions, light; and the frame at the cursor beside it. Keys first.

import { fill, h, say } from "../../lib/dom.js";
import { Scope } from "../../lib/scope.js";
import { Face } from "./face.js";
import { Tracks } from "./tracks.js";
import { beside, number } from "./words.js";

const LEAST_S = 0.02;
const PAN = 0.25;
const ZOOM = 1.6;

/** @param {HTMLElement} root @param {import("./session.js").View} view @returns {Promise<() => void>} */
export async function mountTimeline(root, view) {
  const timeline = new Timeline(root, view);
  try {
    await timeline.start();
  } catch (error) {
    timeline.end();
    throw error;
  }
  return () => timeline.end();
}

class Timeline {
  /** @param {HTMLElement} root @param {import("./session.js").View} view */
  constructor(root, view) {
    this.view = view;
    this.from = 0;
    this.to = 1;
    this.length = 1;
    this.at = 0;
    /** @type {string[] | null} */
    this.names = null;
    /** @type {any} */
    this.told = null;
    /** @type {any} */
    this.moment = null;
    this.asked = { stretch: 0, moment: 0 };
    this.busy = { stretch: false, moment: false };
    /** Where to go once the answer is there that is awaited. @type {Record<string, number> | null} */
    this.wish = null;
    this.scope = new Scope();
    /** Whether a stretch for the video was typed: then it stays, whatever is shown. */
    this.typed = false;
    this.tracks = new Tracks({
      pan: (by) => this.move(this.from + by, this.to + by),
      zoom: (factor, around) => this.zoom(factor, around),
      choose: (at) => this.goTo(at),
    });
    this.face = new Face();
    this.values = h("div", { class: "values", tabindex: "0", role: "region", "aria-label": "What is known of this frame" });
    this.where = h("div", { class: "where", role: "status" }, "Reading the session …");
    this.range = h("span", { class: "muted", role: "status" });
    this.picker = h("details", { class: "picker" }, h("summary", { class: "button small" }, "Values"));
    const typed = () => (this.typed = true);
    this.begin = h("input", { id: "overlay-from", type: "number", step: "any", min: "0", oninput: typed });
    this.ending = h("input", { id: "overlay-to", type: "number", step: "any", min: "0", oninput: typed });
    this.speed = h("select", { id: "overlay-speed" }, ["1", "0.5", "0.25", "0.1"].map((each) => h("option", { value: each }, `${each} ×`)));
    fill(
      root,
      h("div", { class: "timeline" },
        h("section", { class: "panel plots" },
          h("div", { class: "row" },
            h("button", { class: "button small", onclick: () => this.whole() }, "Whole session"),
            h("button", { class: "button small", "aria-label": "Zoom in", onclick: () => this.zoom(1 / ZOOM, this.at) }, "+"),
            h("button", { class: "button small", "aria-label": "Zoom out", onclick: () => this.zoom(ZOOM, this.at) }, "−"),
            h("button", { class: "button small", onclick: () => this.hop(-1) }, "‹ decision"),
            h("button", { class: "button small", onclick: () => this.hop(1) }, "decision ›"),
            this.range, h("span", { class: "grow" }), this.picker),
          this.tracks.element,
          h("p", { class: "muted small legend" }, "Arrow keys step a frame, with Shift ten; + and − zoom; a and d move; n and p go to decisions. Drag moves, the wheel zooms, a click puts the cursor.")),
        h("section", { class: "panel beside" }, this.where, this.face.element, this.values),
      ),
      this.overlay(),
    );
  }

  async start() {
    const params = this.view.app.params;
    await this.load();
    const at = Number(params.get("at") ?? NaN);
    if (Number.isFinite(at)) {
      this.move(at - 1, at + 1);
      this.goTo(at);
    } else {
      this.goTo(this.firstDecision() ?? 0);
    }
    this.scope.keep(this.view.app.keys({
      ArrowRight: { does: "next frame (with Shift ten on)", run: (event) => this.step(event.shiftKey ? 10 : 1) },
      ArrowLeft: { does: "frame before (with Shift ten back)", run: (event) => this.step(event.shiftKey ? -10 : -1) },
      "+": { does: "zoom in at the cursor", run: () => this.zoom(1 / ZOOM, this.at) },
      "-": { does: "zoom out", run: () => this.zoom(ZOOM, this.at) },
      0: { does: "the whole session", run: () => this.whole() },
      a: { does: "move back", run: () => this.pan(-PAN) },
      d: { does: "move on", run: () => this.pan(PAN) },
      n: { does: "next decision", run: () => this.hop(1) },
      p: { does: "decision before", run: () => this.hop(-1) },
      Home: { does: "to the beginning", run: () => this.goTo(0) },
      End: { does: "to the end", run: () => this.goTo(this.length) },
    }));
    this.tracks.onResize = () => this.load();
  }

  end() {
    this.scope.end();
    this.tracks.end();
    this.face.end();
  }

  firstDecision() {
    const times = this.told.rules.flatMap((/** @type {any} */ lane) => lane.decisions.map((/** @type {any} */ each) => each[0]));
    return times.length ? Math.min(...times) : null;
  }

  whole() {
    this.move(0, this.length);
  }

  /** @param {number} share of what is shown */
  pan(share) {
    const by = share * (this.to - this.from);
    this.move(this.from + by, this.to + by);
  }

  /** @param {number} factor @param {number} around */
  zoom(factor, around) {
    const middle = around >= this.from && around <= this.to ? around : (this.from + this.to) / 2;
    const width = Math.max(LEAST_S, (this.to - this.from) * factor);
    const from = middle - (middle - this.from) * (width / (this.to - this.from));
    this.move(from, from + width);
  }

  /** @param {number} from @param {number} to */
  move(from, to) {
    const width = Math.min(to - from, this.length);
    this.from = Math.min(Math.max(from, 0), this.length - width);
    this.to = this.from + width;
    this.tracks.show(this.from, this.to);
    this.load();
  }

  /** Ask for what is shown; while an answer is awaited only the newest wish is kept. */
  async load() {
    this.asked.stretch += 1;
    if (this.busy.stretch) return;
    this.busy.stretch = true;
    try {
      for (let mine = 0; mine !== this.asked.stretch;) {
        mine = this.asked.stretch;
        const first = this.told === null;
        const told = await this.view.app.get(this.view.address("timeline", {
          points: this.tracks.points, names: this.names?.join(","),
          ...(first ? {} : { from: this.from, to: Math.max(this.to, this.from + 1e-3) }),
        }));
        if (this.scope.over) return;
        this.told = told;
        this.length = told.length;
        if (first) {
          this.from = told.begin;
          this.to = told.end;
          this.names = told.series.map((/** @type {any} */ each) => each.name);
          this.pick();
        }
        this.tracks.draw(told, first ? told.begin : this.from, first ? told.end : this.to);
        say(this.range, `${this.from.toFixed(2)} to ${this.to.toFixed(2)} s of ${this.length.toFixed(1)} s`);
        if (!this.typed) [this.begin.value, this.ending.value] = [this.from.toFixed(3), this.to.toFixed(3)];
      }
    } catch (error) {
      if (!this.told) throw error;
      this.fail(error);
    } finally {
      this.busy.stretch = false;
    }
  }

  /** Let values be chosen. */
  pick() {
    const known = this.told.values;
    fill(this.picker, h("summary", { class: "button small" }, `Values (${known.length})`), h("div", { class: "panel choices" }, known.map((/** @type {any} */ each) => {
      const box = h("input", { type: "checkbox", checked: this.names?.includes(each.name), onchange: () => {
        const names = new Set(this.names);
        if (box.checked) names.add(each.name);
        else names.delete(each.name);
        if (names.size > 12) {
          box.checked = false;
          this.view.app.say("Twelve values are shown at most.", "warn");
          return;
        }
        this.names = known.map((/** @type {any} */ value) => value.name).filter((/** @type {string} */ name) => names.has(name));
        this.load();
      } });
      return h("label", {}, box, ` ${each.name}`);
    })));
  }

  /** @param {number} at in seconds */
  goTo(at) {
    this.seek({ t: Math.min(Math.max(at, 0), this.length) });
  }

  /** @param {number} by frames */
  step(by) {
    if (this.moment) this.seek({ frame: this.moment.frame, step: by });
  }

  /** @param {Record<string, number>} wish */
  async seek(wish) {
    const before = this.busy.moment ? this.wish : null;
    this.wish = "step" in wish && before && "step" in before ? { ...wish, step: before.step + wish.step } : wish;
    if (this.busy.moment) return;
    this.busy.moment = true;
    try {
      while (this.wish) {
        /** @type {Record<string, number>} */
        const asked = this.wish;
        this.wish = null;
        const moment = await this.view.app.get(this.view.address("moment", asked));
        if (this.scope.over) return;
        this.moment = moment;
        const next = /** @type {Record<string, number> | null} */ (this.wish);
        if (next && "step" in next) this.wish = { ...next, frame: this.moment.frame };
        this.at = this.moment.t;
        this.tracks.cursor(this.at);
        if (this.at < this.from || this.at > this.to) {
          const half = (this.to - this.from) / 2;
          this.move(this.at - half, this.at + half);
        }
        this.tell();
        await this.face.show(this.moment, this.moment.picture ? this.view.address("picture", { frame: this.moment.frame, opened: "" }) : null);
      }
    } catch (error) {
      this.fail(error);
    } finally {
      this.busy.moment = false;
    }
  }

  /** Go to the next decision, or the one before. @param {number} by */
  async hop(by) {
    const range = by > 0 ? { from: this.at + 1e-4, limit: 1 } : { to: this.at - 1e-4, limit: 1 };
    try {
      let told = await this.view.app.get(this.view.address("decisions", range));
      if (by < 0 && told.count > 1) told = await this.view.app.get(this.view.address("decisions", { ...range, offset: told.count - 1 }));
      if (this.scope.over) return;
      if (told.decisions.length) this.goTo(told.decisions[0].t + 1e-6);
      else this.view.app.say(by > 0 ? "No decision comes after this." : "No decision comes before this.");
    } catch (error) {
      this.fail(error);
    }
  }

  /** Say what failed, to whoever is still here. @param {unknown} error */
  fail(error) {
    if (!this.scope.over) this.view.app.say(/** @type {Error} */ (error).message, "bad");
  }

  /** Say what is at the cursor. */
  tell() {
    const moment = this.moment;
    const light = moment.light === null ? "blinded" : moment.light ? "on" : "off";
    const latency = moment.latency_ms === null ? "" : `, published after ${moment.latency_ms.toFixed(2)} ms`;
    fill(
      this.where,
      h("strong", {}, `${moment.t.toFixed(4)} s`), ` frame ${moment.frame}${latency} `,
      h("span", { class: `badge light ${light}` }, `light: ${light}`),
      moment.picture ? null : h("p", { class: "muted small" }, "No picture of this frame was recorded."),
    );
    fill(
      this.values,
      moment.decisions.map((/** @type {any} */ each) => h("p", { class: "decided" }, h("span", { class: `action ${each.action}` }, `${each.rule}: ${each.action}`), ` ${each.reason}; ${each.values.map(beside).join(", ")}`)),
      h("table", { class: "table small" }, h("tbody", {}, moment.values.map((/** @type {any} */ each) => h(
        "tr", {},
        h("th", { scope: "row" }, each.name),
        h("td", { class: "num" }, number(each.value)),
        h("td", {}, each.unit === "1" ? "" : each.unit),
        h("td", { class: "muted" }, each.thresholds.filter((/** @type {any} */ limit) => limit.begins).map((/** @type {any} */ limit) => `${limit.rule}: ${number(limit.limit)}`).join(", ")),
      )))),
    );
  }

  /** The way to a video of what is shown. */
  overlay() {
    const { app, session, told, work } = this.view;
    if (!told.video) {
      return h("p", { class: "muted small" }, "No frames were recorded in this session: `session: {frames: h264}` in the rig's file records them, for pictures here and for videos.");
    }
    const make = () => work.start("overlay", { session, from: Number(this.begin.value), to: Number(this.ending.value), speed: Number(this.speed.value) });
    return h(
      "section",
      { class: "panel row overlay-form" },
      h("h2", {}, "Video of a stretch"),
      h("label", { class: "field" }, "From (s)", this.begin),
      h("label", { class: "field" }, "To (s)", this.ending),
      h("label", { class: "field" }, "Pace", this.speed),
      h("button", { class: "button", disabled: app.readOnly, onclick: make }, "Make the video"),
      h("span", { class: "muted small" }, "Points, scores, decisions and light are drawn into an MP4 in the folder overlays."),
    );
  }
}
