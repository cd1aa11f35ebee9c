"""The clocks of a GPU while it is measured: what a figure was reached at, and whether the GPU clocked down."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from statistics import median_low
from typing import Any, Self

from rtface.core.clock import NS_PER_MS, SYSTEM_CLOCK
from rtface.track.gpu.clocks import Clocks, clocks_of
from rtface.track.gpu.driver.nvml import LIBRARY
from rtface.track.gpu.libcuda import probe

_EVERY_NS = 100 * NS_PER_MS


class ClockSamples:
    """Samples of a GPU's clocks by the pass in which they were taken, between two frames and at most ten a second."""

    def __init__(self) -> None:
        self._opened = ExitStack()
        self._read: Callable[[], Clocks | None] | None = None
        self._samples: dict[str, list[Clocks]] = {}
        self._last_ns = 0

    @classmethod
    @contextmanager
    def opened(cls) -> Iterator[Self]:
        """Give an empty one, and let the GPU go after."""
        samples = cls()
        with samples._opened:
            yield samples

    def look_at(self, device: str) -> None:
        """Sample the GPU of that description from here on; nothing where it is none.

        Parameters
        ----------
        device : str
            As of `BackendInfo.device`.
        """
        for gpu in probe().gpus:
            if str(gpu) == device:
                self._read = self._opened.enter_context(clocks_of(gpu))

    def take(self, name: str) -> None:
        """Take a sample in a pass, unless the last one was just now."""
        now_ns = SYSTEM_CLOCK.now_ns()
        if self._read is None or now_ns - self._last_ns < _EVERY_NS:
            return
        self._last_ns = now_ns
        clocks = self._read()
        if clocks is not None and clocks.sm_mhz is not None and clocks.memory_mhz is not None:
            self._samples.setdefault(name, []).append(clocks)

    def report(self) -> dict[str, Any]:
        """Return ``clocks`` for a result; empty where there is no GPU."""
        if self._read is None:
            return {}
        if not self._samples:
            return {"clocks": {"why_none": f"they cannot be read here ({LIBRARY})"}}
        last = list(self._samples.values())[-1][-1]
        facts = {
            "what": "the GPU's clocks right after a frame, in MHz",
            "most_sm_mhz": last.most_sm_mhz,
            "most_memory_mhz": last.most_memory_mhz,
            "persistence_mode": last.persistent,
        }
        return {"clocks": facts | {"passes": {name: _pass(taken) for name, taken in self._samples.items()}}}


def _pass(taken: list[Clocks]) -> dict[str, Any]:
    return {
        "n": len(taken),
        "sm_mhz": _range([each.sm_mhz or 0 for each in taken]),
        "memory_mhz": _range([each.memory_mhz or 0 for each in taken]),
        "held_back_by": sorted({reason for each in taken for reason in each.held_back}),
    }


def _range(values: list[int]) -> dict[str, int]:
    return {"min": min(values), "p50": median_low(values), "max": max(values)}
