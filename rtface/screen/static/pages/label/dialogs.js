// Questions of the label page: a keypoint's name, who labels, files, what two people agree on.

import { closing, openDialog } from "../../lib/dialog.js";
import { fill, h } from "../../lib/dom.js";

/** @typedef {import("../../lib/app.js").App} App */

/**
 * Ask for a line of text.
 * @param {string} title @param {string} label @param {string} value @param {string} does
 * @returns {Promise<string | null>} null where it was given up
 */
export function ask(title, label, value, does) {
  return new Promise((resolve) => {
    const input = h("input", { value, maxlength: "100", required: true });
    /** @type {string | null} */
    let answer = null;
    const form = h("form", { class: "col", method: "dialog", onsubmit: () => (answer = input.value.trim() || null) },
      h("label", { class: "field" }, label, input),
      h("div", { class: "row" }, h("button", { class: "button primary" }, does),
        h("button", { class: "button", type: "button", onclick: () => made.close() }, "Cancel")));
    const made = openDialog(title, [form], { closed: () => resolve(answer), focus: input });
    input.select();
  });
}

/** @param {App} app @param {any} found @param {import("./editor.js").Editor} editor @param {(frame: string, point: string) => void} go */
export function showAgreement(app, found, editor, go) {
  /** @param {string} id */
  const name = (id) => editor.points.find((each) => each.id === id)?.name ?? id;
  /** @param {string} id */
  const frame = (id) => {
    const each = editor.frames.find((one) => one.id === id);
    return each ? (each.name.startsWith(each.video) ? each.name : `${each.video} ${each.name}`) : id;
  };
  /** @param {number | null} px */
  const number = (px) => (px === null ? "–" : px.toFixed(2));
  const both = found.points.reduce((/** @type {number} */ sum, /** @type {any} */ each) => sum + each.both, 0);
  if (!both && !found.pairs.length) {
    openDialog("Agreement", [h("p", { class: "empty" }, "No point has labels of both passes yet. Choose Second pass, let another person label some of the frames, and come back."), closing()]);
    return;
  }
  const made = openDialog("Agreement of the two passes, in pixels", [
    h("div", { class: "scroll tall" },
      h("table", { class: "table" },
        h("thead", {}, h("tr", {}, ["Keypoint", "Frames", "Median", "90 %", "Worst", "Hidden by one"].map((each, at) => h("th", { class: at ? "num" : "" }, each)))),
        h("tbody", {}, found.points.map((/** @type {any} */ each) => h("tr", {}, h("td", {}, name(each.point)),
          [each.both, number(each.median), number(each.p90), number(each.worst), each.hidden_by_one].map((value) => h("td", { class: "num" }, value)))))),
      h("h3", {}, "Furthest apart"),
      h("ul", { class: "plain-list" }, found.pairs.slice(0, 40).map((/** @type {any} */ each) => h("li", {}, h("button", { class: "button small", onclick: () => {
        made.close();
        go(each.frame, each.point);
      } }, `${each.px === null ? "hidden by one" : `${each.px.toFixed(1)} px`}: ${name(each.point)}, ${frame(each.frame)}`))))),
    closing(),
  ]);
}

/** @param {App} app @param {import("./store.js").LabelStore} store @param {boolean} h5 */
export function showFiles(app, store, h5) {
  const scorer = h("input", { value: localStorage.getItem("scorer") ?? "rtface", maxlength: "60" });
  const said = h("p", { class: "small", role: "status" });
  /** @param {string} path @param {any} more @param {(found: any) => string} words */
  const run = async (path, more, words) => {
    try {
      const found = await app.post(`/api/label/${path}`, { set: store.set, who: store.who, ...more });
      fill(said, words(found));
    } catch (error) {
      fill(said, h("span", { class: "wrong" }, /** @type {Error} */ (error).message));
    }
  };
  /** @param {any} found */
  const written = (found) => `${found.labels} labels on ${found.frames} frames; ${found.files.length ? `new: ${found.files.slice(0, 3).join(", ")}${found.files.length > 3 ? ` and ${found.files.length - 3} more` : ""}` : "all was as it is"}. ${found.note}`;
  openDialog("Files", [
    h("div", { class: "col" },
      h("p", {}, h("code", {}, `${store.set}/labels.csv`), " is written by itself a few seconds after the last act. rtface learn reads it as it is."),
      store.changedOutside ? h("p", { class: "careful" }, "It was changed outside this page since, and is not written over. Take in what differs: each change is an act in the journal, and can be undone.") : null,
      h("div", { class: "row" },
        h("button", { class: "button", onclick: () => run("write", {}, written) }, "Write labels.csv now"),
        store.changedOutside ? h("button", { class: "button primary", onclick: () => run("take", {}, (found) => `${found.changed} labels were taken in.`) }, "Take its labels in") : null),
      h("p", {}, "For DeepLabCut and napari: images and CollectedData, ", h5 ? "csv and h5" : "csv (h5 needs the extra lab)", ", in ", h("code", {}, `${store.set}/labels-for-deeplabcut`), "."),
      h("div", { class: "row" }, h("label", { class: "field" }, "Scorer", scorer),
        h("button", { class: "button", onclick: () => {
          localStorage.setItem("scorer", scorer.value);
          run("deeplabcut", { scorer: scorer.value }, written);
        } }, "Write for DeepLabCut")),
      store.notes.length ? h("div", {}, h("h3", {}, "What crashes left in the journal"), h("ul", {}, store.notes.map((note) => h("li", { class: "small" }, note)))) : null,
      said,
    ),
    closing(),
  ]);
}

/** A crop as it is written. @param {any} crop @returns {string} */
function cropText(crop) {
  return crop ? `${crop.x},${crop.y},${crop.width},${crop.height}${crop.mirrored ? ",mirrored" : ""}` : "auto";
}

/**
 * @param {App} app @param {import("./store.js").LabelStore} store @param {any} about
 * @param {{engine: string, crop?: any}} guesses those that there are @param {(job: any) => void} begun
 */
export function showGuessing(app, store, about, guesses, begun) {
  const engine = h("select", {}, ["default", ...about.engines.map((/** @type {any} */ each) => each.engine)].map((each) => h("option", { value: each }, each)));
  const known = about.drawn ?? guesses.crop ?? about.face;
  const from = about.drawn ? `: that of ${about.drawn.rig}` : guesses.crop ? ": that of the last guesses" : about.face ? ": that with which the frames were chosen" : " (auto finds it, which takes a minute)";
  const crop = h("input", { value: cropText(known), placeholder: "auto, X,Y,WIDTH,HEIGHT, or nothing" });
  const made = openDialog("Guesses of a network", [
    h("div", { class: "col" },
      h("p", {}, "It finds the keypoints of all frames. What it finds is shown hollow and is no label until you confirm it (f) or place it."),
      h("label", { class: "field" }, "Network", engine),
      h("label", { class: "field" }, `Crop of the face${from}`, crop),
      h("div", { class: "row" }, h("button", { class: "button primary", onclick: async () => {
        try {
          begun((await app.post("/api/label/guess", { set: store.set, engine: engine.value, crop: crop.value.trim() })).job);
          made.close();
        } catch (error) {
          app.say(/** @type {Error} */ (error).message, "bad");
        }
      } }, "Guess"), h("button", { class: "button", onclick: () => made.close() }, "Cancel"))),
  ]);
}
