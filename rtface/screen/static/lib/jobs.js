// Jobs on a page: followed while they run, with what they say, the time left and a stop.

import { openDialog } from "./dialog.js";
import { fill, h, say } from "./dom.js";

/**
 * @typedef {{id: string, kind: string, title: string, state: string, stopping: boolean, reason: string, code: number | null,
 *   argv: string[], about: Record<string, any>, begun_at: string | null, ended_at: string | null, progress: any}} Job
 * @typedef {{job: Job, progress: any[], next: number, said: string, result: any}} Told
 */

const AWAY = "jobs.away";
const OVER = new Set(["done", "failed", "stopped", "lost"]);
/** @type {Record<string, string>} */
const WORDS = { waiting: "waits for its turn", running: "runs", done: "done", failed: "failed", stopped: "stopped", lost: "lost" };

/** @param {Job} job @returns {boolean} */
export const over = (job) => OVER.has(job.state);

/**
 * The jobs that failed or were lost and that nobody tried again or put away; the latest first, a few.
 * @param {Job[]} jobs the latest first @param {(job: Job) => boolean} mine @returns {Job[]}
 */
export function failures(jobs, mine) {
  const seen = new Set();
  const latest = jobs.filter((job) => {
    const what = `${job.kind} ${job.title}`;
    return !seen.has(what) && seen.add(what);
  });
  return latest.filter((job) => ["failed", "lost"].includes(job.state) && mine(job) && !isPutAway(job)).slice(0, 5);
}

/** Whether a person put a job away that failed, was stopped or lost: its words are not shown again. @param {Job} job @returns {boolean} */
export const isPutAway = (job) => JSON.parse(localStorage.getItem(AWAY) ?? "[]").includes(putAwayAs(job));

/** Show a job's failure no more. @param {Job} job */
function putAway(job) {
  const before = JSON.parse(localStorage.getItem(AWAY) ?? "[]");
  localStorage.setItem(AWAY, JSON.stringify([...before, putAwayAs(job)].slice(-200)));
}

/** What a job said when it failed, with a button that puts it away. @param {Job} job @param {string} words @param {string} [kind] its class @returns {HTMLElement} */
export function failureWords(job, words, kind = "wrong") {
  const put = () => {
    putAway(job);
    line.remove();
  };
  const line = h(
    "div",
    { class: "row", dataset: { job: job.id } },
    h("p", { class: `${kind} grow`, role: "alert" }, words),
    h("button", { class: "button small", onclick: put, "aria-label": `Close: ${job.title}` }, "Close"),
  );
  return line;
}

/** A job that failed, with its reason, until a person puts it away. @param {Job} job @returns {HTMLElement} */
export function failureLine(job) {
  const put = () => {
    putAway(job);
    line.remove();
  };
  const line = h(
    "div",
    { class: "row small", dataset: { job: job.id } },
    h("span", {}, job.title),
    h("span", { class: "wrong grow", role: "alert" }, job.reason),
    h("button", { class: "button small", onclick: put, "aria-label": `Put away: ${job.title}` }, "Put away"),
  );
  return line;
}

/** @param {Job} job */
const putAwayAs = (job) => `${job.id} ${job.ended_at}`;

/** How long, in words. @param {number} seconds @returns {string} */
export function duration(seconds) {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

/**
 * Ask for a job until it is over, a second apart.
 * @param {import("./app.js").App} app
 * @param {string} id
 * @param {import("./scope.js").Scope} scope of who asks: it ends with it
 * @param {(told: Told, lines: any[]) => void} tell with what is new, and all lines of progress so far
 * @param {(why: string) => void} [gone] where there is no such job any more
 */
export function follow(app, id, scope, tell, gone = () => {}) {
  if (scope.over) return;
  let since = 0;
  let timer = 0;
  /** @type {any[]} */
  const lines = [];
  const ask = async () => {
    /** @type {Told | null} */
    let told = null;
    try {
      told = await app.get(`/api/jobs/${id}?since=${since}`);
    } catch (error) {
      if (!scope.over && /** @type {any} */ (error).kind === "UsageError") {
        gone(/** @type {Error} */ (error).message);
        return;
      }
    }
    if (scope.over) return;
    if (told) {
      since = told.next;
      lines.push(...told.progress);
      tell(told, lines);
      if (over(told.job) && told.progress.length === 0) return;
    }
    timer = setTimeout(ask, told && over(told.job) ? 0 : 1000);
  };
  ask();
  scope.keep(() => clearTimeout(timer));
}

/**
 * A job as a box: its state, a bar with the time left, what it said when it failed, and a stop.
 * @param {import("./app.js").App} app
 * @param {Job} first
 * @param {import("./scope.js").Scope} scope of what it is shown on: it is followed no longer
 * @param {{done?: (told: Told) => void, tell?: (told: Told, lines: any[]) => void, parts?: Record<string, string>}} [then] `done`
 *   once, when it is over; `parts` in other words than the command's
 * @returns {HTMLElement}
 */
export function jobBox(app, first, scope, { done = () => {}, tell = () => {}, parts = {} } = {}) {
  const state = h("span", { class: "badge" });
  const bar = h("progress", { max: "1", "aria-label": first.title });
  const where = h("span", { class: "muted small", role: "status" });
  const reason = h("p", { class: "wrong", role: "alert" });
  const said = h("pre", { class: "said", tabindex: "0", "aria-label": "What the command said" });
  const more = h("details", {}, h("summary", {}, "What the command said"), said);
  const stop = h("button", { class: "button small", onclick: () => halt() }, "Stop it");
  const close = h("button", { class: "button small", hidden: true, onclick: () => shut(), "aria-label": `Close: ${first.title}` }, "Close");
  const element = h(
    "section",
    { class: "jobbox", "aria-label": first.title, dataset: { job: first.id } },
    h("div", { class: "row" }, h("strong", { class: "grow" }, first.title), state, app.readOnly ? null : stop, close),
    bar,
    where,
    reason,
    more,
  );
  const halt = async () => {
    try {
      show((await app.post(`/api/jobs/${first.id}/stop`)).job, "");
    } catch (error) {
      app.say(/** @type {Error} */ (error).message, "bad");
    }
  };
  let latest = first;
  const shut = () => {
    putAway(latest);
    element.remove();
  };
  /** @param {Job} job @param {string} text */
  const show = (job, text) => {
    latest = job;
    const ended = over(job);
    close.hidden = !ended;
    state.className = `badge ${job.state === "done" ? "ok" : job.state === "failed" || job.state === "lost" ? "bad" : "warn"}`;
    say(state, job.stopping ? "stopping" : WORDS[job.state]);
    stop.hidden = ended;
    stop.disabled = job.stopping;
    bar.hidden = ended;
    const at = job.progress;
    if (at && at.total) bar.value = Math.min(1, at.done / at.total);
    else bar.removeAttribute("value");
    say(where, ended ? "" : inWords(job, parts));
    say(reason, job.state === "failed" || job.state === "lost" ? job.reason : "");
    reason.hidden = !reason.textContent;
    say(said, text);
    more.hidden = !text;
  };
  let told = false;
  show(first, "");
  follow(app, first.id, scope, (now, lines) => {
    show(now.job, now.said);
    tell(now, lines);
    if (over(now.job) && !told) {
      told = true;
      done(now);
    }
  }, (why) => show({ ...first, state: "lost", reason: why }, ""));
  return element;
}

/** @param {Job} job @param {Record<string, string>} parts @returns {string} */
function inWords(job, parts) {
  if (job.state === "waiting") return "It begins as soon as no other job uses the processor.";
  const at = job.progress;
  if (!at) return "It begins: the packages are loaded.";
  const what = parts[at.what] ?? at.what;
  if (!at.unit && !at.total) return `${what}: it does not tell how long that takes.`;
  const done = at.total ? `${at.done} of ${at.total} ${at.unit}` : `${at.done} ${at.unit}`;
  const all = at.total && at.done >= at.total;
  const known = at.left_s !== null && at.left_s !== undefined && !all;
  return `${what}: ${done}${known ? `, about ${duration(at.left_s)} left` : ""}`;
}

/** A command of the terminal, to be copied. @param {import("./app.js").App} app @param {string} command @returns {HTMLElement} */
export function commandLine(app, command) {
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(command);
      app.say("copied");
    } catch {
      app.say("This browser does not let a page copy: select the text.", "warn");
    }
  };
  return h(
    "div",
    { class: "commandline" },
    h("code", { tabindex: "0", "aria-label": "The same in a terminal" }, command),
    h("button", { class: "button small", onclick: copy, "aria-label": `Copy ${command}` }, "Copy"),
  );
}

/**
 * Post, and say what is refused.
 * @param {import("./app.js").App} app @param {string} path @param {any} body @returns {Promise<any | null>} null where it was refused
 */
export async function ask(app, path, body) {
  try {
    return await app.post(path, body);
  } catch (error) {
    app.say(/** @type {Error} */ (error).message, "bad");
    return null;
  }
}

/**
 * Show how a rig's file would change, and write it when a person says so.
 * @param {import("./app.js").App} app
 * @param {string} path of the server, which shows without a token and writes with one
 * @param {any} body
 * @returns {Promise<any | null>} what was written; null where nothing was
 */
export async function changeRig(app, path, body) {
  const shown = await ask(app, path, body);
  if (!shown) return null;
  if (!shown.difference) {
    app.say(`${shown.rig} says so already.`);
    return shown;
  }
  return new Promise((resolve) => {
    /** @type {any} */
    let written = null;
    const write = h("button", { class: "button primary", onclick: async () => {
      write.disabled = true;
      written = await ask(app, path, { ...body, token: shown.token });
      dialog.close();
    } }, `Write ${shown.rig}`);
    const fresh = shown.difference.startsWith("--- /dev/null");
    const dialog = openDialog(fresh ? `A new file: ${shown.rig}` : `What changes in ${shown.rig}`, [
      difference(shown.difference),
      fresh ? null : h("p", { class: "muted small" }, "All other lines and remarks stay. The file of before is kept beside it."),
      h("p", { class: "row" }, write, h("button", { class: "button", onclick: () => dialog.close() }, "Leave it as it is")),
    ], { class: "difference", closed: () => resolve(written), focus: write });
  });
}

/** @param {string} text @returns {HTMLElement} */
function difference(text) {
  const pre = h("pre", { class: "said", tabindex: "0", "aria-label": "The difference" });
  const lines = text.trimEnd().split("\n").slice(2);
  for (const line of lines.filter((each) => !each.startsWith("@@ -0,0"))) {
    const kind = line.startsWith("+") ? "come" : line.startsWith("-") ? "gone" : "same";
    pre.append(h("span", { class: `line ${kind}` }, `${line}\n`));
  }
  return pre;
}

/** Show an empty or failed state in a place. @param {Element} place @param {string} text @param {...(Node | string)} more */
export function empty(place, text, ...more) {
  fill(place, h("div", { class: "empty" }, h("p", {}, text), ...more));
}
