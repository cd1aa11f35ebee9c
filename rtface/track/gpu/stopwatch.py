"""How long each stage of a frame takes on the GPU, by the GPU's own clock; for benchmarks alone.

Marks are events. Recorded into the same graph as the stages themselves, they count no launch and no pause between two.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rtface.core.clock import NS_PER_MS
from rtface.track.backends.base import DeviceStage
from rtface.track.gpu.libcuda import Libcuda

_EXTERNAL = 1
"""In a graph: a mark that can be read from outside it. Refused where nothing is recorded."""

Launches = Mapping[DeviceStage, Callable[[], None]]


class Stopwatch:
    """Marks on a stream, one before each stage and one after the last.

    Parameters
    ----------
    cuda : Libcuda
        The driver, whose context is current.
    stream : int
        Handle of the stream that the stages are put on.
    launches : mapping
        What puts each stage on the stream, in their order.
    """

    def __init__(self, cuda: Libcuda, stream: int, launches: Launches) -> None:
        self._cuda = cuda
        self._stream = ctypes.c_void_p(stream)
        self._launches = launches
        self._marks: list[ctypes.c_void_p] = []
        try:
            for _ in range(len(launches) + 1):
                mark = ctypes.c_void_p()
                cuda.call("cuEventCreate", ctypes.byref(mark), 0)
                self._marks.append(mark)
        except BaseException:
            self.close()
            raise

    def record(self) -> None:
        """Put the stages with their marks into the graph that the stream is being recorded into."""
        self._put(_EXTERNAL)

    def launch(self) -> None:
        """Put the stages with their marks on the stream, each launched by itself."""
        self._put(0)

    def _put(self, flags: int) -> None:
        for mark, launch in zip(self._marks, (*self._launches.values(), None), strict=True):
            self._cuda.call("cuEventRecordWithFlags", mark, self._stream, flags)
            if launch is not None:
                launch()

    def read(self) -> dict[DeviceStage, int]:
        """Return the nanoseconds of each stage, once the stream has been waited for."""
        found: dict[DeviceStage, int] = {}
        elapsed = ctypes.c_float()
        for place, stage in enumerate(self._launches):
            begun, ended = self._marks[place : place + 2]
            self._cuda.call("cuEventElapsedTime", ctypes.byref(elapsed), begun, ended)
            found[stage] = round(elapsed.value * NS_PER_MS)
        return found

    def close(self) -> None:
        """Give the marks back; may be called any number of times."""
        while self._marks:
            self._cuda.call("cuEventDestroy_v2", self._marks.pop())


@dataclass(frozen=True, slots=True)
class Itemised:
    """Stages with their marks, ready to be launched again and again."""

    watch: Stopwatch
    launch: Callable[[], None]
