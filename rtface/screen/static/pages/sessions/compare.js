// Two sessions beside each other.

import { fill, h } from "../../lib/dom.js";
import { address, inMs, number } from "./words.js";

/** @param {HTMLElement} root @param {import("../../lib/app.js").App} app @returns {Promise<() => void>} */
export async function mountCompare(root, app) {
  const first = app.params.get("first") ?? "";
  const second = app.params.get("second") ?? "";
  const told = await app.get(address("compare", { first, second }));
  /** @param {string} what */
  const columns = (what) => h("thead", {}, h("tr", {}, [what, link(first, told.first), link(second, told.second)].map((each) => h("th", { scope: "col" }, each))));
  fill(
    root,
    h("div", { class: "row head" }, h("a", { href: "#/sessions" }, "Sessions"), h("h1", {}, "Two sessions")),
    h("section", { class: "panel" }, h("h2", {}, "Latency in ms: p50 / p99 / max (n)"),
      h("table", { class: "table compared" }, columns("stage"), h("tbody", {}, told.latency.map((/** @type {any} */ each) => line(each.name, stage(each.first), stage(each.second), false))))),
    h("section", { class: "panel" }, h("h2", {}, "Counts"),
      h("table", { class: "table compared" }, columns("what"), h("tbody", {}, told.counts.map((/** @type {any} */ each) => line(each.name, count(each.first), count(each.second)))))),
    h("section", { class: "panel" }, h("h2", {}, "Settings that differ"),
      told.settings.length
        ? h("table", { class: "table compared" }, columns("setting"), h("tbody", {}, told.settings.map((/** @type {any} */ each) => line(each.name, each.first ?? "", each.second ?? "", false))))
        : h("p", { class: "muted" }, "None: rig, machine and hashes are the same."),
      told.more_settings ? h("p", { class: "muted" }, `and ${told.more_settings} more`) : null),
    h("section", { class: "panel" }, h("h2", {}, "Rules"),
      told.rules.length
        ? h("pre", { class: "mono small", tabindex: "0" }, told.rules.map((/** @type {string} */ each) => h("div", { class: each.startsWith("+") ? "good" : each.startsWith("-") ? "wrong" : "muted" }, each)))
        : h("p", { class: "muted" }, "The same.")),
  );
  return () => {};
}

/** @param {string} session @param {string} name */
function link(session, name) {
  return h("a", { href: `#/sessions?${new URLSearchParams({ session })}` }, name);
}

/** @param {string} name @param {string} first @param {string} second @param {boolean} [marked] */
function line(name, first, second, marked = true) {
  return h("tr", { class: marked && first !== second ? "differs" : null }, h("th", { scope: "row" }, name), h("td", {}, first), h("td", {}, second));
}

/** @param {any} each */
function stage(each) {
  return each?.n ? `${inMs(each.p50_ms)} / ${inMs(each.p99_ms)} / ${inMs(each.max_ms)} (${each.n})` : "";
}

/** @param {any} each */
function count(each) {
  return each === null ? "" : Number.isInteger(each) ? String(each) : number(each, 6);
}
