// Arming in two acts, disarming, clearing, marks, and the emergency stop as large as it gets.

import { fill, h, say } from "../../lib/dom.js";

const TESTED_MS = 60000;
/** @type {Record<string, [string, string]>} */
const VERDICTS = { ok: ["ok", "ok"], warn: ["warn", "look"], fail: ["bad", "no"] };
/** @type {Record<string, string>} */
const HEADS = {
  armed: "Armed: light may come", disarmed: "Disarmed: no light", stopped: "Stopped: no light until somebody clears and arms",
  fault: "Fault: no light until somebody has seen to it, clears and arms", none: "No loop: this service decides nothing", unknown: "Unknown: nothing was heard lately",
};

export class Arming {
  /** @param {import("../../lib/app.js").App} app @param {(verdict: any) => void} tested */
  constructor(app, tested) {
    this.app = app;
    this.tested = tested;
    /** @type {{ready: boolean, findings: any[], at: number} | null} */
    this.verdict = null;
    this.busy = false;
    this.state = "";
    this.head = h("span", { class: "loop-state", role: "status" });
    this.why = h("p", { class: "muted" });
    this.result = h("p", { class: "small" });
    this.findings = h("div", { class: "findings", role: "region", "aria-label": "Findings of the self-test", tabindex: "0", hidden: true });
    this.who = h("input", { id: "arming-who", value: app.who, maxlength: "64", autocomplete: "off", placeholder: "your name", oninput: () => this.renew() });
    this.test = h("button", { id: "arming-test", class: "button primary", onclick: () => this.selfTest() }, "1  Self-test");
    this.arm = h("button", { id: "arming-arm", class: "button danger", onclick: () => this.armNow() }, "2  Arm: light may come");
    this.hint = h("p", { class: "small muted" });
    this.reason = h("input", { id: "disarm-why", maxlength: "200", placeholder: "lunch" });
    this.disarm = h("button", { id: "disarm", class: "button big", onclick: () => this.disarmNow() }, "Disarm");
    this.clear = h("button", { id: "clear", class: "button primary", onclick: () => this.clearNow() }, "I have found the cause: clear");
    this.arming = h("div", { class: "col" }, h("div", {}, this.test), this.result, this.findings, h("div", { class: "row" }, h("label", { class: "field grow" }, "Who arms", this.who), this.arm), this.hint);
    this.disarming = h("div", { class: "row" }, h("label", { class: "field grow" }, "Why (may be left out)", this.reason), this.disarm);
    this.clearing = h("div", {}, this.clear);
    this.guest = h("p", { class: "muted" }, "This browser came in by a link for guests: it looks on.");
    this.stop = h("button", { class: "stop huge", onclick: () => app.keyboard.stop() }, "Emergency stop");
    this.element = h(
      "section",
      { class: "panel arming", "aria-label": "Arming" },
      h("h2", {}, this.head), this.why, this.guest, this.clearing, this.arming, this.disarming, this.stop,
    );
    this.renew();
  }

  /** Follow the state. */
  renew() {
    const { app } = this;
    const known = app.socket.up ? app.rig.loopState : "unknown";
    if (known !== this.state) {
      this.state = known;
      if (known === "armed") this.forget();
    }
    if (this.verdict && performance.now() - this.verdict.at > TESTED_MS) this.forget();
    this.element.dataset.state = known;
    say(this.head, app.rig.expected ? HEADS[known] : "No rig");
    say(this.why, app.rig.why);
    const guest = app.readOnly;
    this.guest.hidden = !guest;
    this.stop.hidden = guest;
    this.arming.hidden = guest || known === "armed" || known === "none";
    this.disarming.hidden = guest || !["armed", "unknown"].includes(known);
    this.clearing.hidden = guest || !["stopped", "fault"].includes(known);
    this.test.disabled = this.busy || known === "unknown";
    const missing = this.missing(known);
    this.arm.disabled = this.busy || missing !== "";
    say(this.hint, this.busy ? "" : missing);
  }

  /** What is missing before somebody may arm; empty where nothing is. @param {string} known */
  missing(known) {
    if (!this.app.rig.expected) return "No rig is connected: there is nothing to arm.";
    if (known === "unknown") return "The state of the loop is not known: nobody can arm from here.";
    if (known !== "disarmed") return "Clear first, then test and arm.";
    if (!this.verdict) return "Arming takes two acts: first the self-test; when nothing speaks against it, arm within a minute.";
    if (!this.verdict.ready) return "See to what speaks against arming, then test again.";
    if (!this.who.value.trim()) return "Write your name: the record says who armed.";
    return "";
  }

  async selfTest() {
    this.forget();
    this.busy = true;
    say(this.result, "Testing: this takes some seconds.");
    this.renew();
    const verdict = await this.app.command("self_test");
    this.busy = false;
    if (verdict) {
      this.verdict = { ...verdict, at: performance.now() };
      this.showFindings(verdict);
      this.tested(verdict);
    } else {
      say(this.result, "The self-test was not carried out.");
    }
    this.renew();
  }

  /** @param {{ready: boolean, findings: any[]}} verdict */
  showFindings({ ready, findings }) {
    const against = findings.filter((each) => each.verdict === "fail").length;
    const looks = findings.filter((each) => each.verdict === "warn").length;
    this.result.className = ready ? "small good" : "small wrong";
    say(this.result, ready ? `Nothing speaks against arming${looks ? `; ${looks} to look at` : ""}.` : `${against} of ${findings.length} findings speak against arming.`);
    const order = ["fail", "warn", "ok"];
    const sorted = [...findings].sort((a, b) => order.indexOf(a.verdict) - order.indexOf(b.verdict));
    this.findings.hidden = false;
    fill(this.findings, sorted.map(({ what, verdict, text, mend }) => {
      const [badge, word] = VERDICTS[verdict] ?? ["warn", verdict];
      return h(
        "div",
        { class: "finding", dataset: { verdict } },
        h("span", { class: `badge ${badge}` }, word),
        h("div", {}, h("p", {}, h("strong", {}, what), " ", text), mend ? h("p", { class: "mend" }, `What to do: ${mend}`) : null),
      );
    }));
  }

  forget() {
    this.verdict = null;
    this.findings.hidden = true;
    fill(this.findings);
    say(this.result, "");
  }

  async armNow() {
    const who = this.who.value.trim();
    if (this.missing(this.app.rig.loopState)) return;
    this.busy = true;
    this.renew();
    localStorage.setItem("who", who);
    const armed = await this.app.command("arm");
    this.busy = false;
    this.forget();
    if (armed) this.app.say(`Armed by ${who}. The space bar stops.`, "warn");
    this.renew();
  }

  async disarmNow() {
    const done = await this.app.command("disarm", { why: this.reason.value.trim() });
    if (done) this.reason.value = "";
    this.renew();
  }

  async clearNow() {
    if (await this.app.command("clear")) this.app.say("Cleared. Nothing is armed: test and arm anew.");
    this.renew();
  }
}

/** A mark with text, into the record and out as an event. @param {import("../../lib/app.js").App} app */
export function marks(app) {
  const text = h("input", { id: "mark-text", maxlength: "1000", placeholder: "animal yawned", onkeydown: (/** @type {KeyboardEvent} */ event) => event.key === "Enter" && void send() });
  const button = h("button", { class: "button", onclick: () => void send() }, "Mark");
  const send = async () => {
    const said = text.value.trim() || "mark";
    button.disabled = true;
    if (await app.command("mark", { text: said, details: {} })) text.value = "";
    button.disabled = false;
  };
  const element = h("section", { class: "panel", "aria-label": "Marks" }, h("h2", {}, "Mark"), h("div", { class: "row" }, h("label", { class: "field grow" }, "What happened", text), button));
  return { element, focus: () => text.focus() };
}
