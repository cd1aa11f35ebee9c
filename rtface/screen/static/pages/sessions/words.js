// Numbers and times in words, and addresses of what the server is asked for.

import { short } from "../../lib/short.js";

/** @param {string} what @param {Record<string, string | number | undefined>} asked */
export function address(what, asked) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(asked)) if (value !== undefined && value !== "") query.set(name, String(value));
  return `/api/sessions/${what}?${query}`;
}

/** @param {number | null | undefined} seconds */
export function lasted(seconds) {
  if (seconds === null || seconds === undefined) return "";
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const minutes = Math.floor(seconds / 60);
  const rest = Math.round(seconds - 60 * minutes);
  return minutes < 60 ? `${minutes} min ${rest} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** @param {string | null} iso */
export function when(iso) {
  return iso ? iso.slice(0, 19).replace("T", " ") : "not known";
}

/** @param {number} bytes */
export function size(bytes) {
  if (bytes < 1e6) return `${(bytes / 1e3).toFixed(0)} kB`;
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`;
}

/** @param {number | null | undefined} value @param {number} [digits] */
export const number = (value, digits = 4) => short(value, { digits, none: "not known" });

/** @param {number} ms */
export const inMs = (ms) => ms.toFixed(2);

/** @type {Record<string, string>} */
export const STATES = { closed: "ok", open: "ok", truncated: "warn", damaged: "bad" };

/** @type {Record<string, string>} */
const MEANS = {
  closed: "closed", open: "is being written", truncated: "was not closed", damaged: "damaged",
};

/** @param {string} state */
export const stateWords = (state) => MEANS[state] ?? state;

/**
 * What a decision rested on, each value beside its threshold.
 * @param {any} value
 */
export function beside(value) {
  const limits = value.begins.length ? value.begins : value.ends;
  const unit = value.unit && value.unit !== "1" ? ` ${value.unit}` : "";
  const said = `${value.name} ${number(value.value)}${value.value === null ? "" : unit}`;
  return limits.length ? `${said} (threshold ${limits.map((/** @type {number} */ each) => number(each)).join(" and ")})` : said;
}
