// What is measured of a rig, in numbers: rate, age, latency by stage, losses, view, focus, gray levels, camera, disk.

import { fill, h, say } from "../../lib/dom.js";
import { colour } from "../../lib/colours.js";
import { short } from "../../lib/short.js";

const STAGES = {
  transfer: "to arrival", wait: "in the ring", prepare: "levels", network: "network",
  decide: "geometry", react: "rules", publish: "publishing", overhead: "all but the network",
  end_to_end: "to published",
};
const HINTS = {
  transfer: "exposure to arrival at this computer", wait: "waiting in the ring of slots", prepare: "intensity levels of the picture",
  decide: "what the network found, to pixels of the camera", react: "features, rules, the request to the output and record",
  overhead: "everything between arrival and publication but the network", end_to_end: "exposure to published",
};
const LOSSES = { camera: "at the camera", transport: "in transport", ring: "in the ring (host too slow)", publish: "in publishing" };

/** @param {string} title @param {...any} children */
const panel = (title, ...children) => h("section", { class: "panel" }, h("h2", {}, title), ...children);

export class Facts {
  constructor() {
    this.rate = h("span", { class: "big" });
    this.shown = h("span", { class: "muted small" });
    this.view = h("span", { class: "badge", title: "Whether the face lies as in the pictures that the engine learnt from. Where it does not, its points are guesses, and rules withhold light." });
    this.latency = h("table", { class: "table small" });
    this.losses = h("p", { class: "small" });
    this.focus = h("span", {});
    this.focusBar = h("meter", { min: "0", max: "1", "aria-label": "Focus, against the best of this page" });
    this.saturated = h("span", {});
    this.histogram = h("canvas", { class: "histogram", width: "256", height: "64", role: "img", "aria-label": "Histogram of gray levels" });
    this.camera = h("dl", { class: "facts small" });
    this.bestFocus = 0;
    this.element = h(
      "div",
      { class: "col facts-column" },
      panel("Rate", h("div", { class: "row" }, this.rate, this.shown), h("p", {}, "View ", this.view), this.losses),
      panel("Light and focus", this.histogram, h("p", { class: "small" }, this.saturated), h("p", { class: "small" }, "Focus ", this.focus, " ", this.focusBar)),
      panel("Latency (ms)", this.latency),
      panel("Camera and engine", this.camera),
    );
    this.takeDisk(null);
  }

  /** @param {any} status @param {any} hello */
  takeStatus(status, hello) {
    say(this.rate, `${status.rate_hz.toFixed(1)} frames per second`);
    const unseen = status.losses.transport_known === false;
    const lost = Object.entries(LOSSES).map(([key, where]) => [where, unseen && key === "transport" ? "unknown" : status.losses[key]]);
    const any = lost.filter(([, count]) => count);
    say(this.losses, any.length ? `Lost: ${any.map(([where, count]) => `${count} ${where}`).join(", ")}` : `No frame lost of ${status.frames}.`);
    this.losses.className = any.length ? "small careful" : "small";
    showView(this.view, status.view_ok);
    fill(
      this.latency,
      h("thead", {}, h("tr", {}, ...["stage", "p50", "p99", "max", "late"].map((name) => h("th", { scope: "col", class: name === "stage" ? "" : "num" }, name)))),
      h(
        "tbody",
        {},
        Object.entries(status.latency).filter(([, each]) => each.n).map(([stage, each]) =>
          h(
            "tr",
            {},
            h("th", { scope: "row", title: HINTS[/** @type {keyof typeof HINTS} */ (stage)] ?? "" }, STAGES[/** @type {keyof typeof STAGES} */ (stage)] ?? stage),
            ...[each.p50_ms, each.p99_ms, each.max_ms].map((ms) => h("td", { class: "num" }, ms === null ? "–" : ms.toFixed(2))),
            h("td", { class: each.misses ? "num wrong" : "num" }, each.misses ?? ""),
          ),
        ),
      ),
    );
    const camera = status.camera;
    const how = status.camera_status ?? {};
    const crop = hello?.crop;
    this.showCamera([
      ["camera", `${camera.kind}: ${camera.label ?? ""}`],
      ...(how.problems ?? []).map((/** @type {string} */ problem) => /** @type {[string, any]} */ (["problem", problem])),
      ...(how.clock ? [/** @type {[string, any]} */ (["exposures", `times of arrival: ${how.clock}`])] : []),
      ...(how.ptp ? [/** @type {[string, any]} */ (["PTP", `${how.ptp.state}${how.ptp.offset_ns === null ? "" : `, ${how.ptp.offset_ns} ns`}`])] : []),
      ...(how.waits_s ? [/** @type {[string, any]} */ (["trigger", `waited for since ${how.waits_s.toFixed(0)} s`])] : []),
      ...(status.losses.missed_triggers === undefined ? [] : [/** @type {[string, any]} */ (["triggers missed", status.losses.missed_triggers])]),
      ...Object.entries(how.readings ?? {}).map(([name, value]) => /** @type {[string, any]} */ ([name.replaceAll("_", " "), value])),
      ["frame", `${camera.width} × ${camera.height}`],
      ["crop", crop ? `${crop.x}, ${crop.y}, ${crop.width} × ${crop.height}${crop.mirrored ? ", mirrored" : ""}` : "whole frame"],
      ["engine", status.engine],
      ["back end", status.backend],
      ["subscribers", status.subscribers],
      ["session", status.loop?.session || "not recorded"],
      ["disk", this.disk],
      ...Object.entries(camera.settings ?? {}),
    ]);
  }

  /** @param {[string, any][]} rows */
  showCamera(rows) {
    fill(this.camera, ...rows.map(([name, value]) => [h("dt", {}, name), h("dd", {}, String(value ?? "unknown"))]).flat());
  }

  /** @param {{free: number, total: number} | null} disk */
  takeDisk(disk) {
    this.disk = disk ? `${(disk.free / 1e9).toFixed(1)} of ${(disk.total / 1e9).toFixed(0)} GB free here` : "unknown";
  }

  /** @param {any} picture @param {number} rate pictures shown a second */
  takePicture(picture, rate) {
    const age = picture.received.age_ns;
    say(this.shown, `frame ${picture.frame_id}; ${rate.toFixed(0)} pictures a second${age === null ? "" : `, ${(age / 1e6).toFixed(0)} ms old`}`);
    const total = picture.area.width * picture.area.height;
    const share = picture.saturated / total;
    say(this.saturated, picture.saturated ? `${picture.saturated} saturated pixels (${(100 * share).toFixed(2)} %)` : "no saturated pixel");
    this.saturated.className = share > 0.01 ? "careful" : "";
    if (picture.focus !== null) {
      this.bestFocus = Math.max(this.bestFocus, picture.focus);
      this.focusBar.value = this.bestFocus ? picture.focus / this.bestFocus : 0;
      say(this.focus, `${short(picture.focus)}, ${Math.round(100 * this.focusBar.value)} % of the best seen here`);
    } else say(this.focus, "not known");
    drawHistogram(this.histogram, picture.histogram);
  }
}

/** @param {HTMLElement} badge @param {number | null} view */
export function showView(badge, view) {
  const known = view !== null && view !== undefined;
  badge.className = `badge ${!known ? "" : view >= 0.5 ? "ok" : "bad"}`;
  say(badge, !known ? "not checked by this engine" : `${view >= 0.5 ? "known" : "unknown to the engine"} (${view.toFixed(2)})`);
}

/** @param {HTMLCanvasElement} canvas @param {number[]} levels */
function drawHistogram(canvas, levels) {
  const ctx = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const most = Math.max(1, ...levels.map((n) => Math.sqrt(n)));
  ctx.clearRect(0, 0, canvas.width, canvas.height);
  const step = canvas.width / levels.length;
  ctx.fillStyle = colour("accent");
  levels.forEach((n, index) => {
    const height = (Math.sqrt(n) / most) * canvas.height;
    if (index === levels.length - 1) ctx.fillStyle = colour("bad");
    ctx.fillRect(index * step, canvas.height - height, step - 1, height);
  });
}
