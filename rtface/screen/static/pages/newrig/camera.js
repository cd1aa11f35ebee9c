// The first step: a camera or a recording is chosen, written into the rig's file, and looked at.

import { fill, h } from "../../lib/dom.js";
import { ask, changeRig, jobBox, over } from "../../lib/jobs.js";
import { pictureUrl } from "./pictures.js";

/** @param {import("../newrig.js").Here} here */
export function cameraStep(here) {
  const { app, rig, known, step, place, again, next, scope, drafts } = here;
  const choices = h("div", { class: "col" });
  const picture = h("div", { class: "col" });
  const looking = h("div", {});
  fill(place, picture, choices);

  /** @param {any} body */
  const choose = async (body) => {
    if (!(await changeRig(app, "/api/newrig/set", { rig: rig.rig, ...body }))) return;
    await again();
  };
  const find = async () => {
    const answer = await ask(app, "/api/newrig/cameras", {});
    if (!answer) return;
    fill(looking, jobBox(app, answer.job, scope, { done: (told) => told.result && fill(looking, cameras(told.result)) }));
  };
  /** @param {any[]} found @returns {HTMLElement} */
  const cameras = (found) =>
    h(
      "table",
      { class: "table" },
      h("thead", {}, h("tr", {}, h("th", {}, "camera"), h("th", {}, "kind"), h("td", {}))),
      h(
        "tbody",
        {},
        found.map((each) =>
          h(
            "tr",
            {},
            h("td", {}, each.label),
            h("td", {}, each.kind),
            h("td", {}, h("button", { class: "button small", onclick: () => choose({ settings: { camera: asYaml(each.settings) } }) }, "Take it")),
          ),
        ),
      ),
    );
  const renew = async () => {
    try {
      Object.assign(known, await app.get("/api/newrig/rigs"));
    } catch (error) {
      app.say(/** @type {Error} */ (error).message, "bad");
    }
    await again();
  };
  const own = h("textarea", { rows: "3", class: "mono", spellcheck: "false", oninput: () => (drafts.own = own.value) }, drafts.own ?? "{kind: genicam, serial: \"22345678\", rate_hz: 200, exposure_us: 2000}");
  fill(
    choices,
    h("h3", {}, rig.exists ? "Another camera" : "Choose"),
    known.recordings.length
      ? h(
          "table",
          { class: "table" },
          h("thead", {}, h("tr", {}, h("th", {}, "recordings in this folder"), h("th", { class: "num" }, "size"), h("td", {}))),
          h(
            "tbody",
            {},
            known.recordings.map((/** @type {any} */ each) =>
              h(
                "tr",
                {},
                h("td", {}, each.path),
                h("td", { class: "num" }, each.kind === "video" ? `${each.mb} MB` : `${each.pictures} pictures`),
                h("td", {}, h("button", { class: "button small", disabled: app.readOnly, onclick: () => choose({ recording: each.path }) }, "Take it")),
              ),
            ),
          ),
        )
      : h("p", { class: "muted" }, `No video lies in ${known.folder}: copy one there to begin without a camera.`),
    h("div", { class: "row" }, h("button", { class: "button", onclick: renew }, "Look again in the folder"), h("button", { class: "button", disabled: app.readOnly, onclick: find }, "Look for cameras"), h("button", { class: "button", disabled: app.readOnly, onclick: () => choose({ settings: { camera: "{kind: simulated}" } }) }, "Take the simulated mouse")),
    looking,
    h(
      "details",
      { open: "own" in drafts },
      h("summary", {}, "Write the camera's settings yourself"),
      h("label", { class: "field" }, "camera:", own),
      h("button", { class: "button", disabled: app.readOnly, onclick: () => choose({ settings: { camera: own.value } }) }, "Show what changes"),
    ),
  );
  if (!rig.exists) return;
  const look = async () => {
    const answer = await ask(app, "/api/newrig/look", { rig: rig.rig });
    if (answer) watch(answer.job);
  };
  /** @param {any} job */
  const watch = (job) => {
    step.job = job; // who comes back to this step before it is read anew finds it
    fill(picture, jobBox(app, job, scope, { done: (told) => told.job.state === "done" && again() }));
  };
  const shown = step.result?.pictures ?? [];
  if (step.job && !over(step.job)) watch(step.job);
  else if (shown.length) {
    const first = shown[0];
    fill(
      picture,
      h("div", { class: "row" }, h("button", { class: "button primary", onclick: next }, "Next: the face"), h("button", { class: "button", disabled: app.readOnly, onclick: look }, "Look again"), h("span", { class: "muted small" }, `${first.width} x ${first.height} pixels`)),
      h(
        "div",
        { class: "looked" },
        shown.map((/** @type {any} */ each) => h("img", { src: pictureUrl(each.picture), alt: `frame ${each.frame}`, width: each.width, height: each.height })),
      ),
    );
  } else if (app.readOnly) fill(picture, h("p", { class: "muted" }, "No picture was taken yet."));
  else look();
}

/** A flat map as YAML. @param {Record<string, string>} settings @returns {string} */
function asYaml(settings) {
  return `{${Object.entries(settings).map(([name, value]) => `${name}: ${value}`).join(", ")}}`;
}
