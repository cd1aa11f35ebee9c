// The page on which labels become an engine: check, adapt, evaluate, export, verify, and "use it on this rig".

import { fill, h } from "../lib/dom.js";
import { Scope } from "../lib/scope.js";
import { listPanel } from "./teach/list.js";
import { openWay } from "./teach/way.js";

export const title = "Teach";

/** @param {HTMLElement} root @param {import("../lib/app.js").App} app @returns {Promise<() => void>} */
export async function mount(root, app) {
  const folder = app.params.get("folder");
  const known = await app.get("/api/teach/ways");
  if (folder) return openWay(root, app, known, folder);
  const scope = new Scope();
  fill(root, h("h1", {}, "Teach"), await listPanel(app, known, scope));
  return () => scope.end();
}
