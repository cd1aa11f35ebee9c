// The sessions of the workspace: the list, one of them, or two beside each other, as the address says.

import { fill, h } from "../lib/dom.js";
import { mountCompare } from "./sessions/compare.js";
import { mountList } from "./sessions/list.js";
import { mountSession } from "./sessions/session.js";

export const title = "Sessions";

/** @param {HTMLElement} root @param {import("../lib/app.js").App} app @returns {Promise<() => void>} */
export async function mount(root, app) {
  fill(root, h("p", { class: "empty", role: "status" }, "Reading …"));
  try {
    if (app.params.get("first")) return await mountCompare(root, app);
    if (app.params.get("session")) return await mountSession(root, app);
    return await mountList(root, app);
  } catch (error) {
    fill(
      root,
      h(
        "div",
        { class: "empty" },
        h("p", {}, /** @type {Error} */ (error).message),
        h("p", {}, h("a", { href: "#/sessions" }, "To the list of sessions")),
      ),
    );
    return () => {};
  }
}
