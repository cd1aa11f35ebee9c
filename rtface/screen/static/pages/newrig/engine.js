// The steps in which a rig gets an engine: one that is there is tried, frames are labelled, labels are learnt.

import { fill, h } from "../../lib/dom.js";
import { ask, changeRig, jobBox } from "../../lib/jobs.js";
import { COLOURS, drawPicture, drawPoints, loaded } from "./pictures.js";

const OVER = ["done", "failed", "stopped", "lost"];

/**
 * A button that begins the job of a step, and the job while it runs.
 * @param {import("../newrig.js").Here} here @param {string} path @param {string} label @param {Record<string, any>} [said]
 * @returns {HTMLElement}
 */
export function does(here, path, label, said = {}) {
  const { app, rig, step, again, keep } = here;
  const place = h("div", { class: "col" });
  const button = h("button", { class: "button primary", disabled: app.readOnly, onclick: () => begin() }, label);
  /** @param {any} job */
  const watch = (job) => {
    const { element, end } = jobBox(app, job, { done: () => again() });
    keep(end);
    fill(place, element);
  };
  const begin = async () => {
    button.disabled = true;
    const answer = await ask(app, path, { rig: rig.rig, ...said });
    button.disabled = false;
    if (answer) watch(answer.job);
  };
  if (step.job && !OVER.includes(step.job.state)) watch(step.job);
  else fill(place, h("div", { class: "row" }, button));
  return place;
}

/** @param {import("../newrig.js").Here} here */
export function engineStep(here) {
  const { app, rig, known, step, place, again, next } = here;
  const chooser = h(
    "select",
    { onchange: async () => {
      if (await changeRig(app, "/api/newrig/set", { rig: rig.rig, settings: { engine: chooser.value } })) await again();
      else chooser.value = rig.engine ?? "default";
    } },
    [{ engine: "default", what: "the one that comes with rtface" }, ...known.engines].map((/** @type {any} */ each) =>
      h("option", { value: each.engine, selected: each.engine === rig.engine }, `${each.engine}: ${each.what}`.slice(0, 90)),
    ),
  );
  chooser.disabled = app.readOnly;
  const shown = h("div", { class: "looked" });
  const found = step.result;
  fill(
    place,
    h("label", { class: "field" }, "The engine that the rig uses", chooser),
    does(here, "/api/newrig/try", step.result ? "Try it again" : "Try it on six pictures"),
    shown,
    found
      ? h(
          "div",
          { class: "row" },
          h("button", { class: "button", onclick: () => app.go("newrig", { rig: rig.rig, step: "verify" }) }, "The points are right: verify"),
          h("button", { class: found.good_enough ? "button" : "button primary", onclick: next }, "They are not: label some frames"),
        )
      : null,
  );
  if (found?.frames) for (const frame of found.frames) addFrame(shown, frame, found.crop);
}

/** @param {HTMLElement} place @param {any} frame @param {import("./pictures.js").Box} crop */
async function addFrame(place, frame, crop) {
  const points = [...frame.points, ...(frame.untaught ?? []).map((/** @type {any} */ each) => ({ ...each, untaught: true }))];
  const canvas = h("canvas", { class: "tried", role: "img", "aria-label": `frame ${frame.frame} with the points that the engine found` });
  const open = h("button", { class: "enlarge", "aria-label": `Enlarge frame ${frame.frame}`, title: "Enlarge", disabled: !frame.picture }, canvas);
  const view = frame.view_ok === null ? "view not checked" : frame.view_ok >= 0.5 ? "view known" : "view unknown";
  const bad = frame.view_ok !== null && frame.view_ok < 0.5;
  place.append(
    h(
      "figure",
      {},
      open,
      h("figcaption", { class: "small" }, `frame ${frame.frame}: median score ${frame.score.toFixed(2)}, `, h("span", { class: bad ? "wrong" : "good" }, view)),
    ),
  );
  if (place.childElementCount === 1) place.before(legend(points));
  if (!frame.picture) return;
  const image = await loaded(frame.picture);
  open.addEventListener("click", () => enlarge(image, frame.frame, points, crop));
  drawPoints(canvas, drawPicture(canvas, image, crop), points, crop, 2.5);
}

/** Show what the engine saw of a frame as large as the window. @param {HTMLImageElement} image @param {number} frame @param {import("./pictures.js").Point[]} points @param {import("./pictures.js").Box} crop */
function enlarge(image, frame, points, crop) {
  const canvas = h("canvas", { role: "img", "aria-label": `frame ${frame}, enlarged` });
  canvas.style.width = `${Math.round(Math.min(0.88 * innerWidth, (0.7 * innerHeight * crop.width) / crop.height))}px`;
  const dialog = h(
    "dialog",
    { class: "enlarged", "aria-labelledby": "enlarged-title" },
    h("h2", { id: "enlarged-title" }, `Frame ${frame}`),
    canvas,
    legend(points),
    h("p", {}, h("button", { class: "button", onclick: () => dialog.close() }, "Close")),
  );
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  drawPoints(canvas, drawPicture(canvas, image, crop), points, crop, 4);
}

/** @param {import("./pictures.js").Point[]} points @returns {HTMLElement} */
function legend(points) {
  const list = h("ul", { class: "legend small", "aria-label": "Keypoints" });
  points.forEach((point, index) => {
    const dot = h("span", { class: "dot", "aria-hidden": "true" });
    const colour = COLOURS[index % COLOURS.length];
    if (point.untaught) dot.style.borderColor = colour;
    else dot.style.backgroundColor = colour;
    list.append(h("li", { class: point.untaught ? "muted" : "" }, dot, point.untaught ? `${point.name} (never taught: ${point.x === null ? "not shown" : "it lies anywhere"})` : point.name));
  });
  list.append(h("li", { class: "muted" }, "hollow: a score below 0.5, or never taught; click a picture to enlarge it"));
  return list;
}

/** @param {import("../newrig.js").Here} here */
export function labelStep(here) {
  const { app, rig, known, step, place, next } = here;
  const count = h("input", { type: "number", class: "number", value: known.count, min: "1", max: "1000" });
  const chosen = step.wrote.length > 0;
  const said = { get count() { return Number(count.value) || known.count; } };
  fill(
    place,
    h("p", { class: "muted" }, `rtface chooses frames that differ from each other and of which the engine is unsure. You put the points where they belong. ${known.how_many}`),
    rig.recording === null
      ? does(here, "/api/newrig/record", "Record a minute of this camera", { seconds: 60 })
      : h("div", { class: "col" }, h("label", { class: "field" }, chosen ? "Frames besides those" : "Frames", count), suggestButton(here, said, chosen ? "Choose more frames" : "Choose frames")),
    chosen
      ? h(
          "div",
          { class: "row" },
          step.wrote.map((set, index) => h("button", { class: step.state === "done" ? "button" : "button primary", onclick: () => app.go("label", { set }) }, index ? `Open ${set.split("/").pop()}` : "Open them to label")),
          h("button", { class: step.state === "done" ? "button primary" : "button", onclick: next }, "Next: teach"),
        )
      : null,
  );
}

/** @param {import("../newrig.js").Here} here @param {{count: number}} said @param {string} label @returns {HTMLElement} */
function suggestButton(here, said, label) {
  const { app, rig, step, again, keep } = here;
  const place = h("div", { class: "col" });
  /** @param {any} job */
  const watch = (job) => {
    const { element, end } = jobBox(app, job, { done: () => again() });
    keep(end);
    fill(place, element);
  };
  const begin = async () => {
    const answer = await ask(app, "/api/newrig/suggest", { rig: rig.rig, count: said.count });
    if (answer) watch(answer.job);
  };
  if (step.job && !OVER.includes(step.job.state)) watch(step.job);
  else fill(place, h("div", { class: "row" }, h("button", { class: step.wrote.length ? "button" : "button primary", disabled: app.readOnly, onclick: begin }, label)));
  return place;
}

/** @param {import("../newrig.js").Here} here */
export function teachStep(here) {
  const { app, rig, step, place, again, next } = here;
  const made = step.result;
  const use = async () => {
    const done = await changeRig(app, "/api/newrig/set", { rig: rig.rig, settings: { engine: made.engine } });
    if (done) await again();
  };
  fill(
    place,
    h("p", { class: "muted" }, "On the next page the labels are checked and learnt, and you see what became better. It comes back here."),
    h(
      "div",
      { class: "row" },
      h("button", { class: made && !made.used ? "button" : "button primary", onclick: () => app.go("teach", { folder: rig.learning, rig: rig.rig }) }, made ? "See what was learnt" : "Teach"),
      made && !made.used ? h("button", { class: "button primary", disabled: app.readOnly, onclick: use }, `Use ${made.engine} on this rig`) : null,
      h("button", { class: made?.used ? "button primary" : "button", onclick: next }, "Next: verify"),
    ),
  );
}
