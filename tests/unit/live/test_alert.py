"""A command of the lab's own for what no person caused."""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from support.manual_loop import ManualLoop
from support.waits import LONG_S, wait_until

from rtface.core.outputs import OutputEvent, OutputReason, OutputState, Report
from rtface.live.alert import Alert
from rtface.live.loop.closed_loop import SESSION_ENDED
from rtface.publish.events import EventKind

WRITES = """
import json, os, sys
with open(sys.argv[1], "a") as file:
    print(json.dumps({name: os.environ[name] for name in sorted(os.environ) if name.startswith("RTFACE_")}), file=file)
"""


class Told:
    def __init__(self, folder: Path, program: str = WRITES, longest_s: float = LONG_S) -> None:
        self.path = folder / "alerts"
        self.events: list[EventKind] = []
        command = (sys.executable, "-c", program, str(self.path))
        self.alert = Alert(lambda kind, *_: self.events.append(kind), command, "gate", "abc", longest_s)

    def arming(self, event: str, who: str, why: str = "w; rm $HOME") -> None:
        self.alert("arming", 1, {"event": event, "state": "x", "who": who, "why": why})

    def done(self) -> None:
        running = self.alert._running
        if running is not None:
            running.join(LONG_S)
            assert not running.is_alive()

    @property
    def lines(self) -> list[dict[str, Any]]:
        self.done()
        return [json.loads(line) for line in self.path.read_text().splitlines()] if self.path.exists() else []


def test_a_fault_and_a_device_that_ends_by_itself_run_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [each for each in os.environ if each.startswith("RTFACE_")]:
        monkeypatch.delenv(name, raising=False)
    told = Told(tmp_path)
    told.arming("fault", "rtface")
    assert told.lines == [{"RTFACE_EVENT": "fault", "RTFACE_SERVICE": "abc", "RTFACE_WHY": "w; rm $HOME"}]
    told.arming("disarmed", "gate")
    told.done()
    told.arming("emergency", "gate")
    assert [each["RTFACE_EVENT"] for each in told.lines] == ["fault", "disarmed", "emergency"]
    assert told.events == ["arming"] * 3


def test_what_a_person_does_is_no_alert(tmp_path: Path) -> None:
    told = Told(tmp_path)
    for event in ("armed", "disarmed", "emergency", "cleared"):
        told.arming(event, "operator ann")
    told.arming("disarmed", "rtface", SESSION_ENDED)
    told.alert("mark", 1, {"who": "rtface", "text": "x"})
    told.alert("light", 1, {"rule": "x"})
    assert told.lines == []
    assert told.events == ["arming"] * 5 + ["mark", "light"]


@pytest.mark.parametrize(
    ("program", "says"),
    [("raise SystemExit('no mail here')", "no mail here"), ("while True: pass", "timed out")],
)
def test_a_command_that_fails_or_hangs_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, program: str, says: str
) -> None:
    told = Told(tmp_path, program, longest_s=0.5)
    with caplog.at_level(logging.ERROR):
        told.arming("fault", "rtface")
        told.done()
    assert says in caplog.text


def test_a_command_that_is_not_there_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    alert = Alert(lambda *_: None, ("/no/such/program",), "gate", "abc")
    alert("arming", 1, {"event": "fault", "who": "rtface", "why": "w"})
    wait_until(lambda: "/no/such/program" in caplog.text)


def test_events_go_on_while_the_command_runs(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    told = Told(
        tmp_path, "import sys, time\nwhile not __import__('os').path.exists(sys.argv[1]): time.sleep(0.01)"
    )
    told.arming("fault", "rtface")
    told.arming("fault", "rtface", "again")
    assert told.events == ["arming"] * 2
    assert "no alert of fault (again)" in caplog.text
    told.path.touch()
    told.done()


def test_a_loop_that_fails_by_itself_is_what_the_alert_is_for(tmp_path: Path) -> None:
    looped = ManualLoop()
    told = Told(tmp_path)
    looped.loop.standing._announce = told.alert
    looped.arm()
    looped.output.says.append(Report(None, OutputEvent.SILENT, 10**12, OutputState.ARMED, OutputReason.NONE))
    looped.frame(0)
    assert [each["RTFACE_EVENT"] for each in told.lines] == ["fault"]
