// Jobs that this page began: how far they are, what came of them, and their stop.

import { fill, h } from "../../lib/dom.js";
import { address } from "./words.js";

const EVERY_MS = 700;

export class Work {
  /** @param {import("../../lib/app.js").App} app @param {() => string} [opened] the page's secret of the session that it opened */
  constructor(app, opened = () => "") {
    this.app = app;
    this.opened = opened;
    this.element = h("div", { class: "work", "aria-live": "polite" });
    /** @type {Map<string, number>} */
    this.timers = new Map();
  }

  /** @param {string} what @param {any} said */
  async start(what, said) {
    try {
      const job = await this.app.post(`/api/sessions/${what}`, { ...said, opened: this.opened() });
      const line = h("div", { class: "panel job" });
      this.element.prepend(line);
      this.follow(job.id, line);
    } catch (error) {
      this.app.say(/** @type {Error} */ (error).message, "bad");
    }
  }

  /** @param {string} id @param {HTMLElement} line */
  async follow(id, line) {
    try {
      const told = await this.app.get(`/api/jobs/${id}?since=0`);
      const over = !["waiting", "running"].includes(told.job.state);
      const found = over && told.job.kind === "verify" ? await this.app.get(address("verified", { job: id })) : null;
      fill(line, this.head(told.job, over, line), over ? this.result(told, found) : null);
      if (over) {
        this.timers.delete(id);
        return;
      }
    } catch (error) {
      fill(line, h("span", { class: "wrong" }, /** @type {Error} */ (error).message));
    }
    this.timers.set(id, setTimeout(() => this.follow(id, line), EVERY_MS));
  }

  /** @param {any} job @param {boolean} over @param {HTMLElement} line */
  head(job, over, line) {
    const level = job.state === "done" ? "ok" : over ? "bad" : "warn";
    const progress = job.progress;
    const far = !over && progress?.total ? `${progress.done} of ${progress.total} ${progress.unit}` : "";
    return h(
      "div",
      { class: "row" },
      h("strong", {}, job.title),
      h("span", { class: `badge ${level}` }, job.state),
      h("span", { class: "muted grow" }, far),
      over
        ? h("button", { class: "button small", onclick: () => line.remove() }, "Close")
        : h("button", { class: "button small", disabled: this.app.readOnly, onclick: () => this.app.post(`/api/jobs/${job.id}/stop`) }, "Stop"),
    );
  }

  /** @param {any} told @param {any} found */
  result(told, found) {
    const { job, result } = told;
    const lines = [];
    for (const each of found?.sessions ?? []) lines.push(verified(each));
    if (job.kind === "replay" && result) for (const [name, each] of Object.entries(result)) lines.push(replayed(name, each));
    if (job.kind === "export" && job.state === "done") lines.push(h("p", {}, "Written into ", h("code", {}, job.about.folder)));
    if (job.kind === "overlay" && job.state === "done") {
      const source = address("video", { file: job.about.file });
      lines.push(h("video", { controls: true, src: source, class: "overlay" }), h("p", {}, "Written into ", h("code", {}, job.about.file)));
    }
    if (job.reason && !lines.length) lines.push(h("p", { class: "wrong" }, job.reason));
    return h("div", { class: "result" }, lines);
  }

  end() {
    for (const timer of this.timers.values()) clearTimeout(timer);
    this.timers.clear();
  }
}

/** @param {any} each */
function verified(each) {
  const wrong = each.findings.filter((/** @type {any} */ finding) => finding.verdict !== "whole");
  const said = each.whole ? each.findings : wrong;
  return h(
    "details",
    { open: !each.whole },
    h("summary", {}, h("span", { class: `badge ${each.whole ? "ok" : "bad"}` }, each.whole ? "whole" : "not whole"), ` ${each.session}`),
    h(
      "table",
      { class: "table" },
      h("tbody", {}, said.map((/** @type {any} */ finding) => h("tr", {}, h("td", {}, finding.check), h("td", {}, finding.verdict), h("td", {}, finding.text)))),
    ),
    h("p", { class: "mono small" }, `fingerprint ${each.fingerprint}`),
  );
}

/** @param {string} name @param {any} each */
function replayed(name, each) {
  const text = each.identical ? "identical, bit for bit" : each.first?.text ?? "not the same";
  return h("p", {}, h("span", { class: `badge ${each.identical ? "ok" : "bad"}` }, each.identical ? "same" : "differs"), ` ${name}: ${each.frames} frames, ${text}`);
}
