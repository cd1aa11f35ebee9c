// Keys of the page that is shown. The space bar is the emergency stop everywhere but in a text field, where Escape is.

import { modalOpen } from "./dom.js";

/** @typedef {{does: string, run: (event: KeyboardEvent) => void}} Binding */

const TYPED = ["text", "search", "url", "tel", "email", "password", "number", "date", "time", "month", "week", "datetime-local"];

export class Keys {
  /** @param {() => void} stop */
  constructor(stop) {
    this.stop = stop;
    /** @type {Set<Record<string, Binding>>} */
    this.bindings = new Set();
    this.held = false;
    // At the window and on the way down: nothing on a page gets a key before this.
    addEventListener("keydown", (event) => this.press(event), { capture: true });
    // A button that has the focus is pressed by the space bar when it comes up again.
    addEventListener("keyup", (event) => {
      this.held = false;
      if (isSpace(event) && !isText(event.target)) event.preventDefault();
    }, { capture: true });
    addEventListener("blur", () => (this.held = false));
    keepKeys();
  }

  /**
   * Bind keys until the returned function is called; a key is written as KeyboardEvent.key has it, with `Ctrl+` before it.
   * They do nothing while a dialog is open.
   * @param {Record<string, Binding>} bindings @returns {() => void}
   */
  bind(bindings) {
    this.bindings.add(bindings);
    return () => this.bindings.delete(bindings);
  }

  /** What can be pressed now. @returns {[string, string][]} */
  help() {
    /** @type {[string, string][]} */
    const found = [["Space", "emergency stop; Escape in a text field"]];
    for (const each of this.bindings) for (const [key, { does }] of Object.entries(each)) found.push([key, does]);
    return found;
  }

  /** @param {KeyboardEvent} event */
  press(event) {
    const text = isText(event.target);
    if ((isSpace(event) && !text) || (event.code === "Escape" && text) || (event.key === "Escape" && text)) {
      event.preventDefault();
      event.stopImmediatePropagation();
      // A key that is held down is one stop; but one whose beginning went elsewhere is one too.
      if (!(event.repeat && this.held)) this.stop();
      this.held = true;
      return;
    }
    if (text || event.altKey || event.target instanceof HTMLSelectElement || modalOpen()) return;
    const name = (event.ctrlKey || event.metaKey ? "Ctrl+" : "") + event.key;
    for (const each of [...this.bindings].reverse()) {
      const found = each[name];
      if (found) {
        event.preventDefault();
        found.run(event);
        return;
      }
    }
  }
}

/**
 * Keep what would take all keys from opening: the browser draws the list of a drop-down field, and the menu of the right
 * button, outside the page, and while they are open the space bar does not come here. A list opens in the page instead.
 */
function keepKeys() {
  /** @param {Event} event */
  const open = (event) => {
    const list = event.target;
    if (!(list instanceof HTMLSelectElement) || list.multiple || list.size > 1 || list.disabled) return;
    if (event instanceof MouseEvent && event.button !== 0) return;
    if (event instanceof KeyboardEvent && !opensList(event)) return;
    event.preventDefault();
    openList(list);
  };
  addEventListener("mousedown", open, { capture: true });
  addEventListener("keydown", open, { capture: true });
  addEventListener("contextmenu", (event) => {
    if (!isText(event.target)) event.preventDefault();
  }, { capture: true });
}

/** @param {KeyboardEvent} event */
function opensList(event) {
  const arrow = event.key === "ArrowDown" || event.key === "ArrowUp";
  return event.key === "Enter" || event.key === "F4" || (arrow && (event.altKey || navigator.platform.startsWith("Mac")));
}

/** Show the options of a drop-down field in the page, until one is chosen or the focus leaves. @param {HTMLSelectElement} list */
function openList(list) {
  const before = list.value;
  const place = list.getBoundingClientRect();
  const hole = document.createElement("span");
  hole.style.display = "inline-block";
  hole.style.width = `${place.width}px`;
  hole.style.height = `${place.height}px`;
  list.before(hole);
  list.size = Math.max(2, Math.min(list.length, 10));
  list.classList.add("opened");
  list.style.left = `${place.left}px`;
  list.style.minWidth = `${place.width}px`;
  list.style.top = `${Math.max(0, Math.min(place.bottom, innerHeight - list.offsetHeight))}px`;
  list.focus();
  const ending = new AbortController();
  /** @param {boolean} taken */
  const close = (taken) => {
    if (ending.signal.aborted) return;
    ending.abort();
    list.classList.remove("opened");
    list.removeAttribute("size");
    for (const each of ["left", "top", "min-width"]) list.style.removeProperty(each);
    hole.remove();
    if (!taken) list.value = before;
    else if (list.value !== before) list.dispatchEvent(new Event("change", { bubbles: true }));
  };
  const { signal } = ending;
  // What is only passed over is not chosen yet.
  list.addEventListener("change", (event) => event.isTrusted && event.stopImmediatePropagation(), { signal, capture: true });
  list.addEventListener("click", () => close(true), { signal });
  list.addEventListener("blur", () => close(true), { signal });
  list.addEventListener("keydown", (event) => {
    if (!["Enter", "Escape", "Tab"].includes(event.key)) return;
    if (event.key === "Enter") event.preventDefault();
    close(event.key !== "Escape");
    event.stopPropagation();
  }, { signal });
}

/** @param {KeyboardEvent} event */
function isSpace(event) {
  return event.code === "Space" || event.key === " " || event.key === "\u00a0";
}

/** Whether what is typed there is text; not where it could not be changed. @param {EventTarget | null} target */
export function isText(target) {
  if (!(target instanceof HTMLElement)) return false;
  if (target.isContentEditable) return true;
  if (target instanceof HTMLTextAreaElement) return !target.readOnly && !target.disabled;
  return target instanceof HTMLInputElement && TYPED.includes(target.type) && !target.readOnly && !target.disabled;
}
