// A crop whose numbers are typed: the number that was typed stays, and what reaches over the frame because of it gives way.

/** @typedef {{x: number, y: number, width: number, height: number, mirrored: boolean}} Crop */

/** The least side of a crop, in pixels of the frame. */
export const LEAST = 16;

/** What to do where the face is not found. */
export const DRAW_IT = "Draw the rectangle on the picture, or type its numbers.";

/** What is said of a place that may be the face. */
export const DOUBTFUL = "Doubtful: this is the best place that was found, and it may be no face";

/** @type {Record<string, string>} */
const WORDS = { x: "left", y: "top", width: "width", height: "height" };

/**
 * Take a typed number into a crop. A typed left or top edge stays where it was typed and the width or height shrinks; a width or
 * height that reaches over the frame ends at its border. No other edge moves.
 * @param {Crop} crop
 * @param {"x" | "y" | "width" | "height"} name
 * @param {string} text
 * @param {{width: number, height: number}} frame
 * @returns {{crop: Crop, note: string}} the note says what became other than it was typed, and is empty where nothing did
 */
export function typed(crop, name, text, frame) {
  const value = Math.round(Number(text));
  if (!text.trim() || !Number.isFinite(value)) return { crop, note: `${WORDS[name]} stays ${crop[name]}: a whole number of pixels is typed.` };
  const [edge, side] = name === "x" || name === "width" ? /** @type {const} */ (["x", "width"]) : /** @type {const} */ (["y", "height"]);
  const isEdge = name === edge;
  const most = isEdge ? frame[side] - LEAST : frame[side] - crop[edge];
  const taken = Math.min(Math.max(isEdge ? 0 : LEAST, value), most);
  const changed = { ...crop, [name]: taken };
  const notes = [];
  if (taken !== value) notes.push(`${WORDS[name]} ${value} is not in the frame of ${frame.width} × ${frame.height}: it is ${taken} now`);
  const room = frame[side] - changed[edge];
  if (changed[side] > room) {
    changed[side] = room;
    notes.push(`the ${side} became ${room}, or the crop would reach over the frame`);
  }
  return { crop: changed, note: notes.length ? `${notes.join("; ")}.` : "" };
}
