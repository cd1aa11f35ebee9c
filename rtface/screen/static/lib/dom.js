// Elements made in code: no template language, nothing that a text could break out of.

/** @typedef {string | number | Node | null | undefined | false} Child */

/**
 * Make an element. `on...` are listeners, `class` and `dataset` as they are, true and false set and leave out attributes.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, any>} [attributes]
 * @param {...(Child | Child[])} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "dataset") Object.assign(element.dataset, value);
    else if (name === "value" && "value" in element) /** @type {any} */ (element).value = value;
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, String(value));
  }
  element.append(...plain(children));
  return element;
}

/**
 * Put other children in the place of those that an element has.
 * @param {Element} element
 * @param {...(Child | Child[])} children
 */
export function fill(element, ...children) {
  element.replaceChildren(...plain(children));
}

/** A name that is not among those that are taken. @param {string} name @param {string[]} taken @returns {string} */
export function free(name, taken) {
  let number = 1;
  const numbered = () => (number === 1 ? name : `${name}-${number}`);
  while (taken.includes(numbered())) number++;
  return numbered();
}

/** @param {(Child | Child[])[]} children @returns {(string | Node)[]} */
function plain(children) {
  /** @type {(string | Node)[]} */
  const found = [];
  for (const child of children.flat()) {
    if (child === null || child === undefined || child === false) continue;
    found.push(typeof child === "number" ? String(child) : child);
  }
  return found;
}

/**
 * Set the text of an element if it is another.
 * @param {Element} element
 * @param {string} text
 */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Whether a dialog is open that takes all clicks. */
export function modalOpen() {
  return document.querySelector("dialog:modal") !== null;
}
