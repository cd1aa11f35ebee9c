"""``rtface loop events``: it follows for as long as it was asked to, and prints every event."""

from __future__ import annotations

import io
import json
import math
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from rtface.cli import loop
from rtface.cli.app import app
from rtface.client import EventMessage
from rtface.core.clock import NS_PER_MS, NS_PER_S
from rtface.core.decision import Reason, RuleView
from rtface.live.loop.status import LoopStatus

BEGAN_NS = 7 * NS_PER_S


class Scripted:
    """A client whose clock passes 250 ms while it waits for an event."""

    def __init__(self) -> None:
        self.now_ns = BEGAN_NS
        self.calls = 0

    def __call__(self, *_: Any, **__: Any) -> Scripted:
        return self

    def __enter__(self) -> Scripted:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def next_event(self, timeout_s: float) -> EventMessage | None:
        self.calls += 1
        assert self.calls < 100, "it never ends"
        self.now_ns += 250 * NS_PER_MS
        if self.calls % 2:
            return None
        details = {"who": "me", "text": f"call {self.calls}"}
        return EventMessage(session="s", seq=self.calls, t_ns=self.now_ns, kind="mark", details=details)


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Scripted:
    scripted = Scripted()
    monkeypatch.setattr(loop, "Client", scripted)
    monkeypatch.setattr(loop, "monotonic_ns", lambda: scripted.now_ns)
    return scripted


def events(*options: str) -> Result:
    return CliRunner().invoke(app, ["loop", "events", *options])


@pytest.mark.parametrize(("seconds", "calls"), [("1", 4), ("1.6", 7), ("0.1", 1)])
def test_it_ends_after_the_seconds_that_were_given(client: Scripted, seconds: str, calls: int) -> None:
    shown = events("--seconds", seconds)
    assert shown.exit_code == 0, shown.output
    assert client.calls == calls
    assert [line.split()[-1] for line in shown.stdout.splitlines()] == [
        str(call) for call in range(2, calls + 1, 2)
    ]


def test_for_machines_each_event_is_a_line_of_json(client: Scripted) -> None:
    shown = events("--seconds", "1", "--json")
    assert [json.loads(line) for line in shown.stdout.splitlines()] == [
        {
            "schema": "rtface.cli/loop.events/1",
            "t_ns": BEGAN_NS + call * 250 * NS_PER_MS,
            "kind": "mark",
            "who": "me",
            "text": f"call {call}",
        }
        for call in (2, 4)
    ]


def test_without_seconds_it_goes_on(client: Scripted) -> None:
    shown = events()
    assert isinstance(shown.exception, AssertionError)
    assert client.calls == 100


def test_the_view_of_a_loop_says_why_a_rule_is_withheld_and_on_which_values() -> None:
    view = RuleView(
        "pad.speed > 3 and eye.x < 5", Reason.LOW_SCORE, (("pad.speed", 2.125), ("eye.x", math.nan))
    )
    status = LoopStatus(rules={"whisk": "withheld", "old": "armed"}, seen={"whisk": view})
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(loop.loop_view(status.as_map()))
    text = console.export_text()
    assert "whisk withheld (low_score): pad.speed > 3 and eye.x < 5; now pad.speed 2.12, eye.x ?" in text
    assert "old armed" in text


def test_the_view_of_a_loop_shows_what_thresholds_rest_on_and_their_numbers() -> None:
    def shown(**changes: object) -> str:
        whole = {
            "complete": True,
            "missing_s": 0.0,
            "problems": [],
            "values": {"pad.amplitude": {"mean": 2.0, "sd": 0.5, "frames": 12000}},
            "limits": {"pad.amplitude > baseline + 3 sd": 3.5},
        }
        console = Console(width=120, record=True, file=io.StringIO())
        console.print(loop.loop_view(LoopStatus(baseline=whole | changes).as_map()))
        return console.export_text()

    assert "pad.amplitude 2, sd 0.5 (n = 12000)" in shown()
    assert "pad.amplitude > baseline + 3 sd: 3.5" in shown()
    assert "42 s are missing; nobody can arm before" in shown(complete=False, missing_s=41.6)
    assert "its sd is 0" in shown(problems=["pad.amplitude was 3: its sd is 0"])
