from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from support.arming_facts import GATE, PULSE, WELL
from support.feature_runs import measured
from support.manual_loop import ManualLoop, status

from rtface.config import AnimalSettings, LineOutputSettings
from rtface.core.budget import Budget, BudgetWatch
from rtface.core.check import Check
from rtface.core.clock import NS_PER_MS
from rtface.core.decision import Reason
from rtface.core.errors import ControlError, EngineError, OutputError, UsageError
from rtface.core.outputs import OutputEvent, OutputReason, OutputState, Report
from rtface.core.status import PipelineState
from rtface.decide.rulebank import RuleBank
from rtface.decide.rules import BaselineSpec, RuleSpec
from rtface.live.arming import Arming
from rtface.live.loop.status import LoopState
from rtface.live.selftest import AnimalLight, self_test
from rtface.record.session.animal import EarlierLight

UNGUARDED = LineOutputSettings(
    kind="line",
    port="p",
    light_on="1",
    light_off="0",
    allow_unguarded=True,
    max_on_ms=20,
    min_off_ms=10,
    max_pulses=1000,
)


def refused() -> Any:
    raise EngineError("was never verified: rtface engines verify")


def gone() -> Any:
    raise OutputError("the gate does not answer")


def budget(late: int) -> BudgetWatch:
    watch = BudgetWatch(Budget.parse("p99 < 5 ms"), 100)
    for number in range(100):
        watch.add(10 * NS_PER_MS if number < late else 0)
    return watch


def test_a_rig_that_is_well_is_ready() -> None:
    verdict = self_test(WELL)
    assert verdict.ready
    assert [each["what"] for each in verdict.findings()] == [
        "camera",
        "frames",
        "engine",
        "view",
        "rules",
        "gate",
        "latency",
        "record",
    ]
    assert self_test(replace(WELL, budget=budget(1))).ready


@pytest.mark.parametrize(
    ("view_ok", "any_view", "verdict"),
    [
        (0.9, False, "ok"),
        (0.5, False, "ok"),
        (0.49, False, "fail"),
        (0.49, True, "warn"),
        (math.nan, False, "warn"),
    ],
)
def test_an_unknown_view_is_not_armed_unless_the_rig_says_so(
    view_ok: float, any_view: bool, verdict: str
) -> None:
    found = self_test(replace(WELL, status=replace(status(), view_ok=view_ok), any_view=any_view))
    assert found.ready is (verdict != "fail")
    (check,) = (each for each in found.checks if each.what == "view")
    assert check.verdict == verdict


def test_a_view_that_is_not_known_yet_is_none_that_no_engine_keeps() -> None:
    unknown = replace(WELL, keeps_view=True)
    for any_view, verdict in ((False, "fail"), (True, "warn")):
        found = self_test(replace(unknown, any_view=any_view))
        (check,) = (each for each in found.checks if each.what == "view")
        assert (found.ready, check.verdict) == (any_view, verdict)
        assert "not known yet" in check.text


def test_a_rule_that_can_never_be_known_is_told_before_arming() -> None:
    verdict = self_test(replace(WELL, never_known=("rules.right: nose.speed can never be known",)))
    assert verdict.ready
    (check,) = (each for each in verdict.checks if each.what == "rules")
    assert (check.verdict, "nose.speed" in check.text) == ("warn", True)


@pytest.mark.parametrize(
    ("change", "what", "text"),
    [
        ({"status": status(80.0)}, "frames", "80.0 per second, but the camera says 100"),
        ({"status": status(0.0)}, "frames", "no frames come"),
        ({"status": status(state=PipelineState.STOPPED)}, "frames", "the camera is stopped"),
        ({"parity": refused}, "engine", "rtface engines verify"),
        ({"status": replace(status(), view_ok=0.2)}, "view", "0.20 in the median of the last second"),
        ({"output_checks": gone}, "output", "does not answer"),
        ({"output_checks": lambda: [Check("switch", "fail", "is off")]}, "switch", "is off"),
        ({"pulses": {}}, "rules", "no rule has a pulse"),
        (
            {"pulses": {"right": replace(PULSE, on_ns=21 * NS_PER_MS)}},
            "rules",
            "right wants a pulse of 21 ms",
        ),
        (
            {"pulses": {"right": replace(PULSE, period_ns=14 * NS_PER_MS, count=3)}},
            "rules",
            "9 ms between pulses, the output allows at least 10",
        ),
        (
            {"output": replace(GATE, limits={"max_amplitude": 127})},
            "rules",
            "an amplitude of 1, the output allows at most 0.50",
        ),
        ({"output": replace(GATE, limits={"max_on_ms": 4.0})}, "rules", "at most 4"),
        ({"output": replace(GATE, enforces_limits=False)}, "guard", "no dead-man of its own"),
        ({"budget": budget(2)}, "latency", "2 of the last 100 frames were late for p99 < 5 ms"),
        ({"session": ""}, "record", "nothing would prove"),
        ({"disk_fault": "disk full"}, "record", "disk full"),
    ],
)
def test_what_speaks_against_arming_is_named(change: dict[str, Any], what: str, text: str) -> None:
    verdict = self_test(replace(WELL, **change))
    assert not verdict.ready
    (failure,) = verdict.failures
    assert failure.what == what
    assert text in failure.text


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"output": replace(GATE, enforces_limits=False), "settings": UNGUARDED}, "guard"),
        ({"output": replace(GATE, drives_light=False), "session": ""}, "record"),
    ],
)
def test_what_the_user_allowed_is_a_warning(change: dict[str, Any], what: str) -> None:
    verdict = self_test(replace(WELL, **change))
    assert verdict.ready
    assert what in [check.what for check in verdict.checks if check.verdict == "warn"]


def test_too_few_frames_are_no_proof() -> None:
    few = status()
    latency = {stage: replace(summary, n=20) for stage, summary in few.latency.items()}
    verdict = self_test(replace(WELL, status=replace(few, latency=latency), budget=budget(0)))
    assert [check.what for check in verdict.failures] == ["latency"]


class Rig:
    """A loop whose pipeline is here: it does at once what it is asked, unless it has hung."""

    def __init__(self, *, clients: bool = True, **changes: Any) -> None:
        self.looped = ManualLoop()
        self.hung = False
        self.between: Callable[[], None] = lambda: None
        self.changes = changes
        self.arming = Arming(
            self.looped.loop,
            self.looped.output,
            self,
            lambda: self_test(replace(WELL, **self.changes)),
            clients=clients,
        )
        self.looped.frame(0)

    @property
    def state(self) -> LoopState:
        return self.looped.loop.status.state

    def ask(self, command: Callable[[], Any]) -> Any:
        self.between()
        if self.hung:
            raise UsageError("the pipeline has ended")
        return command()

    def post(self, command: Callable[[], Any]) -> None:
        if self.hung:
            raise UsageError("too many commands are waiting")
        command()


def test_arming_tests_first_and_then_lets_rules_fire() -> None:
    rig = Rig()
    assert rig.arming.arm("Ada", operator=False)["ready"]
    assert rig.state is LoopState.ARMED
    assert rig.looped.output.state is OutputState.ARMED
    rig.looped.frame(40)
    assert rig.looped.actions() == ["fire"]
    with pytest.raises(ControlError, match="the loop is armed"):
        rig.arming.arm("Eve", operator=True)


def test_what_the_self_test_finds_keeps_the_output_disarmed() -> None:
    rig = Rig(parity=refused, session="")
    with pytest.raises(
        ControlError, match=r"engine: was never verified.*; record: nothing would prove"
    ) as caught:
        rig.arming.arm("Ada", operator=True)
    assert caught.value.code == "not_ready"
    assert rig.looped.output.state is OutputState.DISARMED
    assert rig.state is LoopState.DISARMED


def test_clients_may_be_kept_from_arming_but_not_from_disarming() -> None:
    rig = Rig(clients=False)
    with pytest.raises(ControlError, match="only the operator") as caught:
        rig.arming.arm("Ada", operator=False)
    assert caught.value.code == "not_allowed"
    rig.arming.arm("Ada", operator=True)
    rig.arming.disarm("Eve", "")
    assert rig.state is LoopState.DISARMED


def test_the_light_goes_off_although_the_processing_thread_hangs() -> None:
    for end in ("disarm", "emergency_stop"):
        rig = Rig()
        rig.arming.arm("Ada", operator=True)
        rig.looped.frame(40)
        assert rig.looped.output.state is OutputState.FIRING
        rig.hung = True
        if end == "disarm":
            rig.arming.disarm("Eve", "smoke")
            assert rig.looped.output.state is OutputState.DISARMED
        else:
            rig.arming.emergency_stop("Eve")
            assert rig.looped.output.state is OutputState.STOPPED
        rig.looped.frame(0)
        assert rig.state in (LoopState.DISARMED, LoopState.STOPPED), "it learns from the output"


def test_arming_that_cannot_be_completed_leaves_nothing_armed() -> None:
    rig = Rig()
    rig.hung = True
    with pytest.raises(UsageError, match="has ended"):
        rig.arming.arm("Ada", operator=True)
    assert rig.looped.output.state is OutputState.DISARMED


def test_a_stop_that_comes_between_wins() -> None:
    rig = Rig()
    rig.between = lambda: rig.arming.emergency_stop("Eve")
    with pytest.raises(ControlError, match="the loop is stopped"):
        rig.arming.arm("Ada", operator=True)
    assert rig.looped.output.state is OutputState.STOPPED
    assert rig.state is LoopState.STOPPED


def test_a_command_for_the_disarmed_waits_while_somebody_arms() -> None:
    rig, found = Rig(), []

    def other() -> None:
        try:
            with rig.arming.disarmed("set_crop"):
                found.append("carried out")
        except ControlError as error:
            found.append(str(error))

    command = threading.Thread(target=other)

    def between() -> None:
        command.start()
        command.join(0.2)

    rig.between = between
    rig.arming.arm("Ada", operator=True)
    command.join()
    assert found == ["set_crop is refused while the loop is armed: disarm first"]


def test_a_stop_is_latched_until_it_is_cleared() -> None:
    rig = Rig()
    with pytest.raises(ControlError, match="nothing to clear"):
        rig.arming.clear("Ada")
    rig.arming.emergency_stop("Eve")
    with pytest.raises(ControlError, match="the loop is stopped: emergency stop"):
        rig.arming.arm("Ada", operator=True)
    rig.arming.clear("Ada")
    assert rig.state is LoopState.DISARMED
    rig.arming.arm("Ada", operator=True)
    assert rig.state is LoopState.ARMED


def test_marks_reach_the_record() -> None:
    rig = Rig()
    rig.arming.mark("Ada", "food", {})
    assert rig.looped.kinds("mark") == [{"who": "Ada", "text": "food", "details": {}}]


class Later(Rig):
    """What is posted is done when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.posted: list[Callable[[], Any]] = []
        self.arming.arm("Ada", operator=True)
        self.looped.frame(0)
        self.looped.record.armings.clear()

    def post(self, command: Callable[[], Any]) -> None:
        self.posted.append(command)

    def do(self) -> None:
        while self.posted:
            self.posted.pop(0)()

    @property
    def armings(self) -> list[tuple[str, str, str]]:
        return self.looped.record.armings


@pytest.mark.parametrize("first", ["frame", "idle", "posted", "close", "budget", "camera"])
@pytest.mark.parametrize("firing", [False, True])
def test_who_disarmed_is_recorded_whatever_the_loop_does_first(first: str, firing: bool) -> None:
    rig = Later()
    if firing:
        rig.looped.frame(40)
    rig.arming.disarm("Eve", "smoke")
    assert rig.armings == [], "the loop has done nothing yet"
    loop = rig.looped.loop
    {
        "frame": lambda: rig.looped.frame(0),
        "idle": loop.idle,
        "posted": rig.do,
        "close": lambda: loop.close(None),
        "budget": lambda: loop.standing.fail_if_armed((Reason.BUDGET, "late")),
        "camera": lambda: (rig.looped.pass_ms(10_000), loop.idle()),
    }[first]()
    assert rig.armings == [("disarmed", "Eve", "smoke")]
    if first != "close":
        rig.do()
        rig.looped.frame(0)
        assert rig.armings == [("disarmed", "Eve", "smoke")], "once"
        assert rig.state is LoopState.DISARMED


def test_named_disarms_in_a_row_have_each_its_name() -> None:
    rig = Later()
    for who in ("Ada", "Eve", "Bob", "Eve"):
        rig.arming.disarm(who, "next")
        rig.looped.frame(0)
        rig.do()
        rig.arming.arm(who, operator=True)
        rig.looped.frame(0)
    assert [each for each in rig.armings if each[0] == "disarmed"] == [
        ("disarmed", who, "next") for who in ("Ada", "Eve", "Bob", "Eve")
    ]


def test_who_stopped_is_recorded_whatever_the_loop_reads_first() -> None:
    rig = Later()
    rig.arming.emergency_stop("Eve")
    rig.looped.frame(0)
    rig.do()
    assert rig.armings == [("emergency", "Eve", "emergency stop")]


def test_of_two_acts_the_first_disarmed_and_both_stops_are_on_record() -> None:
    rig = Later()
    rig.arming.disarm("Eve", "smoke")
    rig.arming.disarm("Bob", "lunch")
    rig.arming.emergency_stop("Ada")
    rig.looped.frame(0)
    rig.do()
    assert rig.armings == [("disarmed", "Eve", "smoke"), ("emergency", "Ada", "emergency stop")]


def report(rig: Rig, reason: OutputReason, state: OutputState) -> Report:
    return Report(None, OutputEvent.STATE, rig.looped.clock.now_ns(), state, reason)


@pytest.mark.parametrize("switch_first", [True, False])
def test_a_switch_at_the_output_and_a_person_are_recorded_in_the_order_in_which_they_came(
    switch_first: bool,
) -> None:
    rig = Later()
    said, rig.looped.output.deaf = rig.looped.output.says, True
    if switch_first:
        rig.looped.output.forced = OutputState.DISARMED
        said.append(report(rig, OutputReason.ARM_SWITCH, OutputState.DISARMED))
    rig.arming.disarm("Eve", "smoke")
    if not switch_first:
        said.append(report(rig, OutputReason.ARM_SWITCH, OutputState.DISARMED))
    rig.looped.frame(0)
    rig.do()
    assert rig.armings[0][1] == ("gate" if switch_first else "Eve")
    assert len(rig.armings) == 1


def test_an_old_report_of_the_output_is_not_taken_for_what_disarmed_it() -> None:
    rig = Later()
    rig.looped.output.says.append(report(rig, OutputReason.NONE, OutputState.ARMED))
    rig.arming.disarm("Eve", "smoke")
    rig.looped.frame(0)
    assert rig.armings == [("disarmed", "Eve", "smoke")]


def test_a_disarming_that_comes_between_keeps_the_loop_disarmed() -> None:
    rig = Rig()
    rig.between = lambda: rig.looped.loop.standing.note("Eve", "smoke")  # and its thread stands still there
    with pytest.raises(ControlError, match="Eve has disarmed meanwhile"):
        rig.arming.arm("Ada", operator=True)
    assert rig.looped.output.state is OutputState.DISARMED
    assert rig.state is LoopState.DISARMED


@pytest.mark.parametrize(
    ("earlier_s", "now_s", "unreadable", "verdict", "words"),
    [
        (
            10.0,
            5.0,
            (),
            "ok",
            "M17: 15.0 s of light in 24 h, in this session and 3 before; the rig allows 60",
        ),
        (10.0, 40.0, (), "warn", "and warns at 50"),
        (10.0, 5.0, ("2026-x",), "warn", "not or not all to be read: 2026-x"),
        (10.0, 40.0, ("2026-x",), "warn", "and warns at 50; not or not all to be read: 2026-x"),
        (59.0, 1.0, ("2026-x",), "fail", "60.0 s of light"),
    ],
)
def test_an_animals_light_over_sessions_warns_and_refuses(
    earlier_s: float, now_s: float, unreadable: tuple[str, ...], verdict: str, words: str
) -> None:
    limits = AnimalSettings(max_s=60, warn_s=50)
    light = AnimalLight("M17", limits, EarlierLight(earlier_s, 3, unreadable), now_s)
    found = self_test(replace(WELL, animal=light))
    assert found.checks[-1].what == "animal"
    assert found.checks[-1].verdict == verdict
    assert words in found.checks[-1].text
    assert found.ready == (verdict != "fail")


def test_a_loop_counts_its_own_light() -> None:
    looped = ManualLoop()
    looped.arm()
    looped.frame(40)
    assert looped.loop.light_s == pytest.approx(0.005), "as planned, while it runs"
    looped.pass_ms(20)
    looped.loop.idle()
    assert looped.loop.light_s == pytest.approx(0.005)
    assert looped.loop.status.lights == 1 or looped.loop._pulses.lights == 1


def test_nobody_arms_before_the_baseline_is_complete_or_after_it_says_nothing() -> None:
    spec = BaselineSpec(seconds=60, min_frames=2)
    rule = RuleSpec.model_validate({"when": "x > baseline + 3 sd", "pulse": {"width_ms": 5}})
    bank = RuleBank({"over": rule}, ("x",), baseline=spec)
    circumstances = replace(WELL, baselines=bank.baselines)

    numbers = itertools.count()

    def show(*values: float) -> None:
        for x in values:
            number = next(numbers)
            now_ns = number * 500 * NS_PER_MS
            bank.frame(number, now_ns, now_ns, measured((x,), now_ns))

    show(1, 2, 3)
    (check,) = self_test(circumstances).failures
    assert check.what == "baseline"
    assert check.text.startswith("59.0 of the 60 s of the baseline are missing")
    bank.baselines.begin()
    show(*[4.0] * 122)
    (check,) = self_test(circumstances).failures
    assert "its sd is 0" in check.text
    assert "rtface loop baseline" in check.fix
    bank.baselines.begin()
    show(*[1.0, 3.0] * 61)
    assert self_test(circumstances).ready
    (check,) = (each for each in self_test(circumstances).checks if each.what == "baseline")
    assert "x > baseline + 3 sd: 5.0" in check.text
