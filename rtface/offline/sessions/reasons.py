"""Decisions in words: each value beside the threshold that it is compared with."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from rtface.decide.baseline import Spread
from rtface.decide.description import thresholds
from rtface.decide.errors import RulesError
from rtface.decide.rules import RulesFile
from rtface.record.session.entries import BaselineEntry, DecisionEntry
from rtface.record.session.reader import Session

MOST_AGE_NS = 3600 * 10**9
"""A value that is older rests on nothing."""


@dataclass(frozen=True, slots=True)
class ComparedValue:
    """A value that a decision rested on.

    Attributes
    ----------
    name, unit : str
    value, score : float
        NaN where the value was not known.
    age_ms : float or None
        Of the newest frame that it rests on; None where it rests on none.
    begins, ends : tuple of float
        The thresholds of the rule's condition, and those of its release alone.
    """

    name: str
    unit: str
    value: float
    score: float
    age_ms: float | None
    begins: tuple[float, ...]
    ends: tuple[float, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return plain values; None for what is not known."""
        return {
            "name": self.name,
            "unit": self.unit,
            "value": None if math.isnan(self.value) else self.value,
            "score": self.score,
            "age_ms": self.age_ms,
            "begins": list(self.begins),
            "ends": list(self.ends),
        }

    def in_words(self) -> str:
        """Return it as ``pad.amplitude 7.21 (threshold 6)``."""
        value = "not known" if math.isnan(self.value) else f"{self.value:.4g}"
        limits = self.begins or self.ends
        beside = f" (threshold {' and '.join(f'{each:g}' for each in limits)})" if limits else ""
        return f"{self.name} {value}{beside}"


class RuleThresholds:
    """The thresholds of a session's rules, as they stood at any time of it.

    Parameters
    ----------
    session : Session
        Sessions without rules, or with rules that this rtface does not read, have none.
    """

    def __init__(self, session: Session) -> None:
        configuration = session.configuration
        self._units: dict[str, str] = {}
        self._rules: RulesFile | None = None
        if configuration is not None:
            self._units = dict(zip(configuration.features, configuration.units, strict=False))
            self._rules = _rules(configuration.resolved)
        self._baselines = [(each.t_ns, _spreads(each)) for each in session.of(BaselineEntry)]

    def of_rule(self, rule: str, t_ns: int) -> dict[str, list[tuple[float, bool]]]:
        """Return the thresholds of a rule at a time; see `rtface.decide.description.thresholds`."""
        spec = None if self._rules is None else self._rules.rules.get(rule)
        spreads = next((spreads for at_ns, spreads in reversed(self._baselines) if at_ns <= t_ns), {})
        return {} if spec is None else thresholds(spec, spreads)

    def all_at(self, t_ns: int) -> dict[str, list[dict[str, Any]]]:
        """Return the thresholds of every value at a time: rule, limit, and whether it is of the condition."""
        found: dict[str, list[dict[str, Any]]] = {}
        for rule in () if self._rules is None else self._rules.rules:
            for name, limits in self.of_rule(rule, t_ns).items():
                for limit, begins in limits:
                    found.setdefault(name, []).append({"rule": rule, "limit": limit, "begins": begins})
        return found

    def beside(self, decision: DecisionEntry) -> list[ComparedValue]:
        """Return the values that a decision rested on, each beside its thresholds."""
        limits = self.of_rule(decision.rule, decision.t_ns)
        return [
            ComparedValue(
                name=name,
                unit=self._units.get(name, "1"),
                value=value,
                score=score,
                age_ms=None if abs(age_ns) > MOST_AGE_NS else age_ns / 1e6,
                begins=tuple(limit for limit, begins in limits.get(name, ()) if begins),
                ends=tuple(limit for limit, begins in limits.get(name, ()) if not begins),
            )
            for name, value, score, age_ns in decision.inputs
        ]


def _rules(resolved: str) -> RulesFile | None:
    if not resolved:
        return None
    try:
        return RulesFile.recorded(resolved)
    except (ValueError, RulesError):
        return None


def _spreads(entry: BaselineEntry) -> dict[str, Spread]:
    return {
        name: Spread(float(each["mean"]), float(each["sd"]), int(each.get("frames", 0)))
        for name, each in entry.values.items()
        if isinstance(each, dict) and "mean" in each and "sd" in each
    }
