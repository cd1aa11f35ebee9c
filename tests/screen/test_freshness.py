"""What a page takes for known: never what is old, whatever way it came by."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from support.screens import Visit

from rtface.screen.rigs import ShownRig
from rtface.screen.serving import Address, screen_opened

BEGIN = """
const done = arguments[arguments.length - 1];
(async () => {
  const { Clock } = await import("/static/lib/clock.js");
  const { RigState } = await import("/static/lib/rigstate.js");
  let here = 1000;
  performance.now = () => here;
  const wall = 5000;
  let slept = 0;
  Date.now = () => wall + here + slept;
  const clock = new Clock();
  const rig = new RigState({id: "a", name: "a", control: "x"}, clock);
  const status = (t, received, state, session = "s") => ({
    session, t_ns: t * 1e6, state: "running", error: null, received: {t_ns: received * 1e6}, loop: {state, who: "", why: "w"},
  });
  const act = (t, state, session = "s") => ({kind: "arming", session, t_ns: t * 1e6, details: {state, who: "ann", why: "a"}});
  rig.takeLink({state: "up"});
"""
END = "\n})().then(done, (error) => done({error: String(error)}));"


@pytest.fixture
def page(browser: webdriver.Chrome, tmp_path: Path) -> Iterator[Visit]:
    with screen_opened([ShownRig("a", "a", "tcp://127.0.0.1:1")], tmp_path, Address(), {}) as screen:
        visit = Visit(browser, screen)
        visit.enter("label")
        yield visit


def found(page: Visit, script: str) -> Any:
    return page.browser.execute_async_script(BEGIN + script + END)


def test_nothing_is_known_before_the_clock_of_the_screen_is(page: Visit) -> None:
    assert found(
        page,
        """
        rig.takeStatus(status(100, 100, "armed"));
        const before = rig.loopState;
        const n = clock.ask();
        here += 10;
        clock.take({n, now_ns: 105e6});
        return [before, rig.loopState, Math.round(rig.age)];
        """,
    ) == ["unknown", "armed", 15]


def test_what_waited_on_its_way_is_as_old_as_it_is(page: Visit) -> None:
    """A page that was frozen finds old messages and old answers in its queue, all at once."""
    assert found(
        page,
        """
        const n = clock.ask();
        here += 60000;
        rig.takeStatus(status(100, 100, "armed"));
        clock.take({n, now_ns: 100e6});
        return [rig.loopState, Math.round(rig.age)];
        """,
    ) == ["unknown", 60000]


def test_a_computer_that_slept_shows_nothing_of_before(page: Visit) -> None:
    assert found(
        page,
        """
        const n = clock.ask();
        clock.take({n, now_ns: 100e6});
        rig.takeStatus(status(100, 100, "armed"));
        const before = rig.loopState;
        slept = 3600000;
        return [before, rig.loopState];
        """,
    ) == ["armed", "unknown"]


def test_a_status_that_is_sent_once_more_is_no_younger(page: Visit) -> None:
    assert found(
        page,
        """
        const answer = (now) => { const n = clock.ask(); clock.take({n, now_ns: now * 1e6}); };
        answer(100);
        rig.takeStatus(status(100, 100, "disarmed"));
        here += 2500;
        answer(2600);
        rig.takeStatus(status(100, 100, "disarmed"));
        return [rig.loopState, rig.why];
        """,
    ) == ["unknown", "nothing was heard from the service for two seconds"]


def test_an_act_holds_against_a_status_that_was_made_before_it(page: Visit) -> None:
    assert found(
        page,
        """
        const n = clock.ask();
        clock.take({n, now_ns: 100e6});
        const states = [];
        const note = () => states.push(rig.loopState);
        rig.takeStatus(status(90, 100, "disarmed")); note();
        rig.takeEvent(act(95, "armed")); note();
        rig.takeStatus(status(92, 100, "disarmed")); note();
        rig.takeStatus(status(97, 100, "disarmed")); note();
        rig.takeEvent(act(96, "armed")); note();
        rig.takeStatus(status(98, 100, "stopped", "another")); note();
        rig.takeEvent(act(99, "armed")); note();
        return states;
        """,
    ) == ["disarmed", "armed", "armed", "disarmed", "disarmed", "stopped", "stopped"]


def test_a_link_that_is_not_up_and_a_state_of_another_version_are_unknown(page: Visit) -> None:
    assert found(
        page,
        """
        const n = clock.ask();
        clock.take({n, now_ns: 100e6});
        rig.takeStatus(status(100, 100, "half_armed"));
        const odd = rig.loopState;
        rig.takeStatus(status(100, 100, "armed"));
        const states = ["up", "lost", "waiting", "failed"].map((state) => {
          rig.takeLink({state, text: "t"});
          return rig.loopState;
        });
        return [odd, ...states];
        """,
    ) == ["unknown", "armed", "unknown", "unknown", "unknown"]
