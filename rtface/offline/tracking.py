"""Tracking recorded videos through the live path: same camera contract, ring, tracker and back end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rtface import __version__
from rtface.acquire.factory import make_camera
from rtface.acquire.recording import source_settings
from rtface.config import BackendSettings, SimulatedCameraSettings
from rtface.core.clock import NS_PER_S, SYSTEM_CLOCK
from rtface.core.errors import DataError, RtfaceError, UsageError
from rtface.core.files import printable
from rtface.core.records import Crop, Losses, Pose
from rtface.core.status import PipelineStatus
from rtface.live.pipeline import Pipeline
from rtface.record import formats
from rtface.record.table import PoseTable, PoseTableBuilder
from rtface.track.backends.factory import make_backend
from rtface.track.store import Engine
from rtface.track.tracker import Tracker

DEFAULT_FORMAT = "rtface"
_POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a recording has been tracked: frames so far, and in all where that is known."""

    frames: int
    total: int | None


@dataclass(frozen=True, slots=True)
class Tracked:
    """The keypoints of a recording, as far as it could be tracked.

    Attributes
    ----------
    table : PoseTable
        One row a frame that was tracked.
    status : Status
        Percentiles per stage and the rate of the last second.
    error : RtfaceError or None
        Why it ended early: the file is damaged, say. The table holds all frames before that.
    complete : bool
        False after an error or when the caller asked for an end.
    frames_per_second : float
        Over the whole recording, reading and decoding included.
    """

    table: PoseTable
    status: PipelineStatus
    error: RtfaceError | None
    complete: bool
    frames_per_second: float


class TableSink:
    """Gathers poses in memory."""

    lost = 0

    def __init__(self, builder: PoseTableBuilder) -> None:
        self._builder = builder

    def open(self) -> None:
        """Do nothing: memory is always ready."""

    def publish(self, pose: Pose, losses: Losses) -> int:
        """Copy one pose."""
        self._builder.append(pose)
        return SYSTEM_CLOCK.now_ns()

    def close(self) -> None:
        """Do nothing: the poses stay with the builder."""


@dataclass(frozen=True, slots=True)
class PoseFile:
    """Where one recording's keypoints go: the file, and the name of its format."""

    path: Path
    form: str


def plan_outputs(sources: Sequence[Path], out: Path, form: str | None) -> list[PoseFile]:
    """Return the file for each recording's keypoints.

    Parameters
    ----------
    sources : sequence of Path
        The recordings.
    out : Path
        A file; or a folder, which is made if need be: one that exists, or a name without an ending. A file in a
        folder is named after its recording, with the format's ending.
    form : str or None
        Name of the format; None to go by the file's ending, in a folder rtface's own.

    Raises
    ------
    UsageError
        The format is unknown, `out` is a file for several recordings, or two recordings have the same name.
    DataError
        The folder cannot be made.
    """
    if not (out.is_dir() or out.suffix == ""):
        if len(sources) > 1:
            raise UsageError(f"{out} is a file, but there are several recordings: name a folder")
        return [PoseFile(out, formats.choose(out, form).name)]
    chosen = formats.choose(out, form or DEFAULT_FORMAT)
    outputs = [PoseFile(out / (source.stem + chosen.endings[0]), chosen.name) for source in sources]
    paths = [output.path for output in outputs]
    for source, path in zip(sources, paths, strict=True):
        if paths.count(path) > 1:
            raise UsageError(
                f"{source}: another recording has the same name; track them into separate folders"
            )
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"the folder {out} cannot be made: {error.strerror}") from error
    return outputs


def partial_path(path: Path) -> Path:
    """Return the file for a recording that could be tracked in part only: NAME.partial.ENDING."""
    stem, dot, ending = path.name.partition(".")
    return path.with_name(f"{stem}.partial{dot}{ending}")


def track_recording(
    source: Path | SimulatedCameraSettings,
    engine: Engine,
    backend: BackendSettings,
    *,
    crop: Crop | None = None,
    progress: Callable[[Progress], bool] = lambda progress: True,
) -> Tracked:
    """Find the keypoints of every frame of a video or a folder of images.

    Parameters
    ----------
    source : Path or SimulatedCameraSettings
        A video file or a folder of images; or the simulated mouse.
    engine : Engine
        A checked engine.
    backend : BackendSettings
        What runs it.
    crop : Crop or None
        The face in the frame; the whole frame when None.
    progress : callable
        Called about ten times a second; returning False ends the tracking early.

    Raises
    ------
    RtfaceError
        The recording or the engine cannot be opened at all. What goes wrong later is in `Tracked.error`.
    """
    camera = make_camera(source_settings(source) if isinstance(source, Path) else source)
    tracker = Tracker(engine, make_backend(engine, backend), SYSTEM_CLOCK)
    skeleton = engine.manifest.skeleton
    builder = PoseTableBuilder(
        [point.name for point in skeleton], [point.trained for point in skeleton], expected=None
    )
    pipeline = Pipeline(camera, tracker, TableSink(builder), crop=crop)
    pipeline.start()
    started_ns = SYSTEM_CLOCK.now_ns()
    total = pipeline.camera.frames
    wanted = True
    try:
        while not pipeline.wait(_POLL_S):
            if not progress(Progress(pipeline.status().frames, total)):
                wanted = False
                break
    finally:
        pipeline.stop()
    error = pipeline.error
    if error is not None and not isinstance(error, RtfaceError):
        raise error
    progress(Progress(len(builder), total))
    table = builder.build(
        source=printable(str(source)) if isinstance(source, Path) else pipeline.camera.label,
        engine=engine.manifest.name,
        score_definition=engine.manifest.score.definition,
        provenance=_provenance(engine, pipeline),
    )
    elapsed_s = max(1, SYSTEM_CLOCK.now_ns() - started_ns) / NS_PER_S
    return Tracked(
        table,
        pipeline.status(),
        error,
        complete=wanted and error is None,
        frames_per_second=len(table) / elapsed_s,
    )


def _provenance(engine: Engine, pipeline: Pipeline) -> dict[str, str]:
    crop = pipeline.crop
    facts = {
        "rtface": __version__,
        "engine_sha256": engine.sha256,
        "crop": f"x={crop.x} y={crop.y} width={crop.width} height={crop.height}{' mirrored' * crop.mirrored}",
        "frame": f"{pipeline.camera.width}x{pipeline.camera.height}",
    }
    return facts | {f"backend_{key}": str(value) for key, value in pipeline.backend.as_dict().items()}
