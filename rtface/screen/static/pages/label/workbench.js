// The workbench: frames to the left, the picture in the middle, keypoints to the right, and every key.

import { fill, h, say } from "../../lib/dom.js";
import { jobBox, over } from "../../lib/jobs.js";
import { Scope } from "../../lib/scope.js";
import { LabelCanvas } from "./canvas.js";
import { ask, showAgreement, showFiles, showGuessing } from "./dialogs.js";
import { Editor } from "./editor.js";
import { keysOf } from "./keymap.js";
import { FrameList, PointList } from "./lists.js";
import { LiveCatch } from "./livecatch.js";
import { magnify } from "./stage.js";
import { LabelStore } from "./store.js";
import { Where } from "./where.js";

const WRITE_MS = 4000;

/** @param {HTMLElement} root @param {import("../../lib/app.js").App} app @param {string} set @returns {Promise<() => void>} */
export async function openWorkbench(root, app, set) {
  const store = new LabelStore(app, set);
  // A fresh set cannot be read before it is begun; one that was begun is left as it is.
  if (!app.readOnly) await app.post("/api/label/open", { set, who: store.who });
  await store.open();
  const bench = new Workbench(root, app, store);
  await bench.open();
  return () => bench.close();
}

class Workbench {
  /** @param {HTMLElement} root @param {import("../../lib/app.js").App} app @param {LabelStore} store */
  constructor(root, app, store) {
    this.root = root;
    this.app = app;
    this.store = store;
    this.editor = new Editor(store, app.readOnly);
    this.shown = "";
    this.written = 0;
    /** @type {any} */
    this.about = { engines: [], h5: false, face: null };
    this.scope = new Scope();
    this.canvas = h("canvas", { class: "stage", tabindex: "0", role: "application", "aria-label": "The frame: click to place the keypoint in hand" });
    this.view = new LabelCanvas(this.canvas, this.editor);
    this.glass = h("canvas", { class: "glass", role: "img", "aria-label": "What is under the pointer, enlarged" });
    this.place = h("span", { class: "mono small muted" });
    this.said = h("p", { class: "said", role: "status", "aria-live": "polite" });
    this.saved = h("span", { class: "badge", role: "status" });
    this.counts = h("span", { class: "muted small" });
    this.jobs = h("div", {});
    this.where = new Where(this.editor);
    this.frames = new FrameList(this.editor);
    this.points = new PointList(this.editor, {
      rename: (point) => this.rename(point),
      add: () => this.add(),
      retire: (point) => this.retire(point),
    });
    this.catch = new LiveCatch(app, store, (frame) => {
      this.editor.refresh();
      this.editor.go(frame);
      this.update([]);
    });
  }

  async open() {
    this.lay();
    this.editor.onchange = (what) => this.changed(what);
    this.editor.onsay = (text) => say(this.said, text);
    this.view.onlook = () => this.look();
    this.store.on((keys) => this.update(keys));
    this.store.onturn = (keys) => {
      this.editor.refresh();
      this.editor.follow(keys);
    };
    this.scope.keep(this.app.keys(keysOf(this)));
    const timer = setInterval(() => this.write(), WRITE_MS);
    const leaving = () => this.write();
    document.addEventListener("visibilitychange", leaving);
    this.scope.keep(() => clearInterval(timer));
    this.scope.keep(() => document.removeEventListener("visibilitychange", leaving));
    await Promise.all([this.readGuesses(), this.readAbout()]);
    this.where.load(this.app).catch(() => {}); // without it the names have to do
    this.app.get("/api/jobs/").then(({ jobs }) => {
      const running = jobs.find((/** @type {any} */ job) => job.kind === "guess" && job.about.set === this.store.set && !over(job));
      if (running) this.follow(running);
    }, () => {});
    this.update([]);
    if (!this.goWhereAsked()) this.editor.nextUnlabelled(0);
    this.changed("frame");
    this.canvas.focus();
    if (!this.app.who && !this.app.readOnly) this.askWho();
  }

  /** Go to the frame that the page's address names, as other pages do: by its recording and name, or its short name. */
  goWhereAsked() {
    const { params } = this.app;
    const [short, video, name, point] = ["frame", "video", "name", "point"].map((each) => params.get(each));
    if (!short && !name) return false;
    const frame = this.editor.frames.find((each) => (short ? each.id === short : each.name === name && (!video || each.video === video)));
    const found = this.editor.points.find((each) => each.id === point || each.name === point);
    if (frame) this.editor.go(frame.id, found?.id ?? null);
    else this.app.say(`This set has no frame ${short ?? name}.`, "warn");
    return Boolean(frame);
  }

  close() {
    this.scope.end();
    this.catch.close();
    this.view.close();
    this.editor.images.close();
    this.store.close().then(() => this.write());
  }

  lay() {
    const { app, editor } = this;
    /** @param {string} text @param {() => void} run @param {Record<string, any>} [more] */
    const button = (text, run, more = {}) => h("button", { class: "button small", onclick: () => {
      run();
      this.canvas.focus();
    }, ...more }, text);
    /** @param {string} text @param {string} key @param {string} title @param {() => void} run @param {Record<string, any>} [more] */
    const keyed = (text, key, title, run, more = {}) => {
      const made = button(text, run, { title, ...more });
      made.append(" ", h("kbd", { "aria-hidden": "true" }, key));
      return made;
    };
    const off = { disabled: app.readOnly };
    this.undo = keyed("Undo", "z", "Take back your last act", () => editor.turn("undo"), off);
    this.redo = keyed("Redo", "y", "Do again what you took back", () => editor.turn("redo"), off);
    this.passes = h("select", { class: "plain small", "aria-label": "Whose labels", onchange: (/** @type {Event} */ event) => this.choosePass(/** @type {HTMLSelectElement} */ (event.target).value) },
      h("option", { value: "first" }, "First pass"), h("option", { value: "second" }, "Second pass"));
    this.toggles = {
      through: keyed("Through", "b", "After a point: the same one on the next frame", () => this.toggle("through")),
      guessing: keyed("Guesses", "u", "Show what a network found, hollow", () => this.toggle("guessing")),
      copying: keyed("Before", "v", "Offer the labels of the frame before, hollow", () => this.toggle("copying")),
      compare: button("Both", () => this.toggle("compare"), { title: "Show the other pass's labels too" }),
    };
    const slider = (/** @type {"brightness" | "contrast"} */ what) => h("label", { class: "field slide" }, what === "brightness" ? "Brightness" : "Contrast",
      h("input", { type: "range", min: "0.3", max: "3", step: "0.05", value: "1", oninput: (/** @type {Event} */ event) => {
        this.view.stage[what] = Number(/** @type {HTMLInputElement} */ (event.target).value);
        this.view.stage.draw();
        this.look();
      } }));
    fill(this.root,
      h("h1", { class: "visually-hidden" }, "Label"),
      h("div", { class: "bench" },
        h("div", { class: "tools row" },
          h("button", { class: "button small", onclick: () => app.go("label"), title: "All label sets" }, "‹ Sets"),
          h("strong", { class: "set" }, this.store.set), this.saved, this.counts,
          h("span", { class: "grow" }),
          this.undo, this.redo, this.passes,
          button("Guess …", () => showGuessing(app, this.store, this.about, this.editor.guesses, (job) => this.follow(job)), off),
          keyed("Doubtful", "r", "Go to the next label that may be wrong", () => this.doubtful()),
          button("Agreement", () => this.agreement(), { title: "How far the two passes are apart" }),
          keyed("Live", "l", "Show the live picture, to catch frames", () => this.catch.toggle()),
          button("Files …", () => showFiles(app, this.store, this.about.h5), off)),
        h("aside", { class: "left panel", "aria-label": "Frames" }, this.catch.element, this.jobs, this.frames.element, this.where.element),
        h("div", { class: "middle" }, this.canvas,
          this.firstUse(),
          h("div", { class: "under row" }, this.said, h("span", { class: "grow" }), this.place),
          h("div", { class: "row acts" },
            keyed("Confirm", "f", "Make what is shown hollow a label", () => editor.confirm(), off),
            keyed("Hidden", "q", "The keypoint cannot be seen", () => editor.hide(), off),
            keyed("Clear", "x", "Take the label away", () => editor.clear(), off),
            keyed("Copy", "c", "Take the label of the frame before over", () => editor.copy(), off),
            keyed("Copy all", "j", "Take all points of the frame before over, the hidden ones too", () => editor.copyAll(), off),
            keyed("Leave out", "t", "This frame is not used", () => editor.skip(), off),
            h("span", { class: "grow" }), Object.values(this.toggles))),
        h("aside", { class: "right panel", "aria-label": "Keypoints" }, this.glass, this.points.element,
          h("div", { class: "row slides" }, slider("brightness"), slider("contrast")))));
    this.marked();
  }

  /** What somebody needs to know who labels here the first time; until it is put away. */
  firstUse() {
    if (this.app.readOnly || localStorage.getItem("label.known")) return null;
    /** @param {string} name */
    const key = (name) => h("kbd", {}, name);
    const away = () => {
      localStorage.setItem("label.known", "yes");
      strip.remove();
      this.canvas.focus();
    };
    const strip = h(
      "div",
      { class: "panel row first-use small", role: "note", "aria-label": "How to label" },
      h("p", { class: "grow" },
        "Click where the keypoint with the cross is: the next one comes by itself. ", key("q"), " it cannot be seen. ", key("d"), " next frame. ", key("j"), " copy all points of the frame before. ", key("z"), " undo. ", key("f"), " make a hollow guess a label. ",
        "Drag to correct, wheel to zoom. Everything is saved at once; the space bar is the emergency stop here too. All keys: ", key("?")),
      h("button", { class: "button small", onclick: away }, "Got it"),
    );
    return strip;
  }

  /** @param {"through" | "guessing" | "copying" | "compare"} what */
  toggle(what) {
    this.editor[what] = !this.editor[what];
    this.marked();
    this.changed("point");
  }

  marked() {
    const { toggles } = this;
    if (!toggles) return;
    toggles.compare.hidden = !this.editor.compare && ![...this.store.values.keys()].some((key) => key.startsWith("label/second/"));
    for (const [what, each] of Object.entries(toggles)) {
      each.setAttribute("aria-pressed", String(this.editor[/** @type {"through"} */ (what)]));
    }
  }

  /** @param {string} pass */
  choosePass(pass) {
    this.editor.pass = pass;
    if (this.passes) this.passes.value = pass;
    this.editor.onsay(pass === "second" ? "Second pass: the first one's labels and guesses are not shown." : "");
    this.update([]);
    this.changed("point");
    this.canvas.focus();
  }

  /** @param {"frame" | "point" | "state"} what */
  changed(what) {
    const { editor, view } = this;
    if (this.passes && this.passes.value !== editor.pass) {
      this.passes.value = editor.pass;
      this.update([]);
    }
    if (what === "frame" || this.shown !== editor.frame) this.show();
    view.centre();
    this.frames.mark();
    this.points.update();
    this.where.draw();
    view.stage.draw();
    this.look();
  }

  /** Show the picture of the frame in hand; a slower one that was asked for before does not come over it. */
  async show() {
    const frame = this.editor.frame;
    this.shown = frame ?? "";
    this.editor.doubt = frame === this.editor.doubts[this.editor.doubt]?.frame ? this.editor.doubt : -1;
    if (!frame) {
      this.view.stage.show(null);
      say(this.said, "No frame yet: show the live picture (l) and catch frames (k).");
      return;
    }
    try {
      const image = await this.editor.images.get(frame);
      if (this.editor.frame !== frame) return;
      this.view.stage.show(image);
      this.view.centre();
      this.canvas.dataset.frame = frame;
    } catch (error) {
      if (this.editor.frame === frame) {
        this.view.stage.show(null);
        say(this.said, /** @type {Error} */ (error).message);
      }
    }
    this.look();
  }

  /** Take note of what changed. @param {string[]} keys */
  update(keys) {
    const { editor, store } = this;
    if (!keys.length || keys.some((key) => key.startsWith("frame/") || key.startsWith("name/"))) editor.refresh();
    editor.progress.update(keys);
    this.frames.update(keys);
    this.points.update();
    if (this.undo) this.undo.toggleAttribute("disabled", this.app.readOnly || !store.undo);
    if (this.redo) this.redo.toggleAttribute("disabled", this.app.readOnly || !store.redo);
    const waiting = store.outbox.length;
    const state = waiting && !store.reachable ? "bad" : waiting || store.changedOutside ? "warn" : "ok";
    this.saved.className = `badge ${state}`;
    say(this.saved, waiting ? (store.reachable ? "saving" : `${waiting} not saved yet`) : store.changedOutside ? "labels.csv was changed elsewhere" : this.app.readOnly ? "looking only" : "all saved");
    const { complete, counted, points } = editor.progress;
    say(this.counts, `${complete} of ${counted} frames, ${points} of ${counted * editor.points.length} points`);
    if (this.shown !== (editor.frame ?? "")) this.show();
    this.marked();
    this.view.stage.draw();
    this.look();
  }

  look() {
    const place = this.view.looked;
    magnify(this.glass, this.view.stage, place, Math.max(6, this.view.stage.scale * 3));
    say(this.place, place ? `x ${place[0].toFixed(2)}  y ${place[1].toFixed(2)}` : "");
  }

  async readAbout() {
    try {
      this.about = await this.app.get(`/api/label/about?${new URLSearchParams({ set: this.store.set })}`);
    } catch (error) {
      this.app.say(/** @type {Error} */ (error).message, "bad");
    }
    this.view.stage.face = this.editor.guesses.crop ?? this.about.face;
  }

  async readGuesses() {
    try {
      this.editor.guesses = await this.app.get(`/api/label/guesses?${new URLSearchParams({ set: this.store.set })}`);
      this.view.stage.face = this.editor.guesses.crop ?? this.about.face;
    } catch (error) {
      this.app.say(/** @type {Error} */ (error).message, "bad");
    }
  }

  /** @param {any} job */
  follow(job) {
    fill(this.jobs, jobBox(this.app, job, this.scope, { done: async (told) => {
      if (told.job.state !== "done") return;
      await this.readGuesses();
      fill(this.jobs);
      this.changed("point");
      this.editor.onsay(`${this.editor.guesses.engine} has guessed: hollow points, no labels until confirmed (f).`);
    } }));
  }

  /** Write labels.csv once nothing waits and something changed. */
  async write() {
    const { store } = this;
    if (this.app.readOnly || store.outbox.length || store.touched === this.written || store.changedOutside) return;
    this.written = store.touched;
    try {
      await this.app.post("/api/label/write", { set: store.set, who: store.who });
    } catch (error) {
      this.app.say(/** @type {Error} */ (error).message, "warn");
    }
  }

  async doubtful() {
    try {
      await this.editor.nextDoubt(() => this.app.get(`/api/label/doubts?${new URLSearchParams({ set: this.store.set })}`));
    } catch (error) {
      this.app.say(/** @type {Error} */ (error).message, "bad");
    }
  }

  async agreement() {
    try {
      const found = await this.app.get(`/api/label/agreement?${new URLSearchParams({ set: this.store.set })}`);
      showAgreement(this.app, found, this.editor, (frame, point) => {
        this.editor.compare = true;
        this.marked();
        this.editor.go(frame, point);
        this.canvas.focus();
      });
    } catch (error) {
      this.app.say(/** @type {Error} */ (error).message, "bad");
    }
  }

  async askWho() {
    const who = await ask("Who labels?", "Your name, for the journal", "", "Label");
    if (who) {
      localStorage.setItem("who", who);
      const field = document.getElementById("who");
      if (field instanceof HTMLInputElement) field.value = who;
    }
    this.canvas.focus();
  }

  async add() {
    const name = await ask("Add a keypoint", "Name", "", "Add");
    if (!name) return;
    const numbers = [...this.store.values.keys()].filter((key) => key.startsWith("name/")).map((key) => Number(key.slice(6)));
    this.store.act("name", [[["name", `p${Math.max(0, ...numbers) + 1}`], name]]);
    this.canvas.focus();
  }

  /** @param {string} point */
  async rename(point) {
    const old = this.editor.points.find(({ id }) => id === point)?.name ?? "";
    const name = await ask("Rename a keypoint", "Its labels stay", old, "Rename");
    if (name && name !== old) this.store.act("rename", [[["name", point], name]]);
    this.canvas.focus();
  }

  /** @param {string} point */
  retire(point) {
    this.store.act("retire", [[["name", point], null]]);
    this.editor.onsay("The keypoint is taken out; undo brings it back with its labels.");
    this.canvas.focus();
  }
}
