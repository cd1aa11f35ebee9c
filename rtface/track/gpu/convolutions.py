"""How torch computes convolutions on a GPU: settings that are the whole process's, settled for a while and put back."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rtface.core.errors import BackendError

_WANTED = {"enabled": True, "benchmark": True, "deterministic": True, "allow_tf32": False}
_PRECISION = "fp32_precision"
_IEEE = "ieee"


@contextmanager
def settled(torch: Any) -> Iterator[None]:
    """Compute f32 as f32 and not as TF32, by the fastest of the algorithms that give the same bits each time.

    Whoever uses it must be alone in it (`rtface.track.gpu.exclusive`).

    Parameters
    ----------
    torch : module

    Raises
    ------
    BackendError
        The settings are not in force, or were not to the end: something else in this process changes them.
    """
    cudnn, wanted = torch.backends.cudnn, dict[str, Any](_WANTED)
    if _PRECISION in inspect.signature(cudnn.flags).parameters:
        wanted[_PRECISION] = _IEEE
    with _readable(cudnn), cudnn.flags(**wanted):
        _check(cudnn, wanted)
        yield
        _check(cudnn, wanted)


@contextmanager
def _readable(cudnn: Any) -> Iterator[None]:
    """Let `cudnn.flags` read what it puts back: torch refuses where its older and its newer switches say different things."""
    try:
        _ = cudnn.allow_tf32
    except RuntimeError:
        pass
    else:
        yield
        return
    parts = (cudnn, cudnn.conv, cudnn.rnn)
    before = [part.fp32_precision for part in parts]
    cudnn.fp32_precision = _IEEE
    cudnn.allow_tf32 = False
    try:
        yield
    finally:
        for part, precision in zip(parts, before, strict=True):
            part.fp32_precision = precision


def _check(cudnn: Any, wanted: dict[str, Any]) -> None:
    found = {name: getattr(cudnn, name) for name in wanted}
    if _PRECISION in wanted:
        found["conv.fp32_precision"], wanted = (
            cudnn.conv.fp32_precision,
            wanted | {"conv.fp32_precision": _IEEE},
        )
    if wrong := {name: value for name, value in found.items() if value != wanted[name]}:
        told = ", ".join(f"{name} is {value}, not {wanted[name]}" for name, value in wrong.items())
        raise BackendError(
            f"torch's settings of its convolutions are changed by something else in this process ({told}): what is "
            "recorded now would not be what was verified"
        )
