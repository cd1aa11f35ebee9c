// Each rule: how it stands, its condition, each value beside its thresholds, and why what it requests is withheld.

import { fill, h, say } from "../../lib/dom.js";
import { reasonWords, short } from "./words.js";

/** @typedef {{box: HTMLElement, state: HTMLElement, why: HTMLElement, when: HTMLElement, values: HTMLElement, shape: string}} Card */

export class Rules {
  constructor() {
    this.cards = h("div", { class: "rule-cards" });
    this.note = h("p", { class: "muted small" });
    this.empty = h("p", { class: "empty" });
    this.element = h("section", { class: "panel", "aria-label": "Rules" }, h("h2", {}, "Rules"), this.empty, this.note, this.cards);
    /** @type {Map<string, Card>} */
    this.known = new Map();
  }

  /**
   * @param {any} loop of the status; null where nothing is known now
   * @param {Record<string, any> | null} newer of the features, where they have come since
   */
  show(loop, newer) {
    const states = loop?.rules ?? {};
    const names = Object.keys(states);
    this.empty.hidden = names.length > 0;
    say(this.empty, loop ? "This rig has no rules: nothing is decided. They are written in its rules file; the page New rig begins one." : "How the rules stand is not known now.");
    const hidden = names.length > 0 && !Object.keys(loop.seen ?? {}).length;
    this.note.hidden = !hidden;
    if (hidden) say(this.note, "What rules rest on is not shown: a blinded schedule hides it, or the service is older than this page.");
    for (const [name, card] of this.known) {
      if (names.includes(name)) continue;
      card.box.remove();
      this.known.delete(name);
    }
    for (const name of names) {
      const seen = { state: states[name], ...(loop.seen?.[name] ?? {}), ...(newer?.[name] ?? {}) };
      this.showRule(this.card(name), seen, loop.thresholds?.[name] ?? {});
    }
  }

  /** @param {string} name @returns {Card} */
  card(name) {
    const found = this.known.get(name);
    if (found) return found;
    const [state, why, when, values] = [h("span", { class: "badge" }), h("p", { class: "small why-withheld" }), h("code", {}), h("table", { class: "table small" })];
    const box = h("article", { class: "rule-card", "aria-label": name, dataset: { rule: name } }, h("div", { class: "row" }, h("h3", { class: "grow" }, name), state), when, why, values);
    this.cards.append(box);
    const made = { box, state, why, when, values, shape: "" };
    this.known.set(name, made);
    return made;
  }

  /** @param {Card} card @param {any} seen @param {Record<string, [number | null, boolean][]>} thresholds */
  showRule(card, seen, thresholds) {
    say(card.state, seen.state);
    card.state.className = `badge ${{ firing: "bad", armed: "ok", fault: "bad", withheld: "warn" }[/** @type {string} */ (seen.state)] ?? ""}`;
    say(card.when, seen.when ?? "");
    card.when.hidden = !seen.when;
    say(card.why, seen.withheld ? `Withheld: ${reasonWords(seen.withheld)} (${seen.withheld}).` : "");
    card.why.hidden = !seen.withheld;
    const values = Object.entries(seen.values ?? {});
    const shape = JSON.stringify([values.map(([name]) => name), thresholds]);
    if (shape !== card.shape) {
      card.shape = shape;
      fill(card.values, values.length ? [head(), h("tbody", {}, values.map(([name]) => row(name, thresholds[name] ?? [])))] : []);
    }
    values.forEach(([name, value], index) => renew(card.values.querySelectorAll("tbody tr")[index], value, thresholds[name] ?? []));
  }
}

function head() {
  const titles = ["value", "now", "threshold", ""];
  return h("thead", {}, h("tr", {}, titles.slice(0, 3).map((title, index) => h("th", { scope: "col", class: index === 1 ? "num" : "" }, title)), h("td", {})));
}

/** @param {string} name @param {[number | null, boolean][]} limits */
function row(name, limits) {
  const said = limits.map(([limit, begins]) => `${begins ? "begins" : "ends"} at ${short(limit)}`).join(", ");
  return h(
    "tr",
    {},
    h("td", {}, h("code", {}, name)), h("td", { class: "num" }), h("td", {}, said || "none"),
    h("td", { class: "beside" }, h("div", { class: "gauge", "aria-hidden": "true" }, h("div", { class: "fill" }), limits.map(([, begins]) => h("div", { class: begins ? "limit begins" : "limit" })))),
  );
}

/** @param {Element} line @param {number | null} value @param {[number | null, boolean][]} limits */
function renew(line, value, limits) {
  say(line.children[1], short(value));
  line.children[1].classList.toggle("careful", value === null);
  const numbers = [value, 0, ...limits.map(([limit]) => limit)].filter((each) => typeof each === "number");
  const low = Math.min(...numbers);
  const high = Math.max(...numbers);
  /** @param {number | null} at */
  const percent = (at) => `${at === null || high === low ? 0 : ((at - low) / (high - low)) * 88}%`;
  const [bar, ...ticks] = /** @type {HTMLElement[]} */ ([.../** @type {Element} */ (line.querySelector(".gauge")).children]);
  bar.style.width = percent(value);
  ticks.forEach((tick, index) => (tick.style.left = percent(limits[index][0])));
}
