"""``rtface gate`` against the firmware in emulation, as a person types it."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from support.documents import items
from support.paths import DOCS
from typer.testing import CliRunner, Result

from rtface.cli.app import app
from rtface.core.errors import DataError, GateError, OutputError, UsageError
from rtface.stimulate.gate.emulator import CYCLES_PER_MS, EmulatedGate


@pytest.fixture
def gate() -> Iterator[EmulatedGate]:
    try:
        made = EmulatedGate()
    except OutputError as error:
        pytest.skip(str(error))
    with made:
        made.sign({}, "tests")
        yield made


@contextmanager
def hand_on_button(gate: EmulatedGate) -> Iterator[None]:
    """Somebody presses the button again and again, for longer than it takes."""
    done = threading.Event()

    def press() -> None:
        while not done.is_set():
            until = gate.cycle + 1_500 * CYCLES_PER_MS
            gate.button(held=True)
            while gate.cycle < until and not done.is_set():
                gate.button(held=True)
            until = gate.cycle + 20 * CYCLES_PER_MS
            while gate.cycle < until:
                gate.button(held=False)

    pressing = threading.Thread(target=press)
    pressing.start()
    try:
        yield
    finally:
        done.set()
        pressing.join()


def rtface(*arguments: object, typed: str = "") -> Result:
    return CliRunner().invoke(app, ["gate", *map(str, arguments)], input=typed)


def pulses(gate: EmulatedGate) -> int:
    gate.arm_switch(True)
    return sum(now.ttl and not before.ttl for before, now in pairwise(gate.light()))


def test_the_self_test_names_what_it_looked_at(gate: EmulatedGate) -> None:
    done = rtface("test", "--port", gate.port, "--json")
    assert done.exit_code == 0, done.output
    findings = items(done.stdout)
    assert all(each.keys() == {"what", "verdict", "text", "mend"} for each in findings)
    checks = {each["what"]: each["verdict"] for each in findings}
    assert checks.keys() == {
        "gate",
        "line",
        "limits",
        "heartbeat",
        "arm switch",
        "photodiode",
        "emergency stop",
    }
    assert checks["gate"] == checks["emergency stop"] == "ok"
    gate.stop_switch(open=True)
    failed = rtface("test", "--port", gate.port)
    assert failed.exit_code == OutputError.exit_code
    assert "pressed, or not wired" in failed.output


def test_the_light_flashes_once_and_only_when_asked_in_full(gate: EmulatedGate) -> None:
    refused = rtface("test", "--port", gate.port, "--flash-light", typed="yes\n")
    assert isinstance(refused.exception, UsageError)
    assert pulses(gate) == 0
    done = rtface("test", "--port", gate.port, "--flash-light", typed="flash\n")
    assert done.exit_code == 0, done.output
    assert pulses(gate) == 1
    assert "light_off (completed)" in done.output


def test_limits_are_shown_changed_and_kept(gate: EmulatedGate, tmp_path: Path) -> None:
    file = tmp_path / "limits.yaml"
    file.write_text("max_on_us: 4000\ndeadman_ms: 40\n", encoding="utf-8")
    change = (
        "limits",
        "--port",
        gate.port,
        "--set",
        file,
        "--set",
        "max_on_us=3000",
        "--signed-off-by",
        "Ada",
    )
    assert isinstance(rtface(*change, typed="yes\n").exception, UsageError)
    with hand_on_button(gate):
        done = rtface(*change, typed="store\n")
    assert done.exit_code == 0, done.output
    assert "stored, as change 2" in done.output
    gate.power_cycle()
    shown = json.loads(rtface("limits", "--port", gate.port, "--json").stdout)
    assert (shown["max_on_us"], shown["deadman_ms"], shown["signed_off_by"]) == (3000, 40, "Ada")
    assert f"limits: {shown['fingerprint']}" in done.output


def test_a_change_needs_a_name_and_a_readable_file(gate: EmulatedGate, tmp_path: Path) -> None:
    unsigned = rtface("limits", "--port", gate.port, "--set", "max_on_us=3000", typed="store\n")
    assert isinstance(unsigned.exception, UsageError)
    (tmp_path / "list.yaml").write_text("- 1\n", encoding="utf-8")
    for path in (tmp_path / "none.yaml", tmp_path / "list.yaml"):
        assert isinstance(rtface("limits", "--port", gate.port, "--set", path).exception, DataError)


def test_flashing_prints_its_command_and_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    shown = rtface("flash", "--port", "/dev/ttyACM0", "--dry-run")
    assert shown.exit_code == 0
    assert "avrdude -p atmega328p -c arduino -P /dev/ttyACM0" in shown.stdout
    missing = rtface("flash", "--port", "/dev/ttyACM0")
    assert isinstance(missing.exception, GateError)
    assert "apt-get install avrdude" in str(missing.exception)


def test_the_emulated_gate_says_where_it_is() -> None:
    done = rtface("emulate", "--seconds", "0.2")
    if isinstance(done.exception, OutputError):
        pytest.skip(str(done.exception))
    assert done.exit_code == 0
    example = yaml.safe_load((DOCS / "examples" / "whisking" / "rig.yaml").read_text(encoding="utf-8"))
    assert re.search(rf"kind: gate, port: \S+, limits: {example['output']['limits']}}}", done.output)


def test_a_blank_emulated_gate_has_nothing_signed_and_is_worked_by_hand() -> None:
    lines = "key off\nbutton down\nbutton up\nstop open\nstop closed\npower\nwhat\n"
    done = CliRunner().invoke(app, ["gate", "emulate", "--blank", "--seconds", "1.5"], input=lines)
    if isinstance(done.exception, OutputError):
        pytest.skip(str(done.exception))
    assert done.exit_code == 0
    assert "limits:" not in done.output
    assert "key off" in done.output
    assert "'what' is none of" in done.output
