"""Loop: the self-test, arming in two acts, the stop, what happened, and why a rule is withheld."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from support.emulated_gate import (
    PATIENT,
    PATIENT_LIMITS,
    emulated_gate,
    gate_cycle,
    patient_gate,
    risen,
)
from support.screen_loops import BLIND, RULES, deciding_rig
from support.screens import Visit, served

from rtface.client import Client
from rtface.core.decision import Reason
from rtface.live.service import Service
from rtface.record.session.reader import read_session
from rtface.screen.app import STATIC
from rtface.stimulate.gate.emulator import CYCLES_PER_MS


@pytest.fixture
def deciding(test_engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """A service with rules and an output that makes no light."""
    with Service(deciding_rig(test_engine, tmp_path, monkeypatch)) as service:
        yield service


@pytest.fixture
def looping(browser: webdriver.Chrome, deciding: Service, tmp_path: Path) -> Iterator[Visit]:
    """A browser on the Loop page of that service."""
    with served(tmp_path, deciding) as screen:
        visit = Visit(browser, screen)
        visit.enter("loop")
        visit.wait(lambda: visit.text(".loop-state").startswith("Disarmed"), "the state")
        yield visit


def state(visit: Visit) -> str:
    return visit.text("#bar .state")


def loop_of(service: Service) -> dict[str, Any]:
    found: dict[str, Any] = dict(service.status()["loop"])
    return found


def arm(visit: Visit, who: str = "ann") -> None:
    """Test until nothing speaks against arming (a busy machine is late at first), and arm."""

    def ready() -> bool:
        if visit.run("return document.querySelector('#arming-arm').disabled"):
            test = visit.find("#arming-test")
            if test is not None and test.is_displayed() and test.is_enabled():
                test.click()
            return False
        return True

    field = visit.find("#arming-who")
    assert field is not None
    field.clear()
    field.send_keys(who)
    visit.wait(ready, "a self-test that nothing failed")
    visit.click("Arm: light may come")
    visit.wait(lambda: state(visit) == "Armed", "armed")


def leave_fields(visit: Visit) -> None:
    visit.run("document.activeElement.blur()")


def test_arming_takes_two_acts_and_the_space_bar_stops(looping: Visit, deciding: Service) -> None:
    visit = looping
    assert visit.run("return document.querySelector('#arming-arm').disabled")
    visit.run("document.querySelector('#arming-arm').click()")
    assert loop_of(deciding)["state"] == "disarmed"
    arm(visit)
    assert loop_of(deciding)["who"] == "ann"
    visit.wait(lambda: "often: fired" in visit.text(".event-list"), "a decision to fire")
    visit.wait(lambda: "often: light on" in visit.text(".event-list"), "light")
    leave_fields(visit)
    visit.press("SPACE")
    visit.wait(lambda: state(visit) == "Stopped", "stopped")
    assert loop_of(deciding)["state"] == "stopped"
    visit.wait(lambda: "acknowledged it after" in " ".join(visit.said()), "the acknowledgement")
    assert visit.find(".alarm") is None
    visit.wait(lambda: "emergency stop by ann" in visit.text(".event-list"), "the event")
    visit.click("I have found the cause: clear")
    visit.wait(lambda: state(visit) == "Disarmed", "disarmed")
    assert visit.run("return document.querySelector('#arming-arm').disabled"), (
        "the old self-test counts no more"
    )
    assert visit.errors() == []


LONG_TRAIN = RULES.replace("{width_ms: 5}", "{frequency_hz: 30, width_ms: 20, duration_ms: 5000}")


def test_the_gate_is_armed_from_the_page_lights_and_is_stopped_by_the_space_bar_in_mid_train(
    browser: webdriver.Chrome, test_engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with emulated_gate(patient_gate) as gate:
        output = {"kind": "gate", "port": str(gate.port), "limits": PATIENT_LIMITS, **PATIENT}
        rig = deciding_rig(test_engine, tmp_path, monkeypatch, LONG_TRAIN, output=output)
        with Service(rig) as service, served(tmp_path, service) as screen:
            visit = Visit(browser, screen)
            visit.enter("loop")
            visit.wait(lambda: visit.text(".loop-state").startswith("Disarmed"), "the state")
            assert not risen(gate.light())
            arm(visit)
            visit.wait(lambda: risen(gate.light()), "light at the gate")
            visit.wait(lambda: "often: light on" in visit.text(".event-list"), "light on the page")
            leave_fields(visit)
            visit.press("SPACE")
            visit.wait(lambda: state(visit) == "Stopped", "stopped")
            visit.wait(lambda: "acknowledged it after" in " ".join(visit.said()), "the acknowledgement")
            assert not gate.light_is_on
            lights, began = len(risen(gate.light())), gate_cycle(gate)
            visit.wait(lambda: gate_cycle(gate) > began + 1_000 * CYCLES_PER_MS, "a second of the gate")
            assert len(risen(gate.light())) == lights, (
                "the rest of the train, and what rules ask for, stay dark"
            )
            folder = Path(loop_of(service)["session"])
            assert visit.errors() == []
    assert read_session(folder).damage == ()


def test_each_finding_of_the_self_test_says_what_to_do(looping: Visit) -> None:
    visit = looping
    visit.click("Self-test")
    visit.wait(lambda: len(visit.all(".finding")) > 5, "the findings")
    found = {each.text.split("\n")[1].split()[0]: each for each in visit.all(".finding")}
    assert {"camera", "frames", "engine", "rules", "output", "record", "latency"} <= set(found)
    assert "keeps no view" in found["view"].text
    assert "What to do: rtface engines view" in found["view"].text
    assert found["view"].text.startswith("look")


def test_nobody_arms_without_a_name(looping: Visit, deciding: Service) -> None:
    visit = looping
    visit.click("Self-test")
    visit.wait(lambda: visit.all(".finding"), "the findings")
    assert visit.run("return document.querySelector('#arming-arm').disabled")
    assert loop_of(deciding)["state"] == "disarmed"


def test_why_a_rule_is_withheld_stands_beside_its_values_and_thresholds(looping: Visit) -> None:
    visit = looping
    visit.wait(lambda: "nobody has armed (disarmed)" in visit.text("[data-rule=often] .why-withheld"), "why")
    card = visit.text("[data-rule=never]")
    assert "nose.x > 100000" in card
    visit.wait(lambda: "begins at 1.0e+5" in visit.text("[data-rule=never] tbody"), "the threshold")
    visit.wait(lambda: re.search(r"nose\.x-?\d", visit.text("[data-rule=never] tbody")), "the value")


def test_a_mark_is_recorded_with_who_and_what(looping: Visit) -> None:
    visit = looping
    visit.run("localStorage.setItem('who', 'ann')")
    visit.press("m")
    visit.press(*"the animal yawned", "ENTER")
    visit.wait(lambda: "ann: the animal yawned" in visit.text(".event-list"), "the mark")
    assert visit.run("return document.activeElement.value") == ""


def test_escape_in_a_text_field_stops_and_the_space_bar_writes(looping: Visit, deciding: Service) -> None:
    visit = looping
    visit.press("m")
    visit.press("a", "SPACE", "b")
    assert visit.run("return document.activeElement.value") == "a b"
    assert loop_of(deciding)["state"] == "disarmed"
    visit.press("ESCAPE")
    visit.wait(lambda: state(visit) == "Stopped", "stopped")


def test_disarming_has_its_reason_in_the_record(
    browser: webdriver.Chrome, test_engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of rules that fire nothing: on a machine that is very busy a pulse whose end is late is a fault, which disarms."""
    quiet = RULES.replace("nose.x > -1000", "nose.x > 100000")
    rig = deciding_rig(test_engine, tmp_path, monkeypatch, quiet)
    with Service(rig) as service, served(tmp_path, service) as screen:
        visit = Visit(browser, screen)
        visit.enter("loop")
        visit.wait(lambda: visit.text(".loop-state").startswith("Disarmed"), "the state")
        arm(visit)
        field = visit.find("#disarm-why")
        assert field is not None
        visit.wait(field.is_displayed, "the field")
        field.send_keys("lunch")
        visit.click("Disarm")
        visit.wait(lambda: state(visit) == "Disarmed", "disarmed")
        assert "lunch" in loop_of(service)["why"]


def test_a_blinded_schedule_shows_trials_and_no_light(
    browser: webdriver.Chrome, test_engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = deciding_rig(test_engine, tmp_path, monkeypatch, BLIND)
    with Service(rig) as service, served(tmp_path, service) as screen:
        visit = Visit(browser, screen)
        visit.enter("loop")
        visit.wait(lambda: visit.text(".loop-state").startswith("Disarmed"), "the state")
        arm(visit)
        visit.wait(lambda: visit.text(".event-list").count("often: trial") > 3, "trials")
        visit.wait(lambda: "hidden" in visit.text(".facts"), "hidden lights")
        events, counts = visit.text(".page.loop .event-list"), visit.text(".page.loop .facts")
        assert not [each for each in ("sham", "light on", "fired") if each in events]
        assert not [each for each in ("Shams", "Fired") if each in counts]


def test_ten_thousand_events_are_a_short_page_that_can_be_searched(looping: Visit) -> None:
    visit = looping
    visit.run(
        """
        const rig = document.querySelector(".page.loop");
        const many = Array.from({length: 10000}, (_, n) => ({
          topic: "events", session: "made", seq: n, t_ns: n * 1e6, kind: "mark", details: {who: "bob", text: `mark ${n}`},
        }));
        const real = window.fetch;
        window.fetch = async (path, options) => String(path).includes("/history")
          ? new Response(JSON.stringify({events: many, features: []}), {headers: {"content-type": "application/json"}})
          : real(path, options);
        location.hash = "#/live";
        """
    )
    visit.wait(lambda: visit.find(".page.live > *"), "another page")
    visit.go("loop")
    visit.wait(lambda: visit.text(".events .small[role=status]").startswith("10000"), "the events")
    assert len(visit.all(".event")) < 60
    assert visit.run("return document.querySelectorAll('*').length") < 800
    search = visit.find(".events input")
    assert search is not None
    search.send_keys("mark 4242")
    visit.wait(lambda: visit.text(".events .small[role=status]").startswith("1 of"), "the found one")
    assert "bob: mark 4242" in visit.text(".event-list")
    search.clear()
    search.send_keys("x", "\b")
    visit.wait(lambda: visit.text(".events .small[role=status]").startswith("10000"), "all")
    visit.run("document.querySelector('.event-list').focus()")
    visit.press("END")
    visit.wait(lambda: "bob: mark 0" in visit.text(".event-details"), "the oldest")
    assert len(visit.all(".event")) < 60
    visit.click("Marks")
    visit.wait(
        lambda: "No event is of these kinds" in visit.text(".events .empty"), "what an empty list says"
    )


def test_a_state_that_is_not_heard_of_any_more_is_unknown(looping: Visit, deciding: Service) -> None:
    visit = looping
    arm(visit)
    deciding.close()
    visit.wait(lambda: state(visit) == "Unknown", "unknown")
    visit.wait(lambda: visit.text(".loop-state").startswith("Unknown"), "unknown on the page")
    assert "is not known" in visit.text(".arming .muted:last-of-type") or visit.find("#arming-arm:disabled")


def test_every_reason_has_its_words() -> None:
    words = (STATIC / "pages" / "loop" / "words.js").read_text(encoding="utf-8")
    table = words.split("export const REASONS = {")[1].split("};")[0]
    assert set(re.findall(r"^  (\w+):", table, re.MULTILINE)) == {each.value for each in Reason}


def test_a_guest_sees_all_and_can_do_nothing(
    browser: webdriver.Chrome, deciding: Service, tmp_path: Path
) -> None:
    with served(tmp_path, deciding) as screen:
        visit = Visit(browser, screen)
        browser.get(screen.new_link(read_only=True))
        visit.go("loop")
        visit.wait(lambda: visit.text(".loop-state").startswith("Disarmed"), "the state")
        visible = [
            each.text for each in visit.all(".page.loop section:not(.events) button") if each.is_displayed()
        ]
        assert not [each for each in visible if re.search("arm|test|stop|Mark$|clear", each, re.IGNORECASE)]
        visit.press("t", "d", "SPACE")
        visit.wait(lambda: "may only look" in " ".join(visit.said()), "the words")
        answers = visit.run(
            """
            return Promise.all(["arm", "disarm", "mark", "self_test", "clear", "set_crop"].map((each) =>
              fetch(`/api/rigs/${arguments[0]}/${each}`, {method: "POST", headers: {"content-type": "application/json"},
                body: JSON.stringify({args: {}, who: "guest"})}).then((answer) => answer.status)))
            """,
            visit.run("return fetch('/api/about').then((a) => a.json()).then((a) => a.rigs[0].id)"),
        )
        assert answers == [403] * 6
        about = visit.run("return fetch('/api/about').then((a) => a.json())")
        outcome = browser.execute_async_script(
            """
            const [port, done] = arguments;
            const socket = new WebSocket(`ws://127.0.0.1:${port}/`);
            socket.onopen = () => done("open"); socket.onclose = () => done("closed");
            """,
            about["stop_port"],
        )
        assert outcome == "closed"
    assert loop_of(deciding)["state"] == "disarmed"
    assert json.dumps(about["rigs"]).count("id") == 1
    assert browser.find_elements(By.CSS_SELECTOR, ".alarm") == []
    with Client(deciding.keypoints_address, deciding.control_address) as client:
        assert client.status().loop["who"] == ""
