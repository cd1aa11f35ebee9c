"""What TensorRT for RTX compiled for a plan on this GPU, kept beside the plan, so that the next start compiles nothing.

A plan for RTX is made ahead of time and finished on the card, at each start anew unless this is there. One file for a plan's
key, which has GPU, driver and release in it: a hash over the plan's own and what follows, then what TensorRT gave. It is a
cache: what cannot be read, or is another's, is compiled again.
"""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

from rtface.core.files import written_whole
from rtface.track.gpu.plans import Plan

_log = logging.getLogger(__name__)
_HASH_BYTES = hashlib.sha256().digest_size


def file_of(plan: Plan) -> Path:
    """Return where a plan's compiled kernels lie; the file may not exist."""
    return plan.path.with_name(f"{plan.key}.kernels")


def read(plan: Plan) -> bytes | None:
    """Return what was kept for a plan; None where there is nothing, or it is not what was written."""
    path = file_of(plan)
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        _log.warning("the kernels that were kept in %s cannot be read: %s", path, error.strerror)
        return None
    kernels = text[_HASH_BYTES:]
    if text[:_HASH_BYTES] != _hash(plan, kernels):
        _log.warning("%s is damaged, or of another plan: its kernels are compiled anew", path)
        return None
    return kernels


def write(plan: Plan, kernels: bytes) -> None:
    """Keep what was compiled for a plan; where that cannot be, the next start compiles again and a warning says so."""
    path = file_of(plan)
    try:
        with written_whole(path) as fresh:
            fresh.write_bytes(_hash(plan, kernels) + kernels)
    except OSError as error:
        _log.warning("the kernels of %s cannot be kept in %s: %s", plan.what, path, error.strerror)


def _hash(plan: Plan, kernels: bytes) -> bytes:
    return hashlib.sha256(plan.sha256.encode() + kernels).digest()
