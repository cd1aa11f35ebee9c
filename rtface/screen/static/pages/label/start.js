// What there is to label: sets to carry on, recordings to choose frames of, old projects, the live picture.

import { fill, free, h } from "../../lib/dom.js";
import { failureLine, failures, jobBox, over } from "../../lib/jobs.js";
import { Scope } from "../../lib/scope.js";

/** @typedef {import("../../lib/app.js").App} App */

const MAKES_SETS = ["suggest", "copy"];

/** @param {HTMLElement} root @param {App} app @returns {Promise<() => void>} */
export async function openStart(root, app) {
  const found = await app.get("/api/label/sets");
  const scope = new Scope();
  const jobs = h("div", { class: "col" });
  fill(
    root,
    h("h1", { class: "visually-hidden" }, "Label"),
    h("div", { class: "label-start" },
      h("section", { class: "panel" }, h("h2", {}, "Label sets"), setsTable(app, found), jobs),
      h("section", { class: "panel" }, h("h2", {}, "Frames of a recording"), suggestForm(app, found, (job) => show(job))),
      h("section", { class: "panel" }, h("h2", {}, "An old project"), copyForm(app, found, (job) => show(job))),
      h("section", { class: "panel" }, h("h2", {}, "The live picture"), newForm(app, found)),
    ),
  );
  /** Show a job that makes a set, and open the set when it is made. @param {any} job */
  const show = (job) => {
    jobs.append(jobBox(app, job, scope, { done: (told) => told.job.state === "done" && open(app, job.about.set) }));
  };
  const { jobs: running } = await app.get("/api/jobs/").catch(() => ({ jobs: [] }));
  for (const job of running) {
    if (MAKES_SETS.includes(job.kind) && !over(job)) show(job);
  }
  jobs.append(...failures(running, (job) => MAKES_SETS.includes(job.kind)).map(failureLine));
  return () => scope.end();
}

/** @param {App} app @param {any} found @returns {HTMLElement} */
function setsTable(app, found) {
  const sets = [...found.sets, ...found.fresh.map((/** @type {string} */ set) => ({ set, fresh: true }))];
  if (!sets.length) {
    return h("p", { class: "empty" }, "No label set yet. Choose frames of a recording, carry on an old project, or begin one for the live picture.");
  }
  return h("table", { class: "table sets" },
    h("thead", {}, h("tr", {}, h("th", {}, "Set"), h("th", { class: "num" }, "Frames"), h("th", { class: "num" }, "Begun"), h("th", {}, "Points placed or hidden"), h("td", {}))),
    h("tbody", {}, sets.map((each) => setRow(app, each))));
}

/** @param {App} app @param {any} each */
function setRow(app, each) {
  const whole = each.frames * each.points;
  return h("tr", {},
    h("td", {}, each.set),
    h("td", { class: "num" }, each.frames ?? "–"),
    h("td", { class: "num" }, each.begun ?? "–"),
    h("td", {}, each.error ? h("span", { class: "wrong" }, each.error)
      : each.fresh ? h("span", { class: "muted" }, "nobody labelled here yet")
        : h("span", { class: "row" }, h("progress", { max: Math.max(1, whole), value: each.seen, "aria-label": "placed or hidden" }), h("span", { class: "muted small" }, `${each.seen} of ${whole}`))),
    h("td", {}, each.error ? null : h("button", { class: "button small primary", onclick: () => open(app, each.set, each.fresh) }, each.fresh ? "Begin" : "Go on")));
}

/** @param {App} app @param {string} set @param {boolean} [fresh] */
async function open(app, set, fresh = true) {
  try {
    if (fresh) await app.post("/api/label/open", { set, who: nameOf(app) });
    app.go("label", { set });
  } catch (error) {
    app.say(/** @type {Error} */ (error).message, "bad");
  }
}

/** @param {App} app */
function nameOf(app) {
  return app.who || "somebody";
}

/** @param {App} app @param {any} found @param {(job: any) => void} begun */
function suggestForm(app, found, begun) {
  if (!found.recordings.length) return h("p", { class: "empty" }, `Put a video or a folder of images into ${app.about.folder}.`);
  const video = select("Recording", "", found.recordings);
  const count = h("input", { type: "number", min: "1", max: "2000", value: found.count, required: true });
  const engine = select("Network", "its doubt counts, and its keypoints are labelled", found.engines.map((/** @type {any} */ each) => each.engine), "default");
  const crop = h("input", { placeholder: "auto, X,Y,WIDTH,HEIGHT, or nothing", value: "auto" });
  const out = h("input", { required: true, maxlength: "200" });
  const taken = takenBy(found);
  const name = () => (out.value = free(`${video.value.value.replace(/\.[^./]+$/, "")}-labels`, taken));
  video.value.addEventListener("change", name);
  name();
  return form(app, "Choose frames", [video.element, field("Frames", found.how_many, count), engine.element, field("Crop", "the face in the frame", crop), field("New folder", "", out)], async () => {
    const said = { videos: [video.value.value], out: out.value, count: Number(count.value), engine: engine.value.value, crop: crop.value.trim(), who: nameOf(app) };
    begun((await app.post("/api/label/suggest", said)).job);
  });
}

/** @param {App} app @param {any} found @param {(job: any) => void} begun */
function copyForm(app, found, begun) {
  const source = h("input", { required: true, list: "old-projects", placeholder: "path in the folder of this screen" });
  const out = h("input", { required: true, maxlength: "200" });
  const keypoints = h("input", { placeholder: "names, with commas between" });
  source.addEventListener("change", () => (out.value = free(`${source.value.replace(/\/$/, "").replace(/\.[^./]+$/, "")}-labels`, takenBy(found))));
  return form(app, "Carry on in a copy", [
    h("p", { class: "muted small" }, "A project of DeepLabCut or Lightning Pose, a file of SLEAP's, Facemap's refined data, a labels.csv, a folder of images. It is copied, and stays as it is."),
    field("Labels", "", source),
    h("datalist", { id: "old-projects" }, [...found.projects, ...found.recordings.filter((/** @type {string} */ each) => !/\.\w+$/.test(each))].map((each) => h("option", { value: each }))),
    field("New folder", "", out),
    field("More keypoints", "where the labels have not all, or none", keypoints),
  ], async () => {
    const said = { source: source.value.trim(), out: out.value.trim(), who: nameOf(app), keypoints: names(keypoints.value) };
    begun((await app.post("/api/label/copy", said)).job);
  });
}

/** @param {App} app @param {any} found */
function newForm(app, found) {
  const out = h("input", { required: true, value: free(`live-${new Date().toISOString().slice(0, 10)}`, takenBy(found)), maxlength: "200" });
  const first = found.engines.find((/** @type {any} */ each) => each.default) ?? found.engines[0];
  const keypoints = h("textarea", { rows: "4", required: true }, first ? first.points.join(", ") : "");
  return form(app, "Begin", [
    h("p", { class: "muted small" }, "An empty set. Frames of the rig that is shown are caught into it by a key."),
    field("New folder", "", out),
    field("Keypoints", "names, with commas between", keypoints),
  ], async () => {
    app.go("label", { set: (await app.post("/api/label/new", { out: out.value.trim(), keypoints: names(keypoints.value), who: nameOf(app) })).set });
  });
}

/** Folders of label sets that are there. @param {any} found @returns {string[]} */
function takenBy(found) {
  return [...found.sets.map((/** @type {any} */ each) => each.set), ...found.fresh, ...found.projects];
}

/** @param {string} text @returns {string[]} */
function names(text) {
  return text.split(",").map((each) => each.trim()).filter(Boolean);
}

/** @param {App} app @param {string} does @param {(Node | string)[]} fields @param {() => Promise<void>} send */
function form(app, does, fields, send) {
  const button = h("button", { class: "button primary", type: "submit", disabled: app.readOnly }, does);
  const made = h("form", { class: "col", onsubmit: async (/** @type {Event} */ event) => {
    event.preventDefault();
    button.disabled = true;
    try {
      await send();
    } catch (error) {
      app.say(/** @type {Error} */ (error).message, "bad");
    }
    button.disabled = app.readOnly;
  } }, fields, h("div", { class: "row" }, button));
  return made;
}

/** @param {string} name @param {string} hint @param {HTMLElement} input */
function field(name, hint, input) {
  return h("label", { class: "field" }, h("span", {}, name, hint ? h("span", { class: "muted small" }, ` ${hint}`) : null), input);
}

/** @param {string} name @param {string} hint @param {string[]} values @param {string} [first] */
function select(name, hint, values, first) {
  const value = h("select", {}, (first ? [first, ...values] : values).map((each) => h("option", { value: each }, each)));
  return { value, element: field(name, hint, value) };
}
