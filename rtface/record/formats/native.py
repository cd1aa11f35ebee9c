"""rtface's own keypoint file: plain HDF5 that loses nothing of a `PoseTable`.

Datasets carry their unit as the attribute ``units``; texts are UTF-8; ``/provenance`` is a text of JSON.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from rtface.core.errors import DataError, UsageError
from rtface.record.formats.base import read_array, reading_hdf5, write_hdf5
from rtface.record.table import NO_TIME, PoseTable

KIND = "rtface keypoints"
SCHEMA_VERSION = 1

_TEXTS = ("source", "engine", "score_definition")
_TIME = {"units": "ns", "clock": "the host's monotonic clock; -1: not known"}
_ABOUT: dict[str, dict[str, str]] = {
    "xy": {
        "units": "px",
        "axes": "frame, keypoint, (x, y)",
        "frame": "full camera frame, centre of the top left pixel is (0, 0), x right, y down; NaN: not found",
    },
    "score": {"units": "1", "axes": "frame, keypoint"},
    "outside": {"units": "1", "axes": "frame, keypoint", "values": "1: outside the camera frame"},
    "likelihood": {"units": "1", "axes": "frame, keypoint", "definition": "Facemap's legacy likelihood"},
    "frame_id": {"units": "1", "meaning": "frame number of the camera or the video"},
    "exposure_ns": {**_TIME, "meaning": "the exposure began"},
    "arrival_ns": {**_TIME, "meaning": "the frame was first known to the host"},
    "camera_ns": {
        "units": "ns",
        "clock": "the camera's own, or since the first frame of a video; -1: not known",
        "meaning": "when the frame was filmed",
    },
    "published_ns": {**_TIME, "meaning": "the pose had been published"},
    "view_ok": {
        "units": "1",
        "meaning": "how far the frame shows a view that the engine knows; from 0.5 on it does",
    },
}


class Native:
    """Everything that rtface has of a recording's keypoints."""

    name = "rtface"
    endings: tuple[str, ...] = (".rtface.h5", ".rtface")
    packages: tuple[str, ...] = ()

    def write(self, table: PoseTable, path: Path, *, overwrite: bool = False) -> None:
        """Write the table; see `KeypointFormat.write`."""

        def fill(file: Any) -> None:
            import h5py

            text = h5py.string_dtype("utf-8")
            file.attrs["format"] = KIND
            file.attrs["schema_version"] = SCHEMA_VERSION
            file.attrs["first_frame"] = table.first_frame
            for name in _TEXTS:
                file.attrs[name] = getattr(table, name)
            file.create_dataset("names", data=list(table.names), dtype=text, shape=(len(table.names),))
            file.create_dataset("trained", data=np.asarray(table.trained, np.uint8))
            file.create_dataset("provenance", data=json.dumps(dict(table.provenance)), dtype=text)
            for name, about in _ABOUT.items():
                values = getattr(table, name)
                if values is not None:
                    data = values.astype(np.uint8) if name == "outside" else values
                    file.create_dataset(name, data=data).attrs.update(about)

        write_hdf5(path, fill, overwrite=overwrite)

    def read(self, path: Path) -> PoseTable:
        """Read the file; see `KeypointFormat.read`."""
        with reading_hdf5(path) as file:
            if file.attrs.get("format") != KIND:
                raise DataError(
                    f"{path}: attribute format is not {KIND!r}; this is not an rtface keypoint file"
                )
            version = _whole_number(path, file, "schema_version")
            if version != SCHEMA_VERSION:
                raise DataError(
                    f"{path}: schema_version is {version}, this rtface reads {SCHEMA_VERSION}; "
                    "a newer rtface may read it"
                )
            names = tuple(
                _text(path, name, "names") for name in read_array(path, file, "names", "OS", (None,))
            )
            trained = read_array(path, file, "trained", "u", (len(names),))
            frames = read_array(path, file, "frame_id", "i", (None,))
            by_point = (len(frames), len(names))
            shapes = {"xy": (*by_point, 2), "score": by_point, "outside": by_point, "likelihood": by_point}
            arrays: dict[str, Any] = {
                "likelihood": None,
                "published_ns": None,
                "view_ok": None,
                "camera_ns": np.full(
                    len(frames), NO_TIME, np.int64
                ),  # not in the first files of this version
            }
            for name in _ABOUT:
                if name in arrays and name not in file:
                    continue
                kind = "u" if name == "outside" else "f" if name in shapes or name == "view_ok" else "i"
                arrays[name] = read_array(path, file, name, kind, shapes.get(name, (len(frames),)))
            texts: dict[str, Any] = {name: _text(path, file.attrs.get(name), name) for name in _TEXTS}
            provenance = _provenance(path, read_array(path, file, "provenance", "OS", ()))
            first_frame = _whole_number(path, file, "first_frame")
        arrays["outside"] = arrays["outside"].astype(np.bool_)
        try:
            return PoseTable(
                names=names,
                trained=tuple(bool(each) for each in trained),
                provenance=provenance,
                first_frame=first_frame,
                **arrays,
                **texts,
            )
        except UsageError as error:
            raise DataError(f"{path}: {error}") from error


def _text(path: Path, value: object, field: str) -> str:
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError as error:
            raise DataError(f"{path}: {field} is not UTF-8: {error}") from error
    if not isinstance(value, str):
        raise DataError(f"{path}: {field} is missing or not a text")
    return value


def _whole_number(path: Path, file: Any, field: str) -> int:
    value = file.attrs.get(field)
    if not isinstance(value, np.integer):
        raise DataError(f"{path}: attribute {field} is missing or not a whole number")
    return int(value)


def _provenance(path: Path, value: object) -> dict[str, str]:
    try:
        loaded = json.loads(_text(path, value, "provenance"))
    except ValueError as error:
        raise DataError(f"{path}: provenance is not JSON: {error}") from error
    if not isinstance(loaded, dict) or not all(isinstance(each, str) for each in loaded.values()):
        raise DataError(f"{path}: provenance is not a JSON object of texts")
    return loaded
