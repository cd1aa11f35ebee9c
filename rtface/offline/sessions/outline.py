"""A session gone through once, in memory that hardly grows with its length: what a page shows of it without its rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from rtface.core.budget import Budget
from rtface.core.clock import NS_PER_MS
from rtface.core.errors import ConfigError
from rtface.core.latency import StageSummary
from rtface.offline.sessions.envelope import Envelope, EnvelopeBuilder
from rtface.offline.sessions.reasons import RuleThresholds
from rtface.offline.sessions.rowindex import RowIndex
from rtface.offline.sessions.stagetimes import StageTimes
from rtface.record.seal.merging import merged
from rtface.record.session.entries import (
    CallEntry,
    ClockFitEntry,
    ConfigurationEntry,
    Entry,
    LatencyEntry,
    LossesEntry,
    SecretEntry,
    UnrecordedEntry,
    VideoEntry,
)
from rtface.record.session.logreader import LogReader
from rtface.record.session.reader import Session, assembled
from rtface.record.session.reading import LogReading, existing_log
from rtface.record.session.rows import ROW_NAMES, RowBatch, join_batches
from rtface.record.session.summary import RowCounts, Summary, rate_of, summarise

DEADLINE_MS = 10.0
"""Of a rig that does not say (`latency.deadline_ms`)."""

_TIMES = {
    "poses": "exposure_ns",
    "features": "now_ns",
    "frames": "exposure_ns",
    "published": "published_ns",
}
"""By the rows that are indexed: the field with the time of a row. Others belong to a frame, and are not looked up."""
_NEWEST = (LossesEntry, LatencyEntry, UnrecordedEntry, VideoEntry, ClockFitEntry)
"""Of these only the newest is kept: each holds all that came before."""
_LEFT_OUT = (CallEntry, SecretEntry)


@dataclass(frozen=True, eq=False)
class Outline:
    """A session without its rows.

    Attributes
    ----------
    log : Path
    session : Session
        As of `rtface.record.session.reader.read_session`, but that the rows of each kind are the first and the last alone,
        and of events that hold all before them only the newest is there.
    rows : RowCounts
    index : dict of str to RowIndex
        Where the rows are, by the names of `rtface.record.session.rows.ROW_NAMES`.
    envelope : Envelope or None
        Of the features, over the time at which the rules saw them; None where there are none.
    stages : mapping of str to StageSummary
        See `rtface.offline.sessions.stagetimes`.
    deadline_ms : float
        The rig's, from exposure to published.
    budget : Budget or None
        The rig's.
    over_budget : int
        Frames that were published as late as the budget's limit or later.
    gaps : int
        Frame numbers without a pose, between the first and the last.
    opened : bool
        The seal was opened.
    """

    log: Path
    session: Session
    rows: RowCounts
    index: dict[str, RowIndex]
    envelope: Envelope | None
    stages: dict[str, StageSummary]
    deadline_ms: float
    budget: Budget | None
    over_budget: int
    gaps: int
    opened: bool

    @cached_property
    def began_ns(self) -> int:
        """When the session began, by the host's clock; the first moment that is known where that is not recorded."""
        opened = self.session.opened
        if opened is not None:
            return opened.t_ns
        times = [each.t_ns for each in self.session.events]
        for index in self.index.values():
            if index.ends is not None:
                times.append(int(index.ends[_TIMES[index.name]][0]))
        return min(times, default=0)

    @cached_property
    def seconds(self) -> float:
        """From the first to the last that is recorded."""
        return self.summary(unblind=False).seconds

    @cached_property
    def thresholds(self) -> RuleThresholds:
        """The thresholds of its rules."""
        return RuleThresholds(self.session)

    def summary(self, *, unblind: bool) -> Summary:
        """Return what happened, counted; see `rtface.record.session.summary.summarise`."""
        return summarise(self.session, unblind=unblind, rows=self.rows)


def outline(path: Path, key: bytes | None = None) -> Outline:
    """Go through a session.

    Parameters
    ----------
    path : Path
        Its folder, or its log.
    key : bytes, optional
        Opens the seal of a blinded session.

    Raises
    ------
    DataError
        As of `rtface.record.session.reader.read_session`.
    """
    return _Outlining(existing_log(path), key).outline()


def latency_settings(rig: str) -> tuple[float, Budget | None]:
    """Return deadline in milliseconds and budget of a rig's recorded text, as far as it has them."""
    try:
        known: Any = yaml.safe_load(rig)
        said = known.get("latency") or {}
        budget = said.get("budget")
        return (
            float(said.get("deadline_ms", DEADLINE_MS)),
            None if budget is None else Budget.parse(str(budget)),
        )
    except (yaml.YAMLError, AttributeError, TypeError, ValueError, ConfigError):
        return DEADLINE_MS, None


@dataclass
class _Outlining:
    log: Path
    key: bytes | None
    index: dict[str, RowIndex] = field(
        default_factory=lambda: {name: RowIndex(name, time) for name, time in _TIMES.items()}
    )
    envelope: EnvelopeBuilder | None = None
    times: StageTimes = field(default_factory=lambda: StageTimes(round(DEADLINE_MS * NS_PER_MS), None))
    deadline_ms: float = DEADLINE_MS
    budget: Budget | None = None
    counted: Counter[str] = field(default_factory=Counter)

    def outline(self) -> Outline:
        items = []
        if self.key is not None:
            sealed = LogReading(LogReader(self.log), self.key)
            for _ in sealed:
                pass
            items = sealed.items
        reading = LogReading(LogReader(self.log))
        parts = self._parts(reading)
        events = self._kept(merged(parts, items) if self.key is not None else parts)
        ends = {name: [] if index.ends is None else [index.ends] for name, index in self.index.items()}
        rows = join_batches({name: ends.get(name, []) for name in ROW_NAMES.values()})
        session = assembled(reading, self.log, events, rows, self.counted, items=items if self.key else None)
        if session.cameras:
            session = session.of_camera(session.cameras[0])
        counts = {name: index.count for name, index in self.index.items()}
        return Outline(
            log=self.log,
            session=session,
            rows=RowCounts(**counts, rate_hz=rate_of(rows["poses"], counts["poses"])),
            index=self.index,
            envelope=None if self.envelope is None else self.envelope.envelope(),
            stages=self.times.summary(),
            deadline_ms=self.deadline_ms,
            budget=self.budget,
            over_budget=self.times.over,
            gaps=self.times.gaps,
            opened=self.key is not None,
        )

    def _parts(self, reading: LogReading) -> Iterator[Entry | RowBatch]:
        """Yield the log's events and rows, and note what is to be known of them."""
        for part in reading:
            if isinstance(part, RowBatch):
                self._rows(part, reading.offset)
            else:
                self.counted[part.name] += 1
                if isinstance(part, ConfigurationEntry):
                    self.deadline_ms, self.budget = latency_settings(part.rig)
                    limit_ns = None if self.budget is None else self.budget.limit_ns
                    self.times = StageTimes(round(self.deadline_ms * NS_PER_MS), limit_ns)
            yield part

    def _rows(self, batch: RowBatch, offset: int) -> None:
        rows = batch.rows
        if batch.camera:  # of several cameras the first is gone through
            return
        if batch.name in self.index:
            self.index[batch.name].add(offset, rows)
        match batch.name:
            case "poses":
                self.times.poses(rows)
            case "published":
                self.times.published(rows)
            case "features":
                values = rows["values"]
                if self.envelope is None:
                    self.envelope = EnvelopeBuilder(values.shape[1])
                self.envelope.add(rows["now_ns"], values)

    def _kept(self, parts: Iterator[Entry | RowBatch]) -> list[Entry]:
        kept: list[Entry] = []
        newest: dict[object, int] = {}
        for part in parts:
            if isinstance(part, (RowBatch, _LEFT_OUT)):
                continue
            if isinstance(part, _NEWEST):
                which = (part.kind, getattr(part, "device", None))
                if which in newest:
                    kept[newest[which]] = _with_stages(kept[newest[which]], part)
                    continue
                newest[which] = len(kept)
            kept.append(part)
        return kept


def _with_stages(before: Entry, newest: Entry) -> Entry:
    """Return the newest of two events of a kind, with the percentiles of stages that only the one before has."""
    if isinstance(before, LatencyEntry) and isinstance(newest, LatencyEntry):
        return replace(newest, stages={**before.stages, **newest.stages})
    return newest
