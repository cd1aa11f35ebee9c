"""Reading a session: whole, cut off, damaged, or while it is still being written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np

from rtface.core.clock import NS_PER_S
from rtface.core.errors import DataError
from rtface.core.features import VIEW
from rtface.core.records import FloatArray
from rtface.record.seal.blocks import SealedItem
from rtface.record.seal.merging import merged
from rtface.record.session.cameras.setup import said_of
from rtface.record.session.entries import (
    ClosedEntry,
    ConfigurationEntry,
    DecisionEntry,
    Entry,
    HashesEntry,
    OpenedEntry,
    SealedEntry,
    SealEntry,
    SyncedEntry,
    TrackedEntry,
)
from rtface.record.session.logreader import Damage, LogReader
from rtface.record.session.reading import LogReading, existing_log
from rtface.record.session.rows import (
    ROW_NAMES,
    UNKNOWN,
    RowBatch,
    Rows,
    join_batches,
    pose_dtype,
)
from rtface.record.table import PoseTable

State = Literal["closed", "open", "truncated", "damaged"]

_Kind = TypeVar("_Kind", bound=Entry)


@dataclass(frozen=True, eq=False)
class Session:
    """A session in memory; each name of `rtface.record.session.rows.ROW_NAMES` is an attribute.

    Attributes
    ----------
    folder : Path
        Where it is.
    state : str
        ``closed``: whole. ``open``: a process still writes it. ``truncated``: it ends without having been closed; how
        much is missing is not known. ``damaged``: bytes are not as they were written.
    events : tuple of Entry
        All that happened, in order.
    synced : SyncedEntry or None
        The newest sync that is recorded.
    poses : structured ndarray, shape (N,)
        Fields as in `rtface.record.session.rows.pose_dtype`, ``published_ns`` that of `published` where it is there.
    features : structured ndarray, shape (M,)
        Fields as in `rtface.record.session.rows.feature_dtype`.
    frames : structured ndarray, shape (V,)
        The frame index; fields as in `rtface.record.session.rows.FRAME_DTYPE`.
    published : structured ndarray, shape (P,)
        The stamps of publishing; fields as in `rtface.record.session.rows.PUBLISHED_DTYPE`.
    chunks : structured ndarray, shape (C,)
        What the camera sent beside the pictures; fields as in `rtface.record.session.rows.CHUNK_DTYPE`.
    damage : tuple of Damage
        The places that could not be read.
    size : int
        Bytes of the log.
    cut_off : int
        Bytes at the end of the log that are the beginning of a record.
    unused : int
        Bytes behind those that were allocated ahead of the log and not written: zeros.
    fingerprint : str
        The chain of the last record, hexadecimal.
    unknown : int
        Records of kinds that this version does not read.
    counted : mapping of str to int
        Events in the clear, and sealed blocks, by name.
    sealed : tuple of int
        The numbers of the sealed blocks, in order.
    unsealed : tuple of SealedItem or None
        What was in them, which is among `events`, too; None where they were not opened.
    others : mapping of int to mapping of str to structured ndarray
        The rows of further cameras by number and name, where there are several; see `of_camera`.
    """

    folder: Path
    state: State
    events: tuple[Entry, ...]
    synced: SyncedEntry | None
    poses: Rows
    features: Rows
    frames: Rows
    published: Rows
    chunks: Rows
    damage: tuple[Damage, ...]
    size: int
    cut_off: int
    unused: int
    fingerprint: str
    unknown: int
    counted: Mapping[str, int] = field(default_factory=dict)
    sealed: tuple[int, ...] = ()
    unsealed: tuple[SealedItem, ...] | None = None
    others: Mapping[int, Mapping[str, Rows]] = field(default_factory=dict)

    @property
    def cameras(self) -> tuple[str, ...]:
        """Names of the cameras, where there are several; else empty."""
        return tuple(each.camera_name for each in self.of(TrackedEntry))

    def of_camera(self, name: str) -> Session:
        """Return the session as if one of its cameras had been alone: its rows, and what is said of it or of none.

        Raises
        ------
        DataError
            There is no such camera.
        """
        found = next((each for each in self.of(TrackedEntry) if each.camera_name == name), None)
        if found is None:
            raise DataError(
                f"{self.folder}: no camera is called {name}; there are: {', '.join(self.cameras)}"
            )
        events = tuple(
            said_of(found, each)
            for each in self.events
            if isinstance(each, DecisionEntry)
            or (getattr(each, "camera_name", "") in ("", name) and not isinstance(each, TrackedEntry))
        )
        rows: dict[str, Any] = {}
        if found.number:
            rows = dict(self.others.get(found.number) or join_batches(_no_batches()))
        return replace(self, events=events, others={}, **rows)

    def row_count(self, name: str) -> int:
        """Return how many rows of a name of `ROW_NAMES` there are, of all cameras."""
        return len(getattr(self, name)) + sum(len(rows[name]) for rows in self.others.values())

    def of(self, kind: type[_Kind]) -> tuple[_Kind, ...]:
        """Return the events of a kind, in order."""
        return tuple(each for each in self.events if isinstance(each, kind))

    def last(self, kind: type[_Kind]) -> _Kind | None:
        """Return the last event of a kind; None without one."""
        found = self.of(kind)
        return found[-1] if found else None

    @property
    def opened(self) -> OpenedEntry | None:
        """How the session began; None where that could not be read."""
        return self.last(OpenedEntry)

    @property
    def configuration(self) -> ConfigurationEntry | None:
        """What it was run with; None where that could not be read."""
        return self.last(ConfigurationEntry)

    @property
    def hashes(self) -> HashesEntry | None:
        """What took part, by its hash; None where that could not be read."""
        return self.last(HashesEntry)

    @property
    def closed(self) -> ClosedEntry | None:
        """How it ended; None while it has not."""
        return self.last(ClosedEntry)

    @property
    def seal(self) -> SealEntry | None:
        """What hides light from sham in this record; None without one."""
        return self.last(SealEntry)

    @property
    def is_sealed(self) -> bool:
        """Whether light and shams, commands and replies are in a seal that was not opened."""
        return self.seal is not None and self.unsealed is None

    @property
    def decisions(self) -> tuple[DecisionEntry, ...]:
        """All decisions, in order."""
        return self.of(DecisionEntry)

    @property
    def missing(self) -> tuple[str, ...]:
        """What is not there, in words; empty for a session that is whole."""
        return (*(each.in_words() for each in self.damage), *self.unread)

    @property
    def unread(self) -> tuple[str, ...]:
        """What is not there and left no damage, in words."""
        found = []
        if self.cut_off:
            found.append(f"the last {self.cut_off} bytes of the log are part of a record that was cut off")
        if self.state == "open":
            found.append("the session is still being written")
        elif self.closed is None:
            found += self._end()
        if self.unknown:
            found.append(f"{self.unknown} records are of kinds that a newer rtface writes")
        return tuple(found)

    def _end(self) -> list[str]:
        """Return what is known of the end of a log that was not closed."""
        written = self.size - self.unused - self.cut_off
        moments = [each.t_ns for each in self.events]
        for rows, name in (
            (self.poses, "decided_ns"),
            (self.features, "now_ns"),
            (self.published, "published_ns"),
        ):
            moments += rows[name][-1:].tolist()
        opened, synced = self.opened, self.synced

        def at(t_ns: int) -> str:
            return "" if opened is None else f" {(t_ns - opened.t_ns) / NS_PER_S:.3f} s after it began"

        where = f"after {written} bytes" + ("," + at(max(moments)) if moments and opened is not None else "")
        newest = "no sync is recorded"
        if synced is not None:
            newest = f"the newest sync that is recorded was{at(synced.t_ns)}, of {synced.bytes} bytes"
        ends = f"its log ends {where}, where a closed one has its totals"
        found = [
            f"the session was not closed: {ends}; {newest}; what came after, if anything did, is not known"
        ]
        if synced is not None and self.size < synced.reserved:
            found.append(
                f"the log had {synced.reserved} bytes at that sync and has {self.size}: its end was cut off"
            )
        return found

    def pose_table(self) -> PoseTable:
        """Return the poses as the table that rtface's keypoint formats write (see `rtface.record.formats`).

        Raises
        ------
        DataError
            The session has no configuration, or its poses do not fit to it.
        """
        configuration, poses = self.configuration, self.poses
        if self.cameras:
            raise DataError(
                f"{self.folder}: each of its cameras ({', '.join(self.cameras)}) has poses of its own: "
                "rtface session export"
            )
        if configuration is None:
            raise DataError(f"{self.folder}: without its configuration the keypoints have no names")
        width, points = poses.dtype["score"].shape[0], len(configuration.keypoints)
        if len(poses) and width != points:
            raise DataError(f"{self.folder}: poses of {width} keypoints, but {points} names")
        opened = self.opened
        shaped = poses if len(poses) else np.empty(0, pose_dtype(points))
        columns: dict[str, Any] = {
            name: shaped[name].copy()
            for name in (each.name for each in fields(PoseTable))
            if name in (shaped.dtype.names or ())
        }
        if (columns["published_ns"] == UNKNOWN).all():
            del columns["published_ns"]
        if (views := self._views(shaped)) is not None:
            columns["view_ok"] = views
        return PoseTable(
            names=configuration.keypoints,
            trained=configuration.trained,
            source=self.folder.name,
            score_definition=configuration.score_definition,
            provenance={} if opened is None else {"session": opened.session, "rig": configuration.rig},
            first_frame=int(shaped["frame_id"][0]) if len(shaped) else 0,
            **columns,
        )

    def _views(self, poses: Rows) -> FloatArray | None:
        """Return `Pose.view_ok` of each pose, which stands with what the rules were given; None where none is known."""
        configuration, features = self.configuration, self.features
        if configuration is None or VIEW not in configuration.features or not len(features):
            return None
        column = features["values"][:, configuration.features.index(VIEW)].astype(np.float32)
        order = np.argsort(features["frame_id"], kind="stable")
        at = np.searchsorted(features["frame_id"], poses["frame_id"], sorter=order)
        at = order[np.minimum(at, len(features) - 1)]
        views = np.where(features["frame_id"][at] == poses["frame_id"], column[at], np.float32(np.nan))
        return None if np.isnan(views).all() else views.astype(np.float32)


def read_session(path: Path, key: bytes | None = None) -> Session:
    """Read a session into memory.

    Parameters
    ----------
    path : Path
        Its folder, or its log.
    key : bytes, optional
        Opens the seal of a blinded session: what is in it is put in its place, as if nothing had been sealed.

    Raises
    ------
    DataError
        There is no session, the log cannot be read, it is of another schema version, or the key does not open its seal. A log
        that is cut off or damaged is read as far as possible, and `Session.missing` lists what is not there.
    """
    log = existing_log(path)
    reading = LogReading(LogReader(log), key)
    parts = list(reading)
    counted = Counter(type(each).name for each in parts if isinstance(each, Entry))
    if key is not None:
        parts = list(merged(parts, reading.items))
    batches: dict[int, dict[str, list[Rows]]] = {0: _no_batches()}
    for each in parts:
        if isinstance(each, RowBatch):
            batches.setdefault(each.camera, _no_batches())[each.name].append(each.rows)
    try:
        rows = {camera: join_batches(of_one) for camera, of_one in batches.items()}
    except DataError as error:
        raise DataError(f"{log}: {error}") from error
    for of_one in rows.values():
        _stamp(of_one["poses"], of_one["published"])
    events = [each for each in parts if isinstance(each, Entry)]
    first = rows.pop(0)
    items = None if key is None else reading.items
    return replace(assembled(reading, log, events, first, counted, items=items), others=rows)


def _no_batches() -> dict[str, list[Rows]]:
    return {name: [] for name in ROW_NAMES.values()}


def assembled(
    reading: LogReading,
    log: Path,
    events: Sequence[Entry],
    rows: Mapping[str, Rows],
    counted: Counter[str],
    *,
    items: Sequence[SealedItem] | None,
) -> Session:
    """Return the session of a log that was gone through.

    Parameters
    ----------
    reading : LogReading
        At its end.
    log : Path
    events : sequence of Entry
        In order, those that were sealed among them where the seal was opened.
    rows : mapping of str to structured ndarray
        By the names of `rtface.record.session.rows.ROW_NAMES`.
    counted : Counter
        Events in the clear, by name.
    items : sequence of SealedItem or None
        What was sealed; None where the seal was not opened.
    """
    reader, wrong = reading.reader, list(reading.wrong)
    closed = reading.last_kind == ClosedEntry.kind
    if not closed and any(isinstance(each, ClosedEntry) for each in events):
        wrong.append(Damage(reader.size, reader.size, "records follow after the session was closed"))
    damage = tuple(sorted([*reader.damage, *wrong], key=lambda each: each.offset))
    return Session(
        folder=log.parent,
        state=_state(bool(damage), closed and reader.cut_off == reader.unused, reader.growing),
        events=tuple(events),
        synced=reading.synced,
        damage=damage,
        size=reader.size,
        cut_off=reader.cut_off - reader.unused,
        unused=reader.unused,
        fingerprint=reader.chain.hex(),
        unknown=reading.unknown,
        counted=counted + Counter({SealedEntry.name: len(reading.blocks)}),
        sealed=tuple(sorted(reading.blocks)),
        unsealed=None if items is None else tuple(items),
        **dict[str, Any](rows),
    )


def _stamp(poses: Rows, published: Rows) -> None:
    """Put each stamp of publishing into the pose of its frame; one of a frame without a pose has no place."""
    if not len(poses):
        return
    order = np.argsort(poses["frame_id"], kind="stable")
    at = np.searchsorted(poses["frame_id"], published["frame_id"], sorter=order)
    at = order[np.minimum(at, len(poses) - 1)]
    found = poses["frame_id"][at] == published["frame_id"]
    poses["published_ns"][at[found]] = published["published_ns"][found]


def _state(damaged: bool, closed: bool, growing: bool) -> State:
    if damaged:
        return "damaged"
    if closed:
        return "closed"
    return "open" if growing else "truncated"
