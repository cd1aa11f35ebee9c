// Every feature and every neural component as a scrolling plot, and each rule with the value beside its threshold.

import { fill, h, say } from "../../lib/dom.js";
import { ScrollPlot, short } from "../../lib/plot.js";
import { reasonWords } from "../loop/words.js";

const SECONDS = 20;
const DRAWN_MS = 100;

export class Plots {
  /** @param {import("../../lib/app.js").App} app */
  constructor(app) {
    this.app = app;
    this.rules = h("div", { class: "rules" });
    this.places = h("div", { class: "plots" });
    this.empty = h("p", { class: "empty" }, "No features: this rig has no rules. They are written in its rules file; the page New rig begins one.");
    this.more = h("button", { class: "button small", "aria-pressed": "false", onclick: () => this.showAll(!this.all) }, "All features");
    this.element = h(
      "section",
      { class: "panel plots-panel" },
      h("div", { class: "row" }, h("h2", { class: "grow" }, "Features and rules"), this.more),
      this.rules,
      this.empty,
      this.places,
    );
    this.all = false;
    /** @type {Map<string, {plot: ScrollPlot, value: HTMLElement, box: HTMLElement, unit: string}>} */
    this.plots = new Map();
    /** @type {Record<string, Record<string, [number, boolean][]>>} */
    this.thresholds = {};
    /** What each rule decided last, and when. @type {Map<string, {t: number, text: string}>} */
    this.last = new Map();
    this.newest = 0;
    this.arrived = 0;
    this.timer = setInterval(() => this.draw(), DRAWN_MS);
  }

  /** @param {any[]} messages */
  takeFeatures(messages) {
    for (const message of messages) {
      const t = message.t.exposure / 1e9;
      message.names.forEach((/** @type {string} */ name, /** @type {number} */ index) => {
        this.of(name, message.units[index]).plot.add(t, message.values[index]);
      });
      this.at(t);
    }
    const last = messages[messages.length - 1];
    this.showRules(last.rules);
    last.names.forEach((/** @type {string} */ name, /** @type {number} */ index) => {
      const { value, unit } = this.of(name, last.units[index]);
      say(value, `${short(last.values[index])} ${unit}`);
    });
  }

  /** @param {any[]} messages */
  takeNeural(messages) {
    for (const message of messages) {
      const t = message.t.exposure / 1e9;
      message.outputs?.forEach((/** @type {number | null} */ value, /** @type {number} */ index) => {
        if (index < 8) this.of(`neural.${index}`, message.simulated ? "simulated" : "").plot.add(t, value);
      });
      this.at(t);
    }
  }

  /** @param {number} t */
  at(t) {
    if (t < this.newest - 1) this.newest = 0;
    if (t > this.newest) [this.newest, this.arrived] = [t, performance.now()];
  }

  /** @param {any} status */
  takeStatus(status) {
    this.thresholds = status.loop?.thresholds ?? {};
    const named = new Map();
    for (const rule of Object.values(this.thresholds)) {
      for (const [name, limits] of Object.entries(rule)) {
        named.set(name, [...(named.get(name) ?? []), ...limits.map(([limit, begins]) => ({ limit, begins }))]);
      }
    }
    for (const [name, { plot, box }] of this.plots) {
      plot.thresholds = named.get(name) ?? [];
      box.hidden = !this.all && named.size > 0 && !named.has(name) && !name.startsWith("neural.");
    }
    this.more.hidden = !named.size;
  }

  /** Mark where rules fired, or would have. @param {any[]} events */
  takeEvents(events) {
    for (const { kind, details, t_ns: t } of events) {
      if (kind !== "decision") continue;
      const fired = ["fire", "trial", "sham", "catch"].includes(details.action);
      if (!fired && details.action !== "withhold") continue;
      const values = Object.fromEntries(details.inputs ?? []);
      const numbers = Object.entries(values).map(([name, value]) => this.beside(details.rule, name, value)).join(", ");
      this.last.set(details.rule, { t: t / 1e9, text: `${fired ? "fired" : "withheld"} (${reasonWords(details.reason)}) at ${numbers}` });
      for (const name of Object.keys(values)) {
        this.plots.get(name)?.plot.mark({ t: t / 1e9, kind: fired ? "fired" : "withheld", text: `${details.rule}: ${details.reason}` });
      }
    }
  }

  /** @param {Record<string, any>} rules */
  showRules(rules) {
    fill(
      this.rules,
      Object.entries(rules ?? {}).map(([name, rule]) =>
        h(
          "div",
          { class: "rule" },
          h("strong", {}, name),
          h("span", { class: `badge ${rule.withheld ? "warn" : "ok"}` }, rule.withheld ? `withheld: ${reasonWords(rule.withheld)}` : rule.state),
          h("code", {}, rule.when),
          h("span", { class: "small" }, Object.entries(rule.values ?? {}).map(([value, number]) => this.beside(name, value, number)).join("   ")),
          h("span", { class: "small muted" }, this.lastOf(name)),
        ),
      ),
    );
  }

  /** @param {string} rule */
  lastOf(rule) {
    const last = this.last.get(rule);
    if (!last) return "";
    return `last ${last.text}, ${Math.max(0, Math.round(this.newest - last.t))} s ago`;
  }

  /** A value beside its threshold. @param {string} rule @param {string} name @param {any} value */
  beside(rule, name, value) {
    const limits = (this.thresholds[rule]?.[name] ?? []).map(([limit]) => short(limit));
    return `${name} = ${short(value)}${limits.length ? ` (threshold ${limits.join(", ")})` : ""}`;
  }

  /** @param {string} name @param {string} unit */
  of(name, unit) {
    const found = this.plots.get(name);
    if (found) return found;
    this.empty.hidden = true;
    const value = h("span", { class: "mono small" });
    const place = h("div", { class: "plot" });
    const box = h("figure", { class: "feature" }, h("figcaption", {}, h("span", {}, name), value), place);
    this.places.append(box);
    const made = { plot: new ScrollPlot(place, { title: name, seconds: SECONDS }), value, box, unit: unit ?? "" };
    this.plots.set(name, made);
    return made;
  }

  /** @param {boolean} all */
  showAll(all) {
    this.all = all;
    this.more.setAttribute("aria-pressed", String(all));
    if (this.app.rig.status) this.takeStatus(this.app.rig.status);
  }

  draw() {
    if (!this.newest) return;
    const quiet = (performance.now() - this.arrived) / 1000;
    for (const { plot, box } of this.plots.values()) if (!box.hidden) plot.draw(this.newest + Math.min(quiet, 5));
  }

  clear() {
    for (const { plot } of this.plots.values()) plot.end();
    this.plots.clear();
    fill(this.places);
    fill(this.rules);
    this.last.clear();
    this.newest = 0;
    this.empty.hidden = false;
  }

  end() {
    clearInterval(this.timer);
    this.clear();
  }
}
