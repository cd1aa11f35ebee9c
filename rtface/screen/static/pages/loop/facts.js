// How much light there was, what thresholds rest on, where the record lies, and what the output is.

import { fill, h, say } from "../../lib/dom.js";
import { COUNTED, short } from "./words.js";

/** @type {Record<string, string>} */
const STAGES = { handover: "decision to hand-over", answer: "hand-over to answer", light: "exposure to light" };

/** @param {string} title @param {...any} children */
const panel = (title, ...children) => h("section", { class: "panel" }, h("h2", {}, title), ...children);

export class LoopFacts {
  /** @param {import("../../lib/app.js").App} app */
  constructor(app) {
    this.app = app;
    this.counts = h("dl", { class: "facts small" });
    this.planned = h("p", { class: "small" });
    this.animal = h("p", { class: "small muted" });
    this.blind = h("p", { class: "small careful" }, "Blinded: which trials are light stays hidden. The record has it in a seal.");
    this.baseline = h("div", {});
    this.again = h("button", { class: "button small", onclick: () => this.takeAnew() }, "Take anew");
    this.baselinePanel = panel("Baseline", this.baseline, this.again);
    this.session = h("p", { class: "small" });
    this.output = h("dl", { class: "facts small" });
    this.latency = h("table", { class: "table small" });
    this.shown = "";
    /** What the last self-test said of the output. @type {string[][]} */
    this.found = [];
    this.element = h(
      "div",
      { class: "col" },
      panel("Light of this session", this.blind, this.counts, this.planned, this.animal),
      this.baselinePanel,
      panel("Output and record", this.output, this.latency, this.session),
    );
    this.show(null, []);
  }

  /** @param {any} status null where nothing is known now @param {any[]} events */
  show(status, events) {
    const loop = status?.loop ?? {};
    const known = status !== null;
    const shown = JSON.stringify([known, status?.session, loop.counts, loop.lights, loop.baseline, loop.session, loop.output, loop.latency, events.length, this.app.rig.loopState]);
    if (shown === this.shown) return;
    this.shown = shown;
    const counts = Object.entries(loop.counts ?? {});
    const blind = Boolean(loop.counts?.trial) || events.some(({ kind, details }) => kind === "decision" && details.blind);
    this.blind.hidden = !blind;
    facts(this.counts, [["Lights that the output began", known ? (blind ? "hidden" : String(loop.lights ?? 0)) : "unknown"], ...counts.map(([action, count]) => [COUNTED[action] ?? action, String(count)])]);
    const planned = plannedSeconds(events, status?.session);
    say(this.planned, blind ? "" : `As planned, in the events of this page: ${short(planned)} s of light at full power.`);
    this.showBaseline(loop.baseline ?? {});
    facts(this.output, [["Output", known ? (loop.output ?? "none") : "unknown"], ...this.found]);
    fill(this.latency, latencyRows(loop.latency ?? {}));
    fill(this.session, "Record: ", loop.session ? h("code", {}, loop.session) : known ? "nothing is recorded" : "unknown");
  }

  /** Show what the self-test found of one animal's light and of the output. @param {any} verdict */
  tested(verdict) {
    const found = (/** @type {string} */ what) => verdict.findings.filter((/** @type {any} */ each) => each.what === what).map((/** @type {any} */ each) => each.text);
    say(this.animal, found("animal").join("; "));
    this.found = ["output", "guard"].flatMap((what) => found(what).map((/** @type {string} */ text) => [what, text]));
    this.shown = "";
  }

  /** @param {any} baseline */
  showBaseline(baseline) {
    const names = Object.entries(baseline.values ?? {});
    this.baselinePanel.hidden = !("complete" in baseline);
    if (this.baselinePanel.hidden) return;
    this.again.hidden = this.app.readOnly;
    this.again.disabled = this.app.rig.loopState !== "disarmed";
    const problems = baseline.problems ?? [];
    fill(
      this.baseline,
      h("p", { class: baseline.complete ? "small good" : "small careful" }, baseline.complete ? "Complete." : `${Math.ceil(baseline.missing_s ?? 0)} s are missing; nobody can arm before.`),
      problems.map((/** @type {string} */ each) => h("p", { class: "small wrong" }, each)),
      h("dl", { class: "facts small" }, [
        ...names.map(([name, { mean, sd, frames }]) => [name, `${short(mean)}, sd ${short(sd)} (n = ${frames})`]),
        ...Object.entries(baseline.limits ?? {}).map(([text, limit]) => [text, short(limit)]),
      ].flatMap(([name, value]) => [h("dt", {}, h("code", {}, name)), h("dd", {}, value)])),
    );
  }

  async takeAnew() {
    if (await this.app.command("baseline")) this.app.say("The baseline is taken anew.");
  }
}

/** @param {HTMLElement} list @param {string[][]} pairs */
function facts(list, pairs) {
  fill(list, pairs.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
}

/** @param {Record<string, any>} latency */
function latencyRows(latency) {
  const rows = Object.entries(latency).filter(([, each]) => each.n);
  if (!rows.length) return [];
  const ms = (/** @type {number | null} */ value) => h("td", { class: "num" }, value === null ? "–" : value.toFixed(2));
  return [
    h("thead", {}, h("tr", {}, ["ms", "n", "p50", "p99", "max"].map((title, index) => h("th", { scope: "col", class: index ? "num" : "" }, title)))),
    h("tbody", {}, rows.map(([stage, each]) => h("tr", {}, h("th", { scope: "row" }, STAGES[stage] ?? stage), h("td", { class: "num" }, each.n), ms(each.p50_ms), ms(each.p99_ms), ms(each.max_ms)))),
  ];
}

/** Seconds of light that decisions of a session planned, in full power. @param {any[]} events @param {string | undefined} session */
function plannedSeconds(events, session) {
  let seconds = 0;
  for (const { kind, details, session: of } of events) {
    if (kind === "decision" && of === session && details.action === "fire" && details.pulse) {
      seconds += (details.pulse.on_ns / 1e9) * details.pulse.count * details.pulse.amplitude;
    }
  }
  return seconds;
}
