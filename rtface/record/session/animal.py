"""How much light one animal has had, over the sessions in a folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rtface.core.clock import NS_PER_S
from rtface.core.dose import LightDose
from rtface.core.errors import DataError
from rtface.record.session import log_of
from rtface.record.session.coding import decode
from rtface.record.session.entries import (
    ConfigurationEntry,
    DecisionEntry,
    Entry,
    GateReplyEntry,
    OpenedEntry,
    PulseCommandEntry,
    SealEntry,
)
from rtface.record.session.logreader import LogReader, LogRecord
from rtface.record.session.rows import ROW_NAMES


@dataclass(frozen=True, slots=True)
class EarlierLight:
    """What earlier sessions gave one animal.

    Attributes
    ----------
    seconds : float
        Of light. Commands whose end is not recorded, and blinded trials, light or sham, count as planned; of a session
        that is damaged what is left of it counts, also where that does not say whose it is.
    sessions : int
        That are counted.
    unreadable : tuple of str
        Folders of sessions that could not be read, or only in part: what stands in the rest is not counted.
    """

    seconds: float
    sessions: int
    unreadable: tuple[str, ...]


def earlier_light(root: Path, subject: str, since_wall_ns: int) -> EarlierLight:
    """Add up the light of an animal's sessions.

    Parameters
    ----------
    root : Path
        Folder of sessions; one that is not there has none.
    subject : str
        The animal, as `session.subject` of the rigs named it.
    since_wall_ns : int
        Sessions that began before this, in nanoseconds since the Unix epoch, do not count.
    """
    total_ns, sessions = 0, 0
    unreadable: list[str] = []
    folders = sorted(filter(Path.is_dir, root.iterdir())) if root.is_dir() else []
    for folder in folders:
        if not (log := log_of(folder)).is_file():
            continue
        light = _SessionLight()
        light.add(LogReader(log), subject, since_wall_ns)
        if light.mine is False:
            continue
        total_ns += light.dose.total_ns
        sessions += bool(light.mine)
        if light.damaged:
            unreadable.append(folder.name)
    return EarlierLight(total_ns / NS_PER_S, sessions, tuple(unreadable))


class _SessionLight:
    """Adds up the light of one session; rows, which are most of it, are not decoded."""

    def __init__(self) -> None:
        self.dose = LightDose()
        self.mine: bool | None = None
        """False: another animal's, or older, and not read on. None: it does not say whose, so that it counts."""
        self.damaged = False
        self._blind: set[int] = set()
        self._sealed = False

    def add(self, log: LogReader, subject: str, since_wall_ns: int) -> None:
        """Read a log as far as it can be read."""
        try:
            for record in log:
                if record.kind not in ROW_NAMES:
                    self._add(record, subject, since_wall_ns)
                if self.mine is False:
                    return
        except DataError:
            self.damaged = True
        self.damaged |= bool(log.damage)

    def _add(self, record: LogRecord, subject: str, since_wall_ns: int) -> None:
        try:
            entry = decode(record.kind, record.payload)
        except DataError:
            self.damaged = True
            return
        if isinstance(entry, OpenedEntry) and entry.wall_ns < since_wall_ns:
            self.mine = False
        elif isinstance(entry, ConfigurationEntry):
            self.mine = _subject(entry) == subject
        elif entry is not None:
            self._count(entry)

    def _count(self, entry: Entry) -> None:
        match entry:
            case SealEntry():
                self._sealed = True
            case DecisionEntry():
                hidden = entry.blind and entry.action in ("fire", "sham", "trial")
                if (hidden or (self._sealed and entry.action == "fire")) and entry.pulse is not None:
                    self._blind.add(entry.number)
                    self.dose.trial(_planned_ns(entry.pulse))
            case PulseCommandEntry(command="fire") if entry.decision not in self._blind:
                self.dose.command(entry.number, _planned_ns(entry.details))
            case GateReplyEntry(number=int(number), event="light_off"):
                self.dose.lit(number, int(entry.details.get("on_ns", 0)))
            case GateReplyEntry(number=int(number), event="train_ended" | "refused"):
                self.dose.ended(number)
            case _:
                pass


def _planned_ns(pulse: Mapping[str, Any]) -> int:
    return int(pulse.get("on_ns", 0)) * int(pulse.get("count", 1))


def _subject(entry: ConfigurationEntry) -> str | None:
    try:
        session = json.loads(entry.rig).get("session")
    except (ValueError, AttributeError):
        return None
    return session.get("subject") if isinstance(session, dict) else None
