"""The judge of the gate's logs: each rule, broken on purpose in a log made by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.gate.proof import flashes, violations
from rtface.stimulate.gate.codes import Inputs, LimitsSource, Reason, ResetCause, State
from rtface.stimulate.gate.emulator import EmulationLog, LightChange, Switches
from rtface.stimulate.gate.framing import LineFrame, encode
from rtface.stimulate.gate.protocol import (
    DEFAULT_LIMITS,
    Ack,
    Arm,
    Cancel,
    Disarm,
    Heartbeat,
    Hello,
    Limits,
    Message,
    Pulse,
    Welcome,
)

TOKEN = 77
MS = 16_000


class Story:
    """A log made by hand; times in milliseconds."""

    def __init__(self) -> None:
        self.log = EmulationLog(resets=[0], powers=[0], switches=[Switches(0, False, True)])
        self.log.light.append(LightChange(0, 0, False, 0))
        self.seq = 0
        self.nonce = 0

    def says(self, ms: float, message: Message, seq: int | None = None, nonce: int | None = None) -> None:
        """The frame's last byte comes at this time."""
        if seq is None:
            self.seq = seq = self.seq + 1
        frame = encode(message, seq, self.nonce if nonce is None else nonce)
        for index, byte in enumerate(frame):
            self.log.delivered.append((round(ms * MS) - 160 * (len(frame) - 1 - index), byte, False))

    def greets(self, ms: float) -> None:
        self.says(ms, Hello())
        welcome = Welcome(
            2, 256, 0, ResetCause.POWER_ON, 0, State.DISARMED, Inputs(0), LimitsSource.EEPROM, 0, TOKEN, 0
        )
        self.nonce += 1
        self.log.frames.append((round(ms * MS) + 100, LineFrame(self.seq, welcome, self.nonce)))

    def arms(self, ms: float) -> None:
        self.greets(ms - 1)
        self.says(ms, Arm(TOKEN))
        self.log.frames.append(
            (
                round(ms * MS) + 100,
                LineFrame(self.seq, Ack(Arm.TYPE, Reason.NONE, State.ARMED, 0, 0, 0), self.nonce),
            )
        )

    def lights(self, on_ms: float, off_ms: float, amplitude: int = 255) -> None:
        self.log.light += [
            LightChange(round(on_ms * MS), 0, True, amplitude),
            LightChange(round(off_ms * MS), 0, False, 0),
        ]

    def rules(self, limits: Limits = DEFAULT_LIMITS) -> set[str]:
        return {violation.rule for violation in violations(self.log, limits, 10_000 * MS)}


@pytest.fixture
def story() -> Story:
    """Armed at 20 ms, a pulse of 5 ms ordered at 30 ms."""
    story = Story()
    story.arms(20)
    story.says(30, Pulse(5_000, 0, 1, 255))
    return story


def test_a_pulse_that_was_ordered_is_fine(story: Story) -> None:
    story.lights(30.3, 35.3)
    assert story.rules() == set()


def test_a_light_that_stays_on_counts_to_the_end(story: Story) -> None:
    story.log.light.append(LightChange(31 * MS, 0, True, 255))
    assert flashes(story.log, 50 * MS)[0].us == 19_000
    assert {"max on", "dead-man", "not commanded"} <= story.rules()


def test_longer_than_ordered_is_not_ordered(story: Story) -> None:
    story.lights(30.3, 35.4)
    assert story.rules() == {"not commanded"}


def test_another_amplitude_is_not_ordered(story: Story) -> None:
    story.lights(30.3, 35.3, amplitude=254)
    assert story.rules() == {"not commanded"}


def test_light_before_its_command_is_not_ordered(story: Story) -> None:
    story.lights(29, 29.5)
    assert story.rules() == {"not commanded"}


def test_light_without_an_arm() -> None:
    story = Story()
    story.greets(20)
    story.says(30, Pulse(5_000, 0, 1, 255))
    story.says(31, Arm(TOKEN + 1))
    story.lights(31.5, 35)
    assert "not armed" in story.rules()


def test_an_arm_with_a_token_that_was_used_is_none(story: Story) -> None:
    story.says(40, Disarm())
    story.says(50, Arm(TOKEN))
    story.says(51, Pulse(5_000, 0, 1, 255))
    story.lights(51.5, 55)
    assert "Disarm" in story.rules()


@pytest.mark.parametrize("message", [Disarm(), Hello(), Cancel()])
def test_light_after_what_ends_it(story: Story, message: Message) -> None:
    story.says(31, message)
    story.lights(30.3, 35)
    assert story.rules() == {"not commanded" if isinstance(message, Cancel) else type(message).__name__}


def test_light_after_a_bad_frame_a_line_error_a_switch_a_reset_a_hang(story: Story) -> None:
    story.lights(30.3, 35)
    before = list(story.log.delivered)
    story.log.delivered += [(31 * MS, 1, False), (31 * MS + 160, 0, False)]
    assert story.rules() == {"bad frame"}
    story.log.delivered = [*before, (31 * MS, 1, True)]
    assert story.rules() == {"line error"}
    story.log.delivered = before
    story.log.overruns = [31 * MS]
    assert story.rules() == {"overrun"}
    story.log.overruns = [round(34.95 * MS)]
    assert story.rules() == set(), "dark within 0.1 ms"
    story.log.overruns = []
    story.log.switches = [Switches(0, False, True), Switches(31 * MS, True, True)]
    assert story.rules() == {"stop switch"}
    story.log.switches = [Switches(0, False, True), Switches(31 * MS, False, False)]
    assert story.rules() == {"arm switch"}
    story.log.switches = [
        Switches(0, False, True),
        Switches(25 * MS, True, True),
        Switches(31 * MS, False, True),
    ]
    assert "stop switch" in story.rules()
    story.log.switches = []
    story.log.resets = [0, 31 * MS]
    assert story.rules() == {"reset"}
    story.log.resets = [0]
    story.log.hangs = [17 * MS]
    assert story.rules() == set(), "an arm after the hang would need a reset, which is judged by itself"
    story.log.hangs = [21 * MS]
    story.log.light[-1] = replace(story.log.light[-1], cycle=39 * MS)
    assert "hang" in story.rules()


def test_the_dead_man(story: Story) -> None:
    long = replace(DEFAULT_LIMITS, max_on_us=100_000)
    story.says(31, Pulse(100_000, 0, 1, 255))
    story.lights(31.5, 70.1)
    assert story.rules(long) == {"dead-man"}
    story.says(40, Heartbeat())
    assert story.rules(long) == set()


def test_the_limits(story: Story) -> None:
    story.says(31, Pulse(5_000, 15_000, 9, 255))
    story.says(60, Heartbeat())
    for number in range(3):
        story.lights(31.5 + 15 * number, 36.5 + 15 * number)
    assert story.rules() == set()
    assert story.rules(replace(DEFAULT_LIMITS, max_on_us=4_000)) == {"max on"}
    assert story.rules(replace(DEFAULT_LIMITS, min_off_us=10_001)) == {"min off"}
    assert story.rules(replace(DEFAULT_LIMITS, window_on_us=14_000)) == {"window"}
    assert story.rules(replace(DEFAULT_LIMITS, window_ms=16, window_on_us=14_000)) == set()
    assert story.rules(replace(DEFAULT_LIMITS, session_pulses=2)) == {"session pulses"}
    assert story.rules(replace(DEFAULT_LIMITS, session_dose_us=14_900)) == {"session dose"}
    assert story.rules(replace(DEFAULT_LIMITS, max_amplitude=254)) == {"max amplitude"}


def test_the_amplitude_s_line_is_down_with_the_ttl(story: Story) -> None:
    story.log.light.append(LightChange(5, 0, False, 3))
    assert story.rules() == {"amplitude"}


def test_a_frame_that_lost_a_byte_by_overrun_is_no_command(story: Story) -> None:
    story.says(60, Heartbeat())
    story.says(61, Pulse(5_000, 0, 1, 255))
    story.log.overruns = [61 * MS - 160 * 3]
    story.arms(62)
    story.lights(62.3, 67.3)
    assert story.rules() == {"not commanded"}


@pytest.mark.parametrize("message", [Heartbeat(), Pulse(5_000, 0, 1, 255)])
def test_bytes_that_came_before_are_fresh_under_no_number(story: Story, message: Message) -> None:
    """The judge compares the bytes: whatever the firmware makes of their number, a repetition counts for nothing."""
    long = replace(DEFAULT_LIMITS, max_on_us=100_000, window_on_us=200_000)
    story.says(31, Heartbeat())
    beat, pulse = story.seq, story.seq - 1
    story.lights(30.3, 35.3)
    story.says(60, Heartbeat())
    assert story.rules() == set()
    if isinstance(message, Heartbeat):
        story.says(65, Pulse(90_000, 0, 1, 255))
        story.says(100, message, seq=beat)
        story.lights(65.5, 115)
        assert story.rules(long) == {"dead-man"}
    else:
        story.says(65, message, seq=pulse)
        story.says(66, Cancel())
        story.says(67, message, seq=pulse)
        story.lights(67.5, 72.5)
        assert "not commanded" in story.rules()


def test_another_conversation_s_frames_are_no_commands(story: Story) -> None:
    story.greets(40)
    story.says(41, Arm(TOKEN))
    story.log.frames.append(
        (41 * MS + 100, LineFrame(story.seq, Ack(Arm.TYPE, Reason.NONE, State.ARMED, 0, 0, 0), 2))
    )
    story.says(50, Pulse(5_000, 0, 1, 255), nonce=1)
    story.lights(50.5, 55.5)
    assert "not commanded" in story.rules()


def test_a_nonce_that_comes_twice(story: Story) -> None:
    story.nonce -= 1
    story.greets(40)
    assert story.rules() == {"nonce"}


def test_over_the_ttl_alone_all_light_is_full_light(story: Story) -> None:
    story.says(31, Pulse(5_000, 0, 1, 51))
    story.lights(31.3, 36.3, amplitude=51)
    tight = replace(DEFAULT_LIMITS, session_dose_us=4_000)
    assert story.rules(tight) == {"session dose"}
    assert story.rules(replace(tight, amplitude_wired=1)) == set()


def test_a_hand_begins_a_session(story: Story) -> None:
    story.lights(30.3, 35.3)
    story.says(6_000, Arm(TOKEN))
    story.log.switches += [
        Switches(50 * MS, False, False),
        Switches(60 * MS, False, False, True),
        Switches(5_070 * MS, False, False),
        Switches(5_100 * MS, False, True),
    ]
    story.arms(6_000)
    story.says(6_001, Pulse(5_000, 0, 1, 255))
    story.lights(6_001.3, 6_006.3)
    once = replace(DEFAULT_LIMITS, session_pulses=1)
    assert story.rules(once) == set()
    story.log.switches = [each for each in story.log.switches if not each.button]
    assert story.rules(once) == {"session pulses"}


WATCHED = replace(DEFAULT_LIMITS, photodiode_wired=1, light_rise_us=1_000, light_fall_us=1_000)


@pytest.fixture
def watched(story: Story) -> Story:
    """Lit as ordered, at 30.3 to 35.3 ms; ordered once more at 60 ms."""
    story.lights(30.3, 35.3)
    story.says(50, Heartbeat())
    story.says(60, Pulse(5_000, 0, 1, 255))
    story.log.photodiode.append((0, False))
    story.log.resets[0] = -1_000 * MS  # while it begins it may see no light
    return story


def sees(story: Story, *edges_ms: float) -> None:
    story.log.photodiode += [(round(ms * MS), at % 2 == 0) for at, ms in enumerate(edges_ms)]


def test_light_that_is_seen_in_time_is_fine(watched: Story) -> None:
    sees(watched, 31.2, 36.2, 61.2, 66.2)
    watched.lights(60.3, 65.3)
    assert watched.rules(WATCHED) == set()


def test_a_pulse_that_is_not_seen_must_end_and_none_follows(watched: Story) -> None:
    assert watched.rules(WATCHED) == {"light missing"}
    watched.log.light[-1] = LightChange(round(32.35 * MS), 0, False, 0)
    assert watched.rules(WATCHED) == set()
    watched.log.light[-1] = LightChange(round(32.5 * MS), 0, False, 0)
    watched.lights(60.3, 65.3)
    sees(watched, 60.4, 65.4)
    found = [each for each in violations(watched.log, WATCHED, 10_000 * MS) if each.rule == "light missing"]
    assert len(found) == 2, "too late, and one that follows"


@pytest.mark.parametrize("stray", [(40.0, 42.2), (10.0, 12.0, 30.4, 35.4), (30.4, 38.0)])
def test_after_light_that_nobody_commanded_no_pulse_follows(watched: Story, stray: tuple[float, ...]) -> None:
    sees(watched, *(stray if 30.4 in stray else (30.4, 35.4, *stray)))
    watched.lights(60.3, 65.3)
    sees(watched, 60.4, 65.4)
    assert watched.rules(WATCHED) == {"light uncommanded"}
    watched.log.switches += [Switches(45 * MS, False, False, False), Switches(46 * MS, False, False, True)]
    assert "light uncommanded" in watched.rules(WATCHED), "a hand that does not hold it for a second"


def test_where_none_is_wired_its_pin_says_nothing(watched: Story) -> None:
    assert watched.rules() == set()
