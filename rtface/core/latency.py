"""Latency per stage in preallocated histograms.

Durations go into buckets whose width is 1/64 of their power of two, so a percentile is known to 1.6 percent from
a nanosecond to hours, at a fixed cost a frame and without keeping a sample (the idea of HDR histograms). The
maximum is kept exactly.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from rtface.core.clock import NS_PER_MS
from rtface.core.records import Stamps

_SUB_BITS = 6
_SUB = 1 << _SUB_BITS
_BUCKETS = (64 - _SUB_BITS) * _SUB

STAGES = (
    "transfer",
    "wait",
    "prepare",
    "network",
    "decide",
    "react",
    "publish",
    "overhead",
    "end_to_end",
)
"""Stages in the order of the hot path.

transfer: exposure to arrival. wait: arrival to taken out of the ring. prepare: intensity levels. network: the
back end. decide: geometry and flags. react: features, rules and the hand-over to the output, where there are rules.
publish: encode and hand to the socket. overhead: arrival to published, less the network. end_to_end: exposure to
published.
"""


def _bucket(duration_ns: int) -> int:
    if duration_ns < _SUB:
        return max(duration_ns, 0)
    shift = duration_ns.bit_length() - _SUB_BITS - 1
    return min(((shift + 1) << _SUB_BITS) + (duration_ns >> shift) - _SUB, _BUCKETS - 1)


def _buckets(durations_ns: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return `_bucket` of each duration."""
    known = np.maximum(durations_ns, 0)
    halves = known >> 32, known & 0xFFFFFFFF  # float64 holds either exactly
    high, low = (np.frexp(each.astype(np.float64))[1].astype(np.int64) for each in halves)
    bits = np.where(high > 0, high + 32, low)
    shift = np.maximum(bits - _SUB_BITS - 1, 0)
    coarse = ((shift + 1) << _SUB_BITS) + (known >> shift) - _SUB
    return np.where(known < _SUB, known, np.minimum(coarse, _BUCKETS - 1))


def _bucket_middle_ns(bucket: int) -> float:
    if bucket < _SUB:
        return float(bucket)
    shift = (bucket >> _SUB_BITS) - 1
    low = ((bucket & (_SUB - 1)) + _SUB) << shift
    return low + ((1 << shift) - 1) / 2


@dataclass(frozen=True, slots=True)
class StageSummary:
    """Percentiles of one stage, in milliseconds, over `n` frames; zeros when there were none.

    `misses` counts the frames over the deadline; None for a stage that has no deadline.
    """

    n: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float
    misses: int | None = None

    def as_dict(self) -> dict[str, float | int | None]:
        """Return the summary as a plain map, for messages and files."""
        return asdict(self)


class Histogram:
    """Durations in nanoseconds.

    Parameters
    ----------
    deadline_ns : int, optional
        Longer durations are counted as misses.
    """

    def __init__(self, deadline_ns: int | None = None) -> None:
        self._counts = np.zeros(_BUCKETS, np.int64)
        self._deadline_ns = deadline_ns
        self._max_ns = 0
        self._misses = 0

    def add(self, duration_ns: int) -> None:
        """Count one duration; a negative one (clocks that disagree) counts as zero."""
        if duration_ns > self._max_ns:
            self._max_ns = duration_ns
        self._counts[_bucket(duration_ns)] += 1
        if self._deadline_ns is not None and duration_ns > self._deadline_ns:
            self._misses += 1

    def add_all(self, durations_ns: NDArray[np.int64]) -> None:
        """Count many durations, as `add` counts each."""
        if not len(durations_ns):
            return
        self._max_ns = max(self._max_ns, int(durations_ns.max()))
        self._counts += np.bincount(_buckets(durations_ns), minlength=_BUCKETS)
        if self._deadline_ns is not None:
            self._misses += int((durations_ns > self._deadline_ns).sum())

    def summary(self) -> StageSummary:
        """Return the percentiles of all durations so far."""
        cumulative = np.cumsum(self._counts)
        n = int(cumulative[-1])
        if n == 0:
            return StageSummary(0, 0.0, 0.0, 0.0, 0.0, 0.0, None if self._deadline_ns is None else 0)
        ranks = np.ceil(np.array([0.5, 0.95, 0.99, 0.999]) * n).astype(np.int64)
        found = np.searchsorted(cumulative, ranks, side="left")
        p50, p95, p99, p999 = (
            min(_bucket_middle_ns(int(bucket)), self._max_ns) / NS_PER_MS for bucket in found
        )
        misses = None if self._deadline_ns is None else self._misses
        return StageSummary(n, p50, p95, p99, p999, self._max_ns / NS_PER_MS, misses)

    def distribution(self) -> list[tuple[float, int]]:
        """Return milliseconds and counts of the buckets that are not empty, in rising order."""
        return [
            (_bucket_middle_ns(int(bucket)) / NS_PER_MS, int(self._counts[bucket]))
            for bucket in np.flatnonzero(self._counts)
        ]


class LatencyRecorder:
    """One histogram a stage, filled from a frame's stamps.

    Parameters
    ----------
    deadline_ns : int
        From exposure to published; longer ones are counted in the summary of ``end_to_end``.
    """

    def __init__(self, deadline_ns: int) -> None:
        self._deadline_ns = deadline_ns
        self._stages = self._fresh()

    def _fresh(self) -> tuple[Histogram, ...]:
        return tuple(Histogram(self._deadline_ns if stage == "end_to_end" else None) for stage in STAGES)

    def add(self, stamps: Stamps, reacted_ns: int, published_ns: int) -> None:
        """Count one frame.

        Parameters
        ----------
        stamps : Stamps
            The frame's.
        reacted_ns, published_ns : int
            When it had been handled, and published.
        """
        network_ns = stamps.inferred_ns - stamps.prepared_ns
        durations = (
            stamps.arrival_ns - stamps.exposure_ns,
            stamps.taken_ns - stamps.arrival_ns,
            stamps.prepared_ns - stamps.taken_ns,
            network_ns,
            stamps.decided_ns - stamps.inferred_ns,
            reacted_ns - stamps.decided_ns,
            published_ns - reacted_ns,
            published_ns - stamps.arrival_ns - network_ns,
            published_ns - stamps.exposure_ns,
        )
        for histogram, duration in zip(self._stages, durations, strict=True):
            histogram.add(duration)

    def summary(self) -> dict[str, StageSummary]:
        """Return the percentiles of every stage."""
        return {stage: histogram.summary() for stage, histogram in zip(STAGES, self._stages, strict=True)}

    def distribution(self) -> dict[str, list[tuple[float, int]]]:
        """Return the distribution of every stage; see `Histogram.distribution`."""
        return {
            stage: histogram.distribution() for stage, histogram in zip(STAGES, self._stages, strict=True)
        }

    def reset(self) -> None:
        """Forget all frames so far, for instance those of the warm-up."""
        self._stages = self._fresh()
