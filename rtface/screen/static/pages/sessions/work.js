// Jobs that this page began: how far they are, what came of them, and their stop.

import { fill, h } from "../../lib/dom.js";
import { ask, jobBox } from "../../lib/jobs.js";
import { Scope } from "../../lib/scope.js";
import { address } from "./words.js";

export class Work {
  /** @param {import("../../lib/app.js").App} app @param {() => string} [opened] the page's secret of the session that it opened */
  constructor(app, opened = () => "") {
    this.app = app;
    this.opened = opened;
    this.element = h("div", { class: "work", "aria-live": "polite" });
    this.scope = new Scope();
  }

  /** @param {string} what @param {any} said */
  async start(what, said) {
    const job = await ask(this.app, `/api/sessions/${what}`, { ...said, opened: this.opened() });
    if (!job) return;
    const line = h("div", { class: "panel job" });
    const scope = this.scope.part();
    const close = h("button", { class: "button small close", onclick: () => {
      scope.end();
      line.remove();
    } }, "Close");
    const result = h("div", { class: "result" });
    const box = jobBox(this.app, job, scope, { done: async (told) => fill(result, await this.result(told), h("div", {}, close)) });
    fill(line, box, result);
    this.element.prepend(line);
  }

  /** What came of a job. @param {import("../../lib/jobs.js").Told} told @returns {Promise<HTMLElement[]>} */
  async result({ job, result }) {
    if (job.kind === "verify") {
      try {
        const found = await this.app.get(address("verified", { job: job.id }));
        return found.sessions.map(verified);
      } catch (error) {
        return [h("p", { class: "wrong" }, /** @type {Error} */ (error).message)];
      }
    }
    if (job.kind === "replay" && result) return Object.entries(result).map(([name, each]) => replayed(name, each));
    if (job.state !== "done") return [];
    if (job.kind === "export") return [h("p", {}, "Written into ", h("code", {}, job.about.folder))];
    if (job.kind === "overlay") {
      const source = address("video", { file: job.about.file });
      return [h("video", { controls: true, src: source, class: "overlay" }), h("p", {}, "Written into ", h("code", {}, job.about.file))];
    }
    return [];
  }

  end() {
    this.scope.end();
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
