// The keys of the workbench: the left hand chooses and decides, the right one points. None changes what another means.

/** @typedef {import("../../lib/keys.js").Binding} Binding */

/** @param {any} bench the workbench @returns {Record<string, Binding>} */
export function keysOf(bench) {
  const { editor, view } = bench;
  /** @param {string} does @param {(event: KeyboardEvent) => void} run @returns {Binding} */
  const key = (does, run) => ({ does, run });
  /** @param {number} dx @param {number} dy */
  const nudge = (dx, dy) => key("move the keypoint by half a pixel; with Shift by five", (event) => {
    const by = event.shiftKey ? 5 : 0.5;
    editor.nudge(dx * by, dy * by);
  });
  /** @type {Record<string, Binding>} */
  const found = {
    d: key("next frame", () => editor.step(1)),
    a: key("frame before", () => editor.step(-1)),
    s: key("next keypoint", () => editor.stepPoint(1)),
    w: key("keypoint before", () => editor.stepPoint(-1)),
    e: key("next without a label", () => editor.nextUnlabelled()),
    r: key("next doubtful label", () => bench.doubtful()),
    f: key("confirm what is shown hollow, and go on to the next", () => editor.confirm()),
    p: key("place the keypoint where it is likely, for the arrows to move", () => editor.placeLikely()),
    q: key("the keypoint is hidden", () => editor.hide()),
    x: key("clear the label", () => editor.clear()),
    c: key("copy the label of the frame before", () => editor.copy()),
    j: key("copy all points of the frame before, the hidden ones too", () => editor.copyAll()),
    t: key("leave the frame out, or take it back", () => editor.skip()),
    z: key("undo", () => editor.turn("undo")),
    y: key("redo", () => editor.turn("redo")),
    "Ctrl+z": key("undo", () => editor.turn("undo")),
    "Ctrl+y": key("redo", () => editor.turn("redo")),
    "Ctrl+Z": key("redo", () => editor.turn("redo")),
    g: key("zoom to the keypoint, and on to the next", () => view.follow()),
    h: key("show all of the frame, or the face alone", () => {
      view.following = false;
      view.stage.wholeOrFace();
    }),
    "+": key("zoom in", () => view.stage.zoom(1.25)),
    "-": key("zoom out", () => view.stage.zoom(0.8)),
    n: key("show all names", () => {
      view.names = !view.names;
      view.stage.draw();
    }),
    b: key("one keypoint through all frames, or frame by frame", () => bench.toggle("through")),
    u: key("show a network's guesses", () => bench.toggle("guessing")),
    v: key("offer the labels of the frame before", () => bench.toggle("copying")),
    l: key("show the live picture", () => bench.catch.toggle()),
    k: key("catch the live picture", () => bench.catch.take()),
    Delete: key("clear the label", () => editor.clear()),
    ArrowLeft: nudge(-1, 0),
    ArrowRight: nudge(1, 0),
    ArrowUp: nudge(0, -1),
    ArrowDown: nudge(0, 1),
  };
  for (let digit = 1; digit <= 9; digit++) {
    found[String(digit)] = key(`keypoint ${digit}`, () => editor.points[digit - 1] && editor.choose(editor.points[digit - 1].id));
  }
  return found;
}
