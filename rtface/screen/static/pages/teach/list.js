// Where teaching begins: what was begun, jobs that run, and label sets that can be learnt.

import { fill, free, h } from "../../lib/dom.js";
import { ask, failureLine, failures, jobBox, over } from "../../lib/jobs.js";

/** @param {import("../../lib/app.js").App} app @param {any} known @param {import("../../lib/scope.js").Scope} scope @returns {Promise<HTMLElement>} */
export async function listPanel(app, known, scope) {
  const { jobs } = await app.get("/api/jobs/");
  const { recordings } = await app.get("/api/newrig/rigs");
  const begin = h("div", {}, beginForm(app, known, recordings));
  const lookAgain = async () => {
    try {
      const found = await app.get("/api/newrig/rigs");
      fill(begin, beginForm(app, known, found.recordings));
    } catch (error) {
      app.say(/** @type {Error} */ (error).message, "bad");
    }
  };
  const running = jobs.filter((/** @type {any} */ job) => !over(job));
  const failed = failures(jobs, (job) => ["teach", "export", "verify-engine", "view"].includes(job.kind));
  const goOn = h("section", { class: "panel col" }, h("h2", {}, "Go on"), ways(app, known.ways));
  const boxes = running.map((/** @type {any} */ job) => jobBox(app, job, scope, { done: () => renew() }));
  /** Show what a job has made; the form below may be half filled in, and is left alone. */
  const renew = async () => {
    try {
      fill(goOn, h("h2", {}, "Go on"), ways(app, (await app.get("/api/teach/ways")).ways));
    } catch (error) {
      app.say(/** @type {Error} */ (error).message, "bad");
    }
  };
  const element = h(
    "div",
    { class: "col" },
    boxes.length ? h("section", { class: "panel col" }, h("h2", {}, "What runs now"), boxes) : null,
    failed.length ? h("section", { class: "panel col" }, h("h2", {}, "What failed"), failed.map(failureLine)) : null,
    goOn,
    h("section", { class: "panel col" }, h("div", { class: "row" }, h("h2", { class: "grow" }, "Begin"), h("button", { class: "button small", onclick: lookAgain }, "Look again in the folder")), begin),
  );
  return element;
}

/** @param {import("../../lib/app.js").App} app @param {any[]} found @returns {HTMLElement} */
function ways(app, found) {
  if (!found.length) return h("p", { class: "empty" }, "Nothing was begun in this folder yet. Begin below with a video or with labels, or on the page New rig.");
  return h(
    "table",
    { class: "table" },
    h("thead", {}, h("tr", {}, h("th", {}, "folder"), h("th", {}, "recordings"), h("th", {}, "from"), h("th", {}, "engines made"))),
    h(
      "tbody",
      {},
      found.map((each) =>
        h(
          "tr",
          {},
          h("td", {}, h("button", { class: "button small", onclick: () => app.go("teach", { folder: each.folder }) }, each.folder)),
          each.fault
            ? h("td", { class: "wrong", colspan: "3" }, each.fault)
            : [h("td", {}, each.videos.filter(Boolean).join(", ") || "labels of its own"), h("td", {}, each.engine), h("td", {}, each.made.join(", ") || "none yet")],
        ),
      ),
    ),
  );
}

/** @param {import("../../lib/app.js").App} app @param {any} known @param {any[]} recordings @returns {HTMLElement} */
function beginForm(app, known, recordings) {
  const source = h(
    "select",
    { onchange: () => rename() },
    recordings.map((each) => h("option", { value: `v:${each.path}` }, `choose frames of ${each.path}`)),
    h("option", { value: "l:" }, "labels that are there already"),
  );
  const labels = h("input", { placeholder: "folder of the label set, in this folder", onchange: () => rename() });
  const labelsField = h("label", { class: "field" }, "Labels (DeepLabCut, SLEAP, Lightning Pose, ours)", labels);
  const engine = h("select", {}, h("option", { value: "default" }, "default"), known.engines.map((/** @type {any} */ each) => h("option", { value: each.engine }, each.engine)));
  const crop = h("input", { placeholder: "auto, or X,Y,WIDTH,HEIGHT; else all" });
  const name = h("input", { placeholder: "the recording's name" });
  const folder = h("input", { required: true });
  const count = h("input", { type: "number", class: "number", value: known.count, min: "1", max: "1000" });
  const countField = h("label", { class: "field" }, "Frames to label", count);
  const chosen = () => (source.value.startsWith("v:") ? { video: source.value.slice(2), labels: "" } : { video: "", labels: labels.value.trim() });
  const rename = () => {
    const { video, labels: set } = chosen();
    labelsField.hidden = Boolean(video);
    countField.hidden = !video;
    folder.value = free(`${(video || set || "labels").replace(/\.[a-z0-9]+$/i, "").split("/").pop()}-learn`, known.ways.map((/** @type {any} */ each) => each.folder));
  };
  const begin = async (/** @type {Event} */ event) => {
    event.preventDefault();
    const { video, labels: set } = chosen();
    const answer = await ask(app, "/api/teach/begin", {
      heed: true,
      folder: folder.value.trim(), videos: video ? [video] : [], labels: set ? [set] : [], engine: engine.value, crop: crop.value.trim(),
      name: name.value.trim(), count: Number(count.value) || known.count,
    });
    if (answer) app.go("teach", { folder: folder.value.trim() });
  };
  rename();
  return h(
    "form",
    { class: "col", onsubmit: begin },
    h("div", { class: "row" }, h("label", { class: "field" }, "From", source), labelsField, h("label", { class: "field" }, "Begin with the engine", engine), countField),
    h("p", { class: "muted small" }, known.how_many),
    h("div", { class: "row" }, h("label", { class: "field" }, "The face in the frame", crop), h("label", { class: "field" }, "Name of the new engine", name), h("label", { class: "field" }, "Folder of all of it", folder), h("button", { class: "button primary", disabled: app.readOnly }, "Begin")),
  );
}
