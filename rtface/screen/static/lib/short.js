// Numbers in few characters, and texts that fit.

/**
 * A number in few characters.
 * @param {any} value @param {{digits?: number, none?: string}} [form] `none` is said of what is not known
 * @returns {string}
 */
export function short(value, { digits = 4, none = "–" } = {}) {
  if (value === null || value === undefined || Number.isNaN(value)) return none;
  if (typeof value !== "number") return String(value);
  const size = Math.abs(value);
  if (size !== 0 && (size >= 1e5 || size < 1e-3)) return value.toExponential(1);
  return String(Number(value.toPrecision(digits)));
}

/** A text, or as much of it as a drawing has room for. @param {CanvasRenderingContext2D} pen @param {string} text @param {number} room in pixels */
export function clipped(pen, text, room) {
  if (pen.measureText(text).width <= room) return text;
  let shown = text;
  while (shown && pen.measureText(`${shown}…`).width > room) shown = shown.slice(0, -1);
  return `${shown}…`;
}

/** A step of 1, 2 or 5 times a power of ten, no less than a rough one. @param {number} rough */
export function niceStep(rough) {
  const power = 10 ** Math.floor(Math.log10(rough));
  return ([1, 2, 5, 10].find((each) => each * power >= rough) ?? 10) * power;
}
