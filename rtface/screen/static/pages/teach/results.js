// What a training gave: errors before and after, what the distances do, and the worst frames with a way back to their labels.

import { h } from "../../lib/dom.js";

/** @param {import("../../lib/app.js").App} app @param {any} way @param {any} attempt @returns {HTMLElement} */
export function resultsPanel(app, way, attempt) {
  const { report, check } = attempt;
  const evaluation = attempt.evaluation;
  const compared = comparedOf(report, evaluation);
  return h(
    "div",
    { class: "results" },
    h(
      "section",
      { class: "panel col" },
      h("h2", {}, `Errors of ${attempt.engine}, in camera pixels`),
      h("p", { class: `verdict ${compared.verdict.kind}` }, compared.verdict.words),
      errors(compared),
      h("p", { class: "muted small" }, report?.after ? "Held out: the network that was not trained on these frames, which chose where it stopped. All: the new engine on all labelled frames, which it learnt from. Of a new recording expect larger errors." : "Too few frames to hold any out: how good it is on others is not known. Label ten or more."),
      evaluation?.after && Object.keys(evaluation.after.distances ?? {}).length ? distances(evaluation) : null,
      report ? h("p", { class: "small" }, `${report.frames} frames, ${report.steps} steps, ${Number(report.blend) * 100} % of the way from the old weights, ${report.minutes} minutes.`) : null,
      report?.untouched_guesses?.length ? h("p", { class: "careful" }, `Most labels of ${report.untouched_guesses.join(", ")} are exactly what the engine found, and nobody confirmed them: guesses that nobody looked at teach nothing.`) : null,
      check?.warnings?.length ? h("details", {}, h("summary", {}, check.warnings.length === 1 ? "A remark on the labels" : `${check.warnings.length} remarks on the labels`), h("ul", {}, check.warnings.map((/** @type {string} */ each) => h("li", {}, each)))) : null,
    ),
    h("section", { class: "panel col" }, h("h2", {}, "Worst frames first"), worst(app, way, evaluation)),
  );
}

/**
 * What is compared: where labels are confirmed guesses, the points that a person placed or moved alone, since on a guess the engine
 * that made it is 0 px off whatever it is worth.
 * @param {any} report @param {any} evaluation
 */
function comparedOf(report, evaluation) {
  const leftOut = evaluation?.after?.placed?.left_out ?? 0;
  const all = { before: evaluation?.before?.placed ?? evaluation?.before, after: evaluation?.after?.placed ?? evaluation?.after };
  const held = { before: report?.placed?.before ?? report?.before, after: report?.placed?.after ?? report?.after };
  return { all, held, verdict: verdictOf(held, all, leftOut) };
}

/** One sentence on whether it became better. @param {any} held @param {any} all @param {number} leftOut @returns {{kind: string, words: string}} */
function verdictOf(held, all, leftOut) {
  const [shown, where] = held.after?.n ? [held, "on frames that it did not learn from"] : [all, "on the frames that it learnt from"];
  const [before, after, n] = [shown.before?.median_px, shown.after?.median_px, shown.after?.n ?? 0];
  const out = leftOut ? ` ${leftOut} guesses that were confirmed where they lay are left out: on them the engine that guessed is 0 px off.` : "";
  if (typeof after !== "number") return { kind: "", words: leftOut ? `Nobody placed or moved a point, so that nothing can be compared.${out}` : "Nothing could be compared." };
  const points = `${n} ${leftOut ? "points that a person placed or moved" : "labels"}, ${where}`;
  if (typeof before !== "number") return { kind: "", words: `The error is ${px(after)} px (median of ${points}); the engine before has no such points.${out}` };
  const [kind, word] = after < before ? ["good", "Better"] : after > before ? ["careful", "Worse"] : ["", "No difference"];
  return { kind, words: `${word}: an error of ${px(before)} px before, ${px(after)} px after (median of ${points}).${out}` };
}

/** @param {{all: any, held: any}} compared @returns {HTMLElement} */
function errors({ all, held }) {
  const before = all.before?.by_keypoint ?? {};
  const after = all.after?.by_keypoint ?? {};
  const heldBefore = held.before?.by_keypoint ?? {};
  const heldAfter = held.after?.by_keypoint ?? {};
  const names = Object.keys(after).length ? Object.keys(after) : Object.keys(heldAfter);
  const row = (/** @type {string} */ name, /** @type {any[]} */ cells, bold = false) => {
    const [a, b, c, d] = cells;
    const worse = typeof a === "number" && typeof b === "number" && b > a;
    return h(
      "tr",
      { class: bold ? "total" : "" },
      h("th", { scope: "row" }, name),
      h("td", { class: "num" }, px(a)),
      h("td", { class: `num ${worse ? "careful" : "good"}` }, px(b)),
      h("td", { class: "num" }, px(c)),
      h("td", { class: "num" }, px(d)),
    );
  };
  return h(
    "table",
    { class: "table" },
    h(
      "thead",
      {},
      h("tr", {}, h("th", { rowspan: "2" }, "point"), h("th", { colspan: "2", class: "num" }, "held out (median)"), h("th", { colspan: "2", class: "num" }, "all labels (median)")),
      h("tr", {}, h("th", { class: "num" }, "before"), h("th", { class: "num" }, "after"), h("th", { class: "num" }, "before"), h("th", { class: "num" }, "after")),
    ),
    h(
      "tbody",
      {},
      names.map((name) => row(name, [heldBefore[name]?.median_px, heldAfter[name]?.median_px, before[name]?.median_px, after[name]?.median_px])),
      row("all", [held.before?.median_px, held.after?.median_px, all.before?.median_px, all.after?.median_px], true),
    ),
  );
}

/** @param {any} evaluation @returns {HTMLElement} */
function distances(evaluation) {
  const before = evaluation.before?.distances ?? {};
  const cells = (/** @type {any} */ each) => [
    h("td", { class: "num" }, typeof each?.slope === "number" ? each.slope.toFixed(2) : "-"),
    h("td", { class: "num" }, typeof each?.correlation === "number" ? each.correlation.toFixed(2) : "-"),
  ];
  return h(
    "table",
    { class: "table" },
    h("caption", { class: "small muted" }, "Distances that mean something: does the engine follow them? Slope 1: it follows; 0: it stays the same."),
    h("thead", {}, h("tr", {}, h("th", {}, "distance"), h("th", { class: "num" }, "slope before"), h("th", { class: "num" }, "correlation"), h("th", { class: "num" }, "slope after"), h("th", { class: "num" }, "correlation"), h("td", {}))),
    h(
      "tbody",
      {},
      Object.entries(evaluation.after.distances).map(([name, each]) => h("tr", {}, h("th", { scope: "row" }, name), cells(before[name]), cells(each), h("td", { class: "muted small" }, /** @type {any} */ (each).not_said ?? ""))),
    ),
  );
}

/** @param {import("../../lib/app.js").App} app @param {any} way @param {any} evaluation @returns {HTMLElement} */
function worst(app, way, evaluation) {
  const frames = evaluation?.after?.worst_frames ?? [];
  if (!frames.length) return h("p", { class: "empty" }, "Errors by frame are not known of this engine: evaluate it again.");
  return h(
    "div",
    { class: "scroll worst", tabindex: "0", role: "region", "aria-label": "Worst frames" },
    h(
      "table",
      { class: "table" },
      h("thead", {}, h("tr", {}, h("th", {}, "frame"), h("th", { class: "num" }, "mean"), h("th", {}, "farthest"), h("th", { class: "num" }, "px"), h("td", {}))),
      h(
        "tbody",
        {},
        frames.map((/** @type {any} */ each) =>
          h(
            "tr",
            {},
            h("td", {}, `${each.name}`, h("div", { class: "muted small" }, each.video)),
            h("td", { class: "num" }, each.mean_px.toFixed(1)),
            h("td", {}, each.worst),
            h("td", { class: "num" }, each.worst_px.toFixed(1)),
            h("td", {}, h("button", { class: "button small", disabled: !way.labels, "aria-label": `Its labels: ${each.name}`, onclick: () => app.go("label", { set: way.labels, name: each.name, video: each.video, point: each.worst }) }, "Its labels")),
          ),
        ),
      ),
    ),
  );
}

/** @param {any} value @returns {string} */
const px = (value) => (typeof value === "number" ? value.toFixed(2) : "-");
