// The emergency stop: a socket of its own, asked once a second whether a stop would arrive, and an alarm where one did not.

import { h, say } from "./dom.js";

const ANSWER_MS = 1000;
const ASK_MS = 1000;
const SILENT_MS = 3500;
const MOST_UNSENT = 16384;

export class EmergencyStop {
  /**
   * @param {number} port where the stop is served
   * @param {() => string[]} rigs the rigs that a stop is for
   * @param {() => string} who
   * @param {(text: string) => void} stopped told in words what a service answered
   * @param {(rig: string) => boolean} expected whether there is a rig whose silence is an alarm
   */
  constructor(port, rigs, who, stopped, expected = () => true) {
    this.port = port;
    this.rigs = rigs;
    this.who = who;
    this.stopped = stopped;
    this.expected = expected;
    this.number = 0;
    /** @type {Record<string, boolean>} */
    this.ready = {};
    this.heard = -Infinity;
    /** @type {Set<() => void>} */
    this.listeners = new Set();
    /** By rig the number of the last stop that is not acknowledged. @type {Map<string, number>} */
    this.owed = new Map();
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
    /** @type {Alarm | null} */
    this.alarm = null;
    /** @type {WebSocket | null} */
    this.socket = null;
  }

  open() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.hostname}:${this.port}/`);
    this.socket = socket;
    this.begun = performance.now();
    socket.onmessage = (event) => this.take(JSON.parse(event.data));
    socket.onopen = () => {
      this.ask();
      this.send();
    };
    socket.onclose = () => this.lose(socket);
    if (this.asking !== undefined) return;
    this.asking = setInterval(() => this.ask(), ASK_MS);
    // A tab in the background is given little time: once it is looked at again, all is asked anew.
    for (const each of ["visibilitychange", "focus", "pageshow", "online"]) addEventListener(each, () => this.ask(), true);
  }

  /** @param {WebSocket} socket one that is closed, or hangs */
  lose(socket) {
    if (socket !== this.socket) return;
    socket.onmessage = socket.onopen = socket.onclose = null;
    socket.close();
    this.socket = null;
    this.ready = {};
    this.tell();
    setTimeout(() => this.open(), 500);
  }

  /** Whether a stop of a rig would arrive, as far as was heard in the last seconds. @param {string} rig */
  arrives(rig) {
    return Boolean(this.ready[rig]) && performance.now() - this.heard < 2500;
  }

  /** Turn the light off; again and again until a service acknowledges it, or somebody says that the light is off. */
  stop() {
    const number = ++this.number;
    const rigs = this.rigs();
    for (const rig of rigs) this.owed.set(rig, number);
    if (!rigs.length) return;
    if (!this.send()) this.fail("The way of the emergency stop is not open.");
    if (this.timer === undefined) this.wait();
  }

  wait() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.fail("There was no answer within a second."), ANSWER_MS);
  }

  /** Send what is not acknowledged. @returns {boolean} whether that was possible */
  send() {
    if (this.socket?.readyState !== WebSocket.OPEN) return false;
    /** @type {Map<number, string[]>} */
    const byNumber = new Map();
    for (const [rig, number] of this.owed) byNumber.set(number, [...(byNumber.get(number) ?? []), rig]);
    for (const [n, stop] of byNumber) {
      if (this.socket.bufferedAmount < MOST_UNSENT) this.socket.send(JSON.stringify({ n, stop, who: this.name() }));
    }
    return true;
  }

  /** Nothing about a name keeps a stop from being sent. @returns {string} */
  name() {
    try {
      return this.who();
    } catch {
      return "";
    }
  }

  ask() {
    const socket = this.socket;
    if (this.alarm && this.owed.size) this.send();
    if (socket?.readyState === WebSocket.OPEN && socket.bufferedAmount < MOST_UNSENT) {
      socket.send(JSON.stringify({ n: ++this.number }));
    }
    const since = performance.now() - Math.max(this.heard, this.begun ?? 0);
    if (socket && since > SILENT_MS) this.lose(socket);
    else this.tell();
  }

  /** @param {{n: number, ready?: Record<string, boolean>, rig: string, ok: boolean, text: string, ms: number}} said */
  take(said) {
    this.heard = performance.now();
    if (said.ready) {
      this.ready = said.ready;
      this.tell();
      return;
    }
    const owed = this.owed.get(said.rig);
    if (owed === undefined) return;
    if (said.n < owed) {
      // An earlier press was answered: the service is there, and the later one has its own second.
      if (said.ok) this.wait();
      return;
    }
    if (!said.ok) {
      this.fail(said.text);
      return;
    }
    this.owed.delete(said.rig);
    if (this.owed.size) return;
    clearTimeout(this.timer);
    this.timer = undefined;
    this.stopped(said.text || `Emergency stop: the service acknowledged it after ${said.ms} ms.`);
    this.alarm?.acknowledged();
  }

  /** @param {string} why */
  fail(why) {
    if (!this.alarm && ![...this.owed.keys()].some((rig) => this.expected(rig))) {
      this.calm();
      this.stopped("No rig is connected: there is nothing to stop.");
      return;
    }
    this.alarm ??= new Alarm(() => this.stop(), () => this.calm());
    this.alarm.say(why);
  }

  calm() {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.owed.clear();
    this.alarm?.close();
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

/** What fills the window when a stop was not acknowledged; above every dialog, and not to be closed by a key. */
class Alarm {
  /** @param {() => void} again @param {() => void} calm */
  constructor(again, calm) {
    this.open = true;
    this.head = h("h1", { id: "alarm-title" });
    this.what = h("p", { id: "alarm-what" });
    this.why = h("p", { class: "reason" });
    this.again = h("button", { class: "stop", onclick: again }, "Stop again");
    this.done = h("button", { class: "button", onclick: calm }, "The light is off: go on");
    this.dialog = h(
      "dialog",
      { class: "alarm", role: "alertdialog", "aria-labelledby": "alarm-title", "aria-describedby": "alarm-what", closedby: "none" },
      this.head, this.what, this.why, h("div", {}, this.again), h("div", {}, this.done),
    );
    this.dialog.addEventListener("cancel", (event) => event.preventDefault());
    this.dialog.addEventListener("close", () => {
      if (this.open) this.dialog.showModal();
    });
    document.body.append(this.dialog);
    this.dialog.showModal();
    this.again.focus();
  }

  /** @param {string} why */
  say(why) {
    this.dialog.classList.remove("late");
    this.again.hidden = false;
    say(this.head, "Use the key");
    say(this.what, "The emergency stop was not acknowledged. Turn the light off at the device.");
    say(this.why, `${why} It is sent again each second.`);
  }

  /** Say that the service has acknowledged the stop after all; a person closes this. */
  acknowledged() {
    this.dialog.classList.add("late");
    say(this.head, "Stopped, late");
    say(this.what, "The service has acknowledged the emergency stop now. Look whether the light is off.");
    say(this.why, "");
    this.again.hidden = true;
    this.done.focus();
  }

  close() {
    this.open = false;
    this.dialog.close();
    this.dialog.remove();
  }
}

/**
 * Make a button stop when it is pressed, whatever lies over it: where a dialog is open all else on the page takes no
 * clicks, and this must.
 * @param {HTMLElement} button @param {() => void} stop
 */
export function stopWherePressed(button, stop) {
  addEventListener("pointerdown", (event) => {
    const { left, right, top, bottom } = button.getBoundingClientRect();
    const inside = right > left && event.clientX >= left && event.clientX <= right && event.clientY >= top && event.clientY <= bottom;
    const other = event.target instanceof Element && event.target.closest("dialog button, dialog a, dialog input, dialog select");
    if (!inside || other || event.button !== 0) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    stop();
  }, { capture: true });
  // By a screen reader, or Enter: no pointer was pressed.
  button.addEventListener("click", (event) => event.detail === 0 && stop());
}
