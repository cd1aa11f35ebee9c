"""The frame of all pages: links and cookies, the bar, a rig that comes and goes."""

from __future__ import annotations

from pathlib import Path

from screen.conftest import rig
from selenium import webdriver
from support.screens import Visit, axe, served

from rtface.config import PublishSettings
from rtface.live.service import Service
from rtface.screen.desk import Desk
from rtface.screen.pages import PAGES
from rtface.screen.rigs import ShownRig
from rtface.screen.serving import Address, screen_opened


def test_the_bar_says_how_the_rig_is(visit: Visit) -> None:
    visit.enter()
    visit.wait(lambda: visit.text("#bar .state") == "No loop", "the state")
    assert "decides nothing" in visit.text("#bar .why")
    assert visit.errors() == []


def test_a_dialog_does_not_outlive_its_page(visit: Visit) -> None:
    visit.enter()
    visit.run("const d = document.createElement('dialog'); document.body.append(d); d.showModal()")
    visit.go("sessions")
    visit.wait(lambda: not visit.all("dialog[open]"), "no dialog")


def test_a_page_that_was_left_before_it_had_come_is_not_shown_after_the_next(visit: Visit) -> None:
    """What two pages are made of may come in either order: so it is when both are the same, on a busy machine."""
    visit.enter()
    done = visit.browser.execute_async_script(
        """
        const finish = arguments[0];
        import("/static/lib/turns.js").then(async ({ Turns }) => {
          const turns = new Turns(), acts = [], come = {};
          const take = (name) => turns.take(
            () => new Promise((resolve) => (come[name] = resolve)),
            async () => (acts.push(`${name} shown`), () => acts.push(`${name} left`)),
          );
          const both = [take("first"), take("second")];
          come.second();
          await both[1];
          come.first();
          finish([await Promise.all(both), acts]);
        });
        """
    )
    assert done == [[False, True], ["second shown"]]


def test_a_page_that_was_left_while_it_was_made_is_taken_down(visit: Visit) -> None:
    visit.enter()
    acts = visit.browser.execute_async_script(
        """
        const finish = arguments[0];
        import("/static/lib/turns.js").then(async ({ Turns }) => {
          const turns = new Turns(), acts = [];
          let made = () => {};
          const first = turns.take(
            async () => null,
            () => new Promise((resolve) => (made = () => resolve(() => acts.push("first left")))),
          );
          await new Promise((resolve) => setTimeout(resolve));
          const second = turns.take(async () => null, async () => (acts.push("second shown"), () => acts.push("second left")));
          await second;
          made();
          await first;
          finish(acts);
        });
        """
    )
    assert acts == ["second shown", "first left"]


def test_where_nobody_named_a_rig_and_none_was_heard_nothing_is_an_alarm(
    browser: webdriver.Chrome, tmp_path: Path
) -> None:
    """Who has a video alone is told where to begin, and of no rig that is unknown; one that was heard is missed from then on."""
    with Service(rig()) as first:
        control = first.control_address
    usual = ShownRig("usual", control, control, named=False)
    with screen_opened([usual], tmp_path, Address(), PAGES) as screen:
        visit = Visit(browser, screen)
        visit.enter()
        visit.wait(lambda: "No rig is connected" in visit.text(".picture .waiting"), "the words")
        assert visit.text("#bar .state") == "No rig"
        assert "key" not in visit.text(".stopnote")
        assert not axe(visit)
        visit.press("SPACE")
        visit.wait(lambda: any("nothing to stop" in each for each in visit.said()), "what became of it")
        assert not visit.find("dialog.alarm")
        visit.go("loop")
        visit.wait(lambda: visit.text(".loop-state") == "No rig", "the page Loop")
        visit.go("live")
        visit.click("Start here")
        visit.wait(lambda: visit.find(".page.newrig"), "the first hour")
        with Service(rig(publish=PublishSettings(keypoints="tcp://127.0.0.1:*", control=control))):
            visit.wait(lambda: visit.text("#bar .state") == "No loop", "the rig")
        visit.wait(lambda: visit.text("#bar .state") == "Unknown", "that it is missed")
        visit.browser.refresh()
        visit.wait(lambda: visit.text("#bar .state") == "Unknown", "a page that comes later misses it too")
        visit.press("SPACE")
        visit.wait(lambda: visit.text("dialog.alarm h1") == "Use the key", "the alarm")


def test_what_failed_is_closed_by_a_person_and_stays_closed(visit: Visit) -> None:
    visit.enter()
    seen = visit.browser.execute_async_script(
        JOB
        + """
        const done = arguments[0];
        import("/static/lib/jobs.js").then(async ({ failures, failureWords, jobBox }) => {
          const { Scope } = await import("/static/lib/scope.js");
          const failed = { ...job("failed"), reason: "no disk", ended_at: "2026-01-01" };
          const told = { job: failed, progress: [], next: 0, said: "", result: null };
          const app = { readOnly: false, say: () => {}, get: async () => told };
          const scope = new Scope(), box = jobBox(app, failed, scope), line = failureWords(failed, "no disk");
          document.body.append(box, line);
          const all = () => failures([failed], () => true).length;
          const before = [box.isConnected, box.textContent.includes("no disk"), all()];
          const close = [...box.querySelectorAll("button")].find((each) => each.textContent === "Close");
          close.click();
          line.querySelector("button").click();
          done([...before, box.isConnected, line.isConnected, all()]);
          scope.end();
        });
        """
    )
    assert seen == [True, True, 1, False, False, 0]


def test_a_rig_that_is_started_from_a_page_is_shown_by_the_pages_that_are_open(
    browser: webdriver.Chrome, service: Service, tmp_path: Path
) -> None:
    desks: list[Desk] = []
    pages = {"desk": lambda desk: desks.append(desk) or []}
    with served(tmp_path, control="tcp://127.0.0.1:1", pages=pages) as screen:
        visit = Visit(browser, screen)
        visit.enter()
        visit.run("window.before = true")
        assert not visit.run("return document.querySelector('#bar select').checkVisibility()")
        desks[0].show("rig-1", service.control_address)
        visit.wait(
            lambda: (
                visit.run("return [...document.querySelectorAll('#bar option')].map((e) => e.text)")
                == ["rig 0", "rig-1"]
            ),
            "both rigs",
        )
        visit.run(
            "const s = document.querySelector('#bar select'); s.selectedIndex = 1; s.dispatchEvent(new Event('change'))"
        )
        visit.wait(lambda: visit.text("#bar .state") == "No loop", "its state")
        visit.wait(lambda: visit.find(".picture[data-frame]"), "its picture")
        ready = "return document.querySelector('.stopnote').textContent.startsWith('space bar')"
        visit.wait(lambda: visit.run(ready) or not visit.run("return document.hasFocus()"), "its stop")
        assert visit.run("return window.before"), "no page was loaded anew"
        visit.browser.refresh()
        visit.wait(lambda: len(visit.all("#bar option")) == 2, "both are there for a page that comes later")


JOB = """
const job = (state) => ({
  id: "000001-cameras", kind: "teach", title: "T", state, stopping: false, reason: "", code: null, argv: [], about: {},
  begun_at: null, ended_at: null, progress: null,
});
"""


def test_what_a_page_has_begun_ends_with_it_though_the_answer_comes_after(visit: Visit) -> None:
    visit.enter("newrig", rig="mouse.yaml", step="camera")
    visit.wait(lambda: [each for each in visit.all("button") if each.text == "Look for cameras"], "the step")
    visit.run(
        JOB
        + """
        const real = window.fetch;
        window.asked = [];
        window.fetch = async (path, options) => {
          window.asked.push(String(path));
          if (!String(path).endsWith("/api/newrig/cameras")) return real(path, options);
          await new Promise((resolve) => (window.release = resolve));
          const answer = JSON.stringify({ job: job("running"), command: "" });
          return new Response(answer, { headers: { "content-type": "application/json" } });
        };
        """
    )
    visit.click("Look for cameras")
    visit.wait(lambda: visit.run("return Boolean(window.release)"), "the request")
    visit.go("sessions")
    visit.wait(lambda: visit.find(".page.sessions .empty"), "another page")
    asked = visit.browser.execute_async_script(
        """
        const done = arguments[0];
        window.asked.length = 0;
        window.release();
        setTimeout(() => done(window.asked.filter((path) => path.includes("/api/jobs/0"))), 300);
        """
    )
    assert asked == []
    assert visit.errors() == []


def test_a_scope_ends_what_it_keeps_and_what_comes_after_at_once(visit: Visit) -> None:
    visit.enter()
    acts = visit.browser.execute_async_script(
        """
        const done = arguments[0];
        import("/static/lib/scope.js").then(({ Scope }) => {
          const acts = [], page = new Scope(), part = page.part();
          page.keep(() => acts.push("kept"));
          part.keep(() => acts.push("part's"));
          page.end();
          acts.push(part.over);
          part.keep(() => acts.push("too late"));
          page.part().keep(() => acts.push("of a part that came too late"));
          page.end();
          const long = new Scope();
          for (let n = 0; n < 9; n++) long.part().end();
          done([...acts, long.ends.length]);
        });
        """
    )
    assert acts == ["part's", "kept", True, "too late", "of a part that came too late", 0]


def test_a_job_that_ends_leaves_a_form_that_is_being_filled_in_alone(visit: Visit) -> None:
    visit.enter()
    typed = visit.browser.execute_async_script(
        JOB
        + """
        const done = arguments[0];
        import("/static/pages/teach/list.js").then(async ({ listPanel }) => {
          let state = "running";
          const known = { ways: [], engines: [], rigs: [], count: 20, how_many: "" };
          const app = { readOnly: false, say: () => {}, go: () => {}, get: async (path) => {
            if (path === "/api/jobs/") return { jobs: [job("running")] };
            if (path.startsWith("/api/jobs/")) return { job: job(state), progress: [], next: 0, said: "", result: null };
            if (path.startsWith("/api/newrig")) return { recordings: [] };
            return { ...known, ways: [{ folder: "made", fault: "", videos: [], engine: "e", made: [] }] };
          } };
          const { Scope } = await import("/static/lib/scope.js");
          const scope = new Scope(), element = await listPanel(app, known, scope);
          document.body.append(element);
          const field = element.querySelector("input[required]");
          field.value = "typed";
          state = "done";
          while (!element.textContent.includes("made")) await new Promise((resolve) => setTimeout(resolve, 50));
          done([field.isConnected, field.value]);
          scope.end();
          element.remove();
        });
        """
    )
    assert typed == [True, "typed"]
