import { fill, h } from "../lib/dom.js";

export const title = "loop";

/** @param {HTMLElement} root @param {import("../lib/app.js").App} app @returns {Promise<() => void>} */
export async function mount(root, app) {
  fill(root, h("p", { class: "empty" }, `${title}: ${app.rig.name}`));
  return () => {};
}
