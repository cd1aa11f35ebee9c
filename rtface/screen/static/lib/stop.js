// The emergency stop: a socket of its own, asked once a second whether a stop would arrive, and an alarm where one did not.

import { h } from "./dom.js";

const ANSWER_MS = 1000;

export class EmergencyStop {
  /**
   * @param {number} port where the stop is served
   * @param {() => string[]} rigs the rigs that a stop is for
   * @param {() => string} who
   */
  constructor(port, rigs, who) {
    this.port = port;
    this.rigs = rigs;
    this.who = who;
    this.number = 0;
    /** @type {Record<string, boolean>} */
    this.ready = {};
    this.heard = 0;
    /** @type {Set<() => void>} */
    this.listeners = new Set();
    /** @type {Map<number, {left: Set<string>, timer: ReturnType<typeof setTimeout>}>} */
    this.waiting = new Map();
    /** @type {HTMLElement | null} */
    this.alarm = null;
    /** @type {WebSocket | null} */
    this.socket = null;
  }

  open() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.hostname}:${this.port}/`);
    this.socket = socket;
    socket.onmessage = (event) => this.take(JSON.parse(event.data));
    socket.onopen = () => this.ask();
    socket.onclose = () => {
      this.ready = {};
      this.tell();
      setTimeout(() => this.open(), 500);
    };
    if (this.asking === undefined) this.asking = setInterval(() => this.ask(), 1000);
  }

  /** Whether a stop of a rig would arrive, as far as was heard in the last seconds. @param {string} rig */
  arrives(rig) {
    return Boolean(this.ready[rig]) && performance.now() - this.heard < 2500;
  }

  /** Turn the light off. */
  stop() {
    const number = ++this.number;
    const rigs = this.rigs();
    if (!rigs.length) return;
    const timer = setTimeout(() => this.fail("There was no answer within a second."), ANSWER_MS);
    this.waiting.set(number, { left: new Set(rigs), timer });
    if (this.socket?.readyState !== WebSocket.OPEN) this.fail("The way of the emergency stop is not open.");
    else this.socket.send(JSON.stringify({ n: number, stop: rigs, who: this.who() }));
  }

  ask() {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify({ n: ++this.number }));
    else this.tell();
  }

  /** @param {{n: number, ready?: Record<string, boolean>, rig: string, ok: boolean, text: string}} said */
  take(said) {
    if (said.ready) {
      this.ready = said.ready;
      this.heard = performance.now();
      this.tell();
      return;
    }
    const waiting = this.waiting.get(said.n);
    if (!said.ok) {
      this.fail(said.text);
      return;
    }
    waiting?.left.delete(said.rig);
    if (waiting && !waiting.left.size) {
      clearTimeout(waiting.timer);
      this.waiting.delete(said.n);
      this.calm();
    }
  }

  /** @param {string} why */
  fail(why) {
    for (const { timer } of this.waiting.values()) clearTimeout(timer);
    this.waiting.clear();
    if (this.alarm) return;
    const again = h("button", { class: "stop", onclick: () => this.stop() }, "Stop again");
    this.alarm = h(
      "div",
      { class: "alarm", role: "alertdialog", "aria-labelledby": "alarm-title" },
      h("h1", { id: "alarm-title" }, "Use the key"),
      h("p", {}, "The emergency stop was not acknowledged. Turn the light off at the device."),
      h("p", {}, why),
      h("div", {}, again),
      h("div", {}, h("button", { class: "button", onclick: () => this.calm() }, "The light is off: go on")),
    );
    document.body.append(this.alarm);
    again.focus();
  }

  calm() {
    this.alarm?.remove();
    this.alarm = null;
  }

  /** @param {() => void} listener */
  on(listener) {
    this.listeners.add(listener);
  }

  tell() {
    for (const listener of this.listeners) listener();
  }
}
