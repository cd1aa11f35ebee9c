"""The poses of a recording as SLEAP's predictions, in SLEAP's file (HDF5), in one pass; no package of SLEAP's is needed.

A frame of SLEAP is a picture of a video: of a session with recorded frames `frame_idx` is the picture that shows the frame,
and poses without one are left out; else it is the frame's number, less that of the first.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface import __version__
from rtface.core.errors import DataError
from rtface.core.files import printable, written_whole
from rtface.offline.export.rows import in_blocks
from rtface.offline.export.source import ExportEndedError, ExportSource, Progress
from rtface.offline.export.sparingfile import growing_hdf5
from rtface.record.formats.base import check_target
from rtface.record.session.rows import UNKNOWN, Rows

_BLOCK = 8192
FORMAT_ID = 1.2
"""Of SLEAP's file: coordinates count from the centre of the top left pixel, instances have a tracking score."""
POINT = np.dtype([("x", "<f8"), ("y", "<f8"), ("visible", "?"), ("complete", "?")])
ROWS = {
    "frames": np.dtype(
        [
            ("frame_id", "<u8"),
            ("video", "<u4"),
            ("frame_idx", "<u8"),
            ("instance_id_start", "<u8"),
            ("instance_id_end", "<u8"),
        ]
    ),
    "instances": np.dtype(
        [
            ("instance_id", "<i8"),
            ("instance_type", "u1"),
            ("frame_id", "<u8"),
            ("skeleton", "<u4"),
            ("track", "<i4"),
            ("from_predicted", "<i8"),
            ("score", "<f4"),
            ("point_id_start", "<u8"),
            ("point_id_end", "<u8"),
            ("tracking_score", "<f4"),
        ]
    ),
    "pred_points": np.dtype([*POINT.descr, ("score", "<f8")]),
}
"""The tables of the file that have a row a frame, or a point."""
_PACKED: dict[str, Any] = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
_PREDICTED = 1
"""Of an instance: no user placed it."""


def check_slp(path: Path, *, overwrite: bool) -> None:
    """Fail now as `write_slp` would fail later: `UsageError` or `DataError`."""
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
            left_out = _fill(recording, path, fresh, progress)
            if left_out is None:
                raise ExportEndedError
    except ExportEndedError:
        return None
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror or error}") from error
    return left_out


def _begin(file: Any, recording: ExportSource) -> dict[str, Any]:
    """Write what stands before the rows; return the datasets that take them."""
    source = recording.provenance.get("source") or recording.name
    video = str(source if recording.video is None else recording.video.absolute())
    names = recording.names
    skeleton = {
        "directed": True,
        "graph": {"name": "face", "num_edges_inserted": 0},
        "links": [],
        "multigraph": True,
        "nodes": [{"id": number} for number in range(len(names))],
    }
    said = {
        "version": "2.0.0",
        "skeletons": [skeleton],
        "nodes": [{"name": name, "weight": 1.0} for name in names],
        "videos": [],
        "tracks": [],
        "suggestions": [],
        "negative_anchors": {},
        "provenance": {
            "rtface": __version__,
            "recording": recording.name,
            "engine": recording.engine,
            "score": recording.score_definition,
            "missing": list(recording.notes),
        },
    }
    metadata = file.create_group("metadata")
    metadata.attrs["format_id"] = FORMAT_ID
    metadata.attrs["json"] = np.bytes_(_json(said))
    file.create_dataset(
        "videos_json", data=[np.bytes_(_json({"filename": video, "backend": {"filename": video}}))]
    )
    for name in ("tracks_json", "suggestions_json", "sessions_json"):
        file.create_dataset(name, shape=(0,), dtype="S1", maxshape=(None,))
    file.create_dataset("points", shape=(0,), dtype=POINT, maxshape=(None,))
    return {
        name: file.create_dataset(
            name, shape=(0,), maxshape=(None,), dtype=dtype, chunks=(_BLOCK,), **_PACKED
        )
        for name, dtype in ROWS.items()
    }


def _json(value: Any) -> bytes:
    return printable(json.dumps(value, ensure_ascii=False)).encode("utf-8")


def _fill(recording: ExportSource, path: Path, fresh: Path, progress: Progress) -> int | None:
    """Put the rows in the place of the head's; return how many were left out, None where `progress` ended it."""
    left_out = done = written = 0
    last = -1
    with growing_hdf5(fresh) as (file, below):
        places = _begin(file, recording)
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
            for name, values in _as_rows(rows, numbers, written).items():
                _append(places[name], values)
            written += len(rows)
            last = int(numbers[-1]) if len(numbers) else last
            below.check()
            done += len(batch.rows)
            if not progress(done, recording.count):
                return None
    return left_out


def _numbers(recording: ExportSource, frames: Rows) -> NDArray[np.int64]:
    """Return `frame_idx` of each frame, `UNKNOWN` where no picture shows it."""
    if recording.video is not None:
        return np.asarray(frames["position"], np.int64)
    numbers: NDArray[np.int64] = np.maximum(frames["frame_id"] - recording.first_frame, UNKNOWN)
    return numbers


def _as_rows(frames: Rows, numbers: Any, first: int) -> dict[str, Any]:
    count, points = frames["score"].shape
    ids = np.arange(first, first + count)
    made = {
        name: np.zeros(count * points if name == "pred_points" else count, dtype)
        for name, dtype in ROWS.items()
    }
    made["frames"]["frame_id"], made["frames"]["frame_idx"] = ids, numbers
    made["frames"]["instance_id_start"], made["frames"]["instance_id_end"] = ids, ids + 1
    instances = made["instances"]
    instances["instance_id"], instances["frame_id"] = ids, ids
    instances["instance_type"] = _PREDICTED
    instances["track"] = instances["from_predicted"] = -1
    instances["score"] = frames["score"].mean(axis=1)
    instances["point_id_start"], instances["point_id_end"] = ids * points, (ids + 1) * points
    instances["tracking_score"] = np.nan
    xy = frames["xy"].reshape(-1, 2)
    found = made["pred_points"]
    found["x"], found["y"] = xy.T
    found["score"] = frames["score"].ravel()
    found["visible"] = np.isfinite(xy).all(axis=1)
    return made


def _append(dataset: Any, rows: Any) -> None:
    first = len(dataset)
    dataset.resize(first + len(rows), axis=0)
    if len(rows):
        dataset[first:] = rows
