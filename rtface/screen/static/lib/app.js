// What a page is given: requests, messages, keys, notices, and the way to other pages.

import { get, post } from "./api.js";
import { h } from "./dom.js";

/** @typedef {import("./rigstate.js").RigState} RigState */
/** @typedef {"ok" | "warn" | "bad"} Level */

export class App {
  /**
   * @param {any} about what the server says of itself
   * @param {RigState[]} rigs
   * @param {import("./socket.js").Socket} socket
   * @param {import("./keys.js").Keys} keys
   */
  constructor(about, rigs, socket, keys) {
    this.about = about;
    this.rigs = rigs;
    this.socket = socket;
    this.keyboard = keys;
    this.params = new URLSearchParams();
    this.get = get;
    this.post = post;
    this.chosen = 0;
  }

  /** Whether this browser may only look. @returns {boolean} */
  get readOnly() {
    return this.about.read_only;
  }

  /** The rig that is looked at; a screen has at least one. @returns {RigState} */
  get rig() {
    return this.rigs[this.chosen];
  }

  /** Who sits here, for the record. */
  get who() {
    return localStorage.getItem("who") ?? "";
  }

  /** @param {string} topic @param {import("./socket.js").Listener} listener @returns {() => void} */
  on(topic, listener) {
    return this.socket.on(topic, listener);
  }

  /** @param {Record<string, import("./keys.js").Binding>} bindings @returns {() => void} */
  keys(bindings) {
    return this.keyboard.bind(bindings);
  }

  /** Go to a page. @param {string} page @param {Record<string, string>} [params] */
  go(page, params = {}) {
    const query = new URLSearchParams(params).toString();
    location.hash = `#/${page}${query ? `?${query}` : ""}`;
  }

  /**
   * Ask the service of a rig, else of the chosen one, for something; what it refuses is said.
   * @param {string} operation @param {any} [args] @param {RigState} [rig] another rig
   * @returns {Promise<any | null>} null where it was refused
   */
  async command(operation, args = {}, rig = this.rig) {
    try {
      return await post(`/api/rigs/${rig.id}/${operation}`, { args, who: this.who });
    } catch (error) {
      this.say(`${operation.replace("_", " ")}: ${/** @type {Error} */ (error).message}`, "bad");
      return null;
    }
  }

  /** Say something for some seconds; what went wrong stays until it is closed. @param {string} text @param {Level} [level] */
  say(text, level = "ok") {
    const place = /** @type {HTMLElement} */ (document.getElementById("notices"));
    const notice = h(
      "div",
      { class: `notice ${level}` },
      h("span", {}, text),
      h("button", { class: "button small", "aria-label": "Close", onclick: () => notice.remove() }, "×"),
    );
    for (const each of [...place.children]) if (each.firstElementChild?.textContent === text) each.remove();
    place.append(notice);
    while (place.children.length > 5) place.firstElementChild?.remove();
    if (level !== "bad") setTimeout(() => notice.remove(), 6000);
  }
}
