// What is known of a rig now. What is older than two seconds is not known.

const FRESH_MS = 2000;
const HEARD = "rigs.heard";
const DAY_MS = 86400e3;
const STATES = ["armed", "disarmed", "stopped", "fault"];

/**
 * @typedef {"armed" | "disarmed" | "stopped" | "fault" | "none" | "unknown"} LoopState
 * none: the service has no loop; unknown: it was not heard of lately, or says what this page does not know.
 */

export class RigState {
  /** @param {{id: string, name: string, control: string, named?: boolean}} rig @param {import("./clock.js").Clock} clock */
  constructor(rig, clock) {
    this.id = rig.id;
    this.name = rig.name;
    this.control = rig.control;
    /** Whether there is a rig that can be missed: one that somebody named, or that was heard of in the last day. */
    this.expected = rig.named !== false || heard()[rig.id] > Date.now() - DAY_MS;
    this.clock = clock;
    /** @type {{state: string, text?: string, hello?: any, pictures?: boolean} | null} */
    this.link = null;
    /** @type {any} */
    this.status = null;
    /** The last act of arming. @type {any} */
    this.act = null;
  }

  /** @param {any} data */
  takeLink(data) {
    this.link = data;
    if (this.expected || (!data.found && !["up", "lost"].includes(data.state))) return;
    this.expected = true;
    localStorage.setItem(HEARD, JSON.stringify({ ...heard(), [this.id]: Date.now() }));
  }

  /** @param {any} data */
  takeStatus(data) {
    this.status = data;
    this.follow();
  }

  /** Take an event on: an act of arming changes the state before the next status says so. @param {any} event */
  takeEvent(event) {
    if (event.kind !== "arming" || !event.details.state) return;
    this.act = event;
    this.follow();
  }

  /** Put the last act over a status that was made before it. */
  follow() {
    const { act, status } = this;
    if (!act || !status?.loop?.state || act.session !== status.session || act.t_ns <= status.t_ns) return;
    const { state, who, why } = act.details;
    Object.assign(status.loop, { state, who, why });
  }

  /** Milliseconds since the screen's program received the newest status; never less than it truly is. */
  get age() {
    return this.link?.state === "up" ? this.clock.age(this.status?.received?.t_ns) : Infinity;
  }

  get fresh() {
    return this.age < FRESH_MS;
  }

  /** @returns {LoopState} */
  get loopState() {
    if (!this.fresh) return "unknown";
    const state = this.status.loop?.state;
    if (state === undefined) return "none";
    return STATES.includes(state) ? state : "unknown";
  }

  /** In words: who brought the loop where it is, and why; or what is wrong with the link. */
  get why() {
    if (this.link === null) return "asking the screen's program";
    if (!this.expected) return "no rig is connected: the page New rig makes one; rtface run RIG.yaml starts one";
    if (this.link.state === "waiting") return "no service answers: start it with rtface run, or rtface demo";
    if (this.link.state === "failed") return this.link.text ?? "the link failed";
    if (!this.fresh) return "nothing was heard from the service for two seconds";
    const { loop, state, error } = this.status;
    if (error) return error;
    if (state !== "running") return `the service is ${state}`;
    if (!loop?.state) return "this service decides nothing: its rig has no rules and no output";
    return loop.who ? `${loop.why} (${loop.who})` : loop.why;
  }
}

/** When each rig was first heard of on a day, by this browser. @returns {Record<string, number>} */
function heard() {
  try {
    return JSON.parse(localStorage.getItem(HEARD) ?? "{}");
  } catch {
    return {};
  }
}
