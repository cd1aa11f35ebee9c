"""No sequence of calls makes rules fire when it must not, and no request goes without a record.

An independent account of the session is kept beside the rules, from the calls and what it decided alone, in the
plainest way; the rules are compared with it after every call.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.feature_runs import MS, measured, rule, rule_bank

from rtface.core.decision import Action, Decision, Reason, RuleStatus
from rtface.decide.rulebank import GRACE_NS, PUNCTUAL_NS, RuleBank
from rtface.decide.rules import RuleSpec

RULES = {
    "train": rule(
        when="x > 5",
        release="x < 3",
        dwell_ms=5,
        release_ms=5,
        refractory_ms=50,
        max_rate={"count": 3, "per_s": 1.0},
        windows=[[0, 1.0], [1.5, 1e4]],
        max_gap_frames=1,
        priority=1,
        pulse={"frequency_hz": 100, "width_ms": 5, "duration_ms": 25},
        schedule={"kind": "mixed", "sham": 0.25, "catch": 0.25, "block": 4, "seed": 1},
    ),
    "again": rule(
        when="x > 5 or y > 5", repeat=True, refractory_ms=20, max_delay_ms=200, min_score=0.4, max_pulses=6
    ),
    "dark": rule(when="y > 5 and not x > 5", ignore_light_ms=5, refractory_ms=0, max_age_ms=30),
    "yoked": rule(
        when=...,
        refractory_ms=30,
        max_gap_frames=1,
        schedule={"kind": "yoked", "times_s": [0.05 * each for each in range(1, 200)], "seed": 1},
    ),
}
TRIALS = (Action.FIRE, Action.SHAM, Action.CATCH)
CONDITIONS = {  # in three values, as Kleene's
    "train": (lambda x, y: above(x, 5), lambda x, y: above(-x, -3)),
    "again": (lambda x, y: either(above(x, 5), above(y, 5)), None),
    "dark": (lambda x, y: both(above(y, 5), no(above(x, 5))), None),
    "yoked": (lambda x, y: False, None),
}


def above(value: float, limit: float) -> bool | None:
    return value > limit if math.isfinite(value) else None


def no(a: bool | None) -> bool | None:
    return None if a is None else not a


def either(a: bool | None, b: bool | None) -> bool | None:
    return True if True in (a, b) else None if None in (a, b) else False


def both(a: bool | None, b: bool | None) -> bool | None:
    return no(either(no(a), no(b)))


@dataclass
class Account:
    """One rule's."""

    name: str
    spec: RuleSpec
    history: list[tuple[int, bool | None, bool | None, bool]] = field(default_factory=list)
    trials: list[Decision] = field(default_factory=list)
    lights: list[list[float]] = field(default_factory=list)
    running: Decision | None = None
    end_due_ns: int = 0
    began: bool = False
    last_end_ns: float = -math.inf
    open_since: int | None = None
    served: bool = False
    withheld_for: Reason | None = None
    timed_done: int = 0
    pending: bool = False

    def holds(self) -> tuple[bool, bool | None, int]:
        """Go through all frames from the first: whether it holds, the newest truth, and since when."""
        holds, since, leaving, lost, began, truth = False, None, None, None, 0, False
        for exposure_ns, begins, ends, broken in self.history:
            if broken:
                since = leaving = None
            if not holds:
                truth = begins
                since = (exposure_ns if since is None else since) if begins else None
                if begins and exposure_ns - since >= self.spec.dwell_ms * MS:
                    holds, leaving, lost, began = True, None, None, exposure_ns
            else:
                truth = ends
                lost = (exposure_ns if lost is None else lost) if ends is None else None
                if ends is None and exposure_ns - lost > self.spec.max_age_ms * MS:
                    holds, since = False, None
                leaving = (exposure_ns if leaving is None else leaving) if ends else None
                if ends and exposure_ns - leaving >= self.spec.release_ms * MS:
                    holds, since, truth = False, None, begins
        self.pending = since is not None and not holds
        return holds, truth, began


def no_news(account: Account) -> bool:
    """Return whether the word that the light came on is not news: said before, or there is no light."""
    return account.began or account.running is None or account.running.action is not Action.FIRE


class Court:
    """Holds a `RuleBank` against accounts of its own."""

    def __init__(self, made: RuleBank) -> None:
        self.made = made
        self.accounts = {name: Account(name, spec) for name, spec in RULES.items()}
        self.armed = self.faulted = False
        self.start_ns: int | None = None
        self.now_ns: int | None = None
        self.last: tuple[int, int] | None = None  # frame_id, exposure
        self.seen: Counter[str] = Counter()

    def call(self, name: str, now_ns: int, *args: Any) -> None:
        went_back = self.now_ns is not None and now_ns < self.now_ns
        overdue = not went_back and any(
            each.running is not None
            and each.running.action is Action.FIRE
            and now_ns > each.end_due_ns + GRACE_NS
            for each in self.accounts.values()
        )
        self.now_ns = now_ns
        if went_back or overdue:
            self.faulted, self.armed = True, False
        if name == "frame":
            frame_id, exposure_ns, values, score = args
            said = self.made.frame(frame_id, exposure_ns, now_ns, measured(values, exposure_ns, score))
        else:
            said = getattr(self.made, name)(now_ns, *args)
        if name == "arm" and not self.faulted:
            self.armed = True
            if self.start_ns is None:
                self.start_ns = now_ns
        elif name == "disarm":
            self.armed = False
        elif name == "fault":
            self.armed, self.faulted = False, True
        elif name == "clear":
            self.faulted = False
        if name == "began" and not no_news(self.accounts[args[0]]):
            account = self.accounts[args[0]]
            account.began, account.end_due_ns = True, now_ns + account.running.pulse.duration_ns
        frame = self.frame(now_ns, *args) if name == "frame" else None
        for each in said:
            self.judge(each, now_ns, frame)
        self.after(now_ns, frame)

    def frame(
        self, now_ns: int, frame_id: int, exposure_ns: int, values: Any, score: float
    ) -> dict[str, Any]:
        before, missing, newer = self.last, 0, True
        if before is not None:
            newer = exposure_ns > before[1] or exposure_ns <= before[1] - 10**9
            in_order = frame_id > before[0] and exposure_ns > before[1]
            missing = frame_id - before[0] - 1 if in_order else 10**9
        if newer:
            self.last = (frame_id, exposure_ns)
        for account in self.accounts.values():
            if newer and not self.in_light(account, exposure_ns):
                begins, ends = CONDITIONS[account.name]
                truth = begins(*values)
                leaves = no(truth) if ends is None else ends(*values)
                broken = missing > account.spec.max_gap_frames
                account.history.append((exposure_ns, truth, leaves, broken))
        return {"id": frame_id, "exposure": exposure_ns, "missing": missing, "score": score}

    def in_light(self, account: Account, exposure_ns: int) -> bool:
        beside = account.spec.ignore_light_ms
        if beside is None:
            return False
        every = [light for each in self.accounts.values() for light in each.lights]
        return any(begin - beside * MS <= exposure_ns <= end + beside * MS for begin, end in every)

    def objections(self, account: Account, now_ns: int, frame: dict[str, Any]) -> set[Reason]:
        """All that speaks against a trial now, but for what the rule's own state says."""
        spec, found = account.spec, set()
        if not 0 <= now_ns - frame["exposure"] <= spec.max_age_ms * MS:
            found.add(Reason.STALE)
        if frame["missing"] > spec.max_gap_frames:
            found.add(Reason.GAP)
        if account.name != "yoked" and frame["score"] < spec.min_score:
            found.add(Reason.LOW_SCORE)
        if self.start_ns is None:
            found |= {Reason.WINDOW} if spec.windows else set()
        elif spec.windows and not any(a <= (now_ns - self.start_ns) / 1e9 < b for a, b in spec.windows):
            found.add(Reason.WINDOW)
        if spec.max_pulses is not None and len(account.trials) >= spec.max_pulses:
            found.add(Reason.SPENT)
        rate = spec.max_rate
        recent = account.trials[-rate.count :] if rate is not None else []
        if rate is not None and len(recent) == rate.count and now_ns - recent[0].now_ns < rate.per_s * 1e9:
            found.add(Reason.RATE)
        if any(each.running for each in self.accounts.values() if each is not account):
            found.add(Reason.BUSY)
        return found

    def state_reasons(self, account: Account, now_ns: int) -> set[Reason]:
        found = set()
        if self.faulted:
            found.add(Reason.FAULT)
        elif not self.armed:
            found.add(Reason.DISARMED)
        elif account.running:
            found.add(Reason.FIRING)
        elif now_ns - account.last_end_ns < account.spec.refractory_ms * MS:
            found.add(Reason.REFRACTORY)
        return found

    def reasons(self, account: Account, now_ns: int, frame: dict[str, Any] | None) -> set[Reason]:
        """All that a request may be withheld for now."""
        found = self.state_reasons(account, now_ns)
        if frame is None or found:
            return found
        found |= self.objections(account, now_ns, frame)
        holds, truth, began_ns = account.holds()
        delay = account.spec.max_delay_ms
        if holds and delay is not None and frame["exposure"] - began_ns > delay * MS:
            found.add(Reason.LATE)
        return found | {Reason.UNKNOWN_VALUE} if truth is None else found

    def judge(self, said: Decision, now_ns: int, frame: dict[str, Any] | None) -> None:
        account = self.accounts[said.rule]
        self.seen[f"{said.action.value} {said.reason.value}"] += 1
        assert said.now_ns == now_ns
        assert said.session_ns == (None if self.start_ns is None else now_ns - self.start_ns)
        if said.action in TRIALS:
            assert frame is not None
            assert said.frame_id == frame["id"]
            assert not self.state_reasons(account, now_ns), "fired in a forbidden state"
            assert not self.objections(account, now_ns, frame), "fired against an objection"
            assert said.trial == len(account.trials)
            assert (said.pulse is not None) is (said.action is not Action.CATCH)
            if account.spec.timed:
                assert self.start_ns is not None
                due_ns = self.due(account)[account.timed_done] * 1e9
                assert -1 <= now_ns - self.start_ns - due_ns <= PUNCTUAL_NS + 1
                account.timed_done += 1
            else:
                holds, truth, began_ns = account.holds()
                assert holds
                assert truth is not None
                assert not account.served
                delay = account.spec.max_delay_ms
                assert delay is None or frame["exposure"] - began_ns <= delay * MS
                account.served, account.withheld_for = not account.spec.repeat, None
            account.trials.append(said)
            if said.action is Action.CATCH:
                account.last_end_ns = now_ns
            else:
                account.running, account.began = said, False
                account.end_due_ns = now_ns + said.pulse.duration_ns
                account.lights.append([now_ns, math.inf])
        elif said.action is Action.WITHHOLD:
            reasons = self.reasons(account, now_ns, frame)
            if account.spec.timed:
                times = self.due(account)
                assert times[account.timed_done] * 1e9 <= now_ns - (self.start_ns or 0) + 1
                account.timed_done += 1
                reasons.add(Reason.LATE)
            else:
                assert said.reason is not account.withheld_for, "told twice"
                account.withheld_for = said.reason
            assert said.reason in reasons, f"{said.reason} is not true; {reasons} are"
        elif said.action is Action.CANCEL:
            assert account.running is not None
            assert self.faulted or not self.armed
            self.end(account, now_ns)
        elif said.reason is Reason.ENDED:
            assert account.running is not None
            if account.running.action is Action.SHAM:
                assert now_ns >= account.end_due_ns
            self.end(account, now_ns)
        elif said.reason is Reason.RESTED:
            assert now_ns - account.last_end_ns >= account.spec.refractory_ms * MS
        if said.state_before is RuleStatus.DISARMED and said.state_after in (
            RuleStatus.ARMED,
            RuleStatus.REFRACTORY,
        ):
            account.withheld_for = None

    def due(self, account: Account) -> tuple[float, ...]:
        return account.spec.schedule.times_s

    def end(self, account: Account, now_ns: int) -> None:
        account.running, account.last_end_ns = None, now_ns
        account.lights[-1][1] = now_ns

    def after(self, now_ns: int, frame: dict[str, Any] | None) -> None:
        """Hold the whole state, and the record of each request, against what should be."""
        assert (self.made.armed, self.made.faulted) == (self.armed, self.faulted)
        assert sum(each.running is not None for each in self.accounts.values()) <= 1, "there is one light"
        for name, account in self.accounts.items():
            state = self.made.states[name]
            assert (state is RuleStatus.FIRING) is (account.running is not None)
            assert (state is RuleStatus.FAULT) is self.faulted
            if not self.faulted:
                assert (state is RuleStatus.DISARMED) is (not self.armed)
            if frame is None or account.spec.timed:
                continue
            if self.in_light(account, frame["exposure"]):
                continue
            holds, truth, _ = account.holds()
            if not holds and truth is False and not account.pending:
                account.withheld_for, account.served = None, False
            elif (holds or truth is None) and not account.served:
                fired = account.trials and account.trials[-1].now_ns == now_ns
                assert account.withheld_for is not None or fired, "a request without a record"
                told = {account.withheld_for} - {None}
                assert told <= self.reasons(account, now_ns, frame), "a reason that is no longer true"
        if frame is not None and self.start_ns is not None:
            times = self.due(self.accounts["yoked"])
            owed = sum(each * 1e9 <= now_ns - self.start_ns for each in times)
            assert self.accounts["yoked"].timed_done >= owed - 1e-9, "a scheduled time without a record"


STEPS = st.sampled_from([0, 1, 3, 5, 5, 5, 5, 8, 20, 60, 200, 1100])
BACK = st.sampled_from([0] * 30 + [1, 50, 2000])
VALUES = st.sampled_from([0.0, 4.0, 6.0, 6.0, math.nan, math.inf])
NAMES = st.sampled_from(sorted(RULES))
FRAME = st.tuples(
    st.just("frame"),
    STEPS,
    BACK,
    st.tuples(
        st.sampled_from([1, 1, 1, 1, 1, 1, 2, 3, 0, -1, -400]),
        st.sampled_from([0, 3, 3, 3, 3, 3, 19, 20, 21, 40, -1, 1500]),
        VALUES,
        VALUES,
        st.sampled_from([1.0, 1.0, 1.0, 0.5, 0.45, 0.0]),
    ),
)
OTHER = st.one_of(
    *(st.tuples(st.just(name), STEPS, BACK, st.just(())) for name in ("tick", "arm", "arm", "clear")),
    st.tuples(st.just("disarm"), STEPS, BACK, st.sampled_from([(), (Reason.EMERGENCY,)])),
    st.tuples(st.just("fault"), STEPS, BACK, st.just((Reason.DISK,))),
    *(st.tuples(st.just(name), STEPS, BACK, st.tuples(NAMES)) for name in ("began", "ended", "ended")),
    st.tuples(st.just("ended"), STEPS, BACK, st.tuples(NAMES, st.integers(0, 3))),
)
CALLS = st.lists(st.one_of(FRAME, FRAME, FRAME, OTHER), max_size=60)


def play(calls: list[Any]) -> tuple[Court, list[Any]]:
    """Carry calls out under the court's eyes; return it and the calls with their times."""
    court = Court(rule_bank(("x", "y"), **RULES))
    now_ns, frame_id, carried = 10**9, 100, []
    for name, step_ms, back_ms, args in calls:
        now_ns += (step_ms - back_ms) * MS
        if name == "frame":
            more, age_ms, x, y, score = args
            frame_id += more
            args = (frame_id, now_ns - age_ms * MS, (x, y), score)
        carried.append((name, now_ns, args))
        court.call(name, now_ns, *args)
    return court, carried


@settings(max_examples=150, deadline=None)
@given(CALLS)
def test_no_sequence_of_calls_fires_when_it_must_not_and_no_request_goes_without_a_record(calls: Any) -> None:
    play([("arm", 0, 0, ()), *calls])
    play(calls)


def likely(seed: int, count: int) -> list[Any]:
    """Return calls as they come in a session, with all that can go wrong now and then."""
    chance = random.Random(seed)
    calls: list[Any] = [("arm", 0, 0, ())]
    x = y = 0.0
    for _ in range(count):
        kind = chance.random()
        if chance.random() < 0.15:
            x = chance.choice([0.0, 4.0, 6.0, 6.0, math.nan])
        if chance.random() < 0.1:
            y = chance.choice([0.0, 0.0, 6.0, math.nan])
        if kind < 0.8:
            more = chance.choices([1, 2, 4, 0, -50], [100, 3, 1, 1, 0.3])[0]
            age = chance.choices([3, 19, 25, 60, -1], [100, 5, 2, 1, 0.5])[0]
            score = chance.choices([1.0, 0.45, 0.1], [30, 1, 1])[0]
            calls.append(("frame", 5, 0, (more, age, x, y, score)))
        elif kind < 0.93:
            name = chance.choice([*RULES])
            calls.append((chance.choice(["began", "ended", "ended", "ended"]), 1, 0, (name,)))
        elif kind < 0.98:
            calls.append(("tick", chance.choice([1, 1, 1, 30]), 0, ()))
        elif kind < 0.985:
            calls += [("disarm", 1, 0, ()), ("frame", 5, 0, (1, 3, x, y, 1.0)), ("arm", 1, 0, ())]
        elif kind < 0.988:
            calls += [("fault", 1, 0, (Reason.CAMERA_LOST,)), ("frame", 5, 0, (1, 3, x, y, 1.0))]
        calls += [("clear", 0, 0, ()), ("arm", 0, 0, ())] if chance.random() < 0.01 else []
    return calls


def test_long_sessions_see_every_action_and_reason() -> None:
    seen: Counter[str] = Counter()
    for seed in range(12):
        seen += play(likely(seed, 1000))[0].seen
    reasons = "fault disarmed firing refractory stale gap low_score unknown_value window spent rate busy late"
    wanted = [f"withhold {reason}" for reason in reasons.split()]
    wanted += ["fire rule", "sham schedule", "catch schedule", "none ended", "none rested", "none released"]
    wanted += ["cancel operator", "cancel camera_lost", "cancel no_end"]
    assert [each for each in wanted if not seen[each]] == []


@pytest.mark.parametrize("seed", [0, 1])
def test_the_same_calls_give_the_same_decisions(seed: int) -> None:
    calls = play(likely(seed, 400))[1]

    def decide() -> str:
        made, said = rule_bank(("x", "y"), **RULES), []
        for name, now_ns, args in calls:
            if name == "frame":
                frame_id, exposure_ns, values, score = args
                said += made.frame(frame_id, exposure_ns, now_ns, measured(values, exposure_ns, score))
            else:
                said += getattr(made, name)(now_ns, *args)
        return repr(said)

    assert decide() == decide()
