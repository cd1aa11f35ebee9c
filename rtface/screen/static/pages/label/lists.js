// The frames and the keypoints as lists, with how far each is.

import { fill, h, say } from "../../lib/dom.js";
import { swatch } from "../../lib/marks.js";

export class FrameList {
  /** @param {import("./editor.js").Editor} editor */
  constructor(editor) {
    this.editor = editor;
    this.element = h("div", { class: "frame-list" });
    /** @type {Map<string, {row: HTMLElement, count: HTMLElement, bar: HTMLElement}>} */
    this.rows = new Map();
    this.marked = "";
  }

  /** @param {string[]} keys what may have changed; all for none */
  update(keys) {
    const { editor } = this;
    const ids = editor.frames.map(({ id }) => id);
    const same = ids.length === this.rows.size && ids.every((id) => this.rows.has(id));
    if (!same) this.build();
    const touched = keys.length && same && !keys.some((key) => key.startsWith("name/"))
      ? new Set(keys.map((key) => key.split("/")[key.startsWith("label/") ? 2 : 1])) : new Set(ids);
    for (const id of touched) this.renew(id);
    this.mark();
  }

  build() {
    this.rows.clear();
    let video = "";
    /** @type {Node[]} */
    const shown = [];
    for (const frame of this.editor.frames) {
      if (frame.video !== video) shown.push(h("div", { class: "video small muted" }, (video = frame.video)));
      const bar = h("span", { class: "fill" });
      const count = h("span", { class: "count" });
      const row = h("button", { class: "frame", tabindex: "-1", title: `${frame.video} ${frame.name}`, onclick: () => this.editor.go(frame.id) },
        h("span", { class: "name" }, shortName(frame)), count, h("span", { class: "bar" }, bar));
      this.rows.set(frame.id, { row, count, bar });
      shown.push(row);
    }
    fill(this.element, shown.length ? shown : h("p", { class: "empty small" }, "No frame yet."));
  }

  /** @param {string} id */
  renew(id) {
    const found = this.rows.get(id);
    if (!found) return;
    const { editor } = this;
    const seen = editor.seen(id);
    const out = editor.store.skipped(id);
    say(found.count, out ? "out" : seen === editor.points.length && seen ? "✓" : seen ? `${seen}/${editor.points.length}` : "");
    found.bar.style.width = `${editor.points.length ? (100 * seen) / editor.points.length : 0}%`;
    found.row.classList.toggle("out", out);
    found.row.classList.toggle("whole", !out && seen > 0 && seen === editor.points.length);
  }

  /** Mark the frame in hand. */
  mark() {
    const id = this.editor.frame ?? "";
    const row = this.rows.get(id)?.row;
    if (id === this.marked && row?.hasAttribute("aria-current")) return;
    const before = this.rows.get(this.marked)?.row;
    before?.removeAttribute("aria-current");
    before?.setAttribute("tabindex", "-1");
    row?.setAttribute("aria-current", "true");
    row?.setAttribute("tabindex", "0");
    row?.scrollIntoView({ block: "nearest" });
    this.marked = id;
  }
}

export class PointList {
  /** @param {import("./editor.js").Editor} editor @param {{rename: (point: string) => void, add: () => void, retire: (point: string) => void}} does */
  constructor(editor, does) {
    this.editor = editor;
    this.does = does;
    this.list = h("div", { class: "point-list" });
    this.element = h("div", { class: "points col" }, this.list,
      editor.readOnly ? null : h("button", { class: "button small", onclick: does.add }, "Add a keypoint"));
    this.names = "";
    /** @type {Map<string, {row: HTMLElement, choose: HTMLElement, state: HTMLElement, bar: HTMLElement}>} */
    this.rows = new Map();
  }

  update() {
    const { editor } = this;
    const names = JSON.stringify(editor.points);
    if (names !== this.names) {
      this.names = names;
      this.build();
    }
    const { counted } = editor.progress;
    for (const { id } of editor.points) {
      const found = this.rows.get(id);
      if (!found) continue;
      const chosen = editor.point === id;
      found.choose.setAttribute("aria-pressed", String(chosen));
      if (chosen && !found.row.classList.contains("chosen")) found.row.scrollIntoView({ block: "nearest" });
      found.row.classList.toggle("chosen", chosen);
      say(found.state, this.stateOf(id));
      const seen = editor.progress.frames.get(id) ?? 0;
      found.bar.style.width = `${counted ? (100 * seen) / counted : 0}%`;
      found.row.title = `on ${seen} of ${counted} frames${this.author(id)}`;
    }
  }

  /** @param {string} point */
  stateOf(point) {
    const label = this.editor.frame ? this.editor.label(point) : null;
    if (label) return "hidden" in label ? "hidden" : "●";
    const offer = this.editor.proposal(point);
    return offer ? (offer.from === "copy" ? "○ before" : `○ ${Math.round(100 * offer.score)} %`) : "";
  }

  /** @param {string} point */
  author(point) {
    const { editor } = this;
    const label = editor.frame ? editor.label(point) : null;
    if (!label || !editor.frame) return "";
    const from = "hidden" in label ? "hidden" : { hand: "placed", guess: "a guess confirmed", copy: "copied", file: "from a file" }[label.from];
    return `; here ${from} by ${editor.store.author(editor.pass, editor.frame, point)}`;
  }

  build() {
    const { editor } = this;
    this.rows.clear();
    fill(this.list, editor.points.map(({ id, name }, index) => {
      const state = h("span", { class: "state" });
      const bar = h("span", { class: "fill" });
      const choose = h("button", { class: "choose", "aria-pressed": "false", onclick: () => editor.choose(id) },
        swatch(index), h("span", { class: "name" }, name), state, h("kbd", { "aria-hidden": "true" }, index < 9 ? String(index + 1) : ""));
      const row = h("div", { class: "point" }, choose,
        editor.readOnly ? null : h("button", { class: "more", title: `Rename ${name}`, "aria-label": `Rename ${name}`, onclick: () => this.does.rename(id) }, "✎"),
        editor.readOnly ? null : h("button", { class: "more", title: `Take ${name} out`, "aria-label": `Take ${name} out`, onclick: () => this.does.retire(id) }, "×"),
        h("span", { class: "bar" }, bar));
      this.rows.set(id, { row, choose, state, bar });
      return row;
    }));
  }
}

/** A frame's name without its ending, and without its recording's name before it. @param {import("./store.js").Frame} frame */
function shortName(frame) {
  const name = frame.name.split("/").at(-1)?.replace(/\.\w+$/, "") ?? frame.name;
  return name.startsWith(frame.video) ? name.slice(frame.video.length).replace(/^[_ -]+/, "") || name : name;
}
