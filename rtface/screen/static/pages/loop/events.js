// What happened, newest first: thousands of events, of which only those in sight are in the page.

import { fill, h, say } from "../../lib/dom.js";
import { KINDS, eventWords, kindOf, reasonWords, short } from "./words.js";

const MOST = 20000;
/** So many beyond are let be, so that a full list is not gone through at each event. */
const MORE = 500;
const ROW_PX = 28;
const BEYOND = 6;
const DRAWN_MS = 120;

/** @typedef {{event: any, kind: string, text: string, id: string}} Entry */

export class Events {
  /** @param {(event: any) => string} time when an event was, for people */
  constructor(time) {
    this.time = time;
    /** @type {Entry[]} */
    this.all = [];
    /** @type {Entry[]} */
    this.found = [];
    /** @type {Set<string>} */
    this.known = new Set();
    /** @type {Set<string>} */
    this.hidden = new Set(["change"]);
    this.words = "";
    /** @type {Entry | null} */
    this.chosen = null;
    this.stale = true;
    this.count = h("span", { class: "muted small", role: "status" });
    this.search = h("input", { type: "search", class: "plain", placeholder: "rule, reason, name or text", "aria-label": "Find events", oninput: () => this.filter() });
    this.rows = h("div", { role: "presentation", class: "event-rows" });
    this.list = h("div", { class: "event-list", role: "listbox", "aria-label": "Events, newest first", tabindex: "0", onscroll: () => this.renew(), onkeydown: (/** @type {KeyboardEvent} */ event) => this.move(event) }, this.rows);
    this.empty = h("p", { class: "empty" });
    this.details = h("div", { class: "event-details small" });
    this.element = h(
      "section",
      { class: "panel events" },
      h(
        "div",
        { class: "row" },
        h("h2", {}, "Events"),
        KINDS.map(([kind, title]) => {
          const button = h("button", { class: "button small", "aria-pressed": String(!this.hidden.has(kind)), onclick: () => this.toggle(kind, button) }, title);
          return button;
        }),
        h("span", { class: "grow" }, this.search),
        this.count,
      ),
      this.empty, this.list, this.details,
    );
    this.size = new ResizeObserver(() => this.renew());
    this.size.observe(this.list);
    this.timer = setInterval(() => this.draw(), DRAWN_MS);
    this.show(null);
  }

  /** Take events that came, and return those that were not known yet, in their order. @param {any[]} events @returns {any[]} */
  take(events) {
    let above = 0;
    let unordered = false;
    /** @type {any[]} */
    const fresh = [];
    for (const event of events) {
      const id = `${event.session}:${event.seq}`;
      if (this.known.has(id)) continue;
      this.known.add(id);
      fresh.push(event);
      const entry = { event, kind: kindOf(event), text: eventWords(event), id };
      unordered ||= this.all.length > 0 && event.t_ns < this.all[this.all.length - 1].event.t_ns;
      this.all.push(entry);
      if (this.matches(entry)) {
        this.found.push(entry);
        above += 1;
      }
    }
    // What happened before comes after what happens, where a page was cut off.
    if (unordered) {
      this.all.sort((one, other) => one.event.t_ns - other.event.t_ns);
      this.filter(false);
    }
    if (this.all.length > MOST + MORE) {
      for (const { id } of this.all.splice(0, this.all.length - MOST)) this.known.delete(id);
      this.filter(false);
    }
    // Who reads further down goes on reading: what comes is added above.
    if (above && this.list.scrollTop > ROW_PX) {
      this.draw(true);
      this.list.scrollTop += above * ROW_PX;
    }
    this.renew();
    return fresh;
  }

  /** @param {Entry} entry */
  matches({ kind, text, event }) {
    if (this.hidden.has(kind)) return false;
    return !this.words || `${text} ${event.details.reason ?? ""}`.toLowerCase().includes(this.words);
  }

  /** @param {boolean} [fromTop] */
  filter(fromTop = true) {
    this.words = this.search.value.trim().toLowerCase();
    this.found = this.all.filter((entry) => this.matches(entry));
    if (fromTop) this.list.scrollTop = 0;
    this.renew();
  }

  /** @param {string} kind @param {HTMLElement} button */
  toggle(kind, button) {
    if (!this.hidden.delete(kind)) this.hidden.add(kind);
    button.setAttribute("aria-pressed", String(!this.hidden.has(kind)));
    this.filter();
  }

  renew() {
    this.stale = true;
  }

  /** The event at a place of the list. @param {number} index from the newest on */
  at(index) {
    return this.found[this.found.length - 1 - index];
  }

  /** @param {boolean} [sizeOnly] */
  draw(sizeOnly = false) {
    if (!this.stale && !sizeOnly) return;
    const { length } = this.found;
    this.rows.style.height = `${length * ROW_PX}px`;
    if (sizeOnly) return;
    this.stale = false;
    say(this.count, length === this.all.length ? `${length}` : `${length} of ${this.all.length}`);
    this.list.hidden = !length;
    this.empty.hidden = length > 0;
    say(this.empty, this.all.length ? "No event is of these kinds and words." : "Nothing has happened yet. Decisions, light, arming and marks stand here as they come.");
    const first = Math.max(0, Math.floor(this.list.scrollTop / ROW_PX) - BEYOND);
    const last = Math.min(length, first + Math.ceil(this.list.clientHeight / ROW_PX) + 2 * BEYOND);
    /** @type {HTMLElement[]} */
    const rows = [];
    for (let index = first; index < last; index++) rows.push(this.row(index));
    fill(this.rows, rows);
    const id = this.chosen ? rowId(this.chosen) : "";
    if (rows.some((row) => row.id === id)) this.list.setAttribute("aria-activedescendant", id);
    else this.list.removeAttribute("aria-activedescendant"); // it is scrolled out of sight, and so not drawn
  }

  /** @param {number} index */
  row(index) {
    const entry = this.at(index);
    const chosen = entry === this.chosen;
    const row = h(
      "div",
      {
        class: "event", role: "option", id: rowId(entry), "aria-selected": String(chosen), "aria-posinset": index + 1,
        "aria-setsize": this.found.length, dataset: { kind: entry.kind }, onclick: () => this.show(entry),
      },
      h("span", { class: "mono muted" }, this.time(entry.event)),
      h("span", { class: "kind" }, entry.kind),
      h("span", { class: "text" }, entry.text),
    );
    row.style.top = `${index * ROW_PX}px`;
    return row;
  }

  /** @param {KeyboardEvent} event */
  move(event) {
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -Infinity, End: Infinity };
    const step = steps[/** @type {keyof typeof steps} */ (event.key)];
    if (step === undefined || !this.found.length) return;
    event.preventDefault();
    const before = this.chosen ? this.found.length - 1 - this.found.indexOf(this.chosen) : -1;
    const index = Math.max(0, Math.min(this.found.length - 1, before + step));
    this.show(this.at(index));
    const top = index * ROW_PX;
    const bottom = top + ROW_PX - this.list.clientHeight;
    this.list.scrollTop = Math.min(top, Math.max(this.list.scrollTop, bottom));
    this.draw();
  }

  /** @param {Entry | null} entry */
  show(entry) {
    this.chosen = entry;
    this.renew();
    if (!entry) {
      fill(this.details, h("p", { class: "muted" }, "Choose an event to see what it rested on."));
      return;
    }
    const { event: { details }, text } = entry;
    const pulse = details.pulse;
    fill(
      this.details,
      h("p", {}, h("strong", {}, this.time(entry.event)), " ", text),
      details.reason ? h("p", { class: "muted" }, `${details.reason}: ${reasonWords(details.reason)}`) : null,
      details.frame_id !== undefined && details.frame_id !== null ? h("p", { class: "muted" }, `frame ${details.frame_id}; ${details.state_before} → ${details.state_after}`) : null,
      pulse ? h("p", { class: "muted" }, `pulse of ${short(pulse.on_ns / 1e6)} ms, ${pulse.count} of them every ${short(pulse.period_ns / 1e6)} ms, amplitude ${short(pulse.amplitude)}`) : null,
      details.inputs?.length ? inputs(details.inputs) : null,
    );
  }

  end() {
    clearInterval(this.timer);
    this.size.disconnect();
  }
}

/** @param {Entry} entry */
function rowId({ id }) {
  return `event-${id.replaceAll(/[^\w-]/g, "-")}`;
}

/** @param {[string, number | null, number | null, number][]} found */
function inputs(found) {
  return h(
    "table",
    { class: "table" },
    h("thead", {}, h("tr", {}, ["value of", "", "score", "age"].map((title, index) => h("th", { scope: "col", class: index ? "num" : "" }, title || "value")))),
    h("tbody", {}, found.map(([name, value, score, age]) => h("tr", {}, h("td", {}, h("code", {}, name)), h("td", { class: "num" }, short(value)), h("td", { class: "num" }, short(score)), h("td", { class: "num" }, `${short(age / 1e6)} ms`)))),
  );
}
