"""Poses, decisions, reports and log files for tests of the session's record."""

from __future__ import annotations

import errno
import threading
from pathlib import Path
from typing import Any

import numpy as np

from rtface.core.decision import Action, Decision, Reason, RuleStatus
from rtface.core.features import Features
from rtface.core.outputs import OutputEvent, OutputReason, OutputState, Report
from rtface.core.records import FrameMeta, Pose, Pulse, Stamps
from rtface.record.session import LOG_NAME
from rtface.record.session.entries import DecisionEntry
from rtface.record.session.log import DiskFile, LogFile
from rtface.record.session.logreader import LogReader, LogRecord
from rtface.record.session.packing import Packer
from rtface.record.session.rows import FEATURES
from rtface.record.session.writer import SessionWriter

PERIOD_NS = 5_000_000
START_NS = 10**12
PULSE = Pulse(1_000_000, 1_000_000, 1, 0.5)


def pose(number: int, points: int = 3, *, likelihood: bool = False, camera: bool = True) -> Pose:
    """A pose whose every bit follows from its number; frames come every 5 ms."""
    random = np.random.default_rng(number)
    began_ns = START_NS + number * PERIOD_NS
    meta = FrameMeta(number, began_ns, began_ns + 1_000_000, 7 * number if camera else None)
    stamps = Stamps(
        meta.exposure_ns, meta.arrival_ns, *(meta.arrival_ns + step * 100_000 for step in range(1, 5))
    )
    xy = random.normal(100, 10, (points, 2)).astype(np.float32)
    xy[0, 0] = np.nan
    return Pose(
        meta,
        stamps,
        xy,
        random.random(points, np.float32),
        random.random(points) < 0.5,
        random.random(points, np.float32) if likelihood else None,
    )


def made_decision(**changes: Any) -> Decision:
    """A decision to fire, but for `changes`."""
    fields = {
        "rule": "whisk",
        "frame_id": 3,
        "now_ns": START_NS,
        "session_ns": 5,
        "state_before": RuleStatus.ARMED,
        "state_after": RuleStatus.FIRING,
        "action": Action.FIRE,
        "reason": Reason.RULE,
        "pulse": PULSE,
        "trial": 0,
        "inputs": (("pad.amplitude", 1.5, 0.75, 4_000_000),),
    }
    return Decision(**fields | changes)


def made_report(number: int | None, event: str, t_ns: int) -> Report:
    """A report of the gate."""
    return Report(number, OutputEvent(event), t_ns, OutputState.ARMED, OutputReason.NONE, 17, 19)


def put_pose(writer: SessionWriter, pose: Pose) -> bool:
    """Hand over a pose as a recorder does."""
    return writer.put_row(*Packer(len(pose.score)).pose(pose))


class SmallDisk(DiskFile):
    """A file on a disk that has room for so many bytes."""

    def __init__(self, path: Path, room: int, *, whole_writes: bool = False) -> None:
        super().__init__(path)
        self.room, self._whole_writes = room, whole_writes

    def write(self, data: memoryview) -> int:
        if self.room <= 0 or (self._whole_writes and len(data) > self.room):
            raise OSError(errno.ENOSPC, "No space left on device")
        written = super().write(data[: self.room])
        self.room -= written
        return written

    def truncate(self, size: int) -> None:
        super().truncate(size)


class FilledDisk(DiskFile):
    """A file on a disk of `size` bytes, which are given out as a file system does: by allocating, or else by writing."""

    def __init__(self, path: Path, size: int) -> None:
        super().__init__(path)
        self._size, self.allocated, self.written = size, 0, 0

    def reserve(self, size: int) -> None:
        if size > self._size:
            raise OSError(errno.ENOSPC, "No space left on device")
        super().reserve(size)
        self.allocated = max(self.allocated, size)

    def write(self, data: memoryview) -> int:
        room = max(self.allocated, self._size) - self.written
        if room <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = super().write(data[:room])
        self.written += written
        return written

    def truncate(self, size: int) -> None:
        super().truncate(size)
        self.allocated = min(self.allocated, size)
        self.written = min(self.written, size)


class StuckDisk(DiskFile):
    """A file on a disk that answers only while `free` is set."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.free = threading.Event()
        self.free.set()
        self.waiting = threading.Event()

    def write(self, data: memoryview) -> int:
        if not self.free.is_set():
            self.waiting.set()
            assert self.free.wait(20)
        return super().write(data)


class OpenedFiles:
    """Makes log files with `make` and keeps them."""

    def __init__(self, make: Any) -> None:
        self._make = make
        self.files: list[Any] = []

    def __call__(self, path: Path) -> LogFile:
        self.files.append(self._make(path))
        made: LogFile = self.files[-1]
        return made


def records(folder: Path) -> list[LogRecord]:
    """The whole records of a session's log; fails where something is wrong with it."""
    reader = LogReader(folder / LOG_NAME)
    found = list(reader)
    assert not reader.damage
    return found


def small_log(folder: Path) -> bytes:
    """Record a small session of all sorts and return its log."""
    packer = Packer(2, 1)
    writer = SessionWriter(folder, "small", packer.widths)
    writer.open()
    ones = Features(np.ones(1), np.ones(1), np.ones(1, np.int64))
    for number in range(3):
        writer.put_row(*packer.pose(pose(number, 2)))
        writer.put_row(FEATURES, packer.features(number, START_NS + number, ones))
        writer.put(DecisionEntry.of(made_decision(frame_id=number), number))
    assert writer.close()
    return (folder / LOG_NAME).read_bytes()
