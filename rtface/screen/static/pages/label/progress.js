// How much is labelled, by frame and by keypoint, counted anew only where something changed.

export class Progress {
  /** @param {import("./editor.js").Editor} editor */
  constructor(editor) {
    this.editor = editor;
    /** @type {Map<string, Set<string>>} the keypoints that have a label or are hidden, by frame */
    this.seen = new Map();
    /** @type {Map<string, number>} frames that count and have a keypoint, by keypoint */
    this.frames = new Map();
    this.counted = this.complete = this.points = 0;
  }

  /** Take note of what changed. @param {string[]} keys all for none */
  update(keys) {
    const all = !keys.length || keys.some((key) => key.startsWith("frame/") || key.startsWith("name/"));
    const touched = all ? this.editor.frames.map(({ id }) => id) : new Set(keys.map(frameOf));
    if (all) {
      this.seen.clear();
      this.frames.clear();
      this.counted = this.complete = this.points = 0;
    }
    for (const id of touched) {
      if (!id) continue;
      this.add(id, -1);
      this.seen.set(id, this.look(id));
      this.add(id, 1);
    }
  }

  /** @param {string} frame */
  look(frame) {
    const { editor } = this;
    const seen = new Set(editor.points.filter(({ id }) => editor.label(id, frame)).map(({ id }) => id));
    if (editor.store.skipped(frame)) seen.add("out");
    return seen;
  }

  /** @param {string} frame @param {number} by */
  add(frame, by) {
    const seen = this.seen.get(frame);
    if (!seen || seen.has("out")) return;
    this.counted += by;
    this.points += by * seen.size;
    if (seen.size === this.editor.points.length) this.complete += by;
    for (const point of seen) this.frames.set(point, (this.frames.get(point) ?? 0) + by);
  }
}

/** @param {string} key @returns {string} the frame that a key is about; empty for none */
function frameOf(key) {
  const parts = key.split("/");
  return parts[0] === "label" ? parts[2] : parts[0] === "skip" ? parts[1] : "";
}
