"""After some errors nothing in this process can use the GPU again: which, and whether one has come.

NVIDIA's driver returns the same error from every call after one of them, whatever GPU or context it is for, until the
process ends. So nothing is called any more, not even to give memory back.
"""

from __future__ import annotations

from typing import Any

from rtface.track.gpu.driver.exit import keep_at_exit

_NEVER_AGAIN = frozenset({214, 220, 226, 700, 702, 710, *range(714, 720), 721, 911})
"""Memory that lost bits, an address that is not there, an instruction that is none, a launch that failed, ...: those of
``CUresult`` of which cuda.h says that the process must be ended and started again, and what it counts as broken hardware."""

_BROKEN_MEMORY = 214

_why = ""
_kept: list[Any] = []
keep_at_exit(_kept)


def lose(result: int, why: str) -> bool:
    """Take note of an error of the driver's; return whether the GPU is lost by it.

    Parameters
    ----------
    result : int
        What the driver returned.
    why : str
        What was refused, and the driver's name of the error.
    """
    global _why
    if result not in _NEVER_AGAIN:
        return False
    if not _why:
        memory = "; `nvidia-smi -q -d ECC` shows the state of its memory" if result == _BROKEN_MEMORY else ""
        _why = f"{why}: the GPU is lost for this process, restart the process{memory}"
    return True


def why_lost() -> str:
    """Return what lost the GPU and what to do; empty while it can be used."""
    return _why


def keep_if_lost(*what: object) -> bool:
    """Keep things to the end of the process if the GPU is lost, since giving them back would call its driver.

    Returns
    -------
    bool
        Whether they are kept.
    """
    if _why:
        _kept.extend(what)
    return bool(_why)
