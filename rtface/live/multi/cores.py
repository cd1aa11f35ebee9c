"""Which cores of the processor each tracking process gets, so that several do not fight for the same."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

Cores = tuple[int, ...]


def own_cores() -> Cores:
    """Return the numbers of the cores that this process may use; empty where the system does not say."""
    if sys.platform != "linux":
        return ()
    return tuple(sorted(os.sched_getaffinity(0)))


def shared_out(names: Sequence[str], asked: Mapping[str, Cores | None], cores: Cores) -> dict[str, Cores]:
    """Return the cores of each camera.

    Those that asked for some have them. The others get equal shares of what is left, and one core is left out for the
    process that decides where there are more cores than cameras. Where there are fewer, they take turns, one core each.

    Parameters
    ----------
    names : sequence of str
        Of the cameras.
    asked : mapping of str to tuple of int or None
        What the rig's file gives them.
    cores : tuple of int
        All that there are; empty where that is not known, and then nobody is bound to any.
    """
    found = {name: wanted for name in names if (wanted := asked.get(name)) is not None}
    others = [name for name in names if name not in found]
    taken = {core for wanted in found.values() for core in wanted}
    free = [core for core in cores if core not in taken] or list(cores)
    if not cores or not others:
        return found | dict.fromkeys(others, ())
    if len(free) <= len(others):
        return found | {name: (free[at % len(free)],) for at, name in enumerate(others)}
    each = (len(free) - 1) // len(others)
    return found | {name: tuple(free[at * each : (at + 1) * each]) for at, name in enumerate(others)}


def stay_on(cores: Cores) -> None:
    """Bind the calling thread, and all that it begins, to some cores; to those of them that there are."""
    there = set(cores) & set(own_cores())
    if sys.platform == "linux" and there:
        os.sched_setaffinity(0, there)
