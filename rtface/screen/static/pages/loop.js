// Loop: test, arm, disarm, stop; how each rule stands and why; what happened, and when there was light.

import { fill, h } from "../lib/dom.js";
import { Arming, marks } from "./loop/arming.js";
import { Events } from "./loop/events.js";
import { LoopFacts } from "./loop/facts.js";
import { Rules } from "./loop/rules.js";
import { Timeline } from "./loop/timeline.js";

export const title = "Loop";

const RENEWED_MS = 200;

/** @param {HTMLElement} root @param {import("../lib/app.js").App} app @returns {Promise<() => void>} */
export async function mount(root, app) {
  const page = new LoopPage(root, app);
  page.begin();
  return () => page.end();
}

class LoopPage {
  /** @param {HTMLElement} root @param {import("../lib/app.js").App} app */
  constructor(root, app) {
    this.root = root;
    this.app = app;
    /** The computer's clock less the service's, in ms. */
    this.offset = NaN;
    /** @type {Record<string, any> | null} */
    this.seen = null;
    this.facts = new LoopFacts(app);
    this.arming = new Arming(app, (verdict) => this.facts.tested(verdict));
    this.marks = marks(app);
    this.rules = new Rules();
    this.timeline = new Timeline(() => (Date.now() - this.offset) * 1e6);
    this.events = new Events((event) => this.time(event));
    /** @type {(() => void)[]} */
    this.ends = [];
  }

  begin() {
    const { app } = this;
    fill(
      this.root,
      h("h1", { class: "visually-hidden" }, "Loop"),
      h(
        "div",
        { class: "loop-grid" },
        h("div", { class: "col" }, this.arming.element, app.readOnly ? null : this.marks.element, this.facts.element),
        h("div", { class: "col" }, this.rules.element, this.timeline.element, this.events.element),
      ),
    );
    const mine = (/** @type {string} */ rig) => rig === app.rig.id;
    this.ends = [
      app.on("events", (data, rig) => mine(rig) && this.take(data)),
      app.on("features", (data, rig) => mine(rig) && (this.seen = data[data.length - 1].rules)),
      app.on("status", (_, rig) => mine(rig) && this.takeStatus()),
      app.on("link", (_, rig) => mine(rig) && this.renew()),
      app.on("socket", (up) => (up ? void this.catchUp() : this.renew())),
    ];
    if (!app.readOnly) {
      this.ends.push(app.keys({
        t: { does: "self-test", run: () => this.arming.test.click() },
        d: { does: "disarm", run: () => void this.arming.disarmNow() },
        m: { does: "write a mark", run: () => this.marks.focus() },
      }));
    }
    this.ends.push(app.keys({ "/": { does: "find events", run: () => this.events.search.focus() } }));
    this.timer = setInterval(() => this.renew(), RENEWED_MS);
    if (app.rig.status) this.takeStatus();
    void this.catchUp();
    this.renew();
  }

  /** Have what happened before this page was there, or while it was cut off. */
  async catchUp() {
    const { rig } = this.app;
    try {
      const { events } = await this.app.get(`/api/rigs/${rig.id}/history`);
      this.take(events);
    } catch (error) {
      this.app.say(`What happened before is not known: ${/** @type {Error} */ (error).message}`, "warn");
    }
  }

  /** @param {any[]} events */
  take(events) {
    const fresh = this.events.take(events);
    this.timeline.take(fresh);
  }

  takeStatus() {
    const { status, age } = this.app.rig;
    this.seen = null;
    if (Number.isFinite(age)) this.offset = Date.now() - age - status.t_ns / 1e6;
    this.renew();
  }

  renew() {
    const { rig, socket } = this.app;
    const status = socket.up && rig.fresh ? rig.status : null;
    this.root.dataset.known = String(status !== null);
    this.arming.renew();
    this.rules.show(status?.loop?.state ? status.loop : status ? {} : null, this.seen);
    this.facts.show(status, this.timeline.events);
  }

  /** When an event was, by this computer's clock. @param {any} event */
  time({ t_ns: t }) {
    if (Number.isNaN(this.offset)) return "–";
    const when = new Date(t / 1e6 + this.offset);
    return `${when.toTimeString().slice(0, 8)}.${String(when.getMilliseconds()).padStart(3, "0")}`;
  }

  end() {
    clearInterval(this.timer);
    for (const each of this.ends) each();
    this.timeline.end();
    this.events.end();
  }
}
