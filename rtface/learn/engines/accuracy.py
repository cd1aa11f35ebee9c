"""An engine's errors on labelled frames, through the tracker that runs live; needs no torch."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np

from rtface.config import BackendSettings
from rtface.core.clock import SYSTEM_CLOCK
from rtface.core.errors import DataError
from rtface.core.geometry import NetworkFrame
from rtface.core.records import CameraInfo, Crop, FloatArray, FrameMeta, Image
from rtface.learn.engines.provenance import training_on
from rtface.learn.error_summary import error_summary
from rtface.learn.labels.labelset import LabelSet
from rtface.learn.tracker.calibration import reliability
from rtface.track.backends.factory import make_backend
from rtface.track.store import Engine
from rtface.track.tracker import Tracker

_ONE_FRAME = FrameMeta(0, 0, 0)


class Watcher:
    """Tracks single frames of any size as the service tracks a camera's; open from the start.

    Parameters
    ----------
    engine : Engine
        A checked engine.
    settings : BackendSettings or None
        What runs it; the first back end that is there when None.
    crop : Crop or None
        The face in every frame; the whole frame when None.

    Raises
    ------
    BackendError, EngineError
        The engine cannot be run as asked.
    """

    def __init__(
        self, engine: Engine, settings: BackendSettings | None = None, crop: Crop | None = None
    ) -> None:
        self.engine = engine
        self.crop = crop
        self._tracker = Tracker(engine, make_backend(engine, settings or BackendSettings()), SYSTEM_CLOCK)
        self._shape = (0, 0)
        try:
            self.backend = self._tracker.open().as_dict()
        except BaseException:
            self._tracker.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def scale(self) -> float:
        """Camera pixels to a pixel of the network's input, in the last frame."""
        manifest = self.engine.manifest
        resample = manifest.resample
        return NetworkFrame(
            self._tracker.crop, manifest.input.size, resample.half_pixel, resample.square
        ).scale

    def see(self, image: Image) -> tuple[FloatArray, FloatArray]:
        """Return keypoints, shape (K, 2), in pixels of the frame, and scores, shape (K,).

        Parameters
        ----------
        image : ndarray, shape (height, width), uint8
            The whole frame. One of another size than the last fits the network anew, which takes long.

        Raises
        ------
        UsageError
            The crop reaches beyond the frame.
        """
        if image.shape != self._shape:
            height, width = image.shape
            camera = CameraInfo("images", "labelled frames", width, height, None, None, False, "arrival", {})
            self._tracker.look_at(camera, self.crop)
            self._shape = height, width
        pose = self._tracker.track(np.ascontiguousarray(image), _ONE_FRAME, 0)
        return pose.xy, pose.score

    def close(self) -> None:
        """Free the network."""
        self._tracker.close()


@dataclass(frozen=True, slots=True)
class EngineErrors:
    """What an engine found on N labelled frames, for the K keypoints that it and the labels share.

    Attributes
    ----------
    engine : Engine
    backend : dict
        What ran it, as `BackendInfo.as_dict`.
    crop : Crop or None
        What it saw of each frame; the whole when None.
    labels : LabelSet
        The frames that have a label of these keypoints, with these keypoints alone.
    distance : ndarray, shape (N, K), float32
        From the label, in camera pixels; NaN where there is no label or nothing was found.
    score : ndarray, shape (N, K), float32
    scale : ndarray, shape (N,), float32
        Camera pixels to a pixel of the network's input.
    only_labels, only_engine : tuple of str
        Labelled keypoints that the engine does not find, and those that it finds and the labels lack.
    """

    engine: Engine
    backend: dict[str, str | int | None]
    crop: Crop | None
    labels: LabelSet
    distance: FloatArray
    score: FloatArray
    scale: FloatArray
    only_labels: tuple[str, ...]
    only_engine: tuple[str, ...]

    @property
    def network_distance(self) -> FloatArray:
        """Distance in pixels of the network's input, shape (N, K)."""
        return self.distance / self.scale[:, None]

    def as_dict(self) -> dict[str, Any]:
        """Return the figures, of JSON's types.

        Returns
        -------
        dict
            As of `error_summary`, with ``unit``; ``not_found``, labels for which the engine gave no place; ``by_video``, each
            recording's frames, errors and ``training`` (as of `training_on`); ``score_reliability`` where scores
            are calibrated; and what was run on what.
        """
        manifest, frames = self.engine.manifest, self.labels.frames
        by_video = {}
        for video in self.labels.videos:
            here = np.array([frame.video == video for frame in frames])
            errors = error_summary(self.distance[here], self.labels.keypoints)
            errors.pop("by_keypoint")
            by_video[video] = {"frames": int(here.sum()), **errors, "training": training_on(manifest, video)}
        report: dict[str, Any] = {
            "engine": manifest.name,
            "sha256": self.engine.sha256,
            "backend": self.backend,
            "crop": None if self.crop is None else asdict(self.crop),
            "frames": len(frames),
            "unit": "camera pixels",
            **error_summary(self.distance, self.labels.keypoints),
            "not_found": self.labels.labels - int((~np.isnan(self.distance)).sum()),
            "only_in_labels": list(self.only_labels),
            "only_in_engine": list(self.only_engine),
            "by_video": by_video,
        }
        radius = manifest.score.radius_px
        if manifest.score.calibrated and radius is not None and report["n"]:
            report["score_reliability"] = reliability(self.score, self.network_distance, radius) | {
                "radius_network_px": radius,
                "definition": manifest.score.definition,
            }
        return report


def measure(watcher: Watcher, labels: LabelSet) -> EngineErrors:
    """Run an engine on labelled frames.

    Parameters
    ----------
    watcher : Watcher
        The engine, open.
    labels : LabelSet
        Frames of any sizes. Keypoints are brought together by name; those that only one side has, and those that the
        engine was never trained on, are not judged.

    Raises
    ------
    DataError
        The labels and the engine share no keypoint.
    UsageError
        The crop reaches beyond a frame.
    """
    manifest = watcher.engine.manifest
    finds = [entry.name for entry in manifest.keypoints if entry.trained]
    common = tuple(name for name in finds if name in labels.labelled)
    if not common:
        raise DataError(_nothing_common(manifest.name, finds, labels.labelled))
    judged = labels.arranged(common)
    judged = replace(
        judged, frames=tuple(frame for frame in judged.frames if not np.isnan(frame.xy).any(axis=1).all())
    )
    columns = [manifest.names.index(name) for name in common]
    shape = (len(judged), len(common))
    distance, score = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    scale = np.zeros(len(judged), np.float32)
    # Size by size: to fit the network to another takes longer than many frames.
    for row in sorted(range(len(judged)), key=lambda row: judged.frames[row].image.shape):
        frame = judged.frames[row]
        xy, scores = watcher.see(frame.image)
        distance[row] = np.linalg.norm(xy[columns] - frame.xy, axis=1)
        score[row], scale[row] = scores[columns], watcher.scale
    return EngineErrors(
        watcher.engine,
        watcher.backend,
        watcher.crop,
        judged,
        distance,
        score,
        scale,
        tuple(name for name in labels.labelled if name not in common),
        tuple(name for name in finds if name not in common),
    )


def near_names(labelled: Sequence[str], known: Sequence[str]) -> dict[str, str]:
    """Return the labels' names that resemble one of the engine's, each with another; case does not count."""
    free = {name.lower(): name for name in known}
    near = {}
    for name in labelled:
        if found := difflib.get_close_matches(name.lower(), free, 1):
            near[name] = free.pop(found[0])
    return near


def _nothing_common(engine: str, finds: Sequence[str], labelled: Sequence[str]) -> str:
    if not labelled:
        return "the label set holds no label"
    near = near_names(labelled, finds) or {"OLD": "NEW"}
    example = " ".join(f"--rename '{old}={new}'" for old, new in near.items())
    return (
        f"the labels and {engine} share no keypoint: the labels have {', '.join(labelled)}; the engine finds "
        f"{', '.join(finds) or 'none'}. Bring names that mean the same together: {example}"
    )
