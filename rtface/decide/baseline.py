"""The baseline of a session: mean and spread of values while nobody has armed, frozen before thresholds may rest on them."""

from __future__ import annotations

import math
import operator
from array import array
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple

from rtface.core.clock import NS_PER_S
from rtface.decide.rules import BaselineSpec
from rtface.decide.syntax import ALIASES, OF_BASELINE, Node

MAD_TO_SD = 1.4826
"""Standard deviation of a normal distribution whose median absolute deviation is 1."""

_LONGEST_STEP_NS = NS_PER_S
_CALCULATED: dict[str, Callable[..., float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "negative": operator.neg,
    "abs": abs,
    "min": min,
    "max": max,
}


class Spread(NamedTuple):
    """Where a value was, and how far it scattered; NaN until that is known.

    Attributes
    ----------
    mean : float
        Of the frames on which it was known; their median where `BaselineSpec.robust`.
    sd : float
        Standard deviation of the sample (divided by n - 1); 1.4826 times the median absolute deviation where robust.
    frames : int
        On which it was known.
    """

    mean: float
    sd: float
    frames: int


_UNKNOWN = Spread(math.nan, math.nan, 0)


class BaselineValue:
    """The baseline of one value, as conditions read it.

    Attributes
    ----------
    name : str
    place : int
        Of the value among all.
    needs_sd : bool
        Whether a condition names its `sd`.
    spread : Spread
        Frozen; unknown until the baseline is complete.
    """

    __slots__ = ("name", "needs_sd", "place", "samples", "spread")

    def __init__(self, name: str, place: int) -> None:
        self.name, self.place = name, place
        self.needs_sd = False
        self.spread = _UNKNOWN
        self.samples = array("d")


class Baselines:
    """The baselines that a file's conditions name, from the frames that come while the session is disarmed.

    A deterministic function of its calls, as `rtface.decide.rulebank.RuleBank`, which makes them.

    Parameters
    ----------
    spec : BaselineSpec or None
        None where the file declares no baseline, and then none may be named.

    Attributes
    ----------
    complete : bool
        The declared time has passed, and nothing more is taken.
    frames : int
        That were taken.
    problems : tuple of str
        What the frames do not allow to be said, in words; known once it is complete.
    """

    def __init__(self, spec: BaselineSpec | None = None) -> None:
        self._spec = spec
        self._values: dict[str, BaselineValue] = {}
        self._limits: dict[str, Node] = {}
        self._pairs: dict[str, tuple[Node, Node, bool]] = {}
        self.complete, self.frames = False, 0
        self.problems: tuple[str, ...] = ()
        self._elapsed_ns = 0
        self._last_ns: int | None = None

    @property
    def declared(self) -> bool:
        """Whether the file declares one."""
        return self._spec is not None

    @property
    def names(self) -> tuple[str, ...]:
        """The values that have one."""
        return tuple(self._values)

    @property
    def wanted(self) -> bool:
        """Whether frames are to be taken."""
        return bool(self._values) and self._spec is not None and not self.complete

    @property
    def missing_s(self) -> float:
        """Seconds of frames that are yet to come."""
        if self._spec is None or not self._values or self.complete:
            return 0.0
        return max(0.0, self._spec.seconds - self._elapsed_ns / NS_PER_S)

    @property
    def against_arming(self) -> str:
        """Why nobody may arm yet, in words; empty where nothing speaks against it."""
        if self._spec is None or not self._values:
            return ""
        if not self.complete:
            return (
                f"{self.missing_s:.1f} of the {self._spec.seconds:g} s of the baseline are missing; it is taken anew in each "
                "session, while it is disarmed and frames come"
            )
        return "; ".join(self.problems)

    def of(self, name: str, place: int, *, sd: bool) -> BaselineValue:
        """Return the baseline of a value, from now on among those that are taken."""
        value = self._values.setdefault(name, BaselineValue(name, place))
        value.needs_sd |= sd
        return value

    def limit(self, text: str, side: Node) -> None:
        """Keep a threshold that rests on baselines alone, to be shown."""
        self._limits[text] = side

    def pair(self, rule: str, begins: Node, ends: Node, *, rises: bool) -> None:
        """Keep the two thresholds of a rule, the second of which must not lie beyond the first where the value `rises` to it."""
        self._pairs[rule] = begins, ends, rises

    def begin(self) -> None:
        """Forget all that was taken, and begin anew."""
        self.complete, self.frames, self.problems = False, 0, ()
        self._elapsed_ns, self._last_ns = 0, None
        for value in self._values.values():
            value.spread, value.samples = _UNKNOWN, array("d")

    def take(self, values: Sequence[float], scores: Sequence[float], exposure_ns: int) -> None:
        """Take a frame, newer than the one before; times from frame to frame above a second do not count."""
        spec = self._spec
        assert spec is not None
        last_ns, self._last_ns = self._last_ns, exposure_ns
        if last_ns is not None and exposure_ns - last_ns <= _LONGEST_STEP_NS:
            self._elapsed_ns += exposure_ns - last_ns
        self.frames += 1
        for each in self._values.values():
            value = values[each.place]
            if math.isfinite(value) and scores[each.place] >= spec.min_score:
                each.samples.append(value)
        if self._elapsed_ns >= round(spec.seconds * NS_PER_S):
            self._freeze(spec)

    def skip(self) -> None:
        """Leave a frame out, and the time around it."""
        self._last_ns = None

    def adopt(self, spreads: Mapping[str, Spread]) -> None:
        """Take numbers as they were recorded, in place of those that were found."""
        for name, spread in spreads.items():
            if name in self._values:
                self._values[name].spread = spread

    def found(self) -> dict[str, Any]:
        """Return what there is, as plain values for the record: NaN for what is not known."""
        return {
            "seconds": self._elapsed_ns / NS_PER_S,
            "frames": self.frames,
            "statistic": "median and MAD" if self._spec is not None and self._spec.robust else "mean and sd",
            "values": {name: each.spread._asdict() for name, each in self._values.items()},
            "problems": list(self.problems),
        }

    def as_map(self) -> dict[str, Any]:
        """Return how it stands, as plain values for messages; nothing where no rule names one."""
        if not self._values:
            return {}
        spreads = {name: each.spread for name, each in self._values.items()}
        return {
            "complete": self.complete,
            "missing_s": self.missing_s,
            "problems": list(self.problems),
            "values": {
                name: {"mean": _known(each.mean), "sd": _known(each.sd), "frames": each.frames}
                for name, each in spreads.items()
            },
            "limits": {text: _known(constant(side, spreads)) for text, side in self._limits.items()},
        }

    def in_words(self) -> str:
        """Return the numbers, and the thresholds that rest on them."""
        spreads = self.spreads()
        values = [
            f"{name} {each.mean:.4g}, sd {each.sd:.3g} (n = {each.frames})" for name, each in spreads.items()
        ]
        limits = [
            f"{text}: {limit:.4g}"
            for text, side in self._limits.items()
            if (limit := constant(side, spreads)) is not None
        ]
        return "; ".join((*values, *limits))

    def spreads(self) -> dict[str, Spread]:
        """Return the numbers by name; nothing before it is complete."""
        return {name: each.spread for name, each in self._values.items()} if self.complete else {}

    def _freeze(self, spec: BaselineSpec) -> None:
        self.complete = True
        problems: list[str] = []
        for each in self._values.values():
            samples, each.samples = each.samples, array("d")
            if len(samples) < spec.min_frames:
                each.spread = Spread(math.nan, math.nan, len(samples))
                problems.append(
                    f"{each.name} was known on {len(samples)} of the {self.frames} frames of the baseline, of "
                    f"{spec.min_frames} that baseline.min_frames asks for"
                )
                continue
            each.spread = spread_of(samples, robust=spec.robust)
            if each.needs_sd and not each.spread.sd > 0:
                each.spread = each.spread._replace(sd=math.nan)
                most = "most of" if spec.robust else "all"
                problems.append(
                    f"{each.name} was {each.spread.mean:g} on {most} the {len(samples)} frames of the baseline: its sd is 0, "
                    "and a threshold in multiples of it means nothing"
                )
        self.problems = (*problems, *self._crossed())

    def _crossed(self) -> list[str]:
        """Return in words which rules would end before they begin."""
        spreads, found = self.spreads(), []
        for rule, (begins, ends, rises) in self._pairs.items():
            on, off = constant(begins, spreads), constant(ends, spreads)
            if on is not None and off is not None and (off > on if rises else off < on):
                names = ("off_below", "above on_above") if rises else ("off_above", "below on_below")
                found.append(f"{rule}: {names[0]} is {off:.4g}, {names[1]}, {on:.4g}")
        return found


def spread_of(samples: Sequence[float], *, robust: bool = False) -> Spread:
    """Return where two or more finite numbers were, and how far they scattered.

    The same numbers in any order give the same to the last bit: sums are exact before they are rounded.
    """
    count = len(samples)
    if robust:
        middle = median(samples)
        return Spread(middle, MAD_TO_SD * median([abs(each - middle) for each in samples]), count)
    mean = math.fsum(samples) / count
    return Spread(mean, math.sqrt(math.fsum((each - mean) ** 2 for each in samples) / (count - 1)), count)


def constant(node: Node, spreads: Mapping[str, Spread]) -> float | None:
    """Return a number that rests on numbers and baselines alone; None where it rests on anything else, or is not known."""
    if node.kind == "number":
        return node.value
    if node.kind in OF_BASELINE:
        name = node.parts[0].text
        spread = spreads.get(ALIASES.get(name, name), _UNKNOWN)
        return _known(spread.mean if node.kind == "baseline" else spread.sd)
    if node.kind not in _CALCULATED:
        return None
    parts = [constant(part, spreads) for part in node.parts]
    known = [part for part in parts if part is not None]
    if len(known) < len(parts) or (node.kind == "/" and not known[1]):
        return None
    return _known(float(_CALCULATED[node.kind](*known)))


def rests_on_baselines_alone(node: Node) -> bool:
    """Return whether a number is made of numbers and at least one baseline, and of nothing else."""
    of_baseline = [part for part in node.walk() if part.kind in OF_BASELINE]
    names = sum(part.kind == "name" for part in node.walk())
    return bool(of_baseline) and names == len(of_baseline)


def _known(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
