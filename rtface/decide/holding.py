"""Whether a rule holds: its condition over time, with hysteresis, dwell and release."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from rtface.decide.baseline import Baselines
from rtface.decide.errors import RulesError, kept_in, raise_all
from rtface.decide.expression import Expression, Floats, Truth, compile_expression
from rtface.decide.rules import RuleSpec, ns
from rtface.decide.syntax import ExpressionError, parse


class Holding:
    """The condition of one rule, frame by frame; times are exposures.

    A value that cannot be known interrupts dwell and release. A rule that holds goes on holding through it for
    `max_age_ms`; after that the condition must become true anew.

    Parameters
    ----------
    name : str
        The rule's.
    spec : RuleSpec
    names : sequence of str
        All names that there are, in the order of the lists for `update`.
    baselines : Baselines, optional
        Those that conditions may name.

    Attributes
    ----------
    holds : bool
        The condition was true for the dwell time, and the release not yet for its own.
    unknown : bool
        On the newest frame the condition, or while it holds the release, cannot be known.
    pending : bool
        The condition is true, the dwell time has not passed.
    began_ns : int
        Exposure of the frame on which it began to hold.
    indices : tuple of int
        Places of the names that it rests on.

    Raises
    ------
    RulesError
        A condition cannot be read, or names what there is not.
    """

    __slots__ = (
        "_dwell_ns",
        "_leaving_ns",
        "_lost_ns",
        "_max_age_ns",
        "_negated",
        "_release",
        "_release_ns",
        "_since_ns",
        "_when",
        "began_ns",
        "holds",
        "indices",
        "unknown",
    )

    def __init__(
        self, name: str, spec: RuleSpec, names: Sequence[str], baselines: Baselines | None = None
    ) -> None:
        begins, ends = spec.begins, spec.ends
        key = "when" if spec.value is None else "value"
        if spec.value is not None:
            _checked_number(spec.value, name)
            _check_limits(name, spec)
        self._when = self._release = None
        refused: list[RulesError] = []
        with kept_in(refused):
            self._when = None if begins is None else compiled(begins, names, name, key, baselines)
        if spec.value is not None:
            raise_all(refused)  # the other threshold's is the same
        self._negated = ends is None
        with kept_in(refused):
            self._release = (
                self._when
                if ends is None
                else compiled(ends, names, name, "release" if key == "when" else key, baselines)
            )
        raise_all(refused)
        if baselines is not None and spec.value is not None and begins is not None and ends is not None:
            on, off = (parse(text).parts[1] for text in (begins, ends))
            baselines.pair(name, on, off, rises=spec.on_above is not None)
        both = [each for each in (self._when, self._release) if each is not None]
        self.indices = tuple(dict.fromkeys(index for each in both for index in each.indices))
        self._dwell_ns, self._release_ns = ns(spec.dwell_ms), ns(spec.release_ms)
        self._max_age_ns = ns(spec.max_age_ms)
        self.reset()

    @property
    def pending(self) -> bool:
        """The condition is true, the dwell time has not passed."""
        return self._since_ns is not None and not self.holds

    def reset(self) -> None:
        """Forget all frames."""
        self.holds = self.unknown = False
        self.began_ns = 0
        self._since_ns: int | None = None
        self._leaving_ns: int | None = None
        self._lost_ns: int | None = None

    def follow(self, other: Holding) -> None:
        """Stand where another of the same rule stands."""
        self.holds, self.unknown, self.began_ns = other.holds, other.unknown, other.began_ns
        self._since_ns, self._leaving_ns, self._lost_ns = other._since_ns, other._leaving_ns, other._lost_ns

    def disbelieve(self, exposure_ns: int) -> None:
        """Take a frame on which nothing can be known."""
        if self.holds:
            self._hold(None, exposure_ns)
        self.unknown, self._since_ns = True, None

    def interrupt(self) -> None:
        """Let dwell and release begin anew: frames are missing."""
        self._since_ns = self._leaving_ns = None

    def update(
        self, values: Floats, scores: Floats, exposures_ns: Sequence[int], now_ns: int, exposure_ns: int
    ) -> None:
        """Take a frame that is newer than the one before.

        Parameters
        ----------
        values, scores, exposures_ns : list
            Of all names.
        now_ns : int
            The present time, for ages.
        exposure_ns : int
            Of the frame.
        """
        if self.holds:
            self._hold(self._leaves(values, scores, exposures_ns, now_ns), exposure_ns)
            return
        truth = None
        if self._when is not None:
            truth = self._when.evaluate(values, scores, exposures_ns, now_ns)
            self.unknown = truth is None
        if not truth:
            self._since_ns = None
            return
        if self._since_ns is None:
            self._since_ns = exposure_ns
        if exposure_ns - self._since_ns >= self._dwell_ns:
            self.holds, self.began_ns, self._leaving_ns, self._lost_ns = True, exposure_ns, None, None

    def _hold(self, leaving: Truth, exposure_ns: int) -> None:
        """Go on holding, or not, by the release."""
        self.unknown = leaving is None
        if leaving is None and self._lost_ns is None:
            self._lost_ns = exposure_ns
        elif leaving is not None:
            self._lost_ns = None
        if not leaving:
            self._leaving_ns = None
        elif self._leaving_ns is None:
            self._leaving_ns = exposure_ns
        left = self._leaving_ns is not None and exposure_ns - self._leaving_ns >= self._release_ns
        lost = self._lost_ns is not None and exposure_ns - self._lost_ns > self._max_age_ns
        if left or lost:
            self.holds = False
            self._since_ns = self._leaving_ns = self._lost_ns = None

    def _leaves(self, values: Floats, scores: Floats, exposures_ns: Sequence[int], now_ns: int) -> Truth:
        assert self._release is not None
        truth = self._release.evaluate(values, scores, exposures_ns, now_ns)
        return (None if truth is None else not truth) if self._negated else truth


def _checked_number(text: str, rule: str) -> None:
    try:
        parse(text, truth=False)
    except ExpressionError as error:
        raise RulesError(str(error), "rules", rule, "value") from error


def _check_limits(rule: str, spec: RuleSpec) -> None:
    """Refuse a threshold that is written as a text and is more than a number, such as ``1) or (x > 0``."""
    for key in ("on_above", "off_below", "on_below", "off_above"):
        text = getattr(spec, key)
        if not isinstance(text, str):
            continue
        with suppress(ExpressionError):  # told with the condition
            whole = parse(f"{spec.value} > ({text})")
            if whole.kind != "compare" or len(whole.parts) > 2:
                raise RulesError(f"{text!r} is no number, such as baseline + 3 sd", "rules", rule, key)


def compiled(
    text: str, names: Sequence[str], rule: str, key: str, baselines: Baselines | None = None
) -> Expression:
    """Compile a condition of a rule.

    Raises
    ------
    RulesError
        It cannot be read, or names what there is not.
    """
    try:
        return compile_expression(text, names, baselines)
    except ExpressionError as error:
        raise RulesError(str(error), "rules", rule, key) from error
