"""The gate's port and thread, against a fake gate behind a pseudo-terminal; what is said is tested in test_link."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

import pytest
from support.fake_gate import OLD_BOOT, SIGNED, Board
from support.waits import finishes, wait_until

from rtface.config import GateOutputSettings
from rtface.core.clock import NS_PER_MS as MS
from rtface.core.errors import GateError
from rtface.core.latency import StageSummary
from rtface.core.outputs import OutputEvent, OutputInfo, OutputReason, OutputState
from rtface.core.records import Pulse
from rtface.stimulate.gate.checks import gate_checks
from rtface.stimulate.gate.codes import Inputs, State
from rtface.stimulate.gate.codes import Reason as Code
from rtface.stimulate.gate.firmware import IMAGE, flash_command, packaged_build
from rtface.stimulate.gate.limits import fingerprint
from rtface.stimulate.gate.output import GateOutput, protocol
from rtface.stimulate.gate.protocol import DEFAULT_LIMITS

SHORT = Pulse(5 * MS, 5 * MS, 1, 1.0)


@pytest.fixture
def board() -> Iterator[Board]:
    made = Board()
    yield made
    made.vanish()


def gate_at(board: Board, **settings: Any) -> GateOutput:
    return GateOutput(GateOutputSettings(kind="gate", port=board.port, **({"silence_ms": 2000} | settings)))


def test_the_gate_introduces_itself(board: Board) -> None:
    gate = gate_at(board)
    info = gate.open()
    assert info.firmware == "2.1"
    assert info.build == f"{packaged_build():08x}"
    assert info.limits["deadman_ms"] == 50
    assert info.limits["source"] == "eeprom"
    assert info.settings["reset_cause"] == "power_on"
    assert gate.limits == SIGNED
    gate.close()


def test_a_board_that_is_still_starting_is_greeted_until_it_answers(board: Board) -> None:
    answer, ignored = board.gate.take, []

    def starting(data: bytes, time_us: int) -> bytes:
        ignored.append(data)
        return answer(data, time_us) if len(ignored) > 5 else b"\x00boot\xff"

    board.gate.take = starting  # type: ignore[method-assign]
    gate = gate_at(board)
    gate.open()
    assert board.gate.times(protocol.Hello) >= 1
    gate.close()


def test_a_port_without_a_gate_is_told_apart(board: Board) -> None:
    board.gate.silent = True
    gate = gate_at(board, open_s=0.5)
    with pytest.raises(GateError, match=r"no gate answers within 0\.5 s.*rtface gate flash"):
        gate.open()
    assert gate.state is OutputState.CLOSED
    board.gate.silent = False
    assert gate.open().kind == "gate"
    gate.close()


def test_firmware_that_is_not_ours_is_refused_unless_it_is_allowed(board: Board) -> None:
    board.gate.welcome = replace(board.gate.welcome, build=0x1234)
    with pytest.raises(GateError, match=r"build 00001234.*gate flash"):
        gate_at(board).open()
    gate = gate_at(board, build="any")
    assert gate.open().build == "00001234"
    gate.close()


def test_another_protocol_is_refused_always(board: Board) -> None:
    board.gate.welcome = replace(board.gate.welcome, protocol=9)
    with pytest.raises(GateError, match="protocol 9"):
        gate_at(board, build="any").open()


def test_a_gate_of_protocol_1_is_refused_with_the_words_to_flash(board: Board) -> None:
    """It takes this host's greeting for no frame, and says so in a frame of its own kind."""
    board.gate.take = lambda data, time_us: bytes.fromhex(OLD_BOOT)  # type: ignore[method-assign]
    with pytest.raises(GateError, match=r"has protocol 1, this rtface 2: `rtface gate flash`"):
        gate_at(board).open()


def test_limits_that_the_rig_does_not_name_are_never_armed(board: Board) -> None:
    gate = gate_at(board, limits=fingerprint(replace(SIGNED, max_on_us=19_999)))
    gate.open()
    gate.alive()
    with pytest.raises(GateError, match=f"its limits are {fingerprint(SIGNED)}, output.limits names"):
        gate.arm()
    assert board.gate.times(protocol.Arm) == 0
    gate.close()
    right = gate_at(board, limits=fingerprint(SIGNED))
    right.open()
    right.alive()
    right.arm()
    assert right.state is OutputState.ARMED
    right.close()


def test_limits_wait_for_a_hand_and_say_when_none_comes(board: Board) -> None:
    gate = gate_at(board)
    gate.open()
    carry_out, hands = board.gate._carry_out, []

    def waiting(message: protocol.Message, time_us: int) -> tuple[Code, bytes]:
        if isinstance(message, protocol.CommitLimits) and len(hands) < 3:
            hands.append(message)
            return Code.NO_HAND, b""
        if isinstance(message, protocol.CommitLimits):
            board.gate.limits = replace(SIGNED, counter=message.counter)
        return carry_out(message, time_us)

    board.gate._carry_out = waiting  # type: ignore[method-assign]
    wanted = protocol.ProposeLimits(**(asdict(SIGNED) | {"counter": 2}))
    with pytest.raises(GateError, match="its button must be held"):
        gate.change_limits(wanted, hand_s=0)
    assert gate.change_limits(wanted).counter == 2
    assert len(hands) == 3
    gate.close()


def test_the_gates_reason_not_to_arm_reaches_who_asked(board: Board) -> None:
    gate = gate_at(board)
    gate.open()
    board.gate._carry_out = lambda message, time_us: (Code.ARM_SWITCH, b"")  # type: ignore[method-assign]
    gate.alive()
    with pytest.raises(GateError, match="cannot be armed: its arm switch is off"):
        gate.arm()
    gate.close()


def test_arming_uses_a_token_of_its_own_each_time(board: Board) -> None:
    gate = gate_at(board)
    gate.open()
    for _ in range(2):
        gate.alive()
        gate.arm()
        gate.disarm("again")
        wait_until(lambda: gate.state is OutputState.DISARMED)
    arms = [message for _, message in board.gate.received if isinstance(message, protocol.Arm)]
    assert len({arm.token for arm in arms}) == 2
    gate.close()


def test_a_token_that_the_line_has_spoilt_is_asked_for_anew(board: Board) -> None:
    gate = gate_at(board)
    gate.open()
    carry_out, spoilt = board.gate._carry_out, [Code.BAD_TOKEN, Code.STALE]
    board.gate._carry_out = lambda message, time_us: (  # type: ignore[method-assign]
        (spoilt.pop(), b"") if isinstance(message, protocol.Arm) and spoilt else carry_out(message, time_us)
    )
    gate.alive()
    gate.arm()
    assert gate.state is OutputState.ARMED
    assert not spoilt
    gate.close()


def test_other_limits_are_proposed_committed_and_read_back(board: Board) -> None:
    gate = gate_at(board)
    gate.open()
    changes = {"max_on_us": 5000, "counter": 2, "signed_off_by": "Ada"}
    wanted = protocol.ProposeLimits(**(asdict(DEFAULT_LIMITS) | changes))
    carry_out = board.gate._carry_out

    def storing(message: protocol.Message, time_us: int) -> tuple[Code, bytes]:
        if isinstance(message, protocol.CommitLimits):
            board.gate.limits = replace(board.gate.limits, max_on_us=5000, counter=message.counter)
        return carry_out(message, time_us)

    board.gate._carry_out = storing  # type: ignore[method-assign]
    assert gate.change_limits(wanted).max_on_us == 5000
    assert [type(each) for each in board.gate.carried_out] == [protocol.ProposeLimits, protocol.CommitLimits]
    gate.alive()
    gate.arm()
    number = gate.fire(Pulse(6 * MS, 6 * MS, 1, 1.0))
    seen: dict[int | None, OutputReason] = {}

    def refused() -> bool:
        seen.update({each.number: each.reason for each in gate.reports()})
        return number in seen

    wait_until(refused)
    assert seen[number] is OutputReason.TOO_LONG
    gate.close()


def test_a_fault_in_the_ports_thread_ends_the_heartbeat_but_not_the_thread(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = gate_at(board)
    gate.open()
    gate.alive()
    gate.arm()
    monkeypatch.setattr("rtface.stimulate.gate.link.to_message", lambda pulse: 1 / 0)
    gate.fire(SHORT)
    wait_until(lambda: gate.state is OutputState.FAULT)
    lost = next(each for each in gate.reports() if each.event is OutputEvent.LOST)
    assert "ZeroDivisionError" in lost.details["error"]
    beats = board.gate.times(protocol.Heartbeat)
    refused = gate.fire(SHORT)
    wait_until(lambda: any(each.number == refused for each in gate.reports()))
    gate.alive()
    assert board.gate.times(protocol.Heartbeat) == beats
    with pytest.raises(GateError):
        gate.self_test()
    finishes(gate.close)


def test_closing_disarms_first(board: Board) -> None:
    gate = gate_at(board)
    gate.open()
    gate.alive()
    gate.arm()
    gate.close()
    assert board.gate.state is State.DISARMED
    assert isinstance(board.gate.carried_out[-1], protocol.Disarm)


def test_closing_does_not_wait_for_a_gate_that_does_not_answer(board: Board) -> None:
    gate = gate_at(board)
    gate.open()
    board.gate.silent = True
    finishes(gate.close)
    assert gate.state is OutputState.CLOSED


INFO = OutputInfo(
    kind="gate",
    label="a gate",
    drives_light=True,
    enforces_limits=True,
    build="1234",
    limits={"source": "eeprom"},
    settings={"heartbeat_ms": 10.0, "packaged_build": "1234", "limits": fingerprint(SIGNED)},
)
STATUS = protocol.Status(State.DISARMED, Code.NONE, Inputs.ARM_SWITCH_ON, 0, 0, 0, 0, 0, 0)
QUICK = StageSummary(50, 0.5, 0.8, 0.9, 1.0, 1.0)


def test_a_gate_in_order_has_nothing_to_fix() -> None:
    assert {each.verdict for each in gate_checks(INFO, STATUS, SIGNED, QUICK)} == {"ok"}


@pytest.mark.parametrize(
    ("info", "status", "limits", "what", "verdict"),
    [
        ({"build": "abcd"}, {}, {}, "gate", "warn"),
        ({"limits": {"source": "none"}}, {}, {}, "limits", "fail"),
        ({"limits": {"source": "one_copy"}}, {}, {}, "limits", "warn"),
        ({"limits": {"source": "lost"}}, {}, {}, "limits", "fail"),
        ({}, {"bad_frames": 1}, {}, "line", "warn"),
        ({}, {"inputs": Inputs(0)}, {}, "arm switch", "warn"),
        ({}, {"inputs": Inputs.ARM_SWITCH_ON | Inputs.STOP_OPEN}, {}, "emergency stop", "fail"),
        ({}, {"state": State.STOPPED}, {}, "emergency stop", "warn"),
        ({}, {"state": State.FAULT}, {}, "state", "fail"),
        ({}, {"state": State.FAULT, "reason": Code.MEMORY}, {}, "state", "fail"),
        ({}, {"state": State.FAULT, "reason": Code.LIMITS_LOST}, {}, "state", "fail"),
        ({}, {"state": State.FAULT, "reason": Code.LIGHT_UNCOMMANDED}, {}, "state", "fail"),
        ({}, {"state": State.FAULT, "reason": Code.LIGHT_MISSING}, {}, "state", "fail"),
        ({}, {}, {"max_on_us": 20_001}, "limits", "fail"),
    ],
)
def test_what_speaks_against_arming_is_found(
    info: dict[str, Any], status: dict[str, Any], limits: dict[str, Any], what: str, verdict: str
) -> None:
    checks = gate_checks(replace(INFO, **info), replace(STATUS, **status), replace(SIGNED, **limits), QUICK)
    wrong = [(each.what, each.verdict) for each in checks if each.verdict != "ok"]
    assert wrong == [(what, verdict)]
    assert next(each for each in checks if each.verdict != "ok").fix


def test_a_photodiode_that_sees_light_now_is_found() -> None:
    watched = replace(SIGNED, photodiode_wired=1)
    info = replace(INFO, settings={**INFO.settings, "limits": fingerprint(watched)})
    lit = replace(STATUS, inputs=Inputs.ARM_SWITCH_ON | Inputs.LIGHT_SEEN)
    (wrong,) = (each for each in gate_checks(info, lit, watched, QUICK) if each.verdict != "ok")
    assert (wrong.what, wrong.verdict) == ("photodiode", "fail")
    assert {each.verdict for each in gate_checks(info, STATUS, watched, QUICK)} == {"ok"}


def test_firmware_whose_limits_have_another_form_is_refused_with_the_words_to_flash(board: Board) -> None:
    board.gate.welcome = replace(board.gate.welcome, firmware=0x0200, build=1)
    with pytest.raises(
        GateError, match=r"firmware 2\.0, this rtface needs 2\.1 or newer: `rtface gate flash`"
    ):
        gate_at(board, build="any").open()


def test_a_dead_man_of_less_than_three_heartbeats_is_found() -> None:
    quick = replace(SIGNED, deadman_ms=20)
    info = replace(INFO, settings={**INFO.settings, "limits": fingerprint(quick)})
    wrong = [
        (each.what, each.verdict) for each in gate_checks(info, STATUS, quick, QUICK) if each.verdict != "ok"
    ]
    assert wrong == [("heartbeat", "fail")]


def test_a_rig_s_file_that_names_no_limits_is_given_the_line_to_write() -> None:
    info = replace(INFO, settings={**INFO.settings, "limits": None})
    (wrong,) = (each for each in gate_checks(info, STATUS, SIGNED, QUICK) if each.verdict != "ok")
    assert (wrong.what, wrong.verdict) == ("limits", "fail")
    assert wrong.fix.endswith(f"limits: {fingerprint(SIGNED)}")
    unpinned = gate_checks(info, STATUS, SIGNED, QUICK, pinned=False)
    assert {each.verdict for each in unpinned} == {"ok"}


def test_flashing_writes_the_packaged_image() -> None:
    command = flash_command("/dev/ttyACM0")
    assert command[0] == "avrdude"
    assert f"flash:w:{IMAGE}:i" in command
    assert IMAGE.is_file()
