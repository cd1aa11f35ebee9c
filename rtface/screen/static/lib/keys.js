// Keys of the page that is shown. The space bar is the emergency stop everywhere but in a text field, where Escape is.

/** @typedef {{does: string, run: (event: KeyboardEvent) => void}} Binding */

export class Keys {
  /** @param {() => void} stop */
  constructor(stop) {
    this.stop = stop;
    /** @type {Set<Record<string, Binding>>} */
    this.bindings = new Set();
    document.addEventListener("keydown", (event) => this.press(event), { capture: true });
    // A button that has the focus is pressed by the space bar when it comes up again.
    document.addEventListener("keyup", (event) => {
      if (event.key === " " && !isText(event.target)) event.preventDefault();
    }, { capture: true });
  }

  /**
   * Bind keys until the returned function is called; a key is written as KeyboardEvent.key has it, with `Ctrl+` before it.
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
    if ((event.key === " " && !text) || (event.key === "Escape" && text)) {
      event.preventDefault();
      event.stopPropagation();
      if (!event.repeat) this.stop();
      return;
    }
    if (text || event.altKey) return;
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

/** @param {EventTarget | null} target */
function isText(target) {
  if (!(target instanceof HTMLElement)) return false;
  if (target instanceof HTMLTextAreaElement || target.isContentEditable) return true;
  if (!(target instanceof HTMLInputElement)) return false;
  return !["button", "checkbox", "color", "radio", "range", "reset", "submit"].includes(target.type);
}
