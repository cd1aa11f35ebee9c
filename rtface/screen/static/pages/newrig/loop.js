// The last steps: the engine is verified, an output and rules are chosen, everything is checked, and the rig runs.

import { fill, h, say } from "../../lib/dom.js";
import { ask, changeRig, commandLine, jobBox } from "../../lib/jobs.js";
import { reasonWords } from "../loop/words.js";
import { does } from "./engine.js";

/** @param {import("../newrig.js").Here} here */
export function verifyStep(here) {
  const { step, place, next } = here;
  fill(
    place,
    h("p", { class: "muted" }, "The engine runs on pictures of this camera as it will run live, and beside it its float reference. Light can only be armed where the two agree."),
    does(here, "/api/newrig/verify", step.result ? "Verify again" : "Verify"),
    h("div", { class: "row" }, h("button", { class: "button", onclick: next }, "Next: the output")),
  );
}

/** @type {[string, string, string, string][]} kind, what it is, who guards it, what is written */
const OUTPUTS = [
  ["null", "none: keypoints only", "no light can be made", "{kind: 'null'}"],
  ["log", "a file: what would be lit is written down", "no light can be made", "{kind: log, path: light.jsonl}"],
  ["gate", "the safety gate (an Arduino with rtface's firmware)", "guarded: the gate keeps the limits and turns the light off by itself", "{kind: gate, port: /dev/serial/by-id/...}"],
  ["pulsepal", "a Pulse Pal", "NOT guarded: this computer alone keeps the limits", "{kind: pulsepal, port: /dev/ttyACM0, channel: 1, volts: 5}"],
  ["daq", "a device of National Instruments", "NOT guarded: this computer alone keeps the limits", "{kind: daq, channel: Dev1/ctr0}"],
  ["line", "a serial device with commands for on and off", "NOT guarded: if this computer hangs, the light stays on", '{kind: line, port: /dev/ttyACM0, light_on: "ON {amplitude}\\n", light_off: "OFF\\n"}'],
];

/** @param {import("../newrig.js").Here} here */
export function outputStep(here) {
  const { app, rig, place, again, next, drafts } = here;
  const written = h("textarea", { rows: "3", class: "mono", spellcheck: "false", id: "output-text", oninput: () => (drafts.text = written.value) });
  const fills = h("span", {});
  const kind = drafts.kind ?? "log";
  /** @param {string} text */
  const show = (text) => {
    written.value = text;
    const names = ["port", "channel", "path"].filter((name) => text.includes(`${name}:`));
    say(fills, `output:${names.length ? ` (fill in the ${names[0]})` : ""}`);
  };
  /** @param {string} name @param {string} text */
  const choose = (name, text) => {
    Object.assign(drafts, { kind: name, text });
    show(text);
  };
  show(drafts.text ?? OUTPUTS[1][3]);
  const save = async () => {
    if (await changeRig(app, "/api/newrig/set", { rig: rig.rig, settings: { output: written.value } })) await again();
  };
  const session = async () => {
    if (await changeRig(app, "/api/newrig/set", { rig: rig.rig, settings: { session: "{folder: sessions}" } })) await again();
  };
  fill(
    place,
    h(
      "fieldset",
      { class: "outputs" },
      h("legend", {}, "What makes light"),
      OUTPUTS.map(([name, what, guard, text]) =>
        h(
          "label",
          { class: "choice" },
          h("input", { type: "radio", name: "output", value: name, checked: name === kind, onchange: () => choose(name, text) }),
          h("span", { class: "grow" }, h("strong", {}, name), ` ${what}`),
          h("span", { class: `badge ${guard.startsWith("NOT") ? "bad" : guard.startsWith("guarded") ? "ok" : ""}` }, guard),
        ),
      ),
    ),
    h("label", { class: "field" }, fills, written),
    h("p", { class: "muted small" }, "Without a record of the session nothing is lit: choose where sessions are written too."),
    h(
      "div",
      { class: "row" },
      h("button", { class: "button primary", disabled: app.readOnly, onclick: save }, "Take this output"),
      h("button", { class: "button", disabled: app.readOnly, onclick: session }, "Record sessions in sessions/"),
      h("button", { class: "button", onclick: next }, "Next: rules"),
    ),
  );
}

/** @param {import("../newrig.js").Here} here */
export function rulesStep(here) {
  const { app, rig, known, step, place, again, next, scope } = here;
  const take = async (/** @type {string} */ template) => {
    const given = await ask(app, "/api/newrig/template", { rig: rig.rig, template });
    if (!given) return;
    if (await changeRig(app, "/api/newrig/set", { rig: rig.rig, settings: { rules: given.value } })) {
      await ask(app, "/api/newrig/rules", { rig: rig.rig });
      await again();
    }
  };
  const words = step.result?.rules ?? {};
  const tried = h("div", {});
  const dry = async () => {
    const answer = await ask(app, "/api/newrig/dry-run", { rig: rig.rig });
    if (!answer) return;
    fill(tried, jobBox(app, answer.job, scope, { done: (told) => told.result && fill(tried, wouldHave(told.result)) }));
  };
  const hasRules = step.wrote.length > 0;
  fill(
    place,
    h(
      "details",
      { open: !hasRules },
      h("summary", {}, hasRules ? "Begin from another example" : "Begin from an example; change it later in its file"),
      h(
        "ul",
        { class: "templates" },
        known.templates.map((/** @type {any} */ each) =>
          h("li", { class: "row" }, h("span", { class: "grow" }, h("strong", {}, each.name), ` ${each.words}`), h("button", { class: "button small", disabled: app.readOnly, onclick: () => take(each.name), "aria-label": `Take it: ${each.name}` }, "Take it")),
        ),
      ),
    ),
    hasRules ? does(here, "/api/newrig/rules", "Check the rules") : null,
    Object.entries(words).map(([name, lines]) =>
      h("section", { class: "inwords" }, h("h3", {}, name), h("ul", {}, /** @type {string[]} */ (lines).map((line) => h("li", {}, line)))),
    ),
    step.result ? h("p", { class: "muted small" }, step.result.input) : null,
    step.result?.baseline ? h("p", { class: "muted small" }, step.result.baseline) : null,
    hasRules ? h("div", { class: "row" }, h("button", { class: "button", disabled: app.readOnly, onclick: dry }, "Try them on the recording"), h("span", { class: "muted small" }, "Nothing is switched on. A long video takes a while.")) : null,
    tried,
    h("div", { class: "row" }, h("button", { class: "button", onclick: next }, "Next: check")),
  );
}

/** @param {any} summary @returns {HTMLElement} */
function wouldHave(summary) {
  return h(
    "table",
    { class: "table" },
    h("thead", {}, h("tr", {}, h("th", {}, "rule"), h("th", { class: "num" }, "lit"), h("th", { class: "num" }, "shams"), h("th", {}, "withheld"))),
    h(
      "tbody",
      {},
      Object.entries(summary.rules).map(([name, each]) => {
        const rule = /** @type {any} */ (each);
        const withheld = Object.entries(rule.withheld ?? {}).map(([reason, count]) => `${count} because ${reasonWords(reason)}`);
        return h("tr", {}, h("td", {}, name), h("td", { class: "num" }, rule.fired), h("td", { class: "num" }, rule.sham), h("td", {}, withheld.join("; ") || "none"));
      }),
    ),
  );
}

/** @param {import("../newrig.js").Here} here */
export function checkStep(here) {
  const { step, place, next } = here;
  const found = Array.isArray(step.result) ? step.result : [];
  /** @type {Record<string, string>} */
  const kinds = { ok: "ok", warn: "warn", fail: "bad" };
  fill(
    place,
    does(here, "/api/newrig/check", found.length ? "Check again" : "Check everything"),
    found.length
      ? h(
          "table",
          { class: "table" },
          h("thead", {}, h("tr", {}, h("td", {}), h("th", {}, "what"), h("th", {}, "found"), h("th", {}, "what to do"))),
          h(
            "tbody",
            {},
            found.map((/** @type {any} */ each) =>
              h(
                "tr",
                {},
                h("td", {}, h("span", { class: `badge ${kinds[each.verdict]}` }, each.verdict)),
                h("td", {}, each.what),
                h("td", {}, each.text),
                h("td", {}, each.fix),
              ),
            ),
          ),
        )
      : null,
    h("div", { class: "row" }, h("button", { class: "button", onclick: next }, "Next: run")),
  );
}

/** @param {import("../newrig.js").Here} here */
export function runStep(here) {
  const { app, rig, step, place, again, scope } = here;
  scope.keep(app.on("rigs", () => void again()));
  const shown = app.rigs.findIndex((each) => each.id === step.result.id);
  const show = () => {
    app.chosen = shown;
    app.go("live");
  };
  const publish = async () => {
    if (await changeRig(app, "/api/newrig/set", { rig: rig.rig, settings: { "publish.pictures": "{}" } })) await again();
  };
  fill(
    place,
    h("p", {}, "Started here it finds keypoints, evaluates rules and publishes; nothing is lit before somebody arms it on the page Loop."),
    step.result.pictures
      ? null
      : h("div", { class: "row" }, h("span", { class: "grow careful" }, "It publishes no pictures: the page Live would show its keypoints without them."), h("button", { class: "button", disabled: app.readOnly, onclick: publish }, "Publish pictures too")),
    does(here, "/api/newrig/run", "Run it"),
    shown >= 0
      ? h("div", { class: "row" }, h("button", { class: "button", onclick: show }, "Show it on the page Live"))
      : h("div", { class: "col" }, h("p", { class: "muted" }, "Once it runs it stands in the list of rigs at the top, on every page. One that was started elsewhere is shown by a screen that is started with it:"), commandLine(app, `rtface screen ${rig.rig}`)),
  );
}
