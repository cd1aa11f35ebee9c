"""The poses of a recording as SLEAP's predictions: sleap-io writes the head, and the rows go in in one pass.

A frame of SLEAP is a picture of a video: of a session with recorded frames `frame_idx` is the picture that shows the frame,
and poses without one are left out; else it is the frame's number, less that of the first.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from rtface import __version__
from rtface.core.errors import DataError
from rtface.core.extras import require
from rtface.core.files import printable, written_whole
from rtface.offline.export.rows import in_blocks
from rtface.offline.export.source import ExportEndedError, ExportSource, Progress
from rtface.offline.export.sparingfile import growing_hdf5
from rtface.record.formats.base import check_target
from rtface.record.session.rows import UNKNOWN, Rows

_BLOCK = 8192
_ROWS = ("frames", "instances", "pred_points")
_PREDICTED = 1
"""Of an instance: no user placed it."""


def check_slp(path: Path, *, overwrite: bool) -> None:
    """Fail now as `write_slp` would fail later: `UsageError` or `DataError`."""
    require("sleap", "sleap_io", error=DataError)
    check_target(path, overwrite=overwrite)


def write_slp(
    recording: ExportSource,
    path: Path,
    *,
    overwrite: bool = False,
    progress: Progress = lambda done, total: True,
) -> int | None:
    """Write the poses of a recording as a SLEAP file.

    Parameters
    ----------
    recording : ExportSource
    path : Path
        The file to make: whole, or not at all.
    overwrite : bool
        Replace a file that is there.
    progress : callable

    Returns
    -------
    int or None
        Poses that were left out, since no picture shows them; None where `progress` ended it.

    Raises
    ------
    UsageError
        The file is there.
    DataError
        It cannot be written, or frame numbers fall, as after a video that was played in a loop.
    """
    check_slp(path, overwrite=overwrite)
    left_out: int | None = None
    try:
        with written_whole(path, durable=True) as fresh:
            fresh.write_bytes(_head(recording))
            left_out = _fill(recording, path, fresh, progress)
            if left_out is None:
                raise ExportEndedError
    except ExportEndedError:
        return None
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror or error}") from error
    return left_out


def _head(recording: ExportSource) -> bytes:
    """Return a SLEAP file of one frame, as sleap-io writes it: with skeleton, video and provenance."""
    from sleap_io import LabeledFrame, Labels, Node, PredictedInstance, Skeleton, Video, save_slp

    skeleton = Skeleton(nodes=[Node(name) for name in recording.names], name="face")
    source = recording.provenance.get("source") or recording.name
    video = Video(
        filename=str(source if recording.video is None else recording.video.absolute()), open_backend=False
    )
    nowhere = np.full((len(recording.names), 2), np.nan)
    instance = PredictedInstance.from_numpy(
        nowhere, skeleton=skeleton, point_scores=np.zeros(len(nowhere)), score=0.0
    )
    labels = Labels(
        labeled_frames=[LabeledFrame(video=video, frame_idx=0, instances=[instance])],
        videos=[video],
        skeletons=[skeleton],
        provenance={
            "rtface": __version__,
            "recording": printable(recording.name),
            "engine": recording.engine,
            "score": recording.score_definition,
            "missing": list(recording.notes),
        },
    )
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder, "head.slp")
        save_slp(labels, str(made), embed=False)
        return made.read_bytes()


def _fill(recording: ExportSource, path: Path, fresh: Path, progress: Progress) -> int | None:
    """Put the rows in the place of the head's; return how many were left out, None where `progress` ended it."""
    left_out = done = written = 0
    last = -1
    with growing_hdf5(fresh) as (file, below):
        places = {name: _emptied(file, name) for name in _ROWS}
        for batch in in_blocks(recording.batches(), _BLOCK):
            if batch.name != "poses":
                continue
            numbers = _numbers(recording, batch.rows)
            kept = numbers >= 0
            left_out += int((~kept).sum())
            numbers, rows = numbers[kept], batch.rows[kept]
            falls = np.flatnonzero(np.diff(numbers, prepend=last) <= 0)
            if len(falls):
                raise DataError(
                    f"{path}: frame {rows['frame_id'][falls[0]]} does not come after the one before it"
                )
            for name, values in _as_rows(places, rows, numbers, written).items():
                _append(places[name], values)
            written += len(rows)
            last = int(numbers[-1]) if len(numbers) else last
            below.check()
            done += len(batch.rows)
            if not progress(done, recording.count):
                return None
    return left_out


def _numbers(recording: ExportSource, frames: Rows) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return `frame_idx` of each frame, `UNKNOWN` where no picture shows it."""
    if recording.video is not None:
        return np.asarray(frames["position"], np.int64)
    return np.maximum(frames["frame_id"] - recording.first_frame, UNKNOWN)


def _as_rows(places: dict[str, Any], frames: Rows, numbers: Any, first: int) -> dict[str, Any]:
    count, points = frames["score"].shape
    ids = np.arange(first, first + count)
    made = {
        name: np.zeros(count if name != "pred_points" else count * points, places[name].dtype)
        for name in _ROWS
    }
    made["frames"]["frame_id"], made["frames"]["frame_idx"] = ids, numbers
    made["frames"]["instance_id_start"], made["frames"]["instance_id_end"] = ids, ids + 1
    instances = made["instances"]
    instances["instance_id"], instances["frame_id"] = ids, ids
    instances["instance_type"] = _PREDICTED
    instances["track"] = instances["from_predicted"] = -1
    instances["score"] = frames["score"].mean(axis=1)
    instances["point_id_start"], instances["point_id_end"] = ids * points, (ids + 1) * points
    if "tracking_score" in (instances.dtype.names or ()):
        instances["tracking_score"] = np.nan
    xy = frames["xy"].reshape(-1, 2)
    found = made["pred_points"]
    found["x"], found["y"] = xy.T
    found["score"] = frames["score"].ravel()
    found["visible"] = np.isfinite(xy).all(axis=1)
    return made


def _emptied(file: Any, name: str) -> Any:
    dtype = file[name].dtype
    attributes = dict(file[name].attrs)
    del file[name]
    made = file.create_dataset(name, shape=(0,), maxshape=(None,), dtype=dtype, chunks=(_BLOCK,))
    made.attrs.update(attributes)
    return made


def _append(dataset: Any, rows: Any) -> None:
    first = len(dataset)
    dataset.resize(first + len(rows), axis=0)
    if len(rows):
        dataset[first:] = rows
