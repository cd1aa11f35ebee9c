// What happened in the closed loop, in words.

import { short as inShort } from "../../lib/short.js";

/** A number with about three digits. @param {any} value @returns {string} */
export const short = (value) => inShort(value, { digits: 3, none: "unknown" });

/** Why a request is withheld, or what brought a change about; the words of docs/rules.md. @type {Record<string, string>} */
export const REASONS = {
  rule: "the rule holds and nothing prevents it",
  schedule: "the schedule of controls says so",
  unknown_value: "a value that the rule rests on cannot be known",
  low_score: "a value that the rule rests on has a score below min_score",
  stale: "the frame, or what a value rests on, is older than max_age_ms",
  gap: "more than max_gap_frames frames are missing before this one",
  window: "outside the rule's windows of session time",
  late: "the request has been held up for longer than max_delay_ms",
  spent: "the rule has had its max_pulses",
  rate: "the rule's maximum rate is reached",
  refractory: "the rule's refractory time has not passed",
  firing: "the rule's own pulse runs",
  busy: "another rule's pulse runs, and there is one light",
  disarmed: "nobody has armed",
  fault: "a fault has not been cleared",
  no_end: "the end of a pulse was due and no report of it came",
  clock: "the time that the rules were given went back",
  released: "the rule no longer holds",
  rested: "the refractory time has passed",
  ended: "the pulse has ended",
  operator: "somebody at the rig or a client requested it",
  emergency: "emergency stop",
  session: "the session ended",
  camera_lost: "the camera disappeared or delivers nothing",
  budget: "the latency budget was missed",
  limit: "the gate refused: a limit of its own",
  gate: "the gate does not answer, or is in fault",
  disk: "the session can no longer be recorded",
  error: "something failed",
  frozen: "the picture stands still",
  implausible: "a score outside 0 to 1, or a keypoint far outside the frame",
  light: "a trial's light may show in the frame",
  unless: "the rule's unless is true",
  unknown_view: "the frame shows a view that the engine does not know",
  occluded: "something covers so much of the face that the view is not known",
};

/** @type {Record<string, string>} */
const ACTIONS = {
  fire: "fired", sham: "sham, no light", trial: "trial", catch: "left out (catch)", withhold: "withheld", cancel: "light cancelled", none: "",
};

/** What decisions are counted as, by action. @type {Record<string, string>} */
export const COUNTED = {
  fire: "Fired", sham: "Shams", trial: "Trials, light or sham", catch: "Left out (catch)", withhold: "Withheld", cancel: "Light cancelled", none: "Changes of state",
};

/** @type {Record<string, string>} */
const LIGHTS = { light_on: "light on", light_off: "light off", train_ended: "train ended", refused: "refused by the output" };

/** @type {Record<string, string>} */
const ACTS = { armed: "armed", disarmed: "disarmed", emergency: "emergency stop", cleared: "cleared", fault: "fault" };

/** The kinds that a list of events is filtered by. @type {[string, string][]} */
export const KINDS = [
  ["trial", "Trials"], ["withheld", "Withheld"], ["light", "Light"], ["arming", "Arming"], ["mark", "Marks"], ["fault", "Faults"], ["camera", "Camera"], ["change", "Changes"],
];

/** @param {any} event @returns {string} one of `KINDS` */
export function kindOf(event) {
  if (event.kind !== "decision") return event.kind;
  const { action } = event.details;
  if (action === "withhold") return "withheld";
  return action === "none" || action === "cancel" ? "change" : "trial";
}

/** @param {string} reason @returns {string} */
export function reasonWords(reason) {
  return REASONS[reason] ?? reason.replaceAll("_", " ");
}

/** @param {any} event @returns {string} a line of a list */
export function eventWords({ kind, details }) {
  switch (kind) {
    case "decision": {
      const trial = details.trial === null || details.trial === undefined ? "" : ` ${details.trial}`;
      const what = details.action === "none" ? `${details.state_before} → ${details.state_after}` : `${ACTIONS[details.action] ?? details.action}${trial}`;
      return `${details.rule}: ${what}${details.reason === "rule" ? "" : `, ${reasonWords(details.reason)}`}`;
    }
    case "light":
      return `${details.rule}: ${LIGHTS[details.event] ?? details.event}${["", "none", "completed", undefined, null].includes(details.reason) ? "" : `, ${details.reason}`}`;
    case "arming":
      return `${ACTS[details.event] ?? details.event} by ${details.who || "?"}${details.why ? `: ${details.why}` : ""}`;
    case "mark":
      return `${details.who}: ${details.text}`;
    case "fault":
      return `${reasonWords(details.reason ?? "error")}: ${details.why}`;
    case "camera":
      return `camera ${details.event}: ${details.why}`;
    default:
      return kind;
  }
}
