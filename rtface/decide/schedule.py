"""Controls: which trials are shams or catches, and pulses that do not depend on behaviour.

All chance comes from Python's Mersenne twister by `random.Random.random` alone, whose sequence for a seed Python
promises to keep, and from nothing but the schedule's seeds and the rule's name.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence

from rtface.core.clock import NS_PER_S
from rtface.decide.controls import Control, MatchedSpec, MixedSpec, YokedSpec
from rtface.decide.errors import RulesError
from rtface.decide.rules import RuleSpec, ns
from rtface.decide.transitions import RuleEvent


class Schedule:
    """What becomes of a rule's trials, one after another.

    Parameters
    ----------
    name : str
        The rule's.
    spec : RuleSpec
        Whose `schedule` has its times, if it needs any, in `times_s`.

    Attributes
    ----------
    blind : bool
        Light and sham are not to be distinguished while the session lasts.
    timed : bool
        Session time makes the trials.
    times_ns : tuple of int
        Session times of the trials, rising; empty where behaviour makes them.

    Raises
    ------
    RulesError
        The times of another session are needed and not there, or so many pulses do not fit into the span.
    """

    def __init__(self, name: str, spec: RuleSpec) -> None:
        asked = spec.schedule
        self.blind = asked is not None and asked.blind
        self.timed = spec.timed
        self.times_ns: tuple[int, ...] = ()
        self._mixed = asked if isinstance(asked, MixedSpec) else None
        self._random = random.Random(None if asked is None else _seed(asked, name))
        self._block: list[RuleEvent] = []
        self._followed: Iterator[RuleEvent] | None = None
        if isinstance(asked, YokedSpec):
            self.times_ns = tuple(sorted(_in_ns(_known(asked, name))))
        elif isinstance(asked, MatchedSpec):
            count = asked.count if asked.count is not None else len(_known(asked, name))
            assert spec.pulse is not None
            apart_ns = spec.pulse.record().duration_ns + ns(spec.refractory_ms)
            first_ns, last_ns = _in_ns(asked.span_s)
            self.times_ns = self._scattered(count, first_ns, last_ns, apart_ns, name)

    def draw(self) -> RuleEvent:
        """Return what the next trial is to be: PASSED (light), SHAM or CATCH."""
        if self._followed is not None:
            return next(self._followed, RuleEvent.SHAM)
        mixed = self._mixed
        if mixed is None:
            return RuleEvent.PASSED
        if mixed.block is None:
            return _share(self._random.random(), mixed.sham, mixed.catch)
        if not self._block:
            size = mixed.block
            self._block = [_share((place + 0.5) / size, mixed.sham, mixed.catch) for place in range(size)]
            _shuffle(self._block, self._random)
        return self._block.pop()

    def follow(self, draws: Iterable[RuleEvent]) -> None:
        """Draw these, in place of what the seeds say; shams after the last."""
        self._followed = iter(draws)

    def _scattered(
        self, count: int, first_ns: int, last_ns: int, apart_ns: int, name: str
    ) -> tuple[int, ...]:
        """Return random times in a span, uniform among all that are `apart_ns` or more from each other."""
        free_ns = last_ns - first_ns - (count - 1) * apart_ns
        if count and free_ns < 0:
            raise RulesError(
                f"{count} pulses with their refractory time take {count * apart_ns / NS_PER_S:g} s, "
                f"more than the {(last_ns - first_ns) / NS_PER_S:g} s of the span",
                *("rules", name, "schedule", "span_s"),
            )
        drawn = sorted(round(self._random.random() * free_ns) for _ in range(count))
        return tuple(first_ns + each + place * apart_ns for place, each in enumerate(drawn))


def _seed(asked: Control, name: str) -> str:
    drawn = "" if asked.session_seed is None else f"{asked.session_seed} "
    return f"{asked.seed} {drawn}{name}"


def _share(part: float, sham: float, catch: float) -> RuleEvent:
    """Return what stands at a place in [0, 1) of a line of shams, catches and light."""
    if part < sham:
        return RuleEvent.SHAM
    return RuleEvent.CATCH if part < sham + catch else RuleEvent.PASSED


def _shuffle(items: list[RuleEvent], source: random.Random) -> None:
    """Shuffle in place (Fisher and Yates)."""
    for last in range(len(items) - 1, 0, -1):
        other = int(source.random() * (last + 1))
        items[last], items[other] = items[other], items[last]


def _known(asked: YokedSpec | MatchedSpec, name: str) -> Sequence[float]:
    if asked.times_s is None:
        raise RulesError(
            f"the pulse times of {asked.source} have not been read", "rules", name, "schedule", "source"
        )
    return asked.times_s


def _in_ns(seconds: Sequence[float]) -> list[int]:
    return [round(each * NS_PER_S) for each in seconds]
