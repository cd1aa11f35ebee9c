"""The objects of an NWB file: those with a row for each frame empty, and what each is to be filled with."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface import __version__
from rtface.core.clock import utc
from rtface.core.errors import DataError
from rtface.offline.export.events import event_tables, session_facts
from rtface.offline.export.metadata import Metadata
from rtface.offline.export.nwb.events import add_events, add_facts
from rtface.offline.export.nwb.light import add_light
from rtface.offline.export.rows import FRAME_NUMBERS
from rtface.offline.export.source import MEASURED, ExportSource
from rtface.record.session.entries import CameraEntry, OpenedEntry
from rtface.record.session.rows import Rows

BLOCK = 8192
"""Rows that are stored together."""
NEURAL = "neural."
"""What the names of predictions begin with."""
REFERENCE = "(0, 0) is the centre of the top left pixel of the full camera frame; x to the right, y down"
_ABOUT_FRAMES = {
    "frame_id": "number of the frame, as the camera or the video counts",
    "camera_ns": "the camera's own clock, or since the first frame of a video, in ns",
    "position": "picture of the recorded video that shows the frame, from 0",
    "trigger_id": "number of the trigger that began the exposure",
}


FieldOf = Callable[[Rows, int], NDArray[Any]]
"""Takes rows and the number of the first of them, and returns what is written of them."""


@dataclass(frozen=True)
class FilledDataset:
    """An empty dataset of the file, and what comes into it.

    Attributes
    ----------
    place : str
        Its path in the file.
    rows : str
        The name of the batches that it is filled from; as many rows as they have.
    values : FieldOf
    """

    place: str
    rows: str
    values: FieldOf


def nwb_name(text: str) -> str:
    """Return a name that NWB takes: ``/`` and ``:`` become ``_``."""
    return text.replace("/", "_").replace(":", "_")


def nwb_file(recording: ExportSource, path: Path, metadata: Metadata) -> tuple[Any, list[FilledDataset]]:
    """Return the `pynwb.NWBFile` of a recording, and its datasets that are yet to be filled.

    Parameters
    ----------
    recording : ExportSource
    path : Path
        Where it will be, for the link to the video.
    metadata : Metadata
    """
    from pynwb.file import Subject

    made = _head(recording, metadata)
    if metadata.subject is not None:
        made.subject = Subject(**metadata.subject.model_dump(exclude_none=True))
    elif subject := recording.subject:
        made.subject = Subject(subject_id=subject)
    builder = _Building(recording, made)
    builder.camera(path)
    builder.poses()
    builder.frames()
    builder.features()
    builder.measured()
    tables = event_tables(recording)
    add_events(made, tables, recording)
    if metadata.optogenetics is not None:
        add_light(made, tables, recording, metadata.optogenetics)
    add_facts(builder.behavior, session_facts(recording))
    return made, builder.filled


def start_of(recording: ExportSource, metadata: Metadata) -> datetime:
    """Return when a recording began; `DataError` where neither it nor the metadata says so."""
    opened, start = _opened(recording), metadata.session.session_start_time
    if opened is not None:
        return utc(opened.wall_ns)
    if start is None:
        raise DataError(
            f"{recording.name} does not say when it began: session.session_start_time of a metadata file does "
            "(--metadata; `rtface session metadata` writes one)"
        )
    return start


def _opened(recording: ExportSource) -> OpenedEntry | None:
    return None if recording.session is None else recording.session.session.opened


def _head(recording: ExportSource, metadata: Metadata) -> Any:
    from pynwb import NWBFile

    said = metadata.session.model_dump(
        exclude_none=True, exclude={"session_start_time", "session_id", "session_description"}
    )
    opened = _opened(recording)
    known = {name: list(value) if isinstance(value, tuple) else value for name, value in said.items()}
    notes = [str(known.pop("notes", "")), *recording.notes]
    start = start_of(recording, metadata)
    name = metadata.session.session_id or (recording.name if opened is None else opened.session)
    return NWBFile(
        session_description=metadata.session.session_description
        or "keypoints of a mouse's face, recorded by rtface",
        identifier=name if opened is not None else f"{name} {start.isoformat()}",
        session_id=name,
        session_start_time=start,
        notes="\n".join(each for each in notes if each) or None,
        source_script="rtface session export --nwb",
        source_script_file_name=f"rtface {__version__}",
        **{name: value for name, value in known.items() if value != []},
    )


class _Building:
    """Puts the objects with a row for each frame into a file."""

    def __init__(self, recording: ExportSource, made: Any) -> None:
        self._recording, self._made = recording, made
        self.behavior = made.create_processing_module(
            "behavior", "Keypoints, and what was computed from them."
        )
        self.filled: list[FilledDataset] = []
        self._camera: Any = None
        self._video: Any = None
        self._time: Any = None

    def camera(self, path: Path) -> None:
        """Add the camera, and a link to the video where there is one."""
        from pynwb.image import ImageSeries

        found, video = self._recording.session, self._recording.video
        entry = None if found is None else found.session.last(CameraEntry)
        said = {} if entry is None else entry.info
        text = f"{said.get('kind', '')} {said.get('label', '')}".strip() or "of a recorded file"
        self._camera = self._made.create_device(name="camera", description=text)
        if video is None:
            return
        self._video = ImageSeries(
            name="video",
            description="The frames as they were recorded; their times are exposures.",
            unit="n.a.",
            format="external",
            external_file=[os.path.relpath(video, path.parent.absolute())],
            starting_frame=[0],
            timestamps=self._empty(np.float64),
            device=self._camera,
        )
        self._made.add_acquisition(self._video)
        self._fill(
            "/acquisition/video/timestamps",
            "frames",
            lambda rows, first: self._recording.seconds(rows["exposure_ns"]),
        )

    def poses(self) -> None:
        """Add the poses as ndx-pose has them."""
        from ndx_pose import PoseEstimation, Skeleton, Skeletons

        recording = self._recording
        skeleton = Skeleton(name="face", nodes=list(recording.names), subject=self._made.subject)
        series = [self._series(at, name) for at, name in enumerate(recording.names)]
        self.behavior.add(Skeletons(skeletons=[skeleton]))
        self.behavior.add(
            PoseEstimation(
                name="PoseEstimation",
                pose_estimation_series=series,
                description=f"Keypoints of the face by the network {recording.engine or 'of the file'}.",
                scorer=f"rtface_{recording.engine}",
                source_software="rtface",
                source_software_version=__version__,
                skeleton=skeleton,
                device=self._camera,
                source_video=self._video,
            )
        )

    def _series(self, at: int, keypoint: str) -> Any:
        from ndx_pose import PoseEstimationSeries

        recording, name = self._recording, nwb_name(keypoint)
        place = f"/processing/behavior/PoseEstimation/{name}"
        made = PoseEstimationSeries(
            name=name,
            description=f"{keypoint}; NaN: not found",
            data=self._empty(np.float32, 2),
            unit="pixels",
            reference_frame=REFERENCE,
            confidence=self._empty(np.float32),
            confidence_definition=recording.score_definition or "as the network gives it",
            timestamps=self._empty(np.float64) if self._time is None else self._time,
        )
        if self._time is None:
            self._time = made
            self._fill(f"{place}/timestamps", "poses", recording.axis)
        self._fill(f"{place}/data", "poses", _field("xy", at))
        self._fill(f"{place}/confidence", "poses", _field("score", at))
        return made

    def frames(self) -> None:
        """Add the numbers and times of each frame as they were recorded, and what else there is of each keypoint."""
        from hdmf.common import DynamicTable, ElementIdentifiers, VectorData

        columns = []
        place = "/processing/behavior/frames"
        for name in FRAME_NUMBERS:
            about = _ABOUT_FRAMES.get(name, "host's monotonic clock in ns")
            columns.append(
                VectorData(name=name, description=f"{about}; -1: not known", data=self._empty(np.int64))
            )
            self._fill(f"{place}/{name}", "poses", _field(name))
        for name, about, dtype in (
            ("exposure_us", "how long the frame was exposed, in microseconds; NaN: not known", np.float64),
            ("view_ok", "how far the frame shows a view that the engine knows; NaN: not known", np.float32),
        ):
            columns.append(VectorData(name=name, description=about, data=self._empty(dtype)))
            self._fill(f"{place}/{name}", "poses", _field(name))
        points = len(self._recording.names)
        more: list[tuple[str, str, Any]] = [("outside", "outside the camera frame", np.bool_)]
        if "likelihood" in (self._recording.dtype.names or ()):
            more.append(("likelihood", "Facemap's legacy likelihood", np.float32))
        for name, about, dtype in more:
            about = f"of each keypoint, in the order of the skeleton's nodes: {about}"
            columns.append(VectorData(name=name, description=about, data=self._empty(dtype, points)))
            self._fill(f"{place}/{name}", "poses", _field(name))
        self._fill(f"{place}/id", "poses", lambda rows, first: np.arange(first, first + len(rows)))
        self.behavior.add(
            DynamicTable(
                name="frames",
                description="A row for each row of the pose series: numbers and times as they were recorded.",
                columns=columns,
                id=ElementIdentifiers(name="id", data=self._empty(np.int64)),
            )
        )

    def features(self) -> None:
        """Add what the rules were given: features of the poses, and predictions of neural activity."""
        names = self._recording.values.names
        time: Any = None
        for box, about in (
            ("features", "as the rules were given it"),
            ("neural_predictions", "predicted from the face, not measured; as the rules were given it"),
        ):
            neural = box == "neural_predictions"
            columns = [at for at, name in enumerate(names) if name.startswith(NEURAL) == neural]
            if columns:
                time = self._values(box, about, columns, time)

    def _values(self, box: str, about: str, columns: list[int], time: Any) -> Any:
        values = self._recording.values
        place = f"/processing/behavior/{box}"

        def series(name: str, unit: str, text: str, dtype: Any, column: FieldOf, width: int) -> None:
            nonlocal time
            path = f"{place}/{name}"
            made.append(self._timed(name, unit, text, self._empty(dtype, width), time))
            if time is None:
                time = made[0]
                self._fill(
                    f"{path}/timestamps",
                    "features",
                    lambda rows, first: self._recording.seconds(rows["now_ns"]),
                )
            self._fill(f"{path}/data", "features", column)

        made: list[Any] = []
        for at in columns:
            name = values.names[at]
            series(nwb_name(name), values.units[at] or "n.a.", f"{name}, {about}; NaN: not known", np.float64,
                   _field("values", at), 0)  # fmt: skip
        order = ", ".join(values.names[at] for at in columns)
        series(f"{box}_scores", "1", f"Score in [0, 1] of each, in the order {order}", np.float64,
               _field("scores", columns), len(columns))  # fmt: skip
        series(f"{box}_exposure_ns", "ns", f"Exposure of the newest frame that each rests on, host's clock: {order}",
               np.int64, _field("exposure_ns", columns), len(columns))  # fmt: skip
        self._box(box, made)
        return time

    def measured(self) -> None:
        """Add the features that are smoothed, as they are without smoothing."""
        values, made = self._recording.values, []
        for at, name in enumerate(values.measured):
            text = f"{name} without smoothing, computed anew from the recorded keypoints; NaN: not known"
            unit = values.measured_units[at] or "n.a."
            made.append(self._timed(nwb_name(name), unit, text, self._empty(np.float64), self._time))
            self._fill(
                f"/processing/behavior/features_unsmoothed/{nwb_name(name)}/data",
                MEASURED,
                _field("values", at),
            )
        if made:
            self._box("features_unsmoothed", made)

    def _box(self, name: str, series: list[Any]) -> None:
        from pynwb.behavior import BehavioralTimeSeries

        self.behavior.add(BehavioralTimeSeries(name=name, time_series=series))

    def _timed(self, name: str, unit: str, text: str, data: Any, time: Any) -> Any:
        from pynwb import TimeSeries

        timestamps = self._empty(np.float64) if time is None else time
        return TimeSeries(name=name, description=text, data=data, unit=unit, timestamps=timestamps)

    def _fill(self, place: str, rows: str, values: FieldOf) -> None:
        self.filled.append(FilledDataset(place, rows, values))

    def _empty(self, dtype: Any, width: int = 0) -> Any:
        """Return an empty dataset that can be made longer; each row has `width` values, or one where that is 0."""
        from hdmf.backends.hdf5 import H5DataIO

        more = (width,) if width else ()
        return H5DataIO(
            np.empty((0, *more), dtype),
            maxshape=(None, *more),
            chunks=(max(1, BLOCK // max(1, width)), *more),
            compression="gzip",
            compression_opts=1,
            shuffle=True,
        )


def _field(name: str, at: int | list[int] | None = None) -> FieldOf:
    """Return what takes a field of rows, whole or of it what stands at a place."""

    def values(rows: Rows, first: int) -> NDArray[Any]:
        found: NDArray[Any] = rows[name]
        return found if at is None else found[:, at]

    return values
