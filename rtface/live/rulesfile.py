"""Reading a rules file, with the pulse times that its controls take from elsewhere; all errors at once, with file and line."""

from __future__ import annotations

import logging
import math
import re
import secrets
from collections.abc import Sequence
from contextlib import suppress
from copy import copy
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from rtface.config.yamlfile import Document, read_document
from rtface.core.clock import NS_PER_S
from rtface.core.errors import ConfigError, DataError, UsageError
from rtface.core.outputs import OutputEvent
from rtface.decide.controls import MatchedSpec, YokedSpec
from rtface.decide.errors import RulesError, kept_in
from rtface.decide.evaluator import RuleEvaluator
from rtface.decide.features.bank import FeatureBank
from rtface.decide.multi import MultiEvaluator, RuleCamera, banks_of, given_names
from rtface.decide.rulebank import GRACE_NS, RuleBank
from rtface.decide.rules import RulesFile, RuleSpec
from rtface.decide.rulestate import RULE
from rtface.record.seal.openings import open_seal
from rtface.record.session import log_of
from rtface.record.session.entries import ArmingEntry, GateReplyEntry, PulseCommandEntry
from rtface.record.session.reader import read_session

_MOST_BYTES = 1 << 20
_NAME = re.compile(r"[A-Za-z_][\w.]*")
_log = logging.getLogger(__name__)


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
        self._document = _read(path)
        self.path, self.text = path, self._document.text
        self.spec, faults, _ = _checked(self._document)
        _refuse(faults)
        for name in self.spec.rules:
            if "on_ms" in (self._document.values["rules"][name].get("pulse") or ()):
                at = ("rules", name, "pulse", "on_ms")
                _log.warning(
                    "%s", self._document.refusal("its name is width_ms now; on_ms is still read", *at)
                )

    def draw_session(self) -> None:
        """Draw the seed that gives this session's controls an order of their own; it is in `resolved`."""
        self.spec = self.spec.of_session(secrets.randbits(63))

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
        grace_ns: int = GRACE_NS,
        alike_ns: int = 0,
        frame: tuple[int, int] | None = None,
    ) -> RuleEvaluator:
        """Return features and rules for an engine and a camera, as `RuleEvaluator`.

        Raises
        ------
        ConfigError
            They do not fit; with file and line.
        """
        _refuse(_misfits(self._document, self.spec, (), keypoints, rate_hz, extra_names))
        return RuleEvaluator(
            self.spec,
            keypoints,
            rate_hz,
            extra_names=extra_names,
            grace_ns=grace_ns,
            alike_ns=alike_ns,
            frame=frame,
        )

    def multi_evaluator(
        self, cameras: Sequence[RuleCamera], *, grace_ns: int = GRACE_NS, alike_ns: int = 0
    ) -> MultiEvaluator:
        """Return features and rules for several engines and cameras, as `MultiEvaluator`.

        Raises
        ------
        ConfigError
            They do not fit; all at once, with file and line.
        """
        _refuse(_multi_misfits(self._document, self.spec, cameras))
        return MultiEvaluator(self.spec, cameras, grace_ns=grace_ns, alike_ns=alike_ns)


def check_rules(
    path: Path, keypoints: tuple[str, ...], rate_hz: float | None, *, extra_names: Sequence[str] = ()
) -> tuple[Rules, RuleEvaluator]:
    """Read a rules file and hold it against an engine and a camera, as `Rules` and `Rules.evaluator`.

    Raises
    ------
    ConfigError
        All that is wrong in it and all that does not fit, at once; each with file and line.
    """
    document = _read(path)
    spec, faults, left_out = _checked(document)
    _refuse(faults + _misfits(document, spec, left_out, keypoints, rate_hz, extra_names))
    rules = Rules(path)
    return rules, rules.evaluator(keypoints, rate_hz, extra_names=extra_names)


def _read(path: Path) -> Document:
    return read_document(path, "a rules file", shape="a rules file is a map of features: and rules:")


def _refuse(faults: list[str]) -> None:
    if faults:
        raise ConfigError("\n".join(faults))


def _checked(document: Document) -> tuple[RulesFile, list[str], list[str]]:
    """Return what a file says, what is wrong in it, and the names that were left out of the former for that."""
    given = {name: values for name, values in document.values.items() if isinstance(values, dict)}
    faults: list[str] = []
    try:
        spec = document.checked(RulesFile)
    except ConfigError as error:
        faults.append(str(error))
        spec = _sound(given)
    rules: dict[str, RuleSpec] = {}
    for name, rule in spec.rules.items():
        try:
            rules[name] = _with_times(rule, document.path.parent)
        except (DataError, UsageError) as error:
            faults.append(str(document.refusal(str(error), "rules", name, "schedule", "source")))
    left_out = [f"{RULE}{name}" for name in given.get("rules", ()) if name not in rules]
    left_out += [str(name) for name in given.get("features", ()) if name not in spec.features]
    return spec.model_copy(update={"rules": rules}), faults, left_out


def _sound(given: dict[str, Any]) -> RulesFile:
    """Return those features and rules that are well formed, each looked at alone."""
    spec = RulesFile()
    with suppress(ValidationError):
        if "baseline" in given:
            spec = RulesFile.model_validate({"baseline": given["baseline"]})
    for section in ("features", "rules"):
        for name, values in given.get(section, {}).items():
            with suppress(ValidationError):
                getattr(spec, section).update(
                    getattr(RulesFile.model_validate({section: {name: values}}), section)
                )
    return spec


def _with_times(rule: RuleSpec, folder: Path) -> RuleSpec:
    asked = rule.schedule
    if not isinstance(asked, YokedSpec | MatchedSpec) or asked.source is None:
        return rule
    times = pulse_times(folder / asked.source, asked.source_rule)
    here = asked.model_copy(update={"times_s": times, "source": None, "source_rule": None})
    return rule.model_copy(update={"schedule": here})


def _misfits(
    document: Document,
    spec: RulesFile,
    left_out: Sequence[str],
    keypoints: tuple[str, ...],
    rate_hz: float | None,
    extra_names: Sequence[str],
) -> list[str]:
    """Return all that does not fit an engine and a camera; what rests on something wrong is not wrong for that."""
    found: list[RulesError] = []
    with kept_in(found):
        FeatureBank(spec.features, keypoints, rate_hz)
    wrong = {error.at[1] for error in found}
    bank = FeatureBank(
        {name: each for name, each in spec.features.items() if name not in wrong}, keypoints, rate_hz
    )
    texts = [text for rule in spec.rules.values() for text in rule.conditions]
    given = set(_NAME.findall(" ".join(texts))) - {*bank.names, *extra_names}
    absent = {*wrong, *left_out}
    assumed = [name for name in given if name in absent or name.partition(".")[0] in absent]
    with kept_in(found):
        RuleBank(spec.rules, bank.names, extra_names=(*extra_names, *assumed), baseline=spec.baseline)
    return [str(document.refusal(error.problem, *error.at)) for error in found]


def _multi_misfits(document: Document, spec: RulesFile, cameras: Sequence[RuleCamera]) -> list[str]:
    """Return all that does not fit several engines and cameras."""
    found: list[RulesError] = []
    with kept_in(found):
        banks_of(spec, cameras)
    wrong = {error.at[1] for error in found}
    sound = {name: each for name, each in spec.features.items() if name not in wrong}
    banks = banks_of(spec.model_copy(update={"features": sound}), cameras)
    names = [name for bank in banks.values() for name in bank.names]
    given = given_names(cameras, spec)
    texts = [text for rule in spec.rules.values() for text in rule.conditions]
    others = set(_NAME.findall(" ".join(texts))) - {*names, *given}
    assumed = [name for name in others if name.rpartition(".")[0] in wrong]
    with kept_in(found):
        RuleBank(spec.rules, names, extra_names=(*given, *assumed), baseline=spec.baseline)
    return [str(document.refusal(error.problem, *error.at)) for error in found]


def pulse_times(source: Path, rule: str | None = None) -> tuple[float, ...]:
    """Return the session times in seconds of pulses.

    Parameters
    ----------
    source : Path
        A session's folder or log, of which every light that its output has seen come on is taken, by the device's
        clock where it has one, since the first arming; or a text file with one time a line (what stands after ``#`` is
        left out).
    rule : str or None
        Whose pulses of the session; all when None.

    Raises
    ------
    DataError
        The source cannot be read, or has no such times.
    UsageError
        It is a blinded session that nobody has unblinded.
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
    if session.is_sealed:  # refused until somebody has unblinded it
        session = read_session(
            source, open_seal(session.folder, "rtface", "pulse times for a yoked schedule")
        )
    armings = [each.t_ns for each in session.of(ArmingEntry) if each.event == "armed"]
    if not armings:
        raise DataError(f"{source}: this session was never armed")
    rules = {each.number: each.rule for each in session.decisions}
    fired = {
        (each.output, each.number): rules.get(each.decision)
        for each in session.of(PulseCommandEntry)
        if each.command == "fire"
    }
    lit: dict[tuple[str, int | None], int] = {}
    for each in session.of(GateReplyEntry):
        command = each.output, each.number
        if each.event == OutputEvent.LIGHT_ON and command in fired and rule in (None, fired[command]):
            lit.setdefault(command, each.t_ns if each.host_ns is None else each.host_ns)
    return _some(tuple((each - armings[0]) / NS_PER_S for each in sorted(lit.values())), source)


def _some(times: tuple[float, ...], source: Path) -> tuple[float, ...]:
    if not times:
        raise DataError(f"{source}: there are no pulses in it")
    return times
