"""The network run again on the recorded frames; every keypoint compared with the recorded one."""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rtface.acquire.base import Camera, EndOfStream
from rtface.acquire.factory import make_camera
from rtface.config import BackendSettings, VideoCameraSettings
from rtface.core.clock import SYSTEM_CLOCK
from rtface.core.errors import CameraLostError, DataError, UsageError
from rtface.core.records import Crop, Image, Pose
from rtface.offline.replay.steps import poses_of
from rtface.record.session.encoder import EXACT
from rtface.record.session.entries import NetworkEntry, VideoEntry
from rtface.record.session.reader import Session, read_session
from rtface.track.backends.factory import make_backend
from rtface.track.store import Engine
from rtface.track.tracker import Tracker

_TIMEOUT_S = 1.0
_PERCENTILES = (50.0, 99.0, 100.0)


@dataclass(frozen=True)
class PoseDifference:
    """The first keypoint of a replay that is not as it was recorded."""

    frame_id: int
    keypoint: str
    field: str
    recorded: tuple[float, ...]
    replayed: tuple[float, ...]

    def in_words(self) -> str:
        """Return where and what, for a person."""
        was, now = (", ".join(f"{each:.9g}" for each in side) for side in (self.recorded, self.replayed))
        return f"frame {self.frame_id}: {self.field} of {self.keypoint} was ({was}) and is ({now})"


@dataclass(frozen=True)
class NetworkReplay:
    """What came of a replay of the network.

    Attributes
    ----------
    frames : int
        Frames that were replayed and whose pose is recorded.
    identical_frames : int
        Those whose pose is the same, bit for bit.
    exact : bool
        The video gives back every pixel, so that every pose should be the same.
    altered : int
        Frames of such a video whose pixels are not those that were recorded.
    without_pose, without_frame : int
        Frames that no pose is recorded of, and poses whose frame is not in the video.
    shift_px : (float, float, float) or None
        Median, 99th percentile and largest shift of a keypoint in camera pixels; None where none can be told.
    first : PoseDifference or None
        The first difference.
    remarks : tuple of str
        What else is not as it was: another engine, another back end, a video that ends early.
    """

    frames: int
    identical_frames: int
    exact: bool
    altered: int
    without_pose: int
    without_frame: int
    shift_px: tuple[float, float, float] | None
    first: PoseDifference | None
    remarks: tuple[str, ...]

    @property
    def identical(self) -> bool:
        """Whether every pose is as it was recorded."""
        return self.first is None and not self.altered


def replay_network(
    path: Path,
    engine: Engine,
    backend: BackendSettings,
    *,
    camera: str = "",
    progress: Callable[[int, int], bool] = lambda done, total: True,
) -> NetworkReplay:
    """Run the network again on the recorded frames and compare.

    Parameters
    ----------
    path : Path
        The session's folder or log.
    engine : Engine
        The engine that the session was run with, or another.
    backend : BackendSettings
        What runs it.
    camera : str
        Of a session with several cameras the one whose frames are run.
    progress : callable
        Called with the frames done and in all; returning False ends the replay early.

    Raises
    ------
    UsageError
        The session has no recorded frames.
    DataError
        The log or the video cannot be read, or the log is damaged.
    EngineError, BackendError
        The engine does not fit, or cannot be run.
    """
    session = read_session(path)
    if session.cameras:
        session = session.of_camera(camera)
    video = session.last(VideoEntry)
    if session.damage:
        raise DataError(f"{path} is damaged and cannot be replayed: {session.damage[0].in_words()}")
    if video is None or not len(session.frames):
        raise UsageError(f"{path}: this session has no recorded frames")
    source = make_camera(
        VideoCameraSettings(kind="video", path=session.folder / video.file, paced=False), SYSTEM_CLOCK
    )
    tracker = Tracker(engine, make_backend(engine, backend), SYSTEM_CLOCK)
    try:
        tracker.open()
        comparison = _NetworkComparison(session, engine, tracker, exact=video.codec in EXACT)
        comparison.run(source, progress)
    finally:
        tracker.close()
        source.close()
    return comparison.result()


class _NetworkComparison:
    """Tracks the frames of a video and holds the poses against the record."""

    def __init__(self, session: Session, engine: Engine, tracker: Tracker, *, exact: bool) -> None:
        said = session.configuration
        if said is None:
            raise DataError(f"{session.folder}: without its configuration a session cannot be replayed")
        if said.keypoints != tuple(each.name for each in engine.manifest.skeleton):
            raise DataError(f"{engine.manifest.name} finds other keypoints than this session records")
        self._session, self._tracker, self._exact = session, tracker, exact
        self._keypoints = said.keypoints
        self._networks = deque(session.of(NetworkEntry))
        self._frames = self._identical = self._altered = self._without_pose = 0
        self._shifts: list[NDArray[np.float32]] = []
        self._first: PoseDifference | None = None
        self._remarks = _remarks(session, engine, tracker)

    def run(self, camera: Camera, progress: Callable[[int, int], bool]) -> None:
        info = camera.open()
        camera.start()
        image: Image = np.empty((info.height, info.width), np.uint8)
        rows = self._session.frames
        recorded = _by_identity(poses_of(self._session.poses))
        self._tracker.prepare(image.shape, None)
        for done, row in enumerate(rows):
            if not _next(camera, image):
                self._remarks.append(
                    f"the video ends before frame {row['frame_id']}, {len(rows) - done} are missing"
                )
                break
            if self._exact and zlib.crc32(image.data) != row["crc32"]:
                self._altered += 1
            found = recorded.get((int(row["frame_id"]), int(row["exposure_ns"])))
            if not found:
                self._without_pose += 1
                continue
            pose = found.popleft()
            while self._networks and self._networks[0].t_ns <= pose.stamps.taken_ns:
                self._tracker.prepare(image.shape, Crop(**self._networks.popleft().crop))
            self._compare(pose, self._tracker.track(image, pose.frame, pose.stamps.taken_ns))
            if not progress(done + 1, len(rows)):
                self._remarks.append(f"ended early, after {done + 1} of {len(rows)} frames")
                break

    def _compare(self, recorded: Pose, replayed: Pose) -> None:
        self._frames += 1
        self._shifts.append(np.hypot(*(recorded.xy - replayed.xy).T))
        difference = self._difference(recorded, replayed)
        if difference is None:
            self._identical += 1
        elif self._first is None:
            self._first = difference

    def _difference(self, recorded: Pose, replayed: Pose) -> PoseDifference | None:
        for field in ("xy", "score", "outside", "likelihood"):
            was, now = getattr(recorded, field), getattr(replayed, field)
            if was is None or now is None:
                continue
            differs = (was != now) & ~((was != was) & (now != now))
            if differs.any():
                point = int(np.argwhere(differs)[0][0])
                sides = (tuple(np.atleast_1d(side[point]).astype(float).tolist()) for side in (was, now))
                return PoseDifference(recorded.frame.frame_id, self._keypoints[point], field, *sides)
        return None

    def result(self) -> NetworkReplay:
        shifts = np.concatenate(self._shifts) if self._shifts else np.empty(0, np.float32)
        shifts = shifts[np.isfinite(shifts)]
        percentiles = [float(each) for each in np.percentile(shifts, _PERCENTILES)] if len(shifts) else None
        return NetworkReplay(
            frames=self._frames,
            identical_frames=self._identical,
            exact=self._exact,
            altered=self._altered,
            without_pose=self._without_pose,
            without_frame=len(self._session.poses) - self._frames,
            shift_px=None if percentiles is None else (percentiles[0], percentiles[1], percentiles[2]),
            first=self._first,
            remarks=tuple(self._remarks),
        )


def _by_identity(poses: Iterator[Pose]) -> dict[tuple[int, int], deque[Pose]]:
    """Return poses by frame number and exposure; a camera may begin to count anew."""
    found: dict[tuple[int, int], deque[Pose]] = {}
    for pose in poses:
        found.setdefault((pose.frame.frame_id, pose.frame.exposure_ns), deque()).append(pose)
    return found


def _next(camera: Camera, image: Image) -> bool:
    """Read the next frame of a video; False at its end, also where it was cut off."""
    try:
        while camera.fill(image, _TIMEOUT_S) is None:
            pass
    except (EndOfStream, CameraLostError):
        return False
    return True


def _remarks(session: Session, engine: Engine, tracker: Tracker) -> list[str]:
    """Say what a replay is run with that is not as it was."""
    remarks = []
    sha256 = {} if session.hashes is None else session.hashes.sha256
    if sha256.get("engine") not in (None, engine.sha256):
        remarks.append(f"the engine is another one than the session was run with ({engine.manifest.name})")
    network = session.last(NetworkEntry)
    if network is not None:
        now = tracker.backend.as_dict()
        remarks += [
            f"the back end's {name} was {network.backend[name]} and is {now[name]}"
            for name in ("name", "version", "device", "precision", "threads")
            if name in network.backend and network.backend[name] != now[name]
        ]
    return remarks
