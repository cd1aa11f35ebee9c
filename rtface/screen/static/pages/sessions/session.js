// One session: what happened, timeline, decisions, certificate; verify, replay, export; and the act of unblinding.

import { openDialog } from "../../lib/dialog.js";
import { fill, h } from "../../lib/dom.js";
import { mountCertificate } from "./certificate.js";
import { mountDecisions } from "./decisions.js";
import { mountSummary } from "./summary.js";
import { mountTimeline } from "./timeline.js";
import { Work } from "./work.js";
import { STATES, address, stateWords } from "./words.js";

/**
 * What a view of a session is given.
 * @typedef {object} View
 * @property {import("../../lib/app.js").App} app
 * @property {string} session its path in the workspace
 * @property {any} told its summary
 * @property {Work} work
 * @property {(what: string, asked?: Record<string, string | number | undefined>) => string} address with the page's secret
 * @property {(view: string, asked?: Record<string, string>) => void} go
 */

/** @type {[string, string, (root: HTMLElement, view: View) => Promise<() => void>][]} */
const VIEWS = [
  ["timeline", "Timeline", mountTimeline],
  ["summary", "What happened", mountSummary],
  ["decisions", "Decisions", mountDecisions],
  ["certificate", "Latency certificate", mountCertificate],
];

/** Secrets of the sessions that this page opened: gone with the page. @type {Map<string, string>} */
const OPENED = new Map();

/** @param {HTMLElement} root @param {import("../../lib/app.js").App} app @returns {Promise<() => void>} */
export async function mountSession(root, app) {
  const session = app.params.get("session") ?? "";
  const secret = () => OPENED.get(session) ?? "";
  /** @param {string} what @param {Record<string, string | number | undefined>} [asked] */
  const ask = (what, asked = {}) => address(what, { session, opened: secret(), ...asked });
  const told = await app.get(ask("summary"));
  const work = new Work(app, secret);
  const name = app.params.get("view") ?? "timeline";
  const chosen = VIEWS.find(([view]) => view === name) ?? VIEWS[0];
  /** @param {string} view @param {Record<string, string>} [asked] */
  const go = (view, asked = {}) => app.go("sessions", { session, view, ...asked });
  const inside = h("div", { class: "inside" });
  const again = () => dispatchEvent(new Event("hashchange"));
  const summary = told.summary;
  fill(
    root,
    h(
      "header",
      { class: "head" },
      h(
        "div",
        { class: "row" },
        h("a", { href: "#/sessions" }, "Sessions"),
        h("h1", { class: "grow" }, summary.folder),
        h("span", { class: `badge ${STATES[summary.state]}` }, stateWords(summary.state)),
        summary.state === "open" ? h("button", { class: "button small", onclick: () => app.get(ask("summary", { again: "1" })).then(again, (error) => app.say(error.message, "bad")) }, "Read again") : null,
        blinding(app, session, told, secret() !== "", again),
      ),
      summary.missing.length ? h("p", { class: "wrong" }, summary.missing.slice(0, 3).join("; ")) : null,
      h(
        "nav",
        { class: "row tabs", "aria-label": "Views of this session" },
        VIEWS.map(([view, title]) => h("a", { class: "button", href: `#/sessions?${new URLSearchParams({ session, view })}`, "aria-current": view === chosen[0] ? "page" : null }, title)),
        h("span", { class: "grow" }),
        actions(app, session, told, work),
      ),
    ),
    work.element,
    inside,
  );
  const ended = await chosen[2](inside, { app, session, told, work, address: ask, go });
  /** @type {Record<string, import("../../lib/keys.js").Binding>} */
  const bindings = { Backspace: { does: "to the list of sessions", run: () => app.go("sessions") } };
  VIEWS.forEach(([view, title], index) => {
    bindings[String(index + 1)] = { does: title.toLowerCase(), run: () => go(view) };
  });
  const off = app.keys(bindings);
  return () => {
    off();
    ended();
    work.end();
  };
}

/** @param {import("../../lib/app.js").App} app @param {string} session @param {any} told @param {Work} work */
function actions(app, session, told, work) {
  const closed = app.readOnly;
  return [
    h("button", { class: "button", disabled: closed, onclick: () => work.start("verify", { sessions: [session] }) }, "Verify"),
    h("button", { class: "button", disabled: closed || !told.rules, title: told.rules ? "" : "It was run without rules", onclick: () => work.start("replay", { session }) }, "Replay rules"),
    h("button", { class: "button", disabled: closed || !told.video, title: told.video ? "" : "No frames were recorded", onclick: () => work.start("replay", { session, network: true }) }, "Replay network"),
    h("button", { class: "button", disabled: closed, onclick: () => work.start("export", { session }) }, "Export"),
  ];
}

/**
 * Whether light and sham are told apart, and the way to it.
 * @param {import("../../lib/app.js").App} app @param {string} session @param {any} told @param {boolean} opened @param {() => void} again
 */
function blinding(app, session, told, opened, again) {
  if (opened) {
    const close = () => {
      OPENED.delete(session);
      again();
    };
    return [h("span", { class: "badge warn" }, "light and sham are shown"), h("button", { class: "button small", onclick: close }, "Hide them")];
  }
  if (!told.blinded) return null;
  const before = told.opened_by.length > 0;
  const button = h("button", { class: "button small", disabled: app.readOnly || !told.may_unblind, onclick: () => ask(app, session, told, before, again) }, before ? "Show light and sham …" : "Unblind …");
  return [h("span", { class: "badge" }, "blinded"), button];
}

/** @param {import("../../lib/app.js").App} app @param {string} session @param {any} told @param {boolean} before @param {() => void} again */
function ask(app, session, told, before, again) {
  const who = h("input", { id: "unblind-who", value: app.who, maxlength: "100", required: true });
  const why = h("input", { id: "unblind-why", maxlength: "200" });
  const open = async () => {
    try {
      const answer = await app.post("/api/sessions/unblind", { session, who: who.value, why: why.value, first: !before });
      OPENED.set(session, answer.opened);
      dialog.close();
      again();
    } catch (error) {
      app.say(/** @type {Error} */ (error).message, "bad");
    }
  };
  const dialog = openDialog(before ? "Show light and sham" : "Unblind this session", [
    h("p", {}, told.sealed
      ? "It is written down in the session's folder, for good: when, who and why. From then on it is no longer a session that nobody has opened."
      : "This session was recorded before there was a seal: there is nothing to be opened, and nothing is written down."),
    before ? h("p", { class: "muted" }, `Opened ${told.opened_by.length} times so far, last by ${told.opened_by.at(-1).who}.`) : null,
    h("label", { class: "field" }, "Your name", who),
    h("label", { class: "field" }, "Why", why),
    h("p", { class: "row" }, h("button", { class: "button", onclick: () => dialog.close() }, "Stay blind"), h("button", { class: "button danger", onclick: open }, before ? "Show them" : "Unblind")),
  ], { class: "unblind", focus: who.value ? why : who });
}
