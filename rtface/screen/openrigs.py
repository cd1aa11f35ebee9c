"""The rigs that a screen shows, each with what follows it, sends its commands and stops it; more may come meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from rtface.core.clock import NS_PER_S, monotonic_ns
from rtface.publish.address import is_address
from rtface.screen.commands import PageCommands
from rtface.screen.feed import PageFeed
from rtface.screen.riglink import RigLink
from rtface.screen.rigs import ShownRig, id_of
from rtface.screen.stopline import StopLine

MOST_RIGS = 32


@dataclass(frozen=True, slots=True)
class OpenRig:
    """A rig that is shown.

    Attributes
    ----------
    rig : ShownRig
    link : RigLink
        Follows it.
    commands : PageCommands
    stop : StopLine
    """

    rig: ShownRig
    link: RigLink
    commands: PageCommands
    stop: StopLine


class OpenRigs:
    """The rigs of a screen, in the order in which they came; any thread.

    Parameters
    ----------
    rigs : iterable of ShownRig
        Those that it begins with.
    feed : PageFeed
        Where goes what they publish.
    keys : path or None
        Folder of this client's keys, for services that need keys.
    """

    def __init__(self, rigs: Iterable[ShownRig], feed: PageFeed, keys: Path | None = None) -> None:
        self._feed, self._keys = feed, keys
        self._lock = threading.Lock()
        self._opened = self._closed = False
        self._rigs = {rig.id: self._made(rig) for rig in rigs}
        self._come: Callable[[], None] = lambda: None

    def open(self, come: Callable[[], None] = lambda: None) -> None:
        """Begin to follow them all; `come` is called where another one has come."""
        with self._lock:
            self._opened, self._come = True, come
            for each in self._rigs.values():
                _open(each)

    def show(self, name: str, control: str) -> None:
        """Show another rig from now on, whose service takes commands at an address.

        One that is shown already counts as named from now on. Else nothing changes; nor does it for one too many, or an address
        that is known to its service alone.
        """
        rig = ShownRig(id_of(control), name, control, self._keys)
        if not is_address(control) or control.endswith(":*"):
            return
        with self._lock:
            if self._closed:
                return
            if (there := self._rigs.get(rig.id)) is not None:
                if there.rig.named:
                    return
                made = replace(there, rig=replace(there.rig, named=True))
            elif len(self._rigs) >= MOST_RIGS:
                return
            else:
                made = self._made(rig)
                if self._opened:
                    _open(made)
            self._rigs = {**self._rigs, rig.id: made}
        self._come()

    def get(self, rig: str) -> OpenRig | None:
        """Return a rig by its id; None where there is none."""
        return self._rigs.get(rig)

    def all(self) -> list[OpenRig]:
        """Return them in their order."""
        return list(self._rigs.values())

    def stops(self) -> dict[str, StopLine]:
        """Return the emergency stops by the rigs' ids."""
        return {rig: each.stop for rig, each in self._rigs.items()}

    def end(self) -> None:
        """End soon; `join` waits for it."""
        with self._lock:
            self._closed = True
        for each in self.all():
            each.link.end()
            each.stop.close()

    def join(self, timeout_s: float) -> None:
        """Wait for the end of all that was opened, for so long at most."""
        until_ns = monotonic_ns() + round(timeout_s * NS_PER_S)
        for each in self.all() if self._opened else ():
            each.link.join(max(0.0, (until_ns - monotonic_ns()) / NS_PER_S))

    def close(self) -> None:
        """Close what sends commands, whether or not all was opened."""
        for each in self.all():
            each.commands.close()

    def _made(self, rig: ShownRig) -> OpenRig:
        stop = StopLine(rig.control, rig.client_keys())
        return OpenRig(rig, RigLink(rig, self._feed), PageCommands(rig), stop)


def _open(rig: OpenRig) -> None:
    rig.stop.open()
    rig.link.open()
