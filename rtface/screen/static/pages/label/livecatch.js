// Frames of the live picture, caught by key.

import { h, say } from "../../lib/dom.js";

/** @typedef {import("../../lib/app.js").App} App */

export class LiveCatch {
  /** @param {App} app @param {import("./store.js").LabelStore} store @param {(frame: string) => void} caught */
  constructor(app, store, caught) {
    this.app = app;
    this.store = store;
    this.caught = caught;
    /** @type {any} */
    this.picture = null;
    this.canvas = h("canvas", { class: "live-small", width: "240", height: "160", role: "img", "aria-label": "The live picture" });
    this.note = h("p", { class: "small muted" }, "Waits for a picture of the rig.");
    this.button = h("button", { class: "button small", disabled: true, onclick: () => this.take() }, "Catch (k)");
    this.element = h("div", { class: "col live-catch", hidden: true }, this.canvas, h("div", { class: "row" }, this.button), this.note);
    /** @type {(() => void) | null} */
    this.off = null;
  }

  get on() {
    return this.off !== null;
  }

  /** Show the live picture, or no more. */
  toggle() {
    if (this.off) {
      this.close();
      return;
    }
    this.element.hidden = false;
    const unwant = this.app.socket.want({ [this.app.rig.id]: "frame" });
    const off = this.app.on("picture", (data, rig) => this.show(data, rig));
    this.off = () => {
      off();
      unwant();
    };
  }

  close() {
    if (!this.off) return;
    this.off();
    this.off = null;
    this.picture = null;
    this.button.disabled = true;
    this.element.hidden = true;
  }

  /** @param {any} data @param {string} rig */
  async show(data, rig) {
    try {
      if (rig !== this.app.rig.id) return;
      const image = await createImageBitmap(data.jpeg);
      if (!this.on) {
        image.close();
        return;
      }
      this.picture = data;
      const context = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext("2d"));
      this.canvas.height = Math.round((this.canvas.width * image.height) / image.width);
      context.drawImage(image, 0, 0, this.canvas.width, this.canvas.height);
      image.close();
      this.button.disabled = this.app.readOnly;
      say(this.note, `frame ${data.frame_id}, ${data.width}×${data.height} of ${data.frame.width}×${data.frame.height} pixels`);
    } catch (error) {
      say(this.note, `A picture could not be shown: ${/** @type {Error} */ (error).message}`);
    } finally {
      this.app.socket.shown();
    }
  }

  /** Take the picture that is shown into the set. */
  async take() {
    const data = this.picture;
    if (!data || this.app.readOnly) {
      this.app.say("No live picture is shown: choose Live picture first.", "warn");
      return;
    }
    try {
      const news = await this.app.post("/api/label/catch", {
        set: this.store.set, who: this.store.who, n: this.store.n, picture: await base64(data.jpeg), rig: this.app.rig.name,
        session: data.session ?? "", frame_id: data.frame_id, width: data.frame.width, height: data.frame.height,
      });
      this.store.take(news, []);
      this.app.say(`Frame ${data.frame_id} is stored ${news.stored}.`);
      this.caught(news.frame);
    } catch (error) {
      this.app.say(/** @type {Error} */ (error).message, "bad");
    }
  }
}

/** @param {Blob} blob @returns {Promise<string>} */
async function base64(blob) {
  const bytes = new Uint8Array(await blob.arrayBuffer());
  let text = "";
  for (let at = 0; at < bytes.length; at += 0x8000) text += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  return btoa(text);
}
