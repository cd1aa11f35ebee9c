// The label page: the label sets of the folder, or one of them being labelled.

import { openStart } from "./label/start.js";
import { openWorkbench } from "./label/workbench.js";

export const title = "Label";

/** @param {HTMLElement} root @param {import("../lib/app.js").App} app @returns {Promise<() => void>} */
export async function mount(root, app) {
  const set = app.params.get("set");
  return set ? openWorkbench(root, app, set) : openStart(root, app);
}
