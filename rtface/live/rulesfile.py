"""Reading a rules file, with the pulse times that its controls take from elsewhere; errors name file and line."""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import copy
from pathlib import Path

from rtface.config.yamlfile import Document, read_document
from rtface.core.clock import NS_PER_S
from rtface.core.decision import Action
from rtface.core.errors import DataError
from rtface.decide.errors import RulesError
from rtface.decide.evaluator import RuleEvaluator
from rtface.decide.rules import MatchedSpec, RulesFile, RuleSpec, YokedSpec
from rtface.record.session import log_of
from rtface.record.session.entries import ArmingEntry, DecisionEntry
from rtface.record.session.reader import read_session

_MOST_BYTES = 1 << 20


class Rules:
    """A rules file that was read and checked, not yet for one engine.

    Parameters
    ----------
    path : Path
        The file.

    Attributes
    ----------
    path : Path
    text : str
        The file's text, for the record.
    spec : RulesFile
        What it says; `times_s` of yoked and matched schedules stand in place of their `source`.

    Raises
    ------
    ConfigError
        The file cannot be read or something in it is wrong; each violation with file and line.
    DataError
        A source of pulse times cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._document: Document = read_document(
            path, "a rules file", shape="a rules file is a map of features: and rules:"
        )
        self.path, self.text = path, self._document.text
        spec = self._document.checked(RulesFile)
        rules = {name: self._with_times(name, rule) for name, rule in spec.rules.items()}
        self.spec = spec.model_copy(update={"rules": rules})

    def with_spec(self, spec: RulesFile) -> Rules:
        """Return the same file with other contents, for a test of what they would have done."""
        other = copy(self)
        other.spec = spec
        return other

    def evaluator(
        self,
        keypoints: tuple[str, ...],
        rate_hz: float | None,
        *,
        extra_names: Sequence[str] = (),
        frame: tuple[int, int] | None = None,
    ) -> RuleEvaluator:
        """Return features and rules for an engine and a camera, as `RuleEvaluator`.

        Raises
        ------
        ConfigError
            They do not fit; with file and line.
        """
        try:
            return RuleEvaluator(self.spec, keypoints, rate_hz, extra_names=extra_names, frame=frame)
        except RulesError as error:
            raise self._document.refusal(error.problem, *error.at) from error

    def _with_times(self, name: str, rule: RuleSpec) -> RuleSpec:
        asked = rule.schedule
        if not isinstance(asked, YokedSpec | MatchedSpec) or asked.source is None:
            return rule
        at = ("rules", name, "schedule", "source")
        source = asked.source if asked.source.is_absolute() else self.path.parent / asked.source
        try:
            times = pulse_times(source, asked.source_rule)
        except DataError as error:
            raise self._document.refusal(str(error), *at) from error
        here = asked.model_copy(update={"times_s": times, "source": None, "source_rule": None})
        return rule.model_copy(update={"schedule": here})


def pulse_times(source: Path, rule: str | None = None) -> tuple[float, ...]:
    """Return the session times in seconds of pulses.

    Parameters
    ----------
    source : Path
        A session's folder or log, whose pulses are taken against its first arming; or a text file with one time a
        line (what stands after ``#`` is left out).
    rule : str or None
        Whose pulses of the session; all when None.

    Raises
    ------
    DataError
        The source cannot be read, or has no such times.
    """
    if log_of(source).is_file() and (source.is_dir() or source.suffix == ".log"):
        return _of_session(source, rule)
    try:
        if source.stat().st_size > _MOST_BYTES:
            raise DataError(f"{source}: larger than {_MOST_BYTES} bytes, surely not a list of times")
        lines = source.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{source}: neither a session nor a list of times ({error})") from error
    times: list[float] = []
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        try:
            seconds = float(text) if text else None
        except ValueError:
            seconds = math.nan
        if seconds is None:
            continue
        if not 0 <= seconds <= 1e6:
            raise DataError(f"{source}: line {number}: {text!r} is not a time in seconds")
        times.append(seconds)
    return _some(tuple(times), source)


def _of_session(source: Path, rule: str | None) -> tuple[float, ...]:
    session = read_session(source)
    armings = [each.t_ns for each in session.of(ArmingEntry) if each.event == "armed"]
    if not armings:
        raise DataError(f"{source}: this session was never armed")
    fired = [
        each.t_ns
        for each in session.of(DecisionEntry)
        if each.action == Action.FIRE.value and rule in (None, each.rule)
    ]
    return _some(tuple((each - armings[0]) / NS_PER_S for each in fired), source)


def _some(times: tuple[float, ...], source: Path) -> tuple[float, ...]:
    if not times:
        raise DataError(f"{source}: there are no pulses in it")
    return times
