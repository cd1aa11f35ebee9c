// Every feature and every neural component as a scrolling plot, and each rule with the value beside its threshold.

import { fill, h, say } from "../../lib/dom.js";
import { ScrollPlot } from "../../lib/plot.js";
import { short } from "../../lib/short.js";
import { reasonWords } from "../loop/words.js";

const SECONDS = 20;
const DRAWN_MS = 100;

/** @typedef {{state: HTMLElement, when: HTMLElement, values: HTMLElement, last: HTMLElement}} RuleLine */

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
    /** The rules that are shown, by name. @type {Map<string, RuleLine>} */
    this.lines = new Map();
    /** The newest message of features, shown when it is next drawn. @type {any} */
    this.told = null;
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
    this.told = messages[messages.length - 1];
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

  /** Say what the newest features are, and how each rule stands. */
  tell() {
    const { names, values, units, rules } = this.told;
    names.forEach((/** @type {string} */ name, /** @type {number} */ index) => {
      const { value, unit } = this.of(name, units[index]);
      say(value, `${short(values[index])} ${unit}`);
    });
    const found = Object.entries(rules ?? {});
    if (found.length !== this.lines.size || found.some(([name]) => !this.lines.has(name))) this.lay(found.map(([name]) => name));
    for (const [name, rule] of found) {
      const line = /** @type {RuleLine} */ (this.lines.get(name));
      line.state.className = `badge ${rule.withheld ? "warn" : "ok"}`;
      say(line.state, rule.withheld ? `withheld: ${reasonWords(rule.withheld)}` : rule.state);
      say(line.when, rule.when ?? "");
      say(line.values, Object.entries(rule.values ?? {}).map(([value, number]) => this.beside(name, value, number)).join("   "));
      say(line.last, this.lastOf(name));
    }
  }

  /** Lay out lines for other rules than before. @param {string[]} names */
  lay(names) {
    this.lines = new Map(names.map((name) => [name, {
      state: h("span", { class: "badge" }), when: h("code", {}), values: h("span", { class: "small" }), last: h("span", { class: "small muted" }),
    }]));
    fill(this.rules, [...this.lines].map(([name, { state, when, values, last }]) => h("div", { class: "rule" }, h("strong", {}, name), state, when, values, last)));
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
    if (this.told) this.tell();
    this.told = null;
    if (!this.newest) return;
    const quiet = (performance.now() - this.arrived) / 1000;
    for (const { plot, box } of this.plots.values()) if (!box.hidden) plot.draw(this.newest + Math.min(quiet, 5));
  }

  clear() {
    for (const { plot } of this.plots.values()) plot.end();
    this.plots.clear();
    fill(this.places);
    fill(this.rules);
    this.lines.clear();
    this.told = null;
    this.last.clear();
    this.newest = 0;
    this.empty.hidden = false;
  }

  end() {
    clearInterval(this.timer);
    this.clear();
  }
}
