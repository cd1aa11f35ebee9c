// One way from recordings to an engine: where it is, what is asked of a person, the training, and what came of it.

import { Curve } from "../../lib/curves.js";
import { fill, h, say } from "../../lib/dom.js";
import { ask, commandLine, duration, failureWords, follow, isPutAway, jobBox, over } from "../../lib/jobs.js";
import { Scope } from "../../lib/scope.js";
import { enginePanel } from "./engine.js";
import { resultsPanel } from "./results.js";

const LOSS = "loss, by step: how far its points are from your labels while it learns. It falls, and then hardly changes";
const HELD_BACK = "error on frames that are kept back from learning, by step: lower is better, the ring is the best. In pixels of the picture that the network is given, which is 256 wide or less";
const STEPS = [["suggest", "Frames"], ["label", "Labels"], ["check", "Check"], ["adapt", "Learn"], ["evaluate", "Judge"], ["done", "Done"]];

/**
 * @param {HTMLElement} root @param {import("../../lib/app.js").App} app @param {any} known @param {string} folder
 * @returns {Promise<() => void>}
 */
export async function openWay(root, app, known, folder) {
  const forRig = app.params.get("rig") ?? known.rigs.find((/** @type {any} */ each) => each.learning === folder)?.rig ?? "";
  const page = new Scope();
  /** What is drawn now; it ends when something else is. */
  let shown = page.part();
  const head = h("div", { class: "col" });
  const work = h("section", { class: "panel col", "aria-label": "The training" });
  const results = h("div", { class: "col" });
  const engine = h("div", { class: "col" });
  const begun = async () => (await app.get("/api/teach/ways")).ways.some((/** @type {any} */ each) => each.folder === folder);
  const draw = async () => {
    shown.end();
    const scope = (shown = page.part());
    const { jobs } = await app.get("/api/jobs/");
    const job = jobs.find((/** @type {any} */ each) => each.about.folder === folder || (each.about.step === "label" && each.argv.includes(folder)));
    const way = job && !(await begun()) ? null : await app.get(`/api/teach/way?folder=${encodeURIComponent(folder)}`);
    if (scope.over) return;
    fill(head, way ? progressOf(way) : null);
    fill(results, null);
    fill(engine, null);
    if (job && !over(job)) return watch(job, scope);
    const said = job && job.state !== "done" && !way?.undecided.length && !isPutAway(job);
    fill(work, said ? stopped(job) : null, way ? actions(way) : null);
    if (!way) return;
    const attempt = way.attempts.find((/** @type {any} */ each) => each.made) ?? null;
    if (way.attempts.length) await curves(work, way.attempts[0].attempt, way.next === "adapt" && !way.attempts[0].report, scope);
    if (attempt && !scope.over) {
      fill(results, resultsPanel(app, way, attempt));
      const panel = await enginePanel(app, known, way, attempt, forRig, scope);
      if (!scope.over) fill(engine, panel);
    }
  };
  /** Draw what there is now, or say why that cannot be had. */
  const again = () => draw().catch((error) => page.over || app.say(error.message, "bad"));

  /** @param {any} job @param {Scope} scope */
  const watch = (job, scope) => {
    const loss = h("div", { class: "curve" });
    const held = h("div", { class: "curve" });
    const left = h("p", { class: "muted", role: "status" });
    const checked = h("div", { class: "col" });
    const best = bestSoFar(app, folder, forRig);
    const box = jobBox(app, job, scope, { done: again, parts: WORDS });
    fill(
      work,
      box,
      left,
      best.element,
      checked,
      h("div", { class: "curves" }, h("figure", {}, loss, h("figcaption", {}, LOSS)), h("figure", {}, held, h("figcaption", {}, HELD_BACK))),
      h("p", { class: "muted small" }, "You may leave this page, or close the browser: it goes on, and is found here again. Stopped, it keeps its checkpoint."),
    );
    const losses = new Curve(loss, { title: "loss", unit: "loss" });
    const trials = new Curve(held, { title: "held out", unit: "px", points: true, best: true });
    scope.keep(() => losses.end());
    scope.keep(() => trials.end());
    let attempt = "";
    /** Show the error on the held-out frames so far, and what the check said. */
    const judge = async () => {
      if (!attempt) {
        const found = await app.get(`/api/teach/attempts?folder=${encodeURIComponent(folder)}`);
        if (scope.over || !found.attempts.length) return;
        attempt = found.attempts[0].attempt;
        fill(checked, warnings(found.attempts[0].check));
      }
      const curve = await app.get(`/api/teach/curves?folder=${encodeURIComponent(folder)}&attempt=${attempt}`);
      if (scope.over) return;
      trials.show(curve.trials);
      best.show(curve);
    };
    follow(app, job.id, scope, (told, lines) => {
      const part = lines.filter((line) => line.unit === "steps").at(-1)?.what;
      losses.show(lines.filter((line) => line.what === part && typeof line.loss === "number").map((line) => [line.done, line.loss]));
      left.textContent = timeLeft(lines);
      if (lines.some((line) => line.unit === "steps")) judge().catch(() => {}); // it is asked for again in a second
    });
  };

  /** @param {Element} place @param {string} attempt @param {boolean} unfinished @param {Scope} scope */
  const curves = async (place, attempt, unfinished, scope) => {
    const found = await app.get(`/api/teach/curves?folder=${encodeURIComponent(folder)}&attempt=${attempt}`);
    if (!scope.over && unfinished) {
      const best = bestSoFar(app, folder, forRig, again);
      best.show(found);
      place.append(best.element);
    }
    if (scope.over || (!found.losses.search.length && !found.losses.final.length)) return;
    const loss = h("div", { class: "curve" });
    const held = h("div", { class: "curve" });
    place.append(
      h(
        "details",
        { open: true },
        h("summary", {}, "How it learnt"),
        h("div", { class: "curves" }, h("figure", {}, loss, h("figcaption", {}, LOSS)), h("figure", {}, held, h("figcaption", {}, HELD_BACK))),
      ),
    );
    const losses = new Curve(loss, { title: "loss", unit: "loss" });
    losses.show(found.losses.final.length ? found.losses.final : found.losses.search);
    scope.keep(() => losses.end());
    if (found.trials.length) {
      const trials = new Curve(held, { title: "held out", unit: "px", points: true, best: true });
      trials.show(found.trials);
      scope.keep(() => trials.end());
    } else held.append(h("p", { class: "empty" }, "Too few frames to keep any back from learning: label all that were chosen."));
  };

  /** @param {any} way @returns {HTMLElement} */
  const actions = (way) => {
    const go = async (/** @type {any} */ said) => {
      const answer = await ask(app, "/api/teach/go", { folder, for_rig: forRig, ...said });
      if (!answer || page.over) return;
      shown.end();
      watch(answer.job, (shown = page.part()));
    };
    const open = (/** @type {string | null} */ set, /** @type {string} */ words) => h("button", { class: way.next === "label" ? "button primary" : "button", onclick: () => app.go("label", { set: set ?? "" }), disabled: !set }, words);
    const sets = way.sets.length ? way.sets : [way.labels];
    const disabled = app.readOnly;
    const count = h("input", { type: "number", class: "number", min: "1", max: "1000", value: known.count, "aria-label": "How many more frames" });
    const more = way.chosen && !way.start.labels.length ? h("span", { class: "row" }, h("button", { class: "button", disabled, onclick: () => go({ more: Number(count.value) || known.count }) }, "Choose more frames"), count) : null;
    const label = h("div", { class: "row" }, sets.map((/** @type {string | null} */ set, /** @type {number} */ index) => open(set, index ? `Open ${set?.split("/").pop()}` : "Open the labels")), more);
    if (way.fault) return h("div", { class: "col" }, h("p", { class: "wrong", role: "alert" }, way.fault), h("div", { class: "row" }, label, h("button", { class: "button", onclick: again }, "Look again")));
    if (way.next === "suggest") return h("div", { class: "row" }, h("button", { class: "button primary", disabled, onclick: () => go({}) }, "Choose the frames"));
    if (way.next === "label") return h("div", { class: "col" }, h("p", {}, `${way.chosen} Then come back here.`), h("div", { class: "row" }, label, h("button", { class: "button", onclick: again }, "Look again")));
    if (way.next === "done") {
      return h(
        "div",
        { class: "col" },
        h("p", { class: "good" }, `${way.frames} labelled frames were learnt. Label more, or correct some, and teach again: that makes an engine beside this one.`),
        h("div", { class: "row" }, label, h("button", { class: "button", onclick: again }, "Look for new labels")),
      );
    }
    const attempt = way.attempts.find((/** @type {any} */ each) => each.attempt === way.now);
    if (way.next === "adapt" && attempt && !attempt.begun) return doubtful(app, attempt.check, label, () => go({}));
    return teachForm(app, way, label, go);
  };

  fill(
    root,
    h("div", { class: "row" }, h("h1", { class: "grow" }, `Teach: ${folder}`), forRig ? h("button", { class: "button", onclick: () => app.go("newrig", { rig: forRig, step: "teach" }) }, `Back to ${forRig}`) : null, h("button", { class: "button", onclick: () => app.go("teach") }, "All that was begun")),
    head,
    work,
    results,
    engine,
    h("details", { class: "panel" }, h("summary", {}, "The same in a terminal"), commandLine(app, `rtface learn start --folder ${folder}`)),
  );
  await draw();
  return () => page.end();
}

/**
 * What is best so far, and a button that makes the engine of it.
 * @param {import("../../lib/app.js").App} app @param {string} folder @param {string} forRig @param {() => void} [begun] where no training ran
 */
function bestSoFar(app, folder, forRig, begun = () => {}) {
  const words = h("span", { class: "grow small", role: "status" });
  const button = h("button", { class: "button", onclick: () => finish() }, "Make the engine from the best so far");
  const element = h("div", { class: "row best", hidden: true }, words, app.readOnly ? null : button);
  const finish = async () => {
    button.disabled = true;
    const answer = await ask(app, "/api/teach/finish", { folder, for_rig: forRig });
    if (!answer) button.disabled = false;
    else if (answer.job) begun();
  };
  /** @param {any} curve */
  const show = (curve) => {
    const [[, before] = [0, NaN], ...tried] = curve.trials;
    const [step, error] = tried.reduce((/** @type {number[]} */ least, /** @type {number[]} */ each) => (each[1] < least[1] ? each : least), [0, before]);
    const told = curve.minutes ? `It was to take ${duration(60 * curve.minutes)} at most. ` : "";
    const better = step > 0;
    say(words, curve.finishing ? "The engine is made from the best so far." : better ? `${told}Best so far: an error of ${error.toFixed(2)} px on the frames that are kept back, after ${step} steps; ${before.toFixed(2)} px before.` : `${told}Nothing is better yet than the engine that it began with.`);
    element.hidden = false;
    button.disabled = curve.finishing || !better;
  };
  return { element, show };
}

/** @param {any} job @returns {HTMLElement} */
function stopped(job) {
  const words = job.state === "stopped" ? "It was stopped. Going on takes up the training from its checkpoint." : job.reason;
  return failureWords(job, words, job.state === "stopped" ? "careful" : "wrong");
}

/** @param {any} way @returns {HTMLElement} */
function progressOf(way) {
  const at = STEPS.findIndex(([step]) => step === way.next);
  return h(
    "ol",
    { class: "way", "aria-label": "How far it is" },
    STEPS.slice(0, -1).map(([step, words], index) =>
      h("li", { class: index < at ? "past" : index === at ? "now" : "", "aria-current": step === way.next ? "step" : null }, words),
    ),
  );
}

/** What is asked before a training: what becomes of unknown points. @param {import("../../lib/app.js").App} app @param {any} way @param {HTMLElement} label @param {(said: any) => void} go */
function teachForm(app, way, label, go) {
  const choices = way.undecided.map((/** @type {string} */ name) => {
    const none = !Number(way.counts[name]);
    const choice = h("select", {}, none ? null : h("option", { value: "add" }, "learn it: a new point"), h("option", { value: "drop" }, none ? "leave it out: nobody labelled it" : "leave it out"), way.known.map((/** @type {string} */ known) => h("option", { value: `=${known}` }, `it is the engine's ${known}`)));
    return { name, choice };
  });
  const steps = h("input", { type: "number", class: "number", min: "1", placeholder: "as many as help" });
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    /** @type {any} */
    const said = { add: [], drop: [], rename: {} };
    for (const { name, choice } of choices) {
      if (choice.value === "add" || choice.value === "drop") said[choice.value].push(name);
      else said.rename[name] = choice.value.slice(1);
    }
    if (steps.value) said.steps = Number(steps.value);
    said.heed = way.next === "check";
    go(said);
  };
  const counts = Object.entries(way.counts).filter(([, count]) => Number(count) > 0);
  const placed = counts.reduce((sum, [, count]) => sum + Number(count), 0);
  return h(
    "form",
    { class: "col", onsubmit: submit },
    h("p", {}, way.next === "check" ? `${way.frames} frames are labelled, with ${placed} points of ${counts.length} keypoints.` : way.next === "adapt" ? "The training was begun; it goes on from its checkpoint." : "What it learnt is to be evaluated."),
    h("p", { class: "muted small" }, counts.map(([name, count]) => `${name} ${count}`).join(", ")),
    choices.length ? h("fieldset", { class: "col" }, h("legend", {}, "The engine has no such points: what becomes of them?"), choices.map((/** @type {any} */ { name, choice }) => h("label", { class: "field" }, name, choice))) : null,
    h("div", { class: "row" }, h("button", { class: "button primary", disabled: app.readOnly }, way.next === "check" ? "Check and teach" : "Go on"), label, h("details", {}, h("summary", {}, "Steps"), h("label", { class: "field" }, way.next === "check" ? "Most steps of the training" : "Most steps of the training: another number than before begins it anew", steps))),
  );
}

/** What a check lets one doubt, before time is spent. @param {import("../../lib/app.js").App} app @param {any} check @param {HTMLElement} label @param {() => void} go @returns {HTMLElement} */
function doubtful(app, check, label, go) {
  const serious = check?.serious?.length > 0;
  label.textContent = "Correct the labels";
  label.className = serious ? "button primary" : "button";
  return h(
    "div",
    { class: "col" },
    h("p", { class: serious ? "careful" : "", role: "status" }, serious ? "The labels were checked, and something may be wrong with them. Nothing is trained yet." : "The labels were checked; the training has not begun."),
    warnings(check),
    h("div", { class: "row" }, label, h("button", { class: serious ? "button" : "button primary", disabled: app.readOnly, onclick: go }, serious ? "Teach all the same" : "Teach")),
  );
}

/** @param {any} check @returns {HTMLElement | null} */
function warnings(check) {
  if (!check) return null;
  const away = check.distance_px === null ? "" : ` Before it learns, the engine is ${check.distance_px.toFixed(1)} px from the labels (median).`;
  return h(
    "div",
    { class: "col" },
    h("p", { class: "small" }, `${check.frames} frames of ${Object.keys(check.recordings).length} recordings.${away}`),
    check.warnings.length ? h("ul", { class: "warnings" }, check.warnings.map((/** @type {string} */ each) => h("li", { class: "careful" }, each))) : null,
  );
}

/** The parts of a training in their order, and what each is for. @type {Record<string, string>} */
const WORDS = {
  "search: new keypoints": "1 of 2, new keypoints first, with some frames kept back",
  search: "1 of 2, finding how long to learn, with some frames kept back to try it on",
  "final: new keypoints": "2 of 2, new keypoints first, on all frames",
  final: "2 of 2, learning all frames for as long as was best",
};
const PARTS = Object.keys(WORDS);

/** The longest that it still takes: the part that runs, and those that follow. @param {any[]} lines @returns {string} */
function timeLeft(lines) {
  const last = lines[lines.length - 1];
  if (!last || last.unit !== "steps" || !last.left_s || !last.done) return "";
  /** @param {(what: string) => boolean} are */
  const steps = (are) => lines.find((line) => are(String(line.what)) && line.total)?.total ?? 0;
  const [alone, all] = [steps((what) => what.endsWith("new keypoints")), steps((what) => !what.includes(":"))];
  const follow = PARTS.slice(PARTS.indexOf(last.what) + 1);
  if (follow.length && !all) return "This part is short; how long the others take is known once they have begun.";
  const first = lines.find((line) => line.what === last.what);
  const done = last.done - first.done;
  const pace = done > 0 ? last.s / done : 0;
  const most = last.left_s + pace * follow.reduce((sum, part) => sum + (part.includes(":") ? alone : all), 0);
  if (!follow.length) return `About ${duration(most)} left.`;
  return `At most ${duration(most)} left; it ends earlier where nothing becomes better.`;
}
