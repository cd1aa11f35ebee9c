// A job of this page: how far it is, until it is over.

import { fill, h } from "../../lib/dom.js";

const LOOK_MS = 700;

/**
 * Show a job until it is over.
 * @param {import("../../lib/app.js").App} app @param {any} job @param {HTMLElement} place @param {() => void} done called where it ended well
 * @returns {() => void} ends the looking, not the job
 */
export function followJob(app, job, place, done) {
  let ended = false;
  const look = async () => {
    while (!ended) {
      try {
        const found = await app.get(`/api/jobs/${encodeURIComponent(job.id)}`);
        if (ended) return;
        show(app, place, found.job);
        if (!["waiting", "running"].includes(found.job.state)) {
          if (found.job.state === "done") done();
          return;
        }
      } catch (error) {
        fill(place, h("p", { class: "wrong small" }, /** @type {Error} */ (error).message));
      }
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  };
  show(app, place, job);
  look();
  return () => {
    ended = true;
  };
}

/** @param {import("../../lib/app.js").App} app @param {HTMLElement} place @param {any} job */
function show(app, place, job) {
  const { state, progress } = job;
  const share = progress?.total ? { max: progress.total, value: progress.done ?? 0 } : {};
  const words = { waiting: "waits for its turn", running: progress?.what ?? "runs", done: "done", failed: job.reason, stopped: "stopped", lost: job.reason };
  fill(place, h("div", { class: "row small" },
    h("span", {}, job.title),
    state === "running" ? h("progress", { ...share, "aria-label": job.title }) : null,
    h("span", { class: state === "failed" || state === "lost" ? "wrong" : "muted" }, words[/** @type {keyof typeof words} */ (state)] ?? state),
    ["waiting", "running"].includes(state) && !app.readOnly
      ? h("button", { class: "button small", onclick: () => app.post(`/api/jobs/${encodeURIComponent(job.id)}/stop`).catch((error) => app.say(error.message, "bad")) }, "Stop it")
      : null));
}
