// Labelling: which frame and which keypoint is in hand, and what becomes of a click, a drag and a key.

import { Images } from "./images.js";
import { Progress } from "./progress.js";

/** @typedef {import("./store.js").LabelStore} LabelStore */
/** @typedef {import("./store.js").Frame} Frame */
/** @typedef {import("./store.js").Point} Point */
/** @typedef {{x: number, y: number, from: "guess" | "copy", score: number}} Proposal */

const AHEAD = 3;
const LEAST_SCORE = 0.15;
const ALL_DONE = "Every frame is complete.";

export class Editor {
  /** @param {LabelStore} store @param {boolean} readOnly */
  constructor(store, readOnly) {
    this.store = store;
    this.readOnly = readOnly;
    this.images = new Images(store.set);
    /** @type {Frame[]} */
    this.frames = [];
    /** @type {Point[]} */
    this.points = [];
    /** @type {string | null} */
    this.frame = null;
    /** @type {string | null} */
    this.point = null;
    this.pass = "first";
    this.through = false;
    this.guessing = true;
    this.copying = false;
    /** @type {string | null} where an undo was asked for, or has led to */
    this.turnedAt = null;
    this.compare = false;
    /** @type {{engine: string, crop?: any, points: Record<string, Record<string, [number, number, number]>>}} */
    this.guesses = { engine: "", points: {} };
    /** @type {{frame: string, point: string, why: string, px: number}[]} */
    this.doubts = [];
    this.doubt = -1;
    /** @type {(what: "frame" | "point" | "state") => void} */
    this.onchange = () => {};
    /** @type {(text: string) => void} */
    this.onsay = () => {};
    this.refresh();
    this.progress = new Progress(this);
    this.progress.update([]);
  }

  /** Take note of other frames and keypoints. */
  refresh() {
    this.frames = this.store.frames;
    this.points = this.store.points;
    if (!this.frames.some(({ id }) => id === this.frame)) this.frame = this.frames[0]?.id ?? null;
    if (this.point && !this.points.some(({ id }) => id === this.point)) this.point = null;
  }

  /** @returns {Frame | undefined} */
  get shown() {
    return this.frames.find(({ id }) => id === this.frame);
  }

  get frameIndex() {
    return this.frames.findIndex(({ id }) => id === this.frame);
  }

  /** @param {string} point */
  indexOf(point) {
    return this.points.findIndex(({ id }) => id === point);
  }

  /** @param {string} point @param {string} [frame] */
  label(point, frame = this.frame ?? "") {
    return this.store.label(this.pass, frame, point);
  }

  /** What is offered for a keypoint that has no label: shown hollow, and no label until it is confirmed. @param {string} point @returns {Proposal | null} */
  proposal(point) {
    if (!this.frame || this.label(point)) return null;
    if (this.copying) {
      const before = this.before(point);
      if (before) return { ...before, from: "copy", score: 1 };
    }
    const found = this.guessing && this.pass === "first" ? this.guesses.points[this.frame]?.[point] : undefined;
    return found && found[2] >= LEAST_SCORE ? { x: found[0], y: found[1], from: "guess", score: found[2] } : null;
  }

  /** Where a keypoint is on the nearest frame before this one that has it, if it lies in this frame. @param {string} point */
  before(point) {
    const here = this.shown;
    for (let at = this.frameIndex - 1; at >= 0 && here; at--) {
      const label = this.label(point, this.frames[at].id);
      if (label && "x" in label) return label.x <= here.width - 0.5 && label.y <= here.height - 0.5 ? { x: label.x, y: label.y } : null;
    }
    return null;
  }

  /** Where a keypoint is, or is likely to be. @param {string} point @returns {[number, number] | null} */
  place(point) {
    const label = this.label(point);
    if (label && "x" in label) return [label.x, label.y];
    const near = this.proposal(point) ?? this.before(point);
    return near ? [near.x, near.y] : null;
  }

  /** How many keypoints of a frame have a label or are hidden. @param {string} frame */
  seen(frame) {
    const seen = this.progress.seen.get(frame);
    return seen ? seen.size - (seen.has("out") ? 1 : 0) : 0;
  }

  /** @param {string} frame */
  complete(frame) {
    return this.store.skipped(frame) || this.seen(frame) === this.points.length;
  }

  /** @param {string | null} frame @param {string | null} [point] the keypoint; the first without a label where it is left out */
  go(frame, point) {
    if (!frame) return;
    const other = frame !== this.frame;
    this.frame = frame;
    if (point !== undefined) this.point = point;
    else if (!this.through || !this.point) this.point = this.nextEmpty(-1);
    this.onchange(other ? "frame" : "point");
    this.preload();
  }

  preload() {
    const at = this.frameIndex;
    for (let step = 1; step <= AHEAD; step++) {
      const next = this.frames[at + step];
      if (next) this.images.get(next.id).catch(() => {});
    }
    const last = this.frames[at - 1];
    if (last) this.images.get(last.id).catch(() => {});
  }

  /** @param {number} by */
  step(by) {
    const to = this.frames[this.frameIndex + by];
    if (to) this.go(to.id);
    else this.onsay(by > 0 ? "This is the last frame." : "This is the first frame.");
  }

  /** @param {string | null} point */
  choose(point) {
    this.point = point;
    this.onchange("point");
  }

  /** @param {number} by */
  stepPoint(by) {
    const count = this.points.length;
    if (count) this.choose(this.points[(this.indexOf(this.point ?? "") + by + count + (this.point ? 0 : by < 0 ? 1 : 0)) % count].id);
  }

  /** The next keypoint of the frame without a label, behind the index-th and then from the first. @param {number} index @returns {string | null} */
  nextEmpty(index) {
    const order = [...this.points.slice(index + 1), ...this.points.slice(0, index + 1)];
    return order.find(({ id }) => !this.label(id))?.id ?? null;
  }

  /** Go to the next frame that is not complete, and begin again at the first one in the end. @param {number} [from] where to begin */
  nextUnlabelled(from = this.frameIndex + 1) {
    const order = [...this.frames.slice(from), ...this.frames.slice(0, from)];
    const next = order.find(({ id }) => !this.complete(id));
    if (next) this.go(next.id, this.points.find(({ id }) => !this.label(id, next.id))?.id ?? null);
    else this.onsay(ALL_DONE);
  }

  /** Go to the next doubtful label; the list comes from the server. @param {() => Promise<{doubts: any[]}>} ask */
  async nextDoubt(ask) {
    if (this.doubt + 1 >= this.doubts.length) {
      this.doubts = (await ask()).doubts;
      this.doubt = -1;
    }
    const found = this.doubts[++this.doubt];
    if (!found) {
      this.onsay("No label looks doubtful.");
      return;
    }
    const why = {
      guess: `${found.px.toFixed(1)} px from what the network finds`,
      shape: `${found.px.toFixed(1)} px from where the other points would have it`,
      same: "on top of another point",
    }[found.why];
    this.go(found.frame, found.point);
    this.onsay(`Doubtful ${this.doubt + 1} of ${this.doubts.length}: ${why}.`);
  }

  /** @param {string} does @param {string} point @param {any} value */
  put(does, point, value) {
    if (!this.frame || this.readOnly) return;
    this.store.act(does, [[["label", this.pass, this.frame, point], value]]);
  }

  /**
   * Place the keypoint in hand; a new label brings the next one into hand.
   * @param {number} x @param {number} y @param {string} [from] @param {string} [does]
   */
  placeAt(x, y, from = "hand", does) {
    const point = this.point;
    if (!point || this.readOnly) return;
    const before = this.label(point);
    const engine = from === "guess" ? { engine: this.guesses.engine } : {};
    this.put(does ?? (before && "x" in before ? "move" : "place"), point, { x: rounded(x), y: rounded(y), from, ...engine });
    if (!before) this.advance(point);
  }

  /** Move a label, and stay with it. @param {string} point @param {number} x @param {number} y */
  move(point, x, y) {
    this.put("move", point, { x: rounded(x), y: rounded(y), from: "hand" });
  }

  /** Bring the next keypoint into hand, or the same one on the next frame. @param {string} point */
  advance(point) {
    if (this.through) {
      const at = this.frameIndex;
      const next = this.frames.slice(at + 1).find(({ id }) => !this.store.skipped(id) && !this.label(point, id));
      if (next) this.go(next.id, point);
      else this.onsay("This keypoint has a label on every later frame.");
      return;
    }
    this.choose(this.nextEmpty(this.indexOf(point)));
    if (!this.point) this.onsay(this.frames.every(({ id }) => this.complete(id)) ? ALL_DONE : "This frame is complete: d for the next.");
  }

  /**
   * Make what is offered for the keypoint in hand a label. Where nothing is, the next keypoint of which something is offered
   * comes into hand, to be looked at before it is confirmed; and from a frame that is complete the next one comes.
   */
  confirm() {
    const offered = this.point ? this.proposal(this.point) : null;
    if (offered) return this.placeAt(offered.x, offered.y, offered.from, "confirm");
    const from = this.indexOf(this.point ?? "") + 1;
    const next = [...this.points.slice(from), ...this.points.slice(0, from)].find(({ id }) => this.proposal(id));
    if (next) {
      this.choose(next.id);
      this.onsay(`Is ${next.name} here? f makes it a label.`);
    } else if (this.frame && this.complete(this.frame)) this.nextUnlabelled();
    else this.onsay("Nothing more is offered on this frame: place the rest, or d for the next frame.");
  }

  /** Take the label of the frame before over. */
  copy() {
    const before = this.point ? this.before(this.point) : null;
    if (before) this.placeAt(before.x, before.y, "copy", "copy");
    else this.onsay("No frame before this one has a label of this keypoint.");
  }

  /**
   * Take all of the frame before over into what this frame has no label of: places and what is hidden. One act: one undo takes
   * it back.
   */
  copyAll() {
    const here = this.shown;
    const last = this.frames[this.frameIndex - 1];
    if (!here || this.readOnly) return;
    if (!last) return this.onsay("This is the first frame: there is none before it.");
    /** @type {[string[], any][]} */
    const changes = [];
    for (const { id } of this.points) {
      const label = this.label(id, last.id);
      if (!label || this.label(id)) continue;
      const key = ["label", this.pass, here.id, id];
      if ("hidden" in label) changes.push([key, { hidden: true }]);
      else if (label.x <= here.width - 0.5 && label.y <= here.height - 0.5) changes.push([key, { x: label.x, y: label.y, from: "copy" }]);
    }
    if (!changes.length) return this.onsay("The frame before has nothing that this one lacks.");
    this.store.act("copy", changes);
    this.choose(this.nextEmpty(-1));
    this.onsay(`${changes.length} points copied from ${last.name}: drag what moved. z takes them back.`);
  }

  /** Place the keypoint in hand without a mouse, where it is likely to be, and keep it in hand for the arrows. */
  placeLikely() {
    const here = this.shown;
    if (!this.point || !here || this.label(this.point)) return;
    const [x, y] = this.place(this.point) ?? [here.width / 2 - 0.5, here.height / 2 - 0.5];
    this.put("place", this.point, { x: rounded(x), y: rounded(y), from: "hand" });
    this.onsay("Placed: the arrows move it.");
  }

  hide() {
    if (!this.point) return;
    const point = this.point;
    const label = this.label(point);
    if (label && "hidden" in label) this.put("clear", point, null);
    else {
      this.put("hide", point, { hidden: true });
      this.advance(point);
    }
  }

  clear() {
    if (this.point && this.label(this.point)) this.put("clear", this.point, null);
  }

  /** @param {number} dx @param {number} dy in pixels of the frame */
  nudge(dx, dy) {
    const label = this.point ? this.label(this.point) : null;
    const here = this.shown;
    if (!this.point || !here || !label || !("x" in label)) return;
    const x = Math.min(here.width - 0.5, Math.max(-0.5, label.x + dx));
    const y = Math.min(here.height - 0.5, Math.max(-0.5, label.y + dy));
    this.move(this.point, x, y);
  }

  skip() {
    if (!this.frame || this.readOnly) return;
    const out = this.store.skipped(this.frame);
    this.store.act(out ? "keep" : "skip", [[["skip", this.frame], out ? null : true]]);
    this.onsay(out ? "This frame counts again." : "This frame is left out.");
  }

  /** @param {"undo" | "redo"} does */
  turn(does) {
    if (this.readOnly) return;
    this.turnedAt = this.frame;
    this.store.turn(does);
  }

  /** Go where an undone or redone act was, unless the frame was left meanwhile. @param {string[][]} keys */
  follow(keys) {
    if (this.frame !== this.turnedAt) return;
    const key = keys?.find(([kind]) => kind === "label" || kind === "skip");
    if (!key) return;
    const frame = key[0] === "label" ? key[2] : key[1];
    if (key[0] === "label") this.pass = key[1];
    if (!this.frames.some(({ id }) => id === frame)) return;
    this.turnedAt = frame;
    this.go(frame, key[0] === "label" ? key[3] : this.point);
  }
}

/** @param {number} value */
function rounded(value) {
  return Math.round(value * 100) / 100;
}
