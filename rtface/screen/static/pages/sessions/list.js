// The list of sessions: newest first, searched by word, the damaged ones with what is wrong.

import { fill, h } from "../../lib/dom.js";
import { Work } from "./work.js";
import { STATES, address, lasted, size, stateWords, when } from "./words.js";

const STEP = 200;

/** @param {HTMLElement} root @param {import("../../lib/app.js").App} app @returns {Promise<() => void>} */
export async function mountList(root, app) {
  /** @type {Set<string>} */
  const chosen = new Set();
  let offset = 0;
  let asked = 0;
  const word = h("input", { id: "word", type: "search", placeholder: "mouse, date …", oninput: () => restart() });
  const body = h("tbody", {});
  const count = h("span", { class: "muted", role: "status" });
  const more = h("button", { class: "button", onclick: () => load(offset + STEP) }, "Show more");
  const compare = h("button", { class: "button", disabled: true, onclick: () => {
    const [first, second] = chosen;
    app.go("sessions", { first, second });
  } }, "Compare two");
  const verify = h("button", { class: "button", disabled: true, onclick: () => work.start("verify", { sessions: [...chosen] }) }, "Verify");
  const work = new Work(app);
  const table = h(
    "table",
    { class: "table list" },
    h("thead", {}, h("tr", {}, ["pick", "session", "began (UTC)", "lasted", "poses", "decisions", "lost", "engine", "log", "state"].map((each) => h("th", { scope: "col" }, each)))),
    body,
  );
  fill(
    root,
    h("div", { class: "row head" }, h("h1", { class: "grow" }, "Sessions"), h("label", { class: "field" }, "Find", word), compare, verify),
    work.element,
    h("div", { class: "panel scroll" }, table, h("div", { class: "row foot" }, count, more)),
  );
  const choose = () => {
    compare.disabled = chosen.size !== 2;
    verify.disabled = chosen.size === 0 || app.readOnly;
  };
  const restart = () => load(0);
  /** @param {number} from */
  const load = async (from) => {
    const mine = ++asked;
    let told;
    try {
      told = await app.get(address("", { word: word.value.trim(), offset: from, limit: STEP }));
    } catch (error) {
      if (mine === asked) app.say(/** @type {Error} */ (error).message, "bad");
      return;
    }
    if (mine !== asked) return;
    offset = from;
    const rows = told.sessions.map((/** @type {any} */ each) => row(app, each, chosen, choose));
    if (from === 0) fill(body, rows);
    else body.append(...rows);
    const shown = Math.min(told.count, from + told.sessions.length);
    fill(count, told.count ? `${shown} of ${told.count}` : "");
    more.hidden = shown >= told.count;
    if (!told.count) fill(body, h("tr", {}, h("td", { colspan: 10 }, nothing(app, word.value))));
  };
  const off = app.keys({
    "/": { does: "find a session", run: () => word.focus() },
    j: { does: "next session", run: () => step(body, 1) },
    k: { does: "session before", run: () => step(body, -1) },
  });
  await load(0);
  return () => {
    asked = 0;
    off();
    work.end();
  };
}

/** @param {HTMLElement} body @param {number} by */
function step(body, by) {
  const links = [...body.querySelectorAll("a")];
  const at = links.indexOf(/** @type {any} */ (document.activeElement));
  links[Math.min(Math.max(at + by, 0), links.length - 1)]?.focus();
}

/** @param {import("../../lib/app.js").App} app @param {any} each @param {Set<string>} chosen @param {() => void} changed */
function row(app, each, chosen, changed) {
  const seen = each.seen;
  const box = h("input", {
    type: "checkbox", "aria-label": `Choose ${each.name}`, checked: chosen.has(each.path),
    onchange: () => {
      if (box.checked) chosen.add(each.path);
      else chosen.delete(each.path);
      changed();
    },
  });
  const place = each.path.includes("/") ? each.path.slice(0, each.path.lastIndexOf("/")) : "";
  const link = h("a", { href: `#/sessions?${new URLSearchParams({ session: each.path })}` }, each.name);
  return h(
    "tr",
    {},
    h("td", {}, box),
    h("td", {}, seen ? link : each.name, place ? h("div", { class: "muted small" }, place) : null, each.wrong ? h("div", { class: "small wrong" }, each.wrong) : null),
    h("td", {}, seen ? when(seen.began) : ""),
    h("td", { class: "num" }, lasted(seen?.seconds)),
    h("td", { class: "num" }, seen?.poses ?? ""),
    h("td", { class: "num" }, seen?.decisions ?? ""),
    h("td", { class: "num" }, seen?.lost ?? ""),
    h("td", {}, seen?.engine ?? ""),
    h("td", { class: "num" }, seen ? size(seen.size) : ""),
    h("td", {}, seen ? h("span", { class: `badge ${STATES[seen.state]}` }, stateWords(seen.state)) : h("span", { class: "badge bad" }, "not readable"), seen?.sealed ? h("span", { class: "badge" }, "blinded") : null),
  );
}

/** @param {import("../../lib/app.js").App} app @param {string} word */
function nothing(app, word) {
  if (word.trim()) return h("div", { class: "empty" }, `No session has “${word.trim()}” in its path.`);
  return h(
    "div",
    { class: "empty" },
    h("p", {}, `No session lies in ${app.about.folder}.`),
    h("p", {}, "A rig records them where its file has ", h("code", {}, "session: {folder: sessions}"), "; start this screen in the folder that holds them."),
  );
}
