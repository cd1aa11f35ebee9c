// Where a rig begins: those that are there, and a name for a new one.

import { h } from "../../lib/dom.js";

/** @param {import("../../lib/app.js").App} app @param {any} known @returns {HTMLElement} */
export function startPanel(app, known) {
  const name = h("input", { id: "rig-name", value: freeName(known), maxlength: "80" });
  const begin = (/** @type {Event} */ event) => {
    event.preventDefault();
    const plain = name.value.trim().replace(/\.ya?ml$/, "");
    if (plain) app.go("newrig", { rig: `${plain}.yaml`, step: "camera" });
  };
  return h(
    "div",
    { class: "col" },
    h("h1", {}, "New rig"),
    h(
      "section",
      { class: "panel col" },
      h("h2", {}, "Begin"),
      h("p", {}, "From a camera, or from a video alone, to a rig that runs: ten steps, each of which you can leave and take up again. Everything is written into the folder ", h("code", {}, known.folder), "."),
      h("form", { class: "row", onsubmit: begin }, h("label", { class: "field" }, "A name for the rig", name), h("button", { class: "button primary", disabled: app.readOnly }, "Begin")),
    ),
    h(
      "section",
      { class: "panel col" },
      h("h2", {}, "Go on with a rig"),
      known.rigs.length
        ? h(
            "table",
            { class: "table" },
            h("thead", {}, h("tr", {}, h("th", {}, "rig"), h("th", {}, "its file"))),
            h(
              "tbody",
              {},
              known.rigs.map((/** @type {any} */ each) =>
                h(
                  "tr",
                  {},
                  h("td", {}, h("button", { class: "button small", onclick: () => app.go("newrig", { rig: each.rig }) }, each.rig)),
                  h("td", { class: each.fault ? "wrong" : "muted" }, each.fault || "can be read"),
                ),
              ),
            ),
          )
        : h("p", { class: "empty" }, "There is no rig's file in this folder yet."),
    ),
  );
}

/** @param {any} known @returns {string} */
function freeName(known) {
  const taken = new Set(known.rigs.map((/** @type {any} */ each) => each.rig));
  let number = 1;
  while (taken.has(`rig-${number}.yaml`)) number++;
  return `rig-${number}`;
}
