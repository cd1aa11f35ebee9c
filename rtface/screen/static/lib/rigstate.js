// What is known of a rig now. What is older than two seconds is not known.

const FRESH_MS = 2000;

/**
 * @typedef {"armed" | "disarmed" | "stopped" | "fault" | "none" | "unknown"} LoopState
 * none: the service has no loop; unknown: it was not heard of lately.
 */

export class RigState {
  /** @param {{id: string, name: string, control: string}} rig */
  constructor(rig) {
    this.id = rig.id;
    this.name = rig.name;
    this.control = rig.control;
    /** @type {{state: string, text?: string, hello?: any, pictures?: boolean} | null} */
    this.link = null;
    /** @type {any} */
    this.status = null;
    this.heard = -Infinity;
  }

  /** @param {any} data */
  takeLink(data) {
    this.link = data;
    if (data.state !== "up") this.heard = -Infinity;
  }

  /** @param {any} data */
  takeStatus(data) {
    this.status = data;
    this.heard = performance.now();
  }

  /** Take an event on: an act of arming changes the state before the next status says so. @param {any} event */
  takeEvent(event) {
    if (event.kind === "arming" && this.status?.loop && event.details.state) {
      Object.assign(this.status.loop, { state: event.details.state, who: event.details.who, why: event.details.why });
    }
  }

  get fresh() {
    return performance.now() - this.heard < FRESH_MS;
  }

  /** @returns {LoopState} */
  get loopState() {
    if (!this.fresh) return "unknown";
    return this.status.loop?.state ?? "none";
  }

  /** In words: who brought the loop where it is, and why; or what is wrong with the link. */
  get why() {
    if (this.link === null) return "asking the screen's program";
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
