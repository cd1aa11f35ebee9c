"""NWB files of a study: traces of regions or spike times, poses, running and pupil, each with its own times."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from rtface.core.errors import DataError
from rtface.core.records import FloatArray
from rtface.learn.study.contents import Content, Float64Array, Points, Stated
from rtface.learn.study.hdf5_files import ColumnMatrix, opened

_POSE = ("PoseEstimationSeries",)
_TRACES = "RoiResponseSeries"
_SERIES = ("TimeSeries", "SpatialSeries")


class SpikeCounts:
    """Spikes of sorted units, counted in bins of a stated rate."""

    def __init__(self, path: Path, rate_hz: float) -> None:
        self._path = path
        with opened(path) as file:
            self._ends = np.asarray(file["units/spike_times_index"][()], np.int64)
            spikes = np.asarray(file["units/spike_times"][()], np.float64)
        if not len(spikes) or not len(self._ends):
            raise DataError(f"{path}: units has no spike times")
        self._spikes, first = spikes, float(np.floor(spikes.min()))
        self.edges: Float64Array = first + np.arange(int((spikes.max() - first) * rate_hz) + 2) / rate_hz

    @property
    def times(self) -> Float64Array:
        """Middles of the bins, in seconds."""
        return (self.edges[1:] + self.edges[:-1]) / 2

    @property
    def shape(self) -> tuple[int, int]:
        """Units and bins."""
        return len(self._ends), len(self.edges) - 1

    def blocks(self) -> Iterator[tuple[slice, slice, FloatArray]]:
        """Yield each unit; see `Matrix`."""
        begins = np.concatenate([[0], self._ends[:-1]])
        for unit, (begin, end) in enumerate(zip(begins.tolist(), self._ends.tolist(), strict=True)):
            counts = np.histogram(self._spikes[begin:end], self.edges)[0].astype(np.float32)
            yield slice(unit, unit + 1), slice(0, len(counts)), counts[None]


def is_nwb(path: Path) -> bool:
    """Return whether an HDF5 file is NWB."""
    with opened(path) as file:
        return "nwb_version" in file.attrs


def nwb_content(path: Path, stated: Stated) -> Content:
    """Return what an NWB file holds.

    Of several series of traces the deconvolved one is taken (its path names ``deconv`` or ``spks``), else the first; without
    any, sorted units are counted in bins of the stated neural rate. Running and pupil are series whose path names them; they
    are brought onto the times of the neurons.

    Raises
    ------
    DataError
        A series has no times, or as many as it has no samples.
    """
    with opened(path) as file:
        series = _series(file)
        units = "units/spike_times" in file and "units/spike_times_index" in file
        traces = sorted(name for name, kind in series.items() if kind == _TRACES)
        poses = sorted(name for name, kind in series.items() if kind in _POSE)
        remarks, vectors = [], {}
        neurons: ColumnMatrix | SpikeCounts | None = None
        if traces:
            chosen = next(
                (name for name in traces if "deconv" in name.lower() or "spks" in name.lower()), traces[0]
            )
            neurons = ColumnMatrix(path, f"{chosen}/data")
            vectors["tneural"] = _times(path, file[chosen], neurons.shape[1])
            if len(traces) > 1:
                remarks.append(f"{path.name}: of {len(traces)} series of traces {chosen} was taken")
        elif units:
            if stated.neural_rate is None:
                raise DataError(
                    f"{path}: its units are spike times; state with --neural-rate how wide the bins are"
                )
            neurons = SpikeCounts(path, stated.neural_rate)
            vectors["tneural"] = neurons.times
        points = _points(path, file, poses) if poses else None
        if points is not None and points.times is not None:
            vectors["tcam"] = points.times
        for what, words in (("run", ("running", "speed", "velocity")), ("pupil", ("pupil",))):
            found = [
                name
                for name, kind in series.items()
                if kind in _SERIES
                and any(word in name.lower() for word in words)
                and file[name]["data"].ndim == 1
            ]
            if found and "tneural" in vectors:
                values = np.asarray(file[found[0]]["data"][()], np.float64)
                vectors[what] = np.interp(
                    vectors["tneural"], _times(path, file[found[0]], len(values)), values
                )
                remarks.append(f"{path.name}: {what} is {found[0]}, brought onto the neurons' times")
    return Content(path, "NWB", neurons, points, vectors=vectors, remarks=tuple(remarks))


def _series(file: h5py.File) -> dict[str, str]:
    found: dict[str, str] = {}

    def visit(name: str, node: Any) -> None:
        if isinstance(node, h5py.Group) and isinstance(node.get("data"), h5py.Dataset):
            kind = node.attrs.get("neurodata_type", "")
            found[name] = kind.decode() if isinstance(kind, bytes) else str(kind)

    file.visititems(visit)
    return found


def _times(path: Path, node: Any, samples: int) -> Float64Array:
    if "timestamps" in node:
        times = np.asarray(node["timestamps"][()], np.float64)
    elif "starting_time" in node:
        start = node["starting_time"]
        times = float(start[()]) + np.arange(samples) / float(start.attrs["rate"])
    else:
        raise DataError(f"{path}: {node.name} has no times")
    if len(times) != samples:
        raise DataError(f"{path}: {node.name} has {len(times)} times for {samples} samples")
    return times


def _points(path: Path, file: h5py.File, poses: list[str]) -> Points:
    names = tuple(name.rsplit("/", 1)[-1].removeprefix("PoseEstimationSeries") for name in poses)
    shapes = {name: file[name]["data"].shape for name in poses}
    if len(set(shapes.values())) != 1 or any(len(shape) != 2 or shape[1] < 2 for shape in shapes.values()):
        raise DataError(f"{path}: its poses have the shapes {shapes}: not frames x 2 of one camera")

    def read() -> FloatArray:
        with opened(path) as again:
            return np.stack([np.asarray(again[name]["data"][:, :2], np.float32) for name in poses], axis=1)

    frames = next(iter(shapes.values()))[0]
    return Points(names, frames, read, times=_times(path, file[poses[0]], frames))
