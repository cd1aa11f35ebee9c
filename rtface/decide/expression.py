"""Conditions of rules, compiled once and evaluated in microseconds, in three values.

A condition is true, false or unknown (None). A comparison with a value that is not a finite number is unknown; *and*,
*or* and *not* are Kleene's: false and unknown is false, true or unknown is true.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

from rtface.core.clock import NS_PER_MS
from rtface.core.errors import nearest
from rtface.decide.baseline import Baselines, rests_on_baselines_alone
from rtface.decide.syntax import ALIASES, OF_BASELINE, OF_NAMES, ExpressionError, Node, parse

Truth = bool | None
"""True, False, or None for what cannot be known."""

Floats = Sequence[float]
_Number = Callable[[Floats, Floats, Sequence[int], int], float]
_Condition = Callable[[Floats, Floats, Sequence[int], int], Truth]

WITHOUT_BASELINE = ("rule", "picture", "neural.state")
"""Names, or what they begin with, of what has neither mean nor spread."""

_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}


@dataclass(frozen=True, eq=False)
class Expression:
    """A compiled condition.

    Attributes
    ----------
    text : str
        As it was written.
    names : tuple of str
        The recorded names that it rests on, in the order of their first mention.
    indices : tuple of int
        Their places among all names.
    evaluate : callable
        ``evaluate(values, scores, exposure_ns, now_ns)`` with lists in the order of all names; returns `Truth`.
    """

    text: str
    names: tuple[str, ...]
    indices: tuple[int, ...]
    evaluate: _Condition


def names_in(node: Node) -> tuple[str, ...]:
    """Return the names in a condition, as they are recorded, in the order of their first mention."""
    names = (part.text for part in node.walk() if part.kind == "name")
    return tuple(dict.fromkeys(ALIASES.get(name, name) for name in names))


@dataclass(frozen=True)
class _Names:
    """What a condition may name: the places of all names, and the baselines that there are."""

    places: Mapping[str, int]
    baselines: Baselines


def compile_expression(text: str, names: Sequence[str], baselines: Baselines | None = None) -> Expression:
    """Parse a condition and compile it.

    Parameters
    ----------
    text : str
        The condition.
    names : sequence of str
        All names that there are, in the order of the lists that it will be evaluated on.
    baselines : Baselines, optional
        Takes note of those that it names, and holds their numbers; none may be named without it.

    Raises
    ------
    ExpressionError
        As `rtface.decide.syntax.parse`; or a name is not among `names`, or has no baseline.
    """
    node = parse(text)
    places = {name: index for index, name in enumerate(names)}
    places |= {alias: places[name] for alias, name in ALIASES.items() if name in places}
    unknown = [part for part in node.walk() if part.kind == "name" and part.text not in places]
    if unknown:
        hints = {part.text: nearest(part.text, places) or "; there are no features" for part in unknown}
        problem = "; ".join(f"no feature is called {name}{hint}" for name, hint in hints.items())
        raise ExpressionError(problem, text, unknown[0].column)
    mentioned = names_in(node)
    known = _Names(places, Baselines() if baselines is None else baselines)
    _note_baselines(node, text, known)
    return Expression(text, mentioned, tuple(places[name] for name in mentioned), _condition(node, known))


def _note_baselines(node: Node, text: str, known: _Names) -> None:
    """Let the baselines that a condition names be taken, and its thresholds be shown."""
    for part in node.walk():
        if part.kind in OF_BASELINE:
            name = part.parts[0].text
            if not known.baselines.declared:
                problem = "a baseline needs its time: baseline: {seconds: 60} in the rules file"
                raise ExpressionError(problem, text, part.column)
            if name.partition(".")[0] in WITHOUT_BASELINE or name in WITHOUT_BASELINE:
                raise ExpressionError(f"{name} is no quantity, and has no baseline", text, part.column)
            known.baselines.of(ALIASES.get(name, name), known.places[name], sd=part.kind == "sd")
        if part.kind == "compare":
            for left, sign, right in zip(part.parts, part.operators, part.parts[1:], strict=False):
                for side in (left, right):
                    if rests_on_baselines_alone(side):
                        known.baselines.limit(f"{left.as_text()} {sign} {right.as_text()}", side)


def _condition(node: Node, known: _Names) -> _Condition:
    if node.kind == "compare":
        return _comparison(node, known)
    parts = [_condition(part, known) for part in node.parts]
    if node.kind == "not":
        return _negation(parts[0])
    return _joined(parts, decided_by=node.kind == "or")


def _negation(inner: _Condition) -> _Condition:
    def negation(values: Floats, scores: Floats, exposure_ns: Sequence[int], now_ns: int) -> Truth:
        truth = inner(values, scores, exposure_ns, now_ns)
        return None if truth is None else not truth

    return negation


def _joined(parts: Sequence[_Condition], *, decided_by: bool) -> _Condition:
    """Return *and* (one false part decides) or *or* (one true part does)."""

    def joined(values: Floats, scores: Floats, exposure_ns: Sequence[int], now_ns: int) -> Truth:
        known = True
        for part in parts:
            truth = part(values, scores, exposure_ns, now_ns)
            if truth is decided_by:
                return decided_by
            if truth is None:
                known = False
        return (not decided_by) if known else None

    return joined


def _comparison(node: Node, known: _Names) -> _Condition:
    left, right = node.parts[0], node.parts[1]
    if len(node.parts) > 2:
        pairs = zip(node.parts, node.operators, node.parts[1:], strict=False)
        return _joined([_pair(known, *pair) for pair in pairs], decided_by=False)
    return _pair(known, left, node.operators[0], right)


def _pair(known: _Names, left: Node, sign: str, right: Node) -> _Condition:
    compare = _COMPARE[sign]
    if left.kind == "name" and right.kind == "number":
        index, limit = known.places[left.text], right.value

        def threshold(values: Floats, scores: Floats, exposure_ns: Sequence[int], now_ns: int) -> Truth:
            value = values[index]
            return compare(value, limit) if isfinite(value) else None

        return threshold
    first, second = _number(left, known), _number(right, known)

    def pair(values: Floats, scores: Floats, exposure_ns: Sequence[int], now_ns: int) -> Truth:
        a = first(values, scores, exposure_ns, now_ns)
        b = second(values, scores, exposure_ns, now_ns)
        return compare(a, b) if isfinite(a) and isfinite(b) else None

    return pair


def _number(node: Node, known: _Names) -> _Number:
    if node.kind == "number":
        constant = node.value
        return lambda values, scores, exposure_ns, now_ns: constant
    if node.kind == "name":
        index = known.places[node.text]
        return lambda values, scores, exposure_ns, now_ns: values[index]
    if node.kind in OF_BASELINE:
        name = node.parts[0].text
        of = known.baselines.of(ALIASES.get(name, name), known.places[name], sd=node.kind == "sd")
        if node.kind == "sd":
            return lambda values, scores, exposure_ns, now_ns: of.spread.sd
        return lambda values, scores, exposure_ns, now_ns: of.spread.mean
    if node.kind in OF_NAMES:
        index = known.places[node.parts[0].text]
        if node.kind == "score":
            return lambda values, scores, exposure_ns, now_ns: scores[index]
        return lambda values, scores, exposure_ns, now_ns: (now_ns - exposure_ns[index]) / NS_PER_MS
    parts = [_number(part, known) for part in node.parts]
    if node.kind in ("min", "max"):
        return _extreme(parts, min if node.kind == "min" else max)
    first = parts[0]
    if node.kind == "abs":
        return lambda values, scores, exposure_ns, now_ns: abs(first(values, scores, exposure_ns, now_ns))
    if node.kind == "negative":
        return lambda values, scores, exposure_ns, now_ns: -first(values, scores, exposure_ns, now_ns)
    return _arithmetic(node.kind, first, parts[1])


def _extreme(parts: Sequence[_Number], choose: Callable[[Floats], float]) -> _Number:
    def extreme(values: Floats, scores: Floats, exposure_ns: Sequence[int], now_ns: int) -> float:
        found = [part(values, scores, exposure_ns, now_ns) for part in parts]
        return choose(found) if all(map(isfinite, found)) else math.nan

    return extreme


def _arithmetic(sign: str, first: _Number, second: _Number) -> _Number:
    combine = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": _quotient}[sign]

    def arithmetic(values: Floats, scores: Floats, exposure_ns: Sequence[int], now_ns: int) -> float:
        result: float = combine(
            first(values, scores, exposure_ns, now_ns), second(values, scores, exposure_ns, now_ns)
        )
        return result

    return arithmetic


def _quotient(a: float, b: float) -> float:
    return a / b if b else math.nan
