"""Which monotonic clock this process reads."""

from __future__ import annotations

from functools import cache
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@cache
def clock_domain() -> str:
    """Name the monotonic clock of this host: the same text for all processes that share it.

    On Linux the kernel's identity of this boot. Empty where there is no such thing, which equals nobody's.
    """
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
