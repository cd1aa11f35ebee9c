"""The card that a step runs on: a real one, or, in a rehearsal, the tests' emulated one on the CPU."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, TypeVar

from rtface.config import BackendSettings
from rtface.core.errors import UsageError
from rtface.track.gpu.kernels import Launch

REPOSITORY = Path(__file__).resolve().parents[2]

_Number = TypeVar("_Number", int, float)


@dataclass(frozen=True, slots=True)
class Card:
    """What steps are given.

    Attributes
    ----------
    emulated : EmulatedGpu or None
        In a rehearsal.
    """

    emulated: Any = None

    def __bool__(self) -> bool:
        """Tell whether it is a real one."""
        return self.emulated is None

    def settings(self, precision: Literal["engine", "f32"] = "engine") -> BackendSettings:
        """Return what asks for torch on it."""
        return BackendSettings(name="torch", device="cuda:0", precision=precision)

    def count(self, real: _Number, rehearsed: _Number) -> _Number:
        """Return how many: little in a rehearsal, where a frame takes a tenth of a second."""
        return real if self else rehearsed

    def launcher(self) -> tuple[Any, Callable[[Launch], None]]:
        """Return the torch device whose memory kernels work on, and what launches one and waits for it."""
        import torch

        if not self:
            return torch.device("cpu"), self.emulated.emulator.launch
        from rtface.track.gpu import kernels
        from rtface.track.gpu.libcuda import Libcuda, Module

        torch.cuda.set_device(0)
        torch.zeros(1, device="cuda")  # the primary context is made, and current
        driver = Libcuda.load()
        if driver is None:
            raise UsageError("there is no NVIDIA driver")
        module = Module(driver, kernels.ptx())
        stream: int = torch.cuda.current_stream().cuda_stream

        def launch(each: Launch) -> None:
            module.bind(each, stream)()
            torch.cuda.synchronize()

        return torch.device("cuda:0"), launch


@contextmanager
def card(rehearse: bool) -> Iterator[Card]:
    """Give the real card, or put the emulated one in its place for as long as the block lasts."""
    if not rehearse:
        yield Card()
        return
    sys.path.insert(0, str(REPOSITORY / "tests"))
    import pytest
    import torch

    emulated_cuda, emulated_gpu = map(import_module, ("support.emulated_cuda", "support.emulated_gpu"))

    compiler = shutil.which("g++")
    if compiler is None:
        raise UsageError("a rehearsal runs the kernels on the CPU, which needs g++")
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        gpu = emulated_gpu.EmulatedGpu(emulated_cuda.Emulator(compiler, Path(folder)))
        if torch.version.cuda is not None:  # its driver runs what this torch was built for
            gpu.cuda = tuple(map(int, torch.version.cuda.split(".")))
        emulated_gpu.install(gpu, patch, Path(folder) / "cache")
        yield Card(gpu)
