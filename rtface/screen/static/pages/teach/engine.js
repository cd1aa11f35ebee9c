// What is done with a new engine: its view, its int8 form with proof, its verification, and its use on a rig.

import { fill, h } from "../../lib/dom.js";
import { ask, changeRig, jobBox, over } from "../../lib/jobs.js";

/**
 * @param {import("../../lib/app.js").App} app @param {any} known @param {any} way @param {any} attempt @param {string} forRig
 * @param {import("../../lib/scope.js").Scope} scope
 * @returns {Promise<HTMLElement>}
 */
export async function enginePanel(app, known, way, attempt, forRig, scope) {
  const own = known.engines.filter((/** @type {any} */ each) => each.own).map((/** @type {any} */ each) => each.engine);
  const names = [attempt.engine, ...own.filter((/** @type {string} */ name) => name === `${attempt.engine}-int8`)];
  const panels = h("div", { class: "engines" });
  const jobs = h("div", { class: "col" });
  const frames = way.start.videos.find(Boolean) ?? "";
  const said = { frames, crop: way.start.crop ?? "", for_rig: forRig };
  let users = known.rigs;
  let asked = 0;
  /** Jobs that run or wait. @type {any[]} */
  let busy = [];
  /** @param {string} kind @param {string} name */
  const atWork = (kind, name) => busy.some((job) => job.kind === kind && job.about.engine === name);
  const redraw = async () => {
    const mine = ++asked;
    const [{ engines, rigs }, { jobs: now }] = await Promise.all([app.get("/api/teach/ways"), app.get("/api/jobs/")]);
    users = rigs;
    busy = now.filter((/** @type {any} */ job) => !over(job));
    const int8 = `${attempt.engine}-int8`;
    const there = engines.some((/** @type {any} */ each) => each.engine === int8);
    const shown = await Promise.all([attempt.engine, ...(there ? [int8] : [])].map((name) => app.get(`/api/teach/engine?name=${encodeURIComponent(name)}`)));
    if (mine === asked) fill(panels, shown.map((engine) => card(engine)), there ? null : exportCard(int8));
  };
  /** @param {string} path @param {any} body */
  const begin = async (path, body) => {
    const answer = await ask(app, path, { ...said, ...body });
    if (!answer) return;
    watch(answer.job);
    await redraw();
  };
  /** @param {any} job */
  const watch = (job) => {
    jobs.prepend(jobBox(app, job, scope, { done: () => redraw().catch((error) => app.say(error.message, "bad")) }));
  };
  const chooser = h("select", { class: "plain", "aria-label": "Rig" }, known.rigs.map((/** @type {any} */ each) => h("option", { value: each.rig, selected: each.rig === forRig }, each.rig)));
  /** @param {any} engine @returns {HTMLElement} */
  const card = (engine) => {
    const agrees = engine.parity.filter((/** @type {any} */ each) => each.agrees);
    const disabled = app.readOnly;
    const by = users.filter((/** @type {any} */ each) => each.engine === engine.engine).map((/** @type {any} */ each) => each.rig);
    const use = async () => {
      const done = await changeRig(app, "/api/teach/use", { rig: chooser.value, engine: engine.engine });
      if (!done) return;
      if (done.written) app.say(`${chooser.value} uses ${engine.engine} from its next start on.`);
      if (forRig && chooser.value === forRig) app.go("newrig", { rig: forRig, step: "verify" });
      else await redraw();
    };
    return h(
      "section",
      { class: "panel col", dataset: { engine: engine.engine } },
      h("h3", {}, engine.engine, " ", h("span", { class: "badge" }, engine.precision), by.length ? [" ", h("span", { class: "badge ok" }, `used by ${by.join(", ")}`)] : null),
      h("p", { class: "small muted" }, engine.what),
      h(
        "dl",
        { class: "facts" },
        h("dt", {}, "View"),
        h("dd", { class: engine.view ? "" : "careful" }, engine.view_words, bank(engine)),
        h("dt", {}, "Runs as made"),
        h("dd", {}, agrees.length ? agrees.map((/** @type {any} */ each) => h("div", { class: "good" }, `agrees on ${each.ran}: ${each.words}`)) : h("span", { class: "careful" }, engine.parity.length ? `it does NOT agree: ${engine.parity[0].words}` : "not verified on this machine: needed for light")),
        h("dt", {}, "Licence"),
        h("dd", { class: "small" }, engine.licence),
      ),
      h(
        "div",
        { class: "row" },
        frames ? h("button", { class: agrees.length ? "button" : "button primary", disabled: disabled || atWork("verify-engine", engine.engine), onclick: () => begin("/api/teach/verify", { engine: engine.engine }) }, atWork("verify-engine", engine.engine) ? "It is being verified" : "Verify") : null,
        frames ? h("button", { class: "button", disabled, onclick: () => begin("/api/teach/view", { engine: engine.engine }) }, engine.view ? "Make the view anew" : "Give it a view") : null,
        known.rigs.length ? h("button", { class: "button", disabled, onclick: use }, "Use it on this rig") : null,
      ),
    );
  };
  /** @param {string} name @returns {HTMLElement} */
  const exportCard = (name) =>
    h(
      "section",
      { class: "panel col" },
      h("h3", {}, name, " ", h("span", { class: "badge" }, "not made yet")),
      h("p", { class: "small muted" }, "The same engine in whole numbers of eight bits: faster on a processor. It is compared with the engine it is made of on frames of this rig, and refused where its points move."),
      h("div", { class: "row" }, h("button", { class: "button", disabled: app.readOnly || !frames || atWork("export", attempt.engine), onclick: () => begin("/api/teach/export", { engine: attempt.engine }) }, atWork("export", attempt.engine) ? "It is being made" : "Make it")),
      frames ? null : h("p", { class: "small careful" }, "It needs frames of the rig: this way was begun from labels alone."),
    );
  const element = h(
    "section",
    { class: "col" },
    h("div", { class: "row" }, h("h2", { class: "grow" }, "The engine"), known.rigs.length ? h("label", { class: "row small" }, "rig", chooser) : h("span", { class: "muted small" }, "No rig's file is in this folder: begin one on the page New rig, then use the engine there.")),
    jobs,
    panels,
    way.advice.length ? h("details", { class: "panel" }, h("summary", {}, "What to do next"), h("ul", {}, way.advice.map((/** @type {string} */ line) => h("li", {}, line)))) : null,
  );
  const { jobs: all } = await app.get("/api/jobs/");
  for (const job of all) if (!over(job) && names.includes(job.about.engine)) watch(job);
  await redraw();
  return element;
}

/** What its view was held against. @param {any} engine @returns {HTMLElement | null} */
function bank(engine) {
  const made = engine.view_made_from ?? {};
  const facts = Object.entries(made).filter(([, value]) => typeof value !== "object");
  if (!facts.length) return null;
  return h("div", { class: "small muted" }, facts.map(([name, value]) => `${name.replaceAll("_", " ")}: ${value}`).join(", "));
}
