// Live: the picture with its points, the crop, what is measured, and every series that rules look at.

import { DOUBTFUL, DRAW_IT } from "../lib/crops.js";
import { fill, h, say } from "../lib/dom.js";
import { Facts } from "./live/facts.js";
import { Plots } from "./live/plots.js";
import { PictureView } from "./live/view.js";

export const title = "Live";

/** @param {HTMLElement} root @param {import("../lib/app.js").App} app @returns {Promise<() => void>} */
export async function mount(root, app) {
  const page = new LivePage(root, app);
  await page.begin();
  return () => page.end();
}

class LivePage {
  /** @param {HTMLElement} root @param {import("../lib/app.js").App} app */
  constructor(root, app) {
    this.root = root;
    this.app = app;
    /** The rig that this page is of; the one that is chosen may be another before this page is left. */
    this.rig = app.rig;
    this.shows = "frame";
    this.beside = app.rigs.length > 1 && localStorage.getItem("live.beside") === "true";
    this.facts = new Facts();
    this.plots = new Plots(app);
    /** @type {Map<string, PictureView>} */
    this.views = new Map();
    /** @type {(() => void)[]} */
    this.ends = [];
    /** Pictures that are being decoded, by rig: a second one waits. @type {Set<string>} */
    this.decoding = new Set();
    this.unwant = () => {};
    this.ended = false;
  }

  /** @returns {PictureView} */
  get view() {
    return /** @type {PictureView} */ (this.views.get(this.rig.id));
  }

  /** The rigs whose pictures are shown. */
  get shown() {
    return this.beside ? this.app.rigs : [this.rig];
  }

  async begin() {
    const { app } = this;
    for (const rig of this.shown) {
      this.views.set(rig.id, new PictureView(() => (rig.link?.hello?.skeleton ?? []).map((/** @type {any} */ each) => each.name)));
    }
    this.makeTools();
    this.pictures = h("div", { class: this.beside ? "pictures beside" : "pictures" });
    for (const rig of this.shown) {
      const view = /** @type {PictureView} */ (this.views.get(rig.id));
      this.pictures.append(h("section", { class: "panel picture-panel", "aria-label": `Picture of ${rig.name}` }, this.beside ? h("h2", {}, rig.name) : null, view.element));
    }
    fill(this.root, h("h1", { class: "visually-hidden" }, "Live"), h("div", { class: "live-grid" }, h("div", { class: "col" }, this.tools, this.cropTools, this.pictures, this.plots.element), this.facts.element));
    const mine = (/** @type {string} */ rig) => rig === this.rig.id;
    this.ends = [
      app.on("picture", (data, rig) => void this.takePicture(data, rig)),
      app.on("status", (data, rig) => mine(rig) && this.takeStatus(data)),
      app.on("features", (data, rig) => mine(rig) && this.plots.takeFeatures(data)),
      app.on("neural", (data, rig) => mine(rig) && this.plots.takeNeural(data)),
      app.on("events", (data, rig) => mine(rig) && this.plots.takeEvents(data)),
      app.on("link", (_, rig) => this.takeLink(rig)),
      app.on("socket", (up) => up && this.want()),
      app.keys({
        c: { does: "draw the crop", run: () => this.editCrop() },
        f: { does: "show the frame or the crop", run: () => this.toggleShows() },
        n: { does: "show the names of the keypoints", run: () => this.toggle("names") },
        t: { does: "show where the keypoints were", run: () => this.toggle("trail") },
      }),
    ];
    for (const rig of app.rigs) this.takeLink(rig.id);
    if (this.rig.status) this.takeStatus(this.rig.status);
    this.want();
    this.renewDisk();
    const disk = setInterval(() => this.renewDisk(), 30000);
    this.ends.push(() => clearInterval(disk));
    await this.recall();
  }

  /** Draw what happened before this page was opened. */
  async recall() {
    try {
      const { events, features } = await this.app.get(`/api/rigs/${this.rig.id}/history`);
      if (this.ended) return;
      if (features.length) this.plots.takeFeatures(features);
      this.plots.takeEvents(events.slice(-500));
    } catch {
      // It comes as it happens.
    }
  }

  async renewDisk() {
    try {
      this.facts.takeDisk(await this.app.get("/api/disk"));
    } catch {
      this.facts.takeDisk(null);
    }
  }

  makeTools() {
    const { app } = this;
    /** @param {string} text @param {string} key @param {() => void} does */
    const toggle = (text, key, does) => h("button", { class: "button", "aria-pressed": "false", title: `key ${key}`, onclick: does }, text);
    this.showsButton = toggle("Crop alone", "f", () => this.toggleShows());
    this.buttons = { names: toggle("Names", "n", () => this.toggle("names")), trail: toggle("Trail", "t", () => this.toggle("trail")) };
    this.cropButton = h("button", { class: "button", title: "key c", onclick: () => this.editCrop() }, "Draw crop");
    const brightness = h("input", { type: "range", min: "0.3", max: "4", step: "0.1", value: "1", id: "brightness" });
    brightness.addEventListener("input", () => {
      for (const view of this.views.values()) view.image.style.filter = `brightness(${brightness.value})`;
    });
    this.tools = h(
      "div",
      { class: "row tools" },
      this.showsButton, this.buttons.names, this.buttons.trail,
      app.readOnly ? null : this.cropButton,
      h("label", { class: "field inline" }, "Brightness, for the eye alone", brightness),
      app.rigs.length > 1 ? h("button", { class: "button", "aria-pressed": String(this.beside), onclick: () => this.toggleBeside() }, "All rigs") : null,
    );
    this.cropNumbers = ["x", "y", "width", "height"].map((name) =>
      h("input", { type: "number", class: "plain number", "aria-label": `crop ${name}`, dataset: { name }, onchange: (/** @type {Event} */ event) => this.typeCrop(/** @type {HTMLInputElement} */ (event.target)) }),
    );
    this.mirrored = h("input", { type: "checkbox", onchange: () => this.view.crop.mirror(Boolean(this.mirrored?.checked)) });
    this.cropNote = h("span", { class: "small", role: "status" });
    this.cropTools = h(
      "div",
      { class: "row panel crop-tools", hidden: true },
      ...this.cropNumbers,
      h("label", {}, this.mirrored, " mirrored"),
      h("button", { class: "button primary", onclick: () => this.applyCrop() }, "Apply"),
      h("button", { class: "button", onclick: () => this.findFace() }, "Find the face"),
      h("button", { class: "button", onclick: () => this.applyCrop(null) }, "Whole frame"),
      h("button", { class: "button", onclick: () => this.view.crop.end() }, "Cancel"),
      this.cropNote,
    );
    this.view.crop.changed = () => this.showCrop();
  }

  /** @param {any} data @param {string} rig */
  async takePicture(data, rig) {
    const view = this.views.get(rig);
    if (!view || this.decoding.has(rig)) {
      this.app.socket.shown();
      return;
    }
    this.decoding.add(rig);
    try {
      await view.show(data);
      if (rig === this.rig.id) {
        this.facts.takePicture(data, view.rate);
        view.element.dataset.frame = data.frame_id;
        view.element.dataset.rate = view.rate.toFixed(1);
        view.element.dataset.area = JSON.stringify(data.area);
      }
    } catch (error) {
      view.none(`A picture could not be shown: ${/** @type {Error} */ (error).message}`);
    } finally {
      this.decoding.delete(rig);
      this.app.socket.shown();
    }
  }

  /** @param {any} status */
  takeStatus(status) {
    this.facts.takeStatus(status, this.rig.link?.hello);
    this.plots.takeStatus(status);
  }

  /** @param {string} id */
  takeLink(id) {
    const rig = this.app.rigs.find((each) => each.id === id);
    const view = this.views.get(id);
    if (!rig?.link || !view) return;
    if (rig.link.state === "up" && !rig.link.pictures) {
      view.none("This service publishes no pictures: write `pictures: {}` under `publish:` in the rig's file, or start it with --screen.");
    } else if (!rig.expected) view.none("No rig is connected, so there is no picture.", begin(this.app));
    else if (rig.link.state !== "up") view.none(rig.why);
    else if (!view.data) view.none("Waiting for the first picture.");
  }

  want() {
    this.unwant = this.app.socket.want(Object.fromEntries([...this.views.keys()].map((rig) => [rig, this.shows])));
  }

  toggleShows() {
    this.shows = this.shows === "frame" ? "crop" : "frame";
    this.showsButton?.setAttribute("aria-pressed", String(this.shows === "crop"));
    this.want();
  }

  /** @param {"names" | "trail"} what */
  toggle(what) {
    for (const view of this.views.values()) {
      view.options[what] = !view.options[what];
      view.draw();
    }
    this.buttons?.[what].setAttribute("aria-pressed", String(this.view.options[what]));
  }

  toggleBeside() {
    localStorage.setItem("live.beside", String(!this.beside));
    dispatchEvent(new Event("hashchange"));
  }

  editCrop() {
    const { crop, data } = this.view;
    if (crop.editing) {
      crop.end();
      return;
    }
    if (!data || this.app.readOnly) return;
    if (this.shows === "crop") this.toggleShows();
    crop.begin({ mirrored: false, ...data.crop });
    this.view.draw();
  }

  showCrop() {
    const { crop, editing } = this.view.crop;
    // Who pressed a button that goes away has the keys at the picture, not nowhere.
    if (!editing && this.cropTools?.contains(document.activeElement)) this.view.over.focus();
    if (this.cropTools) this.cropTools.hidden = !editing;
    this.cropButton?.setAttribute("aria-pressed", String(editing));
    if (!crop) return;
    for (const input of this.cropNumbers ?? []) input.value = String(crop[/** @type {"x"} */ (input.dataset.name)]);
    if (this.mirrored) this.mirrored.checked = crop.mirrored;
    if (this.cropNote) say(this.cropNote, "Drag on the picture: inside it moves, at the border it grows.");
  }

  /** @param {HTMLInputElement} input */
  typeCrop(input) {
    const note = this.view.crop.type(/** @type {"x"} */ (input.dataset.name), input.value);
    if (note && this.cropNote) say(this.cropNote, note);
  }

  /** @param {null} [whole] the whole frame in place of what is drawn */
  async applyCrop(whole) {
    const { view, rig } = this;
    const crop = whole === null ? null : view.crop.crop;
    const answer = await this.app.command("set_crop", { crop }, rig);
    if (!answer) return;
    const { x, y, width, height, mirrored } = answer.crop;
    if (rig.link?.hello) rig.link.hello.crop = crop ? answer.crop : null;
    if (view.crop.crop === crop || whole === null) view.crop.end();
    this.app.say(`The network looks at ${x}, ${y}, ${width} × ${height}${mirrored ? ", mirrored" : ""}. It holds until the service ends; to keep it write in the rig's file  crop: {x: ${x}, y: ${y}, width: ${width}, height: ${height}${mirrored ? ", mirrored: true" : ""}}`);
  }

  async findFace() {
    const { view, cropNote } = this;
    const before = view.crop.crop;
    if (cropNote) say(cropNote, "Looking for the face: some seconds.");
    try {
      const { crop, confidence, doubtful } = await this.app.post(`/api/rigs/${this.rig.id}/face`);
      if (this.ended || !cropNote) return;
      if (!view.crop.editing || view.crop.crop !== before) {
        say(cropNote, "The face was found; what you drew meanwhile is left as it is. Look again to take what is found.");
        return;
      }
      view.crop.begin({ mirrored: false, ...crop });
      say(cropNote, doubtful ? `${DOUBTFUL} (confidence ${confidence.toFixed(2)}). Apply it if it is the face, or draw another.` : `Found, confidence ${confidence.toFixed(2)}. Apply it, or draw another.`);
      view.draw();
    } catch (error) {
      if (this.ended) return;
      if (cropNote) say(cropNote, DRAW_IT);
      this.app.say(/** @type {Error} */ (error).message, "warn");
    }
  }

  end() {
    this.ended = true;
    for (const end of this.ends) end();
    this.unwant();
    for (const view of this.views.values()) view.end();
    this.plots.end();
  }
}

/** Where to begin where no rig is connected. @param {import("../lib/app.js").App} app @returns {HTMLElement} */
function begin(app) {
  return h(
    "div",
    { class: "begin" },
    h("button", { class: "button primary", onclick: () => app.go("newrig") }, "Start here: New rig"),
    h("p", {}, "It leads from a camera, or from a video alone, to an engine that knows your mouse and a rig that runs."),
    h("p", { class: "muted" }, "A rig's file that is there already: rtface run RIG.yaml. A simulated mouse to look around with: rtface demo. Both are seen here by themselves."),
  );
}
