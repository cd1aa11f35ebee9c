// The page for a new rig: the first hour as steps. Each shows what it wrote and the command that does the same.

import { fill, h } from "../lib/dom.js";
import { commandLine, empty } from "../lib/jobs.js";
import { cameraStep } from "./newrig/camera.js";
import { cropStep } from "./newrig/crop.js";
import { engineStep, labelStep, teachStep } from "./newrig/engine.js";
import { checkStep, outputStep, rulesStep, runStep, verifyStep } from "./newrig/loop.js";
import { Scope } from "../lib/scope.js";
import { startPanel } from "./newrig/start.js";

/**
 * @typedef {{step: string, state: string, says: string, wrote: string[], commands: string[], job: any, result: any}} StepState
 * @typedef {{rig: string, exists: boolean, text: string, fault: string, engine: string | null, crop: any, learning: string,
 *   recording: string | null, steps: StepState[]}} RigState
 * @typedef {{app: import("../lib/app.js").App, rig: RigState, known: any, step: StepState, place: HTMLElement,
 *   again: () => Promise<void>, next: () => void, scope: Scope, drafts: Record<string, string>}} Here
 * again: read the rig anew, and show this step again if it still is shown. drafts: what was typed and not written yet.
 */

export const title = "New rig";

/** @type {[string, string, string, (here: Here) => void][]} */
const STEPS = [
  ["camera", "Camera", "Which camera, and what does it show?", cameraStep],
  ["crop", "Face", "Where in the picture is the face?", cropStep],
  ["engine", "Engine", "Does an engine that is there find this face?", engineStep],
  ["label", "Label", "If not: label some frames of this rig.", labelStep],
  ["teach", "Teach", "Learn the labels, and use the new engine.", teachStep],
  ["verify", "Verify", "Does the network run here as it was made?", verifyStep],
  ["output", "Output", "What makes light, and who guards it?", outputStep],
  ["rules", "Rules", "When is there to be light?", rulesStep],
  ["check", "Check", "Is everything ready?", checkStep],
  ["run", "Run", "Start the rig.", runStep],
];
/** @type {Record<string, [string, string]>} */
const BADGES = { done: ["ok", "done"], wrong: ["bad", "look here"], runs: ["warn", "runs"], open: ["", "to do"] };

/** @param {HTMLElement} root @param {import("../lib/app.js").App} app @returns {Promise<() => void>} */
export async function mount(root, app) {
  const page = new Scope();
  let shown = page.part();
  /** @type {Record<string, Record<string, string>>} by step */
  const drafts = {};
  const known = await app.get("/api/newrig/rigs");
  const last = `newrig:${known.folder}`;
  const name = app.params.get("rig") ?? (app.params.has("list") ? null : lastOpen(last, known));
  if (name) localStorage.setItem(last, name);
  else {
    fill(root, startPanel(app, known));
    return () => page.end();
  }
  /** @type {RigState} */
  let rig = await app.get(`/api/newrig/steps?rig=${encodeURIComponent(name)}`);
  let chosen = app.params.get("step") ?? "";
  const list = h("ol", { class: "steps", "aria-label": "Steps" });
  const place = h("div", { class: "col grow" });
  const file = h("pre", { class: "said", tabindex: "0", "aria-label": `What ${name} says` });

  /** @param {Scope} scope of the step that asks for it */
  const again = async (scope) => {
    try {
      const found = await app.get(`/api/newrig/steps?rig=${encodeURIComponent(name)}`);
      if (page.over) return;
      rig = found;
      if (scope.over) drawList();
      else draw();
    } catch (error) {
      if (!page.over) app.say(/** @type {Error} */ (error).message, "bad");
    }
  };
  /** @param {string} step */
  const choose = (step) => {
    chosen = step;
    history.replaceState(null, "", `#/newrig?${new URLSearchParams({ rig: name, step })}`);
    draw();
    place.querySelector("h2")?.focus();
  };
  const stateOf = (/** @type {string} */ step) => {
    const found = rig.steps.find((each) => each.step === step);
    const heard = step === "run" && found?.state === "wrong" && app.rigs.some((each) => each.id === found.result?.id && each.fresh);
    return heard ? { ...found, state: "done", says: "It runs." } : found; // an earlier start failed, and it was started since
  };
  const next = () => {
    const at = STEPS.findIndex(([step]) => step === chosen);
    const follows = STEPS.slice(at + 1).find(([step]) => stateOf(step));
    if (follows) choose(follows[0]);
  };
  const drawList = () => {
    fill(
      list,
      STEPS.map(([step, label]) => {
        const state = stateOf(step);
        const [kind, words] = BADGES[state?.state ?? "open"];
        return h(
          "li",
          {},
          h(
            "button",
            { class: "step", disabled: !state, "aria-current": step === chosen ? "step" : null, onclick: () => choose(step) },
            h("span", { class: "grow" }, label),
            h("span", { class: `badge ${kind}` }, words),
          ),
        );
      }),
    );
    file.textContent = rig.text || "There is no file yet; the first step writes it.";
  };
  const draw = () => {
    shown.end();
    const scope = (shown = page.part());
    if (!stateOf(chosen)) chosen = STEPS.find(([step]) => stateOf(step)?.state === "open")?.[0] ?? "camera";
    drawList();
    const [step, label, question, show] = /** @type {[string, string, string, (here: Here) => void]} */ (STEPS.find(([each]) => each === chosen));
    const state = /** @type {StepState} */ (stateOf(step));
    const inside = h("div", { class: "col" });
    fill(
      place,
      h(
        "section",
        { class: "panel col", "aria-labelledby": "step-title" },
        h("h2", { id: "step-title", tabindex: "-1" }, `${label}: ${question}`),
        h("p", { class: state.state === "wrong" ? "wrong" : state.state === "done" ? "good" : "", role: "status" }, state.says),
        inside,
        state.wrote.length ? h("p", { class: "muted small" }, `It wrote: ${state.wrote.join(", ")}`) : null,
        h(
          "details",
          {},
          h("summary", {}, "The same in a terminal"),
          h("div", { class: "col" }, state.commands.map((command) => commandLine(app, command))),
        ),
      ),
    );
    if (rig.fault) empty(inside, `${name} cannot be read: ${rig.fault}`, h("p", {}, "Correct the file, then open this page again."));
    else show({ app, rig, known, step: state, place: inside, again: () => again(scope), next, scope, drafts: (drafts[step] ??= {}) });
  };
  fill(
    root,
    h("div", { class: "row" }, h("h1", { class: "grow" }, name), h("button", { class: "button", onclick: () => app.go("newrig", { list: "all" }) }, "Other rigs")),
    h(
      "div",
      { class: "newrig-grid" },
      h("div", { class: "col" }, h("nav", { class: "panel", "aria-label": "Steps of the first hour" }, list), h("details", { class: "panel" }, h("summary", {}, "The rig's file"), file)),
      place,
    ),
  );
  draw();
  page.keep(app.keys({ n: { does: "next step", run: next } }));
  return () => page.end();
}

/** The rig that this browser had open last, where its file is still there. @param {string} key @param {any} known @returns {string | null} */
function lastOpen(key, known) {
  const name = localStorage.getItem(key);
  return known.rigs.some((/** @type {any} */ each) => each.rig === name) ? name : null;
}
