"""How fast a GPU runs, what holds it back, and what to set: one that gets a frame now and then clocks down between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rtface.core.check import Check
from rtface.track.gpu.driver.nvml import LIBRARY, Nvml
from rtface.track.gpu.libcuda import Gpu

_SM, _MEMORY = 1, 2
_REASONS = {
    0x2: "clocks that were set for applications",
    0x4: "its limit of power",
    0x8: "a slowdown by the hardware",
    0x20: "its temperature",
    0x40: "its temperature, by the hardware",
    0x80: "the power supply",
}
"""What keeps a GPU from running faster, besides that it has nothing to do."""

_FAST_ENOUGH = 0.9


@dataclass(frozen=True, slots=True)
class Clocks:
    """How fast a GPU runs at one moment.

    Attributes
    ----------
    number : int or None
        That nvidia-smi gives it.
    sm_mhz, memory_mhz : int or None
        Of its processors and of its memory.
    most_sm_mhz, most_memory_mhz : int or None
        What they can be.
    persistent : bool or None
        Whether the driver stays loaded while nobody uses it (Linux alone).
    held_back : tuple of str
        What keeps it from running faster.
    """

    number: int | None
    sm_mhz: int | None
    memory_mhz: int | None
    most_sm_mhz: int | None
    most_memory_mhz: int | None
    persistent: bool | None
    held_back: tuple[str, ...]


@contextmanager
def clocks_of(gpu: Gpu) -> Iterator[Callable[[], Clocks | None]]:
    """Give what reads a GPU's clocks; it returns None where they cannot be read.

    Parameters
    ----------
    gpu : Gpu
        With where it is plugged in, by which it is found however GPUs are numbered.
    """
    with Nvml.opened() as nvml:
        device = None if nvml is None or not gpu.pci else nvml.device(gpu.pci)
        if nvml is None or device is None:
            yield lambda: None
            return

        def number(function: str, *arguments: int) -> int | None:
            return nvml.number(f"nvmlDeviceGet{function}", device, *arguments)

        def read() -> Clocks:
            persistent = number("PersistenceMode")
            reasons = number("CurrentClocksThrottleReasons") or 0
            return Clocks(
                number("Index"),
                number("ClockInfo", _SM),
                number("ClockInfo", _MEMORY),
                number("MaxClockInfo", _SM),
                number("MaxClockInfo", _MEMORY),
                None if persistent is None else bool(persistent),
                tuple(text for bit, text in _REASONS.items() if reasons & bit),
            )

        yield read


def check_clocks(gpu: Gpu) -> Check:
    """Say how fast a GPU runs, and what to set so that it does so between two frames too.

    Parameters
    ----------
    gpu : Gpu
        One that has just worked.
    """
    with clocks_of(gpu) as read:
        clocks = read()
    what = "GPU clocks"
    if clocks is None or clocks.sm_mhz is None:
        return Check(
            what,
            "ok",
            f"cuda:{gpu.index}: they cannot be read here ({LIBRARY}); on a Jetson: sudo nvpmodel -m 0 && sudo jetson_clocks",
        )
    text = f"cuda:{gpu.index} is GPU {clocks.number} of nvidia-smi: {clocks.sm_mhz} MHz"
    if clocks.most_sm_mhz is not None:
        text += f" of {clocks.most_sm_mhz}"
    if clocks.memory_mhz is not None:
        text += f", memory {clocks.memory_mhz} MHz"
    if clocks.persistent is not None:
        text += f", persistence mode {'on' if clocks.persistent else 'off'}"
    if clocks.held_back:
        text += f", held back by {' and '.join(clocks.held_back)}"
    smi, fixes = f"sudo nvidia-smi -i {clocks.number}", list[str]()
    if clocks.persistent is False:
        fixes.append(f"{smi} --persistence-mode=1")
    if clocks.most_sm_mhz is not None and clocks.sm_mhz < _FAST_ENOUGH * clocks.most_sm_mhz:
        fixes.append(f"{smi} --lock-gpu-clocks={clocks.most_sm_mhz}")
    if not fixes:
        return Check(what, "ok", text)
    fix = f"for steady latency, after each start of the machine: {' && '.join(fixes)}"
    return Check(what, "warn", text, fix)
