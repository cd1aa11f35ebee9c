// The frame of all pages: the bar with state and emergency stop, the list of pages, and the page itself.

import { get } from "./lib/api.js";
import { App } from "./lib/app.js";
import { closing, openDialog } from "./lib/dialog.js";
import { fill, h, say } from "./lib/dom.js";
import { Keys } from "./lib/keys.js";
import { Clock } from "./lib/clock.js";
import { RigState } from "./lib/rigstate.js";
import { Socket } from "./lib/socket.js";
import { EmergencyStop, stopWherePressed } from "./lib/stop.js";
import { Turns } from "./lib/turns.js";

const PAGES = [
  ["live", "Live"],
  ["loop", "Loop"],
  ["label", "Label"],
  ["teach", "Teach"],
  ["sessions", "Sessions"],
  ["newrig", "New rig"],
];
const WORDS = {
  absent: "No rig", armed: "Armed", disarmed: "Disarmed", stopped: "Stopped", fault: "Fault", none: "No loop", unknown: "Unknown",
};

/** @param {string} id @returns {HTMLElement} */
const place = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

applyTheme(localStorage.getItem("theme") ?? (matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark"));
main().catch((error) => fill(place("main"), h("p", { class: "empty" }, error.message)));

async function main() {
  const about = await get("/api/about");
  const clock = new Clock();
  const rigs = about.rigs.map((/** @type {any} */ rig) => new RigState(rig, clock));
  const socket = new Socket(clock);
  const stop = new EmergencyStop(about.stop_port, () => [app.rig.id], () => app.who, (text) => app.say(text), (id) => rigOf(id)?.expected !== false);
  const keys = new Keys(() => (about.read_only ? app.say("This browser may only look.", "warn") : stop.stop()));
  const app = new App(about, rigs, socket, keys);
  /** @param {string} id */
  const rigOf = (id) => rigs.find((/** @type {RigState} */ rig) => rig.id === id);
  socket.on("link", (data, rig) => rigOf(rig)?.takeLink(data));
  socket.on("status", (data, rig) => rigOf(rig)?.takeStatus(data));
  socket.on("events", (data, rig) => data.forEach((/** @type {any} */ event) => rigOf(rig)?.takeEvent(event)));
  socket.on("screen", (data) => {
    // Another version, or a rig that is gone: what this page shows would be wrong.
    const kept = about.rigs.every((/** @type {any} */ rig) => data.rigs.some((/** @type {any} */ each) => each.id === rig.id && each.name === rig.name && each.control === rig.control));
    const same = kept && data.version === about.version && data.stop_port === about.stop_port;
    const renew = () => (stop.alarm ? setTimeout(renew, 500) : location.reload());
    if (!same) return void renew();
    for (const rig of data.rigs) if (rig.named && rigOf(rig.id)) rigOf(rig.id).expected = true;
    const come = data.rigs.filter((/** @type {any} */ rig) => !rigOf(rig.id));
    if (!come.length) return;
    about.rigs = data.rigs;
    rigs.push(...come.map((/** @type {any} */ rig) => new RigState(rig, clock)));
    if (!app.rig.expected) {
      // Nothing could be seen or stopped so far: what was started is what is meant.
      app.chosen = rigs.length - 1;
      if (["", "live", "loop"].includes(location.hash.replace(/^#\//, "").split("?")[0])) dispatchEvent(new Event("hashchange"));
    }
    socket.tell("rigs", rigs, "");
  });
  socket.on("missed", (data) => app.say(`This page did not keep up: ${data} messages were left out.`, "warn"));
  const refresh = makeBar(app, stop);
  for (const topic of ["link", "status", "events", "socket", "rigs"]) socket.on(topic, refresh);
  stop.on(refresh);
  setInterval(refresh, 250);
  makeNavigation(app);
  keys.bind({ "?": { does: "show these keys", run: () => showHelp(app) } });
  PAGES.forEach(([page], index) => keys.bind({ [`Ctrl+${index + 1}`]: { does: `go to ${page}`, run: () => app.go(page) } }));
  // A page that stays open is in use, and may come back tomorrow.
  setInterval(() => get("/api/about").catch(() => undefined), 3600_000);
  socket.open();
  if (!about.read_only) stop.open();
  const turns = new Turns();
  const show = async () => {
    for (const dialog of document.querySelectorAll("dialog[open]")) /** @type {HTMLDialogElement} */ (dialog).close();
    const [page, query] = location.hash.replace(/^#\//, "").split("?");
    const [name, title] = PAGES.find(([each]) => each === page) ?? PAGES[0];
    app.params = new URLSearchParams(query ?? "");
    const root = h("div", { class: `page ${name}` });
    const shown = turns.take(() => load(name), (mount) => open(name, mount, root, app));
    fill(place("main"), root);
    markCurrent(name);
    document.title = `${title} · rtface`;
    if ((await shown) && !root.querySelector("h1")) root.before(h("h1", { class: "visually-hidden" }, title));
  };
  addEventListener("hashchange", show);
  await show();
}

/** @typedef {(root: HTMLElement, app: App) => Promise<() => void>} Mount */

/** What shows a page, or says why that cannot be had. @param {string} page @returns {Promise<Mount>} */
async function load(page) {
  try {
    return (await import(`./pages/${page}.js`)).mount;
  } catch (error) {
    return () => Promise.reject(error);
  }
}

/** @param {string} page @param {Mount} mount @param {HTMLElement} root @param {App} app @returns {Promise<() => void>} */
async function open(page, mount, root, app) {
  const sheet = h("link", { rel: "stylesheet", href: `/static/pages/${page}.css` });
  document.head.append(sheet);
  try {
    const ended = await mount(root, app);
    return () => {
      ended();
      sheet.remove();
    };
  } catch (error) {
    console.error(error);
    fill(root, h("h1", {}, "This page failed"), h("p", { class: "empty" }, `This page could not be opened: ${/** @type {Error} */ (error).message}`));
    return () => sheet.remove();
  }
}

/** @param {App} app @param {EmergencyStop} stop @returns {() => void} renews the bar */
function makeBar(app, stop) {
  const bar = place("bar");
  const state = h("span", { class: "state", role: "status" });
  const why = h("span", { class: "why" });
  const note = h("span", { class: "stopnote" });
  const button = h("button", { class: "stop", id: "stop", title: "Emergency stop: light off at once" }, "Stop");
  if (!app.readOnly) stopWherePressed(button, () => stop.stop());
  const chooser = h(
    "select",
    { class: "plain", "aria-label": "Rig", onchange: () => choose(chooser.selectedIndex) },
  );
  const alone = h("span", { class: "muted" });
  /** @param {number} index */
  const choose = (index) => {
    app.chosen = index;
    dispatchEvent(new Event("hashchange"));
  };
  fill(
    bar,
    h("span", { class: "brand" }, "rtface"),
    chooser,
    alone,
    state,
    why,
    h("div", { class: "stopbox" }, note, app.readOnly ? h("span", { class: "badge" }, "looking only") : button),
  );
  return () => {
    const rig = app.rig;
    for (const each of app.rigs.slice(chooser.length)) chooser.append(h("option", {}, each.name));
    chooser.hidden = app.rigs.length < 2;
    alone.hidden = !chooser.hidden;
    say(alone, rig.expected ? rig.name : "");
    // A list that is open is somebody's who has not chosen yet.
    if (chooser.selectedIndex !== app.chosen && chooser.size < 2) chooser.selectedIndex = app.chosen;
    const known = !rig.expected ? "absent" : app.socket.up ? rig.loopState : "unknown";
    bar.dataset.state = known;
    say(state, WORDS[known]);
    say(why, app.socket.up ? rig.why : app.socket.why || "asking the screen's program");
    why.title = why.textContent ?? "";
    if (app.readOnly) return;
    const arrives = stop.arrives(rig.id);
    const heard = document.hasFocus();
    if (!rig.expected) say(note, "no rig is connected");
    else if (!arrives) say(note, "the stop does not reach the rig: use the key");
    else say(note, heard ? "space bar: emergency stop" : "the space bar goes to another window: click here first");
    note.classList.toggle("alert", rig.expected && (!arrives || !heard));
  };
}

/** @param {App} app */
function makeNavigation(app) {
  const who = h("input", {
    id: "who", value: app.who, placeholder: "your name", maxlength: "40",
    onchange: () => localStorage.setItem("who", who.value.trim()),
  });
  fill(
    place("pages"),
    PAGES.map(([page, title]) => h("a", { href: `#/${page}`, dataset: { page } }, title)),
    h(
      "div",
      { class: "foot" },
      h("label", { class: "field" }, "You", who),
      h("button", { class: "button small", onclick: () => applyTheme(document.documentElement.dataset.theme === "light" ? "dark" : "light") }, "Light or dark"),
      h("button", { class: "button small", onclick: () => showHelp(app) }, "Keys ?"),
      app.readOnly ? null : h("button", { class: "button small", onclick: () => invite(app) }, "Guest link"),
    ),
  );
}

/** @param {string} page */
function markCurrent(page) {
  for (const link of place("pages").querySelectorAll("a")) {
    if (link.dataset.page === page) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

/** @param {App} app */
function showHelp(app) {
  openDialog("Keys", [
    h("table", { class: "table" }, app.keyboard.help().map(([key, does]) => h("tr", {}, h("td", {}, h("kbd", {}, key)), h("td", {}, does)))),
    closing(),
  ]);
}

/** @param {App} app */
async function invite(app) {
  try {
    const { link } = await app.post("/api/guests");
    const text = h("input", { readonly: true, value: link, "aria-label": "Link for a guest", class: "plain" });
    openDialog("A link for a guest", [
      h("p", {}, "It opens once. Who comes in by it looks on, and changes and stops nothing."),
      text,
      closing(),
    ], { focus: text });
    text.select();
  } catch (error) {
    app.say(/** @type {Error} */ (error).message, "bad");
  }
}

/** @param {string} theme */
function applyTheme(theme) {
  document.documentElement.dataset.theme = theme;
  localStorage.setItem("theme", theme);
}
