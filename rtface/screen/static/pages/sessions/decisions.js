// Every decision with its reason, and each value beside the threshold that it met.

import { fill, h } from "../../lib/dom.js";
import { beside } from "./words.js";
import { reasonWords } from "../loop/words.js";

const STEP = 100;
const ACTIONS = ["", "fire", "sham", "trial", "catch", "withhold", "cancel", "none"];

/** @param {HTMLElement} root @param {import("./session.js").View} view @returns {Promise<() => void>} */
export async function mountDecisions(root, view) {
  let offset = 0;
  let asked = 0;
  const first = await view.app.get(view.address("decisions", { limit: 1 }));
  const rule = h("select", { id: "rule", onchange: () => load(0) }, ["", ...first.rules].map((each) => h("option", { value: each }, each || "all rules")));
  const action = h("select", { id: "action", onchange: () => load(0) }, ACTIONS.map((each) => h("option", { value: each }, each === "" ? "all actions" : each === "none" ? "none (the state changed)" : each)));
  const body = h("tbody", {});
  const count = h("span", { class: "muted", role: "status" });
  const more = h("button", { class: "button", onclick: () => load(offset + STEP) }, "Show more");
  fill(
    root,
    h("div", { class: "row" }, h("label", { class: "field" }, "Rule", rule), h("label", { class: "field" }, "Action", action), count),
    h("div", { class: "panel scroll" },
      h("table", { class: "table" },
        h("thead", {}, h("tr", {}, ["no.", "at (s)", "frame", "rule", "action", "reason", "values beside their thresholds"].map((each) => h("th", { scope: "col" }, each)))),
        body),
      h("div", { class: "row foot" }, more)),
  );
  /** @param {number} from */
  const load = async (from) => {
    const mine = ++asked;
    let told;
    try {
      told = await view.app.get(view.address("decisions", { rule: rule.value, action: action.value, offset: from, limit: STEP }));
    } catch (error) {
      if (mine === asked) view.app.say(/** @type {Error} */ (error).message, "bad");
      return;
    }
    if (mine !== asked) return;
    offset = from;
    const rows = told.decisions.map((/** @type {any} */ each) => row(each, view));
    if (from === 0) fill(body, rows);
    else body.append(...rows);
    const shown = Math.min(told.count, from + told.decisions.length);
    fill(count, `${shown} of ${told.count}`);
    more.hidden = shown >= told.count;
    if (!told.count) fill(body, h("tr", {}, h("td", { colspan: 7 }, h("div", { class: "empty" }, "Nothing of that kind was decided."))));
  };
  await load(0);
  return () => (asked = 0);
}

/** @param {any} each @param {import("./session.js").View} view */
function row(each, view) {
  const there = h("a", { href: `#/sessions?${new URLSearchParams({ session: view.session, view: "timeline", at: String(each.t) })}` }, each.t.toFixed(3));
  return h(
    "tr",
    {},
    h("td", { class: "num" }, each.number),
    h("td", { class: "num" }, there),
    h("td", { class: "num" }, each.frame ?? ""),
    h("td", {}, each.rule),
    h("td", {}, h("span", { class: `action ${each.action}` }, each.action)),
    h("td", { title: reasonWords(each.reason) }, each.reason),
    h("td", {}, each.values.map(beside).join(", ")),
  );
}
