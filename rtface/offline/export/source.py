"""What the exporters take: a recorded session, or a keypoint file, as frames that are gone through in one pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rtface.core.clock import NS_PER_S
from rtface.core.errors import DataError, UsageError
from rtface.decide.features.bank import FeatureBank
from rtface.decide.features.specs import FeatureSpec, Smoothed
from rtface.decide.rules import RulesFile
from rtface.offline.export.metadata import recorded_facts
from rtface.offline.export.rows import frame_dtype, unknown_frames, with_what_followed
from rtface.offline.replay.steps import poses_of
from rtface.offline.sessions.certificate import is_blinded
from rtface.offline.sessions.outline import Outline
from rtface.record.session.entries import ConfigurationEntry, NetworkEntry, VideoEntry
from rtface.record.session.logreader import LogReader
from rtface.record.session.reading import LogReading
from rtface.record.session.rows import UNKNOWN, RowBatch, Rows
from rtface.record.table import PoseTable

MEASURED = "measured"
"""Of batches: the features that are smoothed, without smoothing; rows as those of ``features`` with `values` alone."""
Progress = Callable[[int, int], bool]
"""Called with frames written and how many there are; returning False ends it, and nothing is written."""
_AT_ONCE = 4096


class ExportEndedError(Exception):
    """Somebody ended it; no file must appear."""


@dataclass(frozen=True, eq=False)
class Values:
    """What the rules were given at each frame, by column.

    Attributes
    ----------
    names, units : tuple of str, length F
    count : int
        Rows.
    measured, measured_units : tuple of str
        Values that are smoothed, as they are without: computed anew from the recorded poses.
    """

    names: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    count: int = 0
    measured: tuple[str, ...] = ()
    measured_units: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class ExportSource:
    """Frames with keypoints, and what else is known of them.

    Attributes
    ----------
    name : str
        Of the session's folder, or of the file.
    names : tuple of str, length K
    trained : tuple of bool, length K
    score_definition, engine : str
    dtype : dtype
        Of the frames, as of `rtface.offline.export.rows.frame_dtype`.
    count : int
        Frames.
    time : str
        The field that is the time axis; empty where none is known, and rows are `rate_hz` apart then.
    began_ns : int
        Zero of the time axis, by the clock of `time`.
    rate_hz : float or None
    values : Values
    video : Path or None
        The pictures that `position` counts in.
    first_frame : int
        As of `rtface.record.table.PoseTable`.
    subject : str
        The animal, as recorded; empty where it is not.
    provenance : mapping of str to str
    notes : tuple of str
        What is not there, in words: of a session that was killed, how far it goes.
    session : Outline or None
        None for a keypoint file.
    unblind : bool
        Tell light and sham of blinded trials apart.
    batches : callable
        Yields `RowBatch` of ``poses``, ``features``, ``frames`` (the frame index) and `MEASURED`, in order; each call goes
        through all anew.
    """

    name: str
    names: tuple[str, ...]
    trained: tuple[bool, ...]
    score_definition: str
    engine: str
    dtype: np.dtype[np.void]
    count: int
    time: str
    began_ns: int
    rate_hz: float | None
    values: Values
    video: Path | None
    first_frame: int
    subject: str
    provenance: Mapping[str, str]
    notes: tuple[str, ...]
    session: Outline | None
    unblind: bool
    batches: Callable[[], Iterator[RowBatch]]

    @property
    def blinded(self) -> bool:
        """Whether nothing may be told that depends on which trials were light."""
        return self.session is not None and is_blinded(self.session.session, unblind=self.unblind)

    def seconds(self, t_ns: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return times of the clock of `time` in seconds since `began_ns`."""
        return (t_ns - self.began_ns) / NS_PER_S

    def axis(self, frames: Rows, first: int) -> NDArray[np.float64]:
        """Return the seconds of frames, of which the first is frame `first` of the recording."""
        if self.time:
            return self.seconds(frames[self.time])
        assert self.rate_hz is not None
        return (frames["frame_id"] - self.first_frame) / self.rate_hz


def session_recording(found: Outline, *, unblind: bool = False) -> ExportSource:
    """Return a session to be exported.

    Raises
    ------
    DataError
        It has no configuration, or its poses do not fit to it.
    """
    session, said = found.session, found.session.configuration
    if said is None:
        raise DataError(f"{session.folder}: without its configuration the keypoints have no names")
    width, points = session.poses.dtype["score"].shape[0], len(said.keypoints)
    if found.rows.poses and width != points:
        raise DataError(f"{session.folder}: poses of {width} keypoints, but {points} names")
    dtype = frame_dtype(points, likelihood="likelihood" in (session.poses.dtype.names or ()))
    bank, columns, notes = _measured(said)
    network, video = session.last(NetworkEntry), session.last(VideoEntry)
    file = None if video is None or not found.rows.frames else session.folder / Path(video.file).name
    if file is not None and not file.is_file():
        notes, file = (*notes, f"the recorded video {file.name} is no longer in the session's folder"), None

    def batches() -> Iterator[RowBatch]:
        again = None if bank is None else bank()
        for batch in with_what_followed(LogReading(LogReader(found.log)), dtype):
            yield batch
            if batch.name == "poses" and again is not None:
                yield RowBatch(MEASURED, _measure(again, columns, batch.rows))

    return ExportSource(
        name=session.folder.name,
        names=said.keypoints,
        trained=said.trained,
        score_definition=said.score_definition,
        engine="" if network is None else network.engine,
        dtype=dtype,
        count=found.rows.poses,
        time="exposure_ns",
        began_ns=found.began_ns,
        rate_hz=found.rows.rate_hz,
        values=Values(
            said.features if found.rows.features else (),
            said.units if found.rows.features else (),
            found.rows.features,
            () if bank is None else tuple(bank().names[each] for each in columns),
            () if bank is None else tuple(bank().units[each] for each in columns),
        ),
        video=file,
        first_frame=int(session.poses["frame_id"][0]) if found.rows.poses else 0,
        subject=recorded_facts(session).get(("subject", "subject_id"), ""),
        provenance={},
        notes=(*session.missing, *notes),
        session=found,
        unblind=unblind,
        batches=batches,
    )


def table_recording(
    table: PoseTable, name: str, *, rate_hz: float | None = None, timed: bool = True
) -> ExportSource:
    """Return the keypoints of a file to be exported.

    Parameters
    ----------
    table : PoseTable
    name : str
        Of the file.
    rate_hz : float or None
        Frames per second of a file that holds no times.
    timed : bool
        Whether times are needed.

    Raises
    ------
    UsageError
        It holds no times, and there is no rate; or it holds times, and there is one.
    """
    known = [each for each in ("camera_ns", "exposure_ns") if (getattr(table, each) != UNKNOWN).all()]
    if known and rate_hz is not None and len(table):
        raise UsageError(f"{name} holds the times of its frames: leave --rate out")
    if timed and not known and rate_hz is None:
        raise UsageError(f"{name} holds no times of its frames: --rate says how many there are per second")
    time = known[0] if known and len(table) else ""
    dtype = frame_dtype(len(table.names), likelihood=table.likelihood is not None)

    def batches() -> Iterator[RowBatch]:
        for first in range(0, len(table), _AT_ONCE):
            part = slice(first, first + _AT_ONCE)
            frames = unknown_frames(len(table.frame_id[part]), dtype)
            for each in fields(PoseTable):
                column = getattr(table, each.name)
                if each.name in (dtype.names or ()) and column is not None:
                    frames[each.name] = column[part]
            yield RowBatch("poses", frames)

    return ExportSource(
        name=name,
        names=table.names,
        trained=table.trained,
        score_definition=table.score_definition,
        engine=table.engine,
        dtype=dtype,
        count=len(table),
        time=time,
        began_ns=int(getattr(table, time)[0]) if time else 0,
        rate_hz=rate_hz if rate_hz is not None or not time else _rate(getattr(table, time)),
        values=Values(),
        video=None,
        first_frame=table.first_frame,
        subject="",
        provenance=dict(table.provenance) | {"source": table.source},
        notes=(),
        session=None,
        unblind=False,
        batches=batches,
    )


def _rate(times_ns: NDArray[np.int64]) -> float | None:
    span = int(times_ns[-1] - times_ns[0])
    return (len(times_ns) - 1) * NS_PER_S / span if span > 0 else None


_Measured = tuple[Callable[[], FeatureBank] | None, Sequence[int], tuple[str, ...]]


def _measured(said: ConfigurationEntry) -> _Measured:
    """Return what makes the features that are smoothed anew, without smoothing; its columns to keep; what prevents it."""
    try:
        rules = RulesFile.recorded(said.resolved) if said.resolved else None
    except ValueError:
        return None, (), ("its rules are of another rtface: features without smoothing are left out",)
    specs: dict[str, FeatureSpec] = {}
    if rules is not None:
        for name, spec in rules.features.items():
            if isinstance(spec, Smoothed) and spec.smooth is not None:
                specs[name] = spec.model_copy(update={"smooth": None})
    if not specs:
        return None, (), ()

    def bank() -> FeatureBank:
        return FeatureBank(specs, said.keypoints, said.rate_hz)

    names = bank().names
    return bank, [at for at, name in enumerate(names) if name in said.features], ()


def _measure(bank: FeatureBank, columns: Sequence[int], frames: Rows) -> Rows:
    rows = np.empty(
        len(frames), np.dtype([("frame_id", "<i8"), ("now_ns", "<i8"), ("values", "<f8", (len(columns),))])
    )
    rows["frame_id"], rows["now_ns"] = frames["frame_id"], frames["exposure_ns"]
    for row, pose in enumerate(poses_of(frames)):
        rows["values"][row] = bank.update(pose).values[list(columns)]
    return rows
