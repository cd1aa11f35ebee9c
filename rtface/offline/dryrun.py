"""What rules would have done over a recording, through the very code that decides live."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface.config import EncoderSettings
from rtface.core.clock import NS_PER_MS, NS_PER_S
from rtface.core.decision import Action, Decision, Reason
from rtface.core.errors import DataError
from rtface.core.records import FrameMeta, Keypoint, Pose, Stamps
from rtface.decide.baseline import Baselines, Spread
from rtface.decide.rulebank import RuleBank
from rtface.decide.unknowable import never_known
from rtface.live.neural import NeuralPredictor
from rtface.live.rulesfile import Rules
from rtface.offline.replay.rules import like_recorded
from rtface.record import formats
from rtface.record.session import log_of
from rtface.record.session.entries import ConfigurationEntry
from rtface.record.session.reader import read_session
from rtface.record.table import NO_TIME, PoseTable

LATENCY_MS = 10.0
"""From exposure to decision, where a recording does not say."""


@dataclass(frozen=True, eq=False)
class Poses:
    """The keypoints of a recording on one time axis.

    Attributes
    ----------
    table : PoseTable
    exposure_ns : ndarray, shape (N,), int64
        When each frame was exposed, or filmed.
    now_ns : ndarray, shape (N,), int64
        When it would be decided on.
    rate_hz : float
        Frames per second.
    said : ConfigurationEntry or None
        Of a session.
    """

    table: PoseTable
    exposure_ns: NDArray[np.int64]
    now_ns: NDArray[np.int64]
    rate_hz: float
    said: ConfigurationEntry | None = None


@dataclass(frozen=True, eq=False)
class DryRun:
    """What came of it.

    Attributes
    ----------
    names, units : tuple of str, length F
        Of the features.
    times_s : ndarray, shape (N,), float64
        Time of each frame's decision since the recording began; with `armed_s` taken away, session time.
    values : ndarray, shape (N, F), float64
        The features; NaN where not known.
    holds : ndarray, shape (N, R), float64
        For each rule of the file 1 where it holds, 0 where not, NaN where that cannot be known.
    decisions : tuple of Decision
        All, in order.
    rules : Rules
        What was tried.
    source : str
        On what.
    rate_hz : float
        Its frames per second.
    never_known : dict of str to tuple of str
        As of `rtface.decide.unknowable.never_known`.
    armed_s : float
        When the session was armed, in the times of `times_s`: after the baseline, where rules name one, else at 0.
    spreads : mapping of str to Spread
        The baselines.
    baseline : str
        The same and the thresholds that rest on them, in words.
    """

    names: tuple[str, ...]
    units: tuple[str, ...]
    times_s: NDArray[np.float64]
    values: NDArray[np.float64]
    holds: NDArray[np.float64]
    decisions: tuple[Decision, ...]
    rules: Rules
    source: str
    rate_hz: float
    never_known: dict[str, tuple[str, ...]]
    armed_s: float = 0.0
    spreads: Mapping[str, Spread] = field(default_factory=dict)
    baseline: str = ""

    @property
    def seconds(self) -> float:
        """How long the recording is."""
        return float(self.times_s[-1] - self.times_s[0]) if len(self.times_s) > 1 else 0.0

    def time_s(self, decision: Decision) -> float:
        """Return when a decision was made, in the times of `times_s`."""
        return self.armed_s + (decision.session_ns or 0) / NS_PER_S

    def of(self, rule: str, *actions: Action) -> list[Decision]:
        """Return a rule's decisions of some kinds."""
        return [each for each in self.decisions if each.rule == rule and each.action in actions]

    def summary(self) -> dict[str, Any]:
        """Return the figures, as plain values for JSON."""
        features = {
            name: _spread(self.values[:, index]) | {"unit": self.units[index]}
            for index, name in enumerate(self.names)
        }
        return {
            "source": self.source,
            "frames": len(self.times_s),
            "seconds": self.seconds,
            "features": features,
            "armed_s": self.armed_s,
            "baseline": {name: each._asdict() for name, each in self.spreads.items()},
            "never_known": {name: list(values) for name, values in self.never_known.items()},
            "rules": {
                name: self._summary(name)
                for name, spec in self.rules.spec.rules.items()
                if spec.pulse is not None
            },
        }

    def _summary(self, rule: str) -> dict[str, Any]:
        counts = Counter(each.action for each in self.decisions if each.rule == rule)
        trials = self.of(rule, Action.FIRE, Action.SHAM, Action.CATCH)
        withheld = Counter(each.reason.value for each in self.of(rule, Action.WITHHOLD))
        light_ns = sum(
            each.pulse.on_ns * each.pulse.count
            for each in self.of(rule, Action.FIRE)
            if each.pulse is not None
        )
        times = [self.time_s(each) for each in trials]
        return {
            "fired": counts[Action.FIRE],
            "sham": counts[Action.SHAM],
            "catch": counts[Action.CATCH],
            "per_minute": len(trials) / self.seconds * 60 if self.seconds else None,
            "median_interval_s": float(np.median(np.diff(times))) if len(times) > 1 else None,
            "light_s": light_ns / NS_PER_S,
            "withheld": dict(withheld.most_common()),
            "trials": [
                {
                    "time_s": time_s,
                    "frame_id": each.frame_id,
                    "action": each.action.value,
                    "trial": each.trial,
                }
                for time_s, each in zip(times, trials, strict=True)
            ],
        }


def has_poses(source: Path) -> bool:
    """Return whether a path is a session or a keypoint file, rather than a video or a folder of images."""
    session = (log_of(source).is_file() and source.is_dir()) or source.suffix.lower() == ".log"
    return session or formats.has_ending(source)


def read_poses(source: Path, *, rate_hz: float | None = None, latency_ms: float = LATENCY_MS) -> Poses:
    """Read the keypoints of a session or of a keypoint file.

    Parameters
    ----------
    source : Path
        A session's folder or log, or a file of `rtface.record.formats`.
    rate_hz : float or None
        Frames per second, for files that have no times.
    latency_ms : float
        From exposure to decision, for all but sessions, which know it frame by frame.

    Raises
    ------
    DataError
        It cannot be read, has no frames, or no times and no rate was given.
    """
    if source.is_dir() or source.suffix.lower() == ".log":
        session = read_session(source)
        poses = on_time_axis(session.pose_table(), now_ns=session.poses["decided_ns"].copy(), rate_hz=rate_hz)
        return replace(poses, said=session.configuration)
    return on_time_axis(formats.read(source), rate_hz=rate_hz, latency_ms=latency_ms)


def on_time_axis(
    table: PoseTable,
    *,
    now_ns: NDArray[np.int64] | None = None,
    rate_hz: float | None = None,
    latency_ms: float = LATENCY_MS,
) -> Poses:
    """Return keypoints with their times; parameters and errors as `read_poses`."""
    if not len(table):
        raise DataError(f"{table.source}: there are no frames in it")
    live = now_ns is not None
    times = table.exposure_ns if live or (table.camera_ns == NO_TIME).any() else table.camera_ns
    steps = np.diff(times)
    if (times == NO_TIME).any() or not (steps > 0).any():
        if rate_hz is None:
            raise DataError(
                f"{table.source}: its frames have no times; say how many frames a second with --rate"
            )
        times = np.round(table.frame_id * (NS_PER_S / rate_hz)).astype(np.int64)
        steps = np.diff(times)
    measured = NS_PER_S / float(np.median(steps[steps > 0])) if (steps > 0).any() else rate_hz
    if now_ns is None:
        now_ns = times + round(latency_ms * NS_PER_MS)
    assert measured is not None
    return Poses(table, times, now_ns, rate_hz or measured)


def dry_run(rules: Rules, poses: Poses, encoder: EncoderSettings | None = None) -> DryRun:
    """Run features and rules over a recording as if armed from its first frame, with a light that does as it is told.

    Where rules name a baseline its first seconds are that baseline, and it is armed after them.

    Parameters
    ----------
    rules : Rules
    poses : Poses
    encoder : EncoderSettings, optional
        Gives the neural values that rules may name.

    Raises
    ------
    ConfigError
        The rules do not fit the keypoints or the rate; with file and line.
    EngineError
        The encoder does not.
    DataError
        The recording is too short for the baseline, or does not allow it to be said.
    """
    table, neural = poses.table, None
    if poses.said is not None:
        rules = rules.with_spec(like_recorded(rules.spec, poses.said))
    if encoder is not None:
        skeleton = [Keypoint(*each) for each in zip(table.names, map(bool, table.trained), strict=True)]
        neural = NeuralPredictor(encoder, skeleton)
        neural.open(poses.rate_hz)
    given_names, given_units = ((), ()) if neural is None else (neural.names, neural.units)
    evaluator = rules.evaluator(table.names, poses.rate_hz, extra_names=given_names)
    names, units = evaluator.bank.names + given_names, evaluator.bank.units + given_units
    light = _Light(evaluator)
    start_ns = int(min(poses.exposure_ns[0], poses.now_ns[0]))
    baselines, armed_ns = evaluator.baselines, start_ns
    decisions = [] if baselines.wanted else evaluator.arm(start_ns)
    values = np.empty((len(table), len(names)))
    holds = np.empty((len(table), len(rules.spec.rules)))
    for index, (pose, now_ns) in enumerate(zip(_each(poses), poses.now_ns.tolist(), strict=True)):
        decisions += light.until(now_ns)
        given = None if neural is None else neural.predict(pose)
        taking = baselines.wanted
        found = evaluator.evaluate(pose, now_ns, given)
        if taking and baselines.complete and not baselines.problems:
            armed_ns, found = now_ns, [*found, *evaluator.arm(now_ns)]
        light.take(found)
        decisions += found
        seen = evaluator.features.values
        values[index] = seen if given is None else np.concatenate([seen, given.values])
        holds[index] = evaluator.truths
    if against := baselines.against_arming:
        raise DataError(
            f"{table.source}: {against}" if baselines.complete else _too_short(table.source, baselines)
        )
    last_ns = int(poses.now_ns[-1])
    decisions += light.until(last_ns) + evaluator.disarm(last_ns, Reason.SESSION)
    return DryRun(
        names,
        units,
        (poses.now_ns - start_ns) / NS_PER_S,
        values,
        holds,
        tuple(decisions),
        rules,
        table.source,
        poses.rate_hz,
        never_known(evaluator.rules, table.names, poses.rate_hz),
        (armed_ns - start_ns) / NS_PER_S,
        baselines.spreads(),
        baselines.in_words(),
    )


def _too_short(source: str, baselines: Baselines) -> str:
    return (
        f"{source}: the recording is too short for the baseline, of which {baselines.missing_s:.1f} s are missing at its "
        "end: a longer one, or less of baseline.seconds"
    )


class _Light:
    """An output that carries out each decision at once."""

    def __init__(self, rules: RuleBank) -> None:
        self._rules = rules
        self._running: deque[tuple[int, Decision]] = deque()

    def take(self, decisions: list[Decision]) -> None:
        for each in decisions:
            if each.action is Action.FIRE and each.pulse is not None:
                self._running.append((each.now_ns + each.pulse.duration_ns, each))

    def until(self, now_ns: int) -> list[Decision]:
        found: list[Decision] = []
        while self._running and self._running[0][0] <= now_ns:
            end_ns, fired = self._running.popleft()
            found += self._rules.ended(end_ns, fired.rule, fired.trial)
        return found


def _each(poses: Poses) -> Iterator[Pose]:
    table = poses.table
    views = [math.nan] * len(table) if table.view_ok is None else table.view_ok.tolist()
    for index, (frame_id, exposure_ns, now_ns) in enumerate(
        zip(table.frame_id.tolist(), poses.exposure_ns.tolist(), poses.now_ns.tolist(), strict=True)
    ):
        yield Pose(
            FrameMeta(frame_id, exposure_ns, exposure_ns),
            Stamps(exposure_ns, exposure_ns, exposure_ns, exposure_ns, now_ns, now_ns),
            table.xy[index],
            table.score[index],
            table.outside[index],
            view_ok=views[index],
        )


def _spread(values: NDArray[np.float64]) -> dict[str, Any]:
    known = values[np.isfinite(values)]
    part = len(known) / len(values) if len(values) else 0.0
    if not len(known):
        return {"known": part, "p5": None, "p50": None, "p95": None, "p99": None}
    return {"known": part} | {f"p{level}": float(np.percentile(known, level)) for level in (5, 50, 95, 99)}
