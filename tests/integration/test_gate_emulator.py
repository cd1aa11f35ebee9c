"""The emulated gate as a board: a port, a cable, a clock that is the host's."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from support.gate_host import need_simavr

from bench.gate.scripted import ScriptedGate
from rtface.core.clock import monotonic_ns
from rtface.core.errors import GateError
from rtface.stimulate.gate.codes import BAUD, Kind, State
from rtface.stimulate.gate.emulator import EmulatedGate
from rtface.stimulate.gate.framing import Decoder, encode
from rtface.stimulate.gate.protocol import Ack, Arm, Event, Hello, Message, Pulse, Welcome

serial = pytest.importorskip("serial", reason="pyserial is not installed")


@pytest.fixture(autouse=True)
def _simavr() -> None:
    need_simavr()


class Line:
    """A serial port and what comes out of it."""

    def __init__(self, gate: EmulatedGate) -> None:
        self.port = serial.Serial(str(gate.port), BAUD, timeout=0.02)
        self.decoder = Decoder()
        self.seq = 0
        self.nonce = 0

    def ask(self, message: Message) -> Message:
        """Send until there is an answer."""
        for _ in range(100):
            self.seq += 1
            self.port.write(encode(message, self.seq, self.nonce))
            for frame in self.decoder.feed(self.port.read(80)):
                if frame.seq == self.seq and not isinstance(frame.message, Event):
                    self.nonce = frame.nonce
                    return frame.message
        raise AssertionError(f"no answer to {message}")


def wait_for_light(gate: EmulatedGate, lit: bool) -> None:
    until = monotonic_ns() + 20 * 10**9
    while gate.light_is_on != lit:
        assert monotonic_ns() < until
        time.sleep(0.001)


def test_a_host_arms_and_fires_through_the_port_in_its_own_time() -> None:
    with EmulatedGate() as gate:
        gate.sign({}, "a test")
        line = Line(gate)
        welcome = line.ask(Hello())
        assert isinstance(welcome, Welcome)
        assert isinstance(line.ask(Arm(welcome.token)), Ack)
        before = monotonic_ns()
        assert isinstance(line.ask(Pulse(15_000, 0, 1, 200)), Ack)
        wait_for_light(gate, False)
        after = monotonic_ns()
        on, *_, off = [change for change in gate.light() if change.cycle > 0]
        assert before < on.t_ns < off.t_ns < after
        assert (on.ttl, off.ttl, off.amplitude) == (True, False, 0)
        assert max(change.amplitude for change in gate.light()) == 200
        assert 14_900 < (off.cycle - on.cycle) / 16 < 15_100
        line.port.close()


def test_a_pulled_cable_is_an_error_for_who_holds_the_port_and_another_port_when_plugged() -> None:
    with EmulatedGate() as gate:
        line = Line(gate)
        assert isinstance(line.ask(Hello()), Welcome)
        gate.cable(plugged=False)
        assert not os.path.lexists(gate.port)
        with pytest.raises(serial.SerialException):
            line.port.read(10)
        line.port.close()
        gate.cable(plugged=True)
        line = Line(gate)
        assert isinstance(line.ask(Hello()), Welcome)
        line.port.close()


def test_opening_the_port_resets_the_chip_where_that_is_wanted() -> None:
    with EmulatedGate(resets_on_open=True) as gate:
        until = monotonic_ns() + 20 * 10**9
        while not gate.read_log().frames and monotonic_ns() < until:
            gate.arm_switch(on=True)
        line = Line(gate)
        welcome = line.ask(Hello())
        assert isinstance(welcome, Welcome)
        assert welcome.resets == 1
        assert len(gate.read_log().resets) == 2
        line.port.close()


def test_switches_power_and_reset_reach_the_chip() -> None:
    with EmulatedGate() as gate:
        gate.stop_switch(open=True)
        line = Line(gate)
        time.sleep(0.01)
        welcome = line.ask(Hello())
        assert isinstance(welcome, Welcome)
        assert welcome.state is State.STOPPED
        gate.stop_switch(open=False)
        gate.power_cycle()
        gate.reset()
        time.sleep(0.05)
        gate.hang()
        time.sleep(0.1)
        boots = [f.message for _, f in gate.read_log().frames if isinstance(f.message, Event)]
        assert [boot.value for boot in boots if boot.kind is Kind.BOOT][-1] == 8, "the watchdog's reset"
        line.port.close()


def test_the_same_script_and_seed_make_the_same_log() -> None:
    logs = []
    for _ in range(2):
        with ScriptedGate(seed=5) as gate:
            gate.send(Hello(), 1)
            gate.run_ms(30)
            gate.hang(interrupts=False)
            gate.run_ms(30)
            logs.append((gate.log.sent, gate.log.resets, gate.cycle))
    assert logs[0] == logs[1]


@pytest.mark.parametrize(("count", "lost"), [(3, 0), (4, 1), (9, 6)])
def test_the_receiver_holds_as_many_bytes_as_the_chip_s(count: int, lost: int) -> None:
    """Data sheet: two are buffered, the third waits in the shift register until the fourth begins."""
    with ScriptedGate() as gate:
        gate.run_ms(20)
        gate.hang(interrupts=False)
        gate.send_bytes(b"\x55" * count)
        gate.run_ms(1)
        assert len(gate.log.delivered) == count
        assert len(gate.log.overruns) == lost


def test_bytes_take_ten_bits_each_way() -> None:
    """simavr counts eleven."""
    with ScriptedGate() as gate:
        gate.run_ms(20)
        for seq in range(1, 5):
            gate.send(Hello(), seq)
        gate.run_ms(5)
        came = np.diff([cycle for cycle, *_ in gate.log.delivered])
        left = np.diff([cycle for cycle, _ in gate.log.sent])
        assert np.abs(came - 160).max() <= 4, "within an instruction"
        assert np.median(left) == 160
        assert len(gate.log.frames) == 5, "a boot event and four welcomes"


def test_what_is_no_firmware_is_told(tmp_path: Path) -> None:
    with pytest.raises(GateError, match="no such firmware"):
        ScriptedGate(tmp_path / "none.hex")
    (tmp_path / "empty.hex").write_text("not hex\n")
    with pytest.raises(GateError, match="has ended"), ScriptedGate(tmp_path / "empty.hex") as gate:
        gate.run(100)


def test_the_emulation_ends_with_the_process_that_began_it() -> None:
    code = (
        "import os, sys, time\n"
        "from rtface.stimulate.gate.emulator import EmulatedGate\n"
        "gate = EmulatedGate()\n"
        "print(gate._process.pid, flush=True)\n"
        "time.sleep(0.05)\n"
        "os._exit(1)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    pid = int(done.stdout)
    until = monotonic_ns() + 10 * 10**9
    while Path(f"/proc/{pid}/stat").exists() and monotonic_ns() < until:
        if Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z":
            break
        time.sleep(0.01)
    else:
        assert not Path(f"/proc/{pid}").exists()
