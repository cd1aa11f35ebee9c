// The latency certificate: one page of A4 when it is printed.

import { fill, h } from "../../lib/dom.js";
import { inMs, lasted, when } from "./words.js";

/** @type {Record<string, string>} */
const OF_LIGHT = { handover: "decided to handed over", answer: "handed over to answered", light: "exposure to light on" };

/** @param {HTMLElement} root @param {import("./session.js").View} view @returns {Promise<() => void>} */
export async function mountCertificate(root, view) {
  const told = await view.app.get(view.address("certificate"));
  const command = `rtface session certificate "${view.session}"`;
  const whole = told.stages.end_to_end;
  fill(
    root,
    h("div", { class: "row noprint" },
      h("button", { class: "button primary", onclick: () => print() }, "Print"),
      h("a", { class: "button", href: view.address("certificate"), download: `${told.folder}_latency.json` }, "JSON"),
      h("a", { class: "button", href: view.address("certificate", { form: "text" }), download: `${told.folder}_latency.txt` }, "Text"),
      h("span", { class: "muted small" }, "The same at a terminal: ", h("code", {}, command)),
    ),
    h("article", { class: "certificate panel" },
      h("h2", {}, "Latency certificate"),
      h("p", { class: "sub" }, `${told.folder} · ${when(told.began)} UTC · ${lasted(told.seconds)} · ${told.poses} poses${told.rate_hz ? `, ${told.rate_hz.toFixed(1)} a second` : ""}`),
      h("h3", {}, "From exposure to published keypoints"),
      h("div", { class: "headline" }, headline(whole, told)),
      stages(told),
      h("p", { class: "small" }, "Percentiles of every recorded frame's stamps, known to 1.6 %; the maximum is exact."),
      h("div", { class: "halves" }, kept(told), made(told)),
      h("h3", {}, "What can be checked"),
      h("table", { class: "table mono small" }, h("tbody", {}, [...Object.entries(told.sha256), ["fingerprint", told.fingerprint]].map(([name, digest]) => h("tr", {}, h("th", { scope: "row" }, name === "fingerprint" ? name : `sha256 ${name}`), h("td", {}, digest))))),
      h("p", { class: "small" }, `Log: ${told.state}${told.missing.length ? `; ${told.missing.slice(0, 2).join("; ")}` : ""}. Whoever has it finds the same by rtface session certificate.`),
    ),
  );
  return () => {};
}

/** @param {any} whole @param {any} told */
function headline(whole, told) {
  /** @type {[string, string][]} */
  const numbers = whole.n
    ? [["p50", `${inMs(whole.p50_ms)} ms`], ["p99", `${inMs(whole.p99_ms)} ms`], ["p99.9", `${inMs(whole.p999_ms)} ms`], ["max", `${inMs(whole.max_ms)} ms`]]
    : [["exposure to published", "not recorded"]];
  return [
    ...numbers.map(([name, said]) => h("div", { class: "number" }, h("span", { class: "muted" }, name), h("strong", {}, said))),
    h("div", { class: "number" }, h("span", { class: "muted" }, `later than ${told.deadline_ms} ms`), h("strong", {}, `${told.misses} of ${whole.n}`)),
  ];
}

/** @param {any} told */
function stages(told) {
  const columns = ["p50_ms", "p95_ms", "p99_ms", "p999_ms", "max_ms"];
  /** @param {string} name @param {string} from @param {any} stage @param {boolean} [strong] */
  const row = (name, from, stage, strong = false) => h(
    "tr",
    { class: strong ? "whole" : null },
    h("th", { scope: "row" }, name),
    h("td", {}, from),
    h("td", { class: "num" }, stage.n),
    columns.map((each) => h("td", { class: "num" }, stage.n ? inMs(stage[each]) : "")),
  );
  return h(
    "table",
    { class: "table stages" },
    h("thead", {}, h("tr", {}, ["stage", "from, to", "n", "p50", "p95", "p99", "p99.9", "max (ms)"].map((each, at) => h("th", { scope: "col", class: at > 1 ? "num" : null }, each)))),
    h("tbody", {},
      Object.entries(told.stages).map(([name, stage]) => row(name, `${stage.from} to ${stage.to}`, stage, name === "end_to_end")),
      Object.entries(told.light ?? {}).map(([name, stage]) => row(name, OF_LIGHT[name] ?? "", stage)),
      told.light_why ? h("tr", {}, h("th", { scope: "row" }, "light"), h("td", { colspan: 7 }, told.light_why)) : null,
    ),
  );
}

/** @param {any} told */
function kept(told) {
  const lost = Object.entries(told.losses).map(([place, count]) => `${place} ${count}`).join(", ") || "not recorded";
  const source = told.exposure === "camera" ? "the camera's" : told.exposure === "arrival" ? "the camera has no clock: latencies begin at arrival" : "not known";
  return table([
    ["budget", told.budget_words],
    ["times of exposure", source],
    ["frames lost", lost],
    ["without a pose", `${told.gaps} frame numbers`],
    ["frames not recorded", String(told.dropped_frames)],
    ["faults", told.faults.slice(0, 3).join("; ") || "none"],
  ]);
}

/** @param {any} told */
function made(told) {
  const machine = told.machine;
  const backend = told.network.backend ?? {};
  const network = told.network.engine ? `${told.network.engine} on ${["name", "version", "precision", "device"].map((each) => backend[each]).filter(Boolean).join(" ")}` : "not known";
  return table([
    ["machine", [machine.processor, machine.cores ? `${machine.cores} cores` : "", machine.memory_gib ? `${machine.memory_gib} GiB` : "", machine.system].filter(Boolean).join(", ") || "not known"],
    ["versions", `rtface ${machine.rtface ?? "?"}, Python ${machine.python ?? "?"}`],
    ["camera", told.camera.kind ? `${told.camera.kind} ${told.camera.label}, ${told.camera.width}x${told.camera.height}` : "not known"],
    ["network", network],
    ["real-time class", told.real_time ? `heartbeat: ${told.real_time}` : "not recorded"],
    ...told.outputs.map((/** @type {any} */ each) => [`output ${each.output}`, `${each.kind} ${each.label}${each.firmware ? `, firmware ${each.firmware} build ${each.build}` : ""}; ${each.enforces_limits ? "limits in the device" : "no limits in the device"}`]),
  ]);
}

/** @param {[string, string][]} rows */
function table(rows) {
  return h("table", { class: "table small" }, h("tbody", {}, rows.map(([name, said]) => h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, said)))));
}
