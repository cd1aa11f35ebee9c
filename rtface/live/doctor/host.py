"""The computer as the doctor sees it: files under a root, and what this process may do."""

from __future__ import annotations

import os
import shutil
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from rtface.core.realtime import prefer_this_thread


@dataclass(frozen=True, slots=True)
class Host:
    """A computer.

    Attributes
    ----------
    root : Path
        What ``/proc``, ``/sys``, ``/dev`` and ``/etc`` are under.
    user : str
        Who runs this.
    gids : frozenset of int
        Numbers of the groups that this process is in.
    rtprio : int
        Highest real-time priority that its limits allow; 0 for none.
    goes_first : callable
        Whether a thread that asks to run before ordinary ones is let: tried in one that ends at once.
    may_use : callable
        Whether this process may read and write a file.
    free_bytes : callable
        Room left on the disk of a folder; raises OSError.
    environment : mapping of str to str
    """

    root: Path
    user: str
    gids: frozenset[int]
    rtprio: int
    goes_first: Callable[[], bool]
    may_use: Callable[[Path], bool]
    free_bytes: Callable[[Path], int]
    environment: Mapping[str, str]

    def path(self, name: str) -> Path:
        """Return where a file of this computer is, whose absolute name is given."""
        return self.root / name.lstrip("/")

    def name(self, path: Path) -> str:
        """Return the absolute name of a file of this computer."""
        return f"/{path.relative_to(self.root)}"

    def find(self, pattern: str) -> list[Path]:
        """Return the files whose absolute names match, sorted."""
        return sorted(self.root.glob(pattern.lstrip("/")))

    def text(self, name: str | Path) -> str:
        """Return what a small file holds, without white space around it; empty where it cannot be read."""
        path = name if isinstance(name, Path) else self.path(name)
        try:
            return path.read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            return ""

    def number(self, name: str | Path) -> int | None:
        """Return the whole number that a file holds, or None."""
        try:
            return int(self.text(name))
        except ValueError:
            return None

    def groups(self) -> dict[str, tuple[int, tuple[str, ...]]]:
        """Return number and members of each group."""
        found = {}
        for line in self.text("/etc/group").splitlines():
            name, _, number, members = (line.split(":") + [""] * 4)[:4]
            if number.isdigit():
                found[name] = int(number), tuple(members.split(","))
        return found

    def how_to_join(self, group: str) -> str:
        """Return what to do so that this process may use what belongs to a group."""
        number, members = self.groups().get(group, (-1, ()))
        again = "log out and in again (a terminal that is open does not notice)"
        if number in self.gids:
            return f"this process is in group {group}, which does not help: look at the device's permissions"
        return again if self.user in members else f"sudo usermod -aG {group} {self.user}, then {again}"

    def owning_group(self, path: Path, usual: str) -> str:
        """Return the name of the group that a device belongs to; the usual one where that is root's or has no name."""
        try:
            owner = path.stat().st_gid
        except OSError:
            return usual
        names = [name for name, (number, _) in self.groups().items() if number == owner and number != 0]
        return names[0] if names else usual


def this_host() -> Host:
    """Return the computer that this runs on."""
    import getpass

    return Host(
        root=Path("/"),
        user=getpass.getuser(),
        gids=_gids(),
        rtprio=_rtprio(),
        goes_first=_goes_first,
        may_use=lambda path: os.access(path, os.R_OK | os.W_OK),
        free_bytes=lambda folder: shutil.disk_usage(folder).free,
        environment=os.environ,
    )


def _gids() -> frozenset[int]:
    if sys.platform == "win32":
        return frozenset()
    return frozenset((*os.getgroups(), os.getegid()))


def _rtprio() -> int:
    """Return the real-time priority that this user may take: on systems that know no such limit, none."""
    if sys.platform != "linux":
        return 0
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_RTPRIO)
    return 99 if soft == resource.RLIM_INFINITY else soft


def _goes_first() -> bool:
    got: list[str] = []
    thread = threading.Thread(target=lambda: got.append(prefer_this_thread()))
    thread.start()
    thread.join()
    return got == ["fifo"]
