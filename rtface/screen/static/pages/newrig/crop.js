// The second step: the face is drawn with the mouse, typed in numbers, or found.

import { DOUBTFUL, DRAW_IT, LEAST, typed } from "../../lib/crops.js";
import { fill, h, say } from "../../lib/dom.js";
import { ask, changeRig, failureWords, isPutAway, jobBox, over } from "../../lib/jobs.js";
import { drawBox, drawPicture, loaded } from "./pictures.js";

const GRIP = 14;

/** @typedef {import("../../lib/crops.js").Crop} Box */

/** @param {import("../newrig.js").Here} here */
export async function cropStep(here) {
  const { app, rig, step, place, again, next, scope } = here;
  const pictures = rig.steps.find((each) => each.step === "camera")?.result?.pictures ?? [];
  if (!pictures.length) {
    fill(place, h("p", { class: "empty" }, "Look at the camera first: the step before this one."));
    return;
  }
  const canvas = h("canvas", { class: "cropper", tabindex: "0", role: "img", "aria-label": "The picture with the crop; draw it with the mouse, or type the numbers below" });
  const finding = h("div", {});
  const scores = h("p", { class: "muted small", role: "status" });
  const size = { width: pictures[0].width, height: pictures[0].height };
  /** @type {Box} */
  let box = rig.crop ? { ...rig.crop } : { x: 0, y: 0, ...size, mirrored: false };
  let scale = 1;
  const number = (/** @type {"x" | "y" | "width" | "height"} */ name, /** @type {string} */ label) => {
    const input = h("input", { type: "number", class: "number", min: name === "x" || name === "y" ? "0" : String(LEAST), value: box[name], onchange: () => {
      const { crop, note } = typed(box, name, input.value, size);
      box = crop;
      say(scores, note);
      renew();
    } });
    return { name, input, field: h("label", { class: "field" }, label, input) };
  };
  const numbers = [number("x", "left"), number("y", "top"), number("width", "width"), number("height", "height")];
  const mirrored = h("input", { type: "checkbox", onchange: () => (box.mirrored = mirrored.checked) });
  mirrored.checked = box.mirrored;
  canvas.style.maxWidth = `${Math.round((0.5 * innerHeight * size.width) / size.height)}px`;
  const image = await loaded(pictures[Math.floor(pictures.length / 2)].picture);
  if (scope.over) return;
  if (!image) {
    fill(place, h("p", { class: "empty" }, "The picture that was looked at is gone: look at the camera again, the step before this one."));
    return;
  }

  const renew = () => {
    box.width = Math.min(Math.max(LEAST, box.width), size.width);
    box.height = Math.min(Math.max(LEAST, box.height), size.height);
    box.x = Math.min(Math.max(0, box.x), size.width - box.width);
    box.y = Math.min(Math.max(0, box.y), size.height - box.height);
    for (const { name, input } of numbers) input.value = String(box[name]);
    scale = drawPicture(canvas, image);
    drawBox(canvas, scale, box);
  };
  drag(canvas, () => box, (changed) => {
    box = { ...box, ...changed };
    renew();
  }, () => scale / devicePixelRatio, size);
  const save = async (/** @type {string} */ value) => {
    if (await changeRig(app, "/api/newrig/set", { rig: rig.rig, settings: { crop: value } })) await again();
  };
  const find = async () => {
    const answer = await ask(app, "/api/newrig/find", { rig: rig.rig });
    if (answer) watch(answer.job);
  };
  /** @param {any} job */
  const watch = (job) => {
    step.job = job;
    fill(finding, jobBox(app, job, scope, {
      done: (told) => {
        if (told.result?.crop && ["done", "failed"].includes(told.job.state)) take(told.result);
        else if (told.job.state === "failed") say(scores, DRAW_IT);
      },
    }));
  };
  /** @param {any} found */
  const take = (found) => {
    box = { ...found.crop };
    mirrored.checked = box.mirrored;
    const sure = `a confidence of ${found.confidence.toFixed(2)}, 0.45 is sure`;
    scores.className = found.doubtful ? "careful" : "muted small";
    scores.textContent = found.doubtful ? `${DOUBTFUL} (${sure}). Nothing is written: take this crop if it is the face, or draw it.` : `Found with ${sure}. Look at it before you trust it.`;
    fill(finding);
    renew();
  };
  const asText = () => `{x: ${box.x}, y: ${box.y}, width: ${box.width}, height: ${box.height}${box.mirrored ? ", mirrored: true" : ""}}`;
  const disabled = app.readOnly;
  fill(
    place,
    h("p", { class: "muted" }, "The face should fill the crop, as in the frames that the engine learnt from: eye, nose and whisker pad with a little room around."),
    canvas,
    h("div", { class: "row" }, numbers.map(({ field }) => field), h("label", { class: "row small" }, mirrored, "mirrored: the mouse looks right")),
    scores,
    finding,
    h(
      "div",
      { class: "row" },
      h("button", { class: "button primary", disabled, onclick: () => save(asText()) }, "Take this crop"),
      h("button", { class: "button", disabled, onclick: find }, "Find the face"),
      h("button", { class: "button", disabled, onclick: () => save("") }, "Take the whole frame"),
      h("button", { class: "button", onclick: next }, "Next: the engine"),
    ),
  );
  renew();
  if (step.job && !over(step.job)) watch(step.job);
  else if (step.result && !rig.crop) take(step.result);
  else if (step.job?.state === "failed" && !rig.crop) {
    if (!isPutAway(step.job)) fill(finding, failureWords(step.job, step.job.reason));
    say(scores, DRAW_IT);
  }
  let wide = canvas.clientWidth;
  const sized = new ResizeObserver(() => {
    if (canvas.clientWidth !== wide) renew();
    wide = canvas.clientWidth;
  });
  sized.observe(/** @type {Element} */ (canvas.parentElement));
  scope.keep(() => sized.disconnect());
}

/**
 * Draw, move and stretch a box on a canvas; pointers of all kinds.
 * @param {HTMLCanvasElement} canvas @param {() => Box} now @param {(changed: Partial<Box>) => void} change @param {() => number} scale
 * @param {{width: number, height: number}} frame what a corner that is pulled stays in: the corner across does not move
 */
function drag(canvas, now, change, scale, frame) {
  /** @type {((x: number, y: number) => void) | null} */
  let moves = null;
  const at = (/** @type {PointerEvent} */ event) => {
    const place = canvas.getBoundingClientRect();
    return [(event.clientX - place.left) / scale(), (event.clientY - place.top) / scale()];
  };
  canvas.addEventListener("pointerdown", (event) => {
    const [x, y] = at(event);
    const box = { ...now() };
    const grip = GRIP / scale();
    const corner = [[box.x, box.y], [box.x + box.width, box.y], [box.x, box.y + box.height], [box.x + box.width, box.y + box.height]].findIndex(
      ([cx, cy]) => Math.hypot(cx - x, cy - y) < grip,
    );
    const inside = x > box.x && x < box.x + box.width && y > box.y && y < box.y + box.height;
    const whole = box.x === 0 && box.y === 0 && box.width * scale() >= canvas.clientWidth - 2;
    if (corner < 0 && inside && !whole) moves = (to, down) => change({ x: Math.round(box.x + to - x), y: Math.round(box.y + down - y) });
    else {
      const fixed = corner < 0 ? [x, y] : [corner % 2 ? box.x : box.x + box.width, corner > 1 ? box.y : box.y + box.height];
      moves = (to, down) => {
        const [right, low] = [Math.min(Math.max(0, to), frame.width), Math.min(Math.max(0, down), frame.height)];
        change({
          x: Math.round(Math.min(fixed[0], right)),
          y: Math.round(Math.min(fixed[1], low)),
          width: Math.round(Math.abs(right - fixed[0])),
          height: Math.round(Math.abs(low - fixed[1])),
        });
      };
    }
    canvas.setPointerCapture(event.pointerId);
    event.preventDefault();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (moves) moves(...(/** @type {[number, number]} */ (at(event))));
  });
  for (const kind of ["pointerup", "pointercancel"]) canvas.addEventListener(kind, () => (moves = null));
  canvas.addEventListener("keydown", (event) => {
    const box = now();
    const step = event.ctrlKey ? 10 : 1;
    const [dx, dy] = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[event.key] ?? [0, 0];
    if (!dx && !dy) return;
    event.preventDefault();
    const [width, height] = [Math.min(box.width + dx, frame.width - box.x), Math.min(box.height + dy, frame.height - box.y)];
    change(event.shiftKey ? { width, height } : { x: box.x + dx, y: box.y + dy });
  });
}
