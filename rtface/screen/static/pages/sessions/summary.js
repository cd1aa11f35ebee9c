// What happened in a session, counted.

import { fill, h } from "../../lib/dom.js";
import { lasted, when } from "./words.js";
import { reasonWords } from "../loop/words.js";

/** @param {HTMLElement} root @param {import("./session.js").View} view @returns {Promise<() => void>} */
export async function mountSummary(root, view) {
  const { summary } = view.told;
  const lost = Object.entries(summary.losses).map(([place, count]) => `${place} ${count}`).join(", ");
  /** @type {[string, string][]} */
  const facts = [
    ["began", `${when(summary.began)} UTC`],
    ["lasted", lasted(summary.seconds)],
    ["poses", `${summary.poses}${summary.rate_hz ? `, ${summary.rate_hz.toFixed(1)} a second` : ""}`],
    ["frames", summary.frames || summary.dropped_frames ? `${summary.frames} recorded, ${summary.dropped_frames} dropped` : "none recorded"],
    ["lost", lost || "none"],
    ...Object.entries(summary.facts).map(([name, text]) => /** @type {[string, string]} */ ([name, String(text)])),
  ];
  const pulses = summary.pulses
    ? `${summary.pulses.commanded} commanded, ${summary.pulses.acknowledged} acknowledged, light on ${summary.pulses.lit} times`
    : "blinded: how many there were would tell light from sham";
  fill(
    root,
    h("div", { class: "halves" },
      h("section", { class: "panel" }, h("h2", {}, "The session"), pairs([...facts, ["pulses", pulses]])),
      h("section", { class: "panel" }, h("h2", {}, "Decisions"), counted(summary.decisions)),
      moments("Armed, disarmed, faults", [...summary.armings, ...summary.faults, ...summary.gaps]),
      moments("Marks", summary.marks),
      view.told.opened_by.length ? h("section", { class: "panel" }, h("h2", {}, "Who opened the seal"), h("table", { class: "table" }, h("tbody", {}, view.told.opened_by.map((/** @type {any} */ each) => h("tr", {}, h("td", {}, when(each.at)), h("td", {}, each.who), h("td", {}, each.what), h("td", {}, each.why)))))) : null,
      h("section", { class: "panel" }, h("h2", {}, "Texts"), text("The rules", view.told.rules), text("The rig's configuration", view.told.rig)),
    ),
  );
  return () => {};
}

/** @param {[string, string][]} rows */
function pairs(rows) {
  return h("table", { class: "table" }, h("tbody", {}, rows.map(([name, said]) => h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, said)))));
}

/** @param {any[]} decisions */
function counted(decisions) {
  if (!decisions.length) return h("p", { class: "empty" }, "No rule decided anything.");
  return h(
    "table",
    { class: "table" },
    h("thead", {}, h("tr", {}, ["rule", "action", "reason", "count"].map((each) => h("th", { scope: "col" }, each)))),
    h("tbody", {}, decisions.map((each) => h("tr", {}, h("td", {}, each.rule), h("td", {}, each.action), h("td", { title: reasonWords(each.reason) }, each.reason), h("td", { class: "num" }, each.count)))),
  );
}

/** @param {string} title @param {any[]} found */
function moments(title, found) {
  const rows = found.sort((one, two) => one.at_s - two.at_s).slice(0, 200);
  return h(
    "section",
    { class: "panel" },
    h("h2", {}, title),
    rows.length
      ? h("table", { class: "table" }, h("tbody", {}, rows.map((each) => h("tr", {}, h("td", { class: "num" }, `${each.at_s.toFixed(3)} s`), h("td", {}, each.what), h("td", {}, each.who), h("td", {}, each.text)))))
      : h("p", { class: "muted" }, "None."),
    found.length > rows.length ? h("p", { class: "muted" }, `and ${found.length - rows.length} more`) : null,
  );
}

/** @param {string} title @param {string} said */
function text(title, said) {
  return said ? h("details", {}, h("summary", {}, title), h("pre", { class: "mono small", tabindex: "0" }, said)) : null;
}
