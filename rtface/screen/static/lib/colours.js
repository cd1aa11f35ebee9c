// Colours: those of the page, which follow its theme, and those of keypoints, which the colour-blind can tell.

/**
 * The set of Okabe and Ito, but for black and its dark blue, which fur swallows: white stands for them. Those that follow each
 * other differ most. A keypoint has a shape, too (`lib/marks.js`).
 */
export const KEYPOINTS = ["#e69f00", "#56b4e9", "#009e73", "#f0e442", "#cc79a7", "#d55e00", "#ffffff"];

/** The colour of light, and of what makes it. */
export const LIGHT = "#f0e442";

/** @type {Map<string, string>} */
let known = new Map();
let theme = "";

/**
 * A colour of the page. It is read once a theme: drawings ask for it many times a second, and asking the browser for a
 * style makes it lay the page out.
 * @param {string} name @returns {string}
 */
export function colour(name) {
  const now = document.documentElement.dataset.theme ?? "";
  if (now !== theme) [theme, known] = [now, new Map()];
  let found = known.get(name);
  if (found === undefined) {
    found = getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
    known.set(name, found);
  }
  return found;
}

/** @param {number} index @returns {string} */
export function colourOf(index) {
  return KEYPOINTS[index % KEYPOINTS.length];
}
