// Dialogs: one at a time over the page, gone from it when they are closed.

import { h } from "./dom.js";

/** @typedef {import("./dom.js").Child} Child */

let count = 0;

/**
 * Show a dialog until it is closed.
 * @param {string} title @param {(Child | Child[])[]} children
 * @param {{class?: string, closed?: () => void, focus?: HTMLElement}} [options] `focus` is what has the keys first; else the title
 * @returns {HTMLDialogElement}
 */
export function openDialog(title, children, { class: kind = "", closed = () => {}, focus } = {}) {
  const head = h("h2", { id: `dialog-${++count}`, tabindex: "-1" }, title);
  const made = h("dialog", { class: kind, "aria-labelledby": head.id }, head, ...children);
  made.addEventListener("close", () => {
    made.remove();
    closed();
  });
  document.body.append(made);
  made.showModal();
  // Else the first thing that takes the focus has it, and a long dialog would open scrolled to its end.
  (focus ?? head).focus({ preventScroll: true });
  made.scrollTop = 0;
  return made;
}

/** A row with a button that closes the dialog that it is in, and others before it. @param {...Child} before */
export function closing(...before) {
  const close = h("button", { class: "button", type: "button", onclick: () => close.closest("dialog")?.close() }, "Close");
  return h("p", { class: "row" }, ...before, close);
}
