"""A latency budget such as ``p99 < 15 ms``, watched frame by frame at constant cost. No clock."""

from __future__ import annotations

import re
from dataclasses import dataclass

from rtface.core.clock import NS_PER_MS
from rtface.core.errors import ConfigError

_FORM = re.compile(
    r"\s*(?:p(?P<percentile>\d{2}(?:\.\d+)?)|(?P<max>max))\s*<\s*(?P<limit>\d+(?:\.\d+)?)\s*ms\s*"
)


@dataclass(frozen=True, slots=True)
class Budget:
    """What is asked of the latency.

    Attributes
    ----------
    text : str
        As it was written.
    limit_ns : int
        A frame that took this long or longer is late.
    share : float
        Of late frames that is allowed: 0.01 for p99, 0 for max.
    """

    text: str
    limit_ns: int
    share: float

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Return the budget in a text such as ``p99 < 15 ms``, ``p99.9 < 20 ms`` or ``max < 30 ms``.

        Raises
        ------
        ConfigError
            It is none.
        """
        found = _FORM.fullmatch(text)
        if found is None:
            raise ConfigError(f"{text!r} is no latency budget; write p99 < 15 ms, or max < 30 ms")
        share = 0.0 if found["max"] else 1 - float(found["percentile"]) / 100
        return cls(" ".join(text.split()), round(float(found["limit"]) * NS_PER_MS), share)


class BudgetWatch:
    """Tells when the last frames miss a budget.

    Parameters
    ----------
    budget : Budget
    frames : int
        How many of the last frames count.

    Attributes
    ----------
    text : str
        The budget's.
    frames : int
    late : int
        How many of the last frames were late.
    """

    def __init__(self, budget: Budget, frames: int) -> None:
        self.text, self.frames = budget.text, frames
        self._limit_ns = budget.limit_ns
        self._allowed = int(budget.share * frames + 1e-9)
        self._late = bytearray(frames)
        self._next = 0
        self.late = 0

    @property
    def missed(self) -> bool:
        """Whether more of the last frames were late than the budget allows."""
        return self.late > self._allowed

    def add(self, duration_ns: int) -> bool:
        """Count a frame; True when more of the last frames were late than the budget allows."""
        late = duration_ns >= self._limit_ns
        self.late += late - self._late[self._next]
        self._late[self._next] = late
        self._next = (self._next + 1) % len(self._late)
        return self.missed

    def reset(self) -> None:
        """Forget all frames."""
        self._late = bytearray(len(self._late))
        self._next = self.late = 0
