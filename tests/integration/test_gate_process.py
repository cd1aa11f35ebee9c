"""A host that is killed in mid-pulse, and one that hangs: the real firmware in emulation turns the light off."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from support.waits import LONG_S, finishes

from rtface.core.errors import OutputError
from rtface.stimulate.gate.emulator import CYCLES_PER_MS, EmulatedGate

HOST = """
import sys, time
from rtface.config import GateOutputSettings
from rtface.core.records import Pulse
from rtface.stimulate.gate.output import GateOutput

gate = GateOutput(GateOutputSettings(kind="gate", port=sys.argv[1], liveness_ms=100, silence_ms=2000))
gate.open()
gate.alive()
gate.arm()
gate.fire(Pulse(3_000_000_000, 3_000_000_000, 1, 1.0))
deciding = True
while True:
    if deciding:
        gate.alive()
    time.sleep(0.002)
    for report in gate.reports():
        print(report.event.value, flush=True)
        if report.event.value == "light_on":
            deciding = sys.argv[2] == "lives"
"""
ON_US = 3_000_000
DEADMAN_MS = 50


@pytest.fixture
def emulated() -> Iterator[EmulatedGate]:
    """A gate whose limits allow a pulse of 3 s, so that only a dead-man can end it early."""
    try:
        made = EmulatedGate()
    except OutputError as error:
        pytest.skip(str(error))
    with made:
        made.sign({"max_on_us": ON_US, "window_on_us": 2 * ON_US, "deadman_ms": DEADMAN_MS}, "test")
        yield made


def run_until_lit(gate: EmulatedGate, behaviour: str) -> subprocess.Popen[str]:
    host = subprocess.Popen(
        [sys.executable, "-c", HOST, str(gate.port), behaviour], stdout=subprocess.PIPE, text=True
    )
    assert host.stdout is not None
    for line in host.stdout:
        if line.strip() == "light_on":
            return host
    raise AssertionError("the host ended without light")


def wait_for_dark(gate: EmulatedGate) -> tuple[int, int]:
    """Return the cycles at which the light went on and off."""
    end = time.monotonic() + LONG_S
    while True:
        gate.arm_switch(True)
        lit = [change.cycle for change in gate.light() if change.ttl]
        dark = [change.cycle for change in gate.light() if lit and change.cycle > lit[-1]]
        if dark:
            return lit[0], dark[0]
        assert time.monotonic() < end, "the light stays on"
        time.sleep(0.005)


def test_a_host_killed_in_mid_pulse_loses_the_light_within_the_dead_man(emulated: EmulatedGate) -> None:
    host = run_until_lit(emulated, "lives")
    host.send_signal(signal.SIGKILL)
    host.wait()
    assert host.stdout is not None
    host.stdout.close()
    on, off = wait_for_dark(emulated)
    assert off - on < ON_US * 16, "it was not the pulse's own end"
    last_byte = max(cycle for cycle, *_ in emulated.log.delivered if cycle < off)
    assert 0 < off - last_byte <= DEADMAN_MS * CYCLES_PER_MS
    assert not emulated.light_is_on


def test_a_decision_that_hangs_loses_the_light_though_its_process_lives(emulated: EmulatedGate) -> None:
    host = run_until_lit(emulated, "hangs")
    on, off = wait_for_dark(emulated)
    assert host.poll() is None, "the process lives"
    assert off - on < ON_US * 16
    said = host.stdout
    assert said is not None
    try:
        assert finishes(lambda: "silent\n" in iter(said.readline, ""))
    finally:
        host.kill()
        host.wait()
        said.close()
