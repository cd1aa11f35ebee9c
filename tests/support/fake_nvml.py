"""NVIDIA's management library, telling what it is told to."""

from __future__ import annotations

from typing import Any

from rtface.track.gpu.driver import nvml as nvml_module
from support.emulated_gpu import pci_of

NOT_SUPPORTED = 3


class FakeNvml:
    """A management library with two GPUs; `knows` maps a function to its answer by the first of its numbers, or to one.

    Its numbers are the other way round than the driver's, as they may be where some GPUs are hidden.
    """

    def __init__(self, **knows: Any) -> None:
        self.knows = {"Index": 5, **knows}
        self.open = 0

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("nvml"):
            raise AttributeError(name)

        def call(*arguments: Any) -> int:
            return self.called(name.removeprefix("nvmlDeviceGet"), *arguments)

        return call

    def called(self, name: str, *arguments: Any) -> int:
        if name in ("nvmlInit_v2", "nvmlShutdown"):
            self.open += 1 if name == "nvmlInit_v2" else -1
            return 0
        assert self.open > 0
        *numbers, out = arguments
        if name == "HandleByPciBusId_v2":
            out._obj.value = 77
            return 0 if arguments[0].decode() in (pci_of(0), pci_of(1)) else NOT_SUPPORTED
        assert getattr(numbers[0], "value", numbers[0]) == 77
        answer = self.knows.get(name)
        answer = answer.get(numbers[1]) if isinstance(answer, dict) else answer
        if answer is None:
            return NOT_SUPPORTED
        out._obj.value = answer
        return 0


def install_nvml(fake: FakeNvml | None, monkeypatch: Any) -> None:
    """Put a fake in the place of the library; None is a machine without it."""

    def library() -> Any:
        if fake is None:
            raise OSError("libnvidia-ml.so.1: cannot open shared object file")
        return fake

    monkeypatch.setattr(nvml_module, "_library", library)
