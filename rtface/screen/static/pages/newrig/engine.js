// The steps in which a rig gets an engine: one that is there is tried, frames are labelled, labels are learnt.

import { closing, openDialog } from "../../lib/dialog.js";
import { fill, h } from "../../lib/dom.js";
import { ask, changeRig, jobBox, over } from "../../lib/jobs.js";
import { swatch } from "../../lib/marks.js";
import { drawPicture, drawPoints, loaded } from "./pictures.js";

/**
 * A button that begins the job of a step, and the job while it runs.
 * @param {import("../newrig.js").Here} here @param {string} path @param {string} label
 * @param {() => Record<string, any>} [said] what more is said when it is pressed @param {boolean} [primary]
 * @returns {HTMLElement}
 */
export function does(here, path, label, said = () => ({}), primary = true) {
  const { app, rig, step, again, scope } = here;
  const place = h("div", { class: "col" });
  const button = h("button", { class: primary ? "button primary" : "button", disabled: app.readOnly, onclick: () => begin() }, label);
  /** @param {any} job */
  const watch = (job) => {
    step.job = job; // who comes back to this step before it is read anew finds it
    fill(place, jobBox(app, job, scope, { done: () => again() }));
  };
  const begin = async () => {
    button.disabled = true;
    const answer = await ask(app, path, { rig: rig.rig, ...said() });
    button.disabled = false;
    if (answer) watch(answer.job);
  };
  if (step.job && !over(step.job)) watch(step.job);
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
  const why = frame.view_ok === null ? "This engine cannot tell whether a picture is of the kind that it learnt from." : frame.view_ok >= 0.5 ? "The face lies as in the pictures that the engine learnt from: its points can be trusted." : "The picture differs from those that the engine learnt from (another camera angle, or a crop that is not the face): its points are guesses. Label some frames.";
  const bad = frame.view_ok !== null && frame.view_ok < 0.5;
  place.append(
    h(
      "figure",
      {},
      open,
      h("figcaption", { class: "small" }, `frame ${frame.frame}: median score ${frame.score.toFixed(2)}, `, h("span", { class: bad ? "wrong" : "good", title: why }, view)),
    ),
  );
  if (place.childElementCount === 1) place.before(legend(points));
  if (!frame.picture) return;
  const image = await loaded(frame.picture);
  if (!image) {
    open.disabled = true;
    return;
  }
  open.addEventListener("click", () => enlarge(image, frame.frame, points, crop));
  drawPoints(canvas, drawPicture(canvas, image, crop), points, crop, 2.5);
}

/** Show what the engine saw of a frame as large as the window. @param {HTMLImageElement} image @param {number} frame @param {import("./pictures.js").Point[]} points @param {import("./pictures.js").Box} crop */
function enlarge(image, frame, points, crop) {
  const canvas = h("canvas", { role: "img", "aria-label": `frame ${frame}, enlarged` });
  canvas.style.width = `${Math.round(Math.min(0.88 * innerWidth, (0.7 * innerHeight * crop.width) / crop.height))}px`;
  openDialog(`Frame ${frame}`, [canvas, legend(points), closing()], { class: "enlarged" });
  drawPoints(canvas, drawPicture(canvas, image, crop), points, crop, 4);
}

/** @param {import("./pictures.js").Point[]} points @returns {HTMLElement} */
function legend(points) {
  const list = h("ul", { class: "legend small", "aria-label": "Keypoints" });
  points.forEach((point, index) => {
    list.append(h("li", { class: point.untaught ? "muted" : "" }, swatch(index), point.untaught ? `${point.name} (never taught: ${point.x === null ? "not shown" : "it lies anywhere"})` : point.name));
  });
  list.append(h("li", { class: "muted" }, "hollow: a score below 0.5, or never taught. View unknown: the picture differs from those that the engine learnt from (camera angle, or a crop that is not the face), so label some frames. Click a picture to enlarge it"));
  return list;
}

/** @param {import("../newrig.js").Here} here */
export function labelStep(here) {
  const { app, rig, known, step, place, next, drafts } = here;
  const count = h("input", { type: "number", class: "number", value: drafts.count ?? known.count, min: "1", max: "1000", oninput: () => (drafts.count = count.value) });
  const chosen = step.wrote.length > 0;
  fill(
    place,
    h("p", { class: "muted" }, `rtface chooses frames that differ from each other and of which the engine is unsure. You put the points where they belong. ${known.how_many}`),
    rig.recording === null
      ? does(here, "/api/newrig/record", "Record a minute of this camera", () => ({ seconds: 60 }))
      : h("div", { class: "col" }, h("label", { class: "field" }, chosen ? "Frames besides those" : "Frames", count), does(here, "/api/newrig/suggest", chosen ? "Choose more frames" : "Choose frames", () => ({ count: Number(count.value) || known.count }), !chosen)),
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
