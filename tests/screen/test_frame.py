"""The frame of all pages: links and cookies, the bar, a rig that comes and goes."""

from __future__ import annotations

from pathlib import Path

from selenium import webdriver
from support.screens import Visit, served

from rtface.live.service import Service
from rtface.screen.desk import Desk


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
