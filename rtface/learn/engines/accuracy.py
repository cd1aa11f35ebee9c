"""An engine's errors on labelled frames, through the tracker that runs live; needs no torch."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from rtface.core.errors import DataError
from rtface.core.records import Crop, FloatArray
from rtface.learn.distances import distances_of, followed, united, with_known
from rtface.learn.engines.provenance import training_on
from rtface.learn.error_summary import error_summary, placed_summary
from rtface.learn.labels.labelset import LabelSet
from rtface.learn.tracker.calibration import reliability
from rtface.track.pictures import PictureTracker
from rtface.track.store import Engine

WORST_FRAMES = 100
"""How many frames a report names."""


@dataclass(frozen=True, slots=True)
class EngineErrors:
    """What an engine found on N labelled frames, for the K keypoints that it and the labels share.

    Attributes
    ----------
    engine : Engine
    backend : dict
        What ran it, as `BackendInfo.as_dict`.
    crop : Crop or None
        What it was shown of each frame; the whole when None.
    labels : LabelSet
        The frames that have a label of these keypoints, with these keypoints alone.
    distance : ndarray, shape (N, K), float32
        From the label, in camera pixels; NaN where there is no label or nothing was found.
    score : ndarray, shape (N, K), float32
    scale : ndarray, shape (N,), float32
        Camera pixels to a pixel of the network's input.
    only_labels, only_engine : tuple of str
        Labelled keypoints that the engine does not find, and those that it finds and the labels lack.
    xy : ndarray, shape (N, K, 2), float32
        What the engine found, in camera pixels; NaN where nothing was.
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
    xy: FloatArray

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
            are calibrated; ``distances``, how those are followed that labels or manifest declare or that are known by
            name (as of `followed`); ``worst_frames``, at most `WORST_FRAMES`, the worst first; what was run
            on what; and, where labels are confirmed guesses, ``placed``, the errors without those (as of `placed_summary`).
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
        labels = self.labels
        report["distances"] = followed(
            np.stack([frame.xy for frame in frames])
            if frames
            else np.empty((0, len(labels.keypoints), 2), np.float32),
            self.xy,
            labels.keypoints,
            with_known(united(labels.distances, distances_of(manifest.training)), labels.keypoints),
            [frame.video for frame in frames],
        )
        radius = manifest.score.radius_px
        if manifest.score.calibrated and radius is not None and report["n"]:
            report["score_reliability"] = reliability(self.score, self.network_distance, radius) | {
                "radius_network_px": radius,
                "definition": manifest.score.definition,
            }
        report["worst_frames"] = self._worst_frames()
        if labels.confirmed.any():
            report["placed"] = placed_summary(self.distance, labels.keypoints, labels.confirmed)
        return report

    def _worst_frames(self) -> list[dict[str, Any]]:
        """Return the frames with the largest mean error, each with its keypoint that is farthest off."""
        found: list[dict[str, Any]] = []
        for frame, distance in zip(self.labels.frames, self.distance, strict=True):
            if np.isnan(distance).all():
                continue
            worst = int(np.nanargmax(distance))
            found.append(
                {
                    "video": frame.video,
                    "name": frame.name,
                    "n": int((~np.isnan(distance)).sum()),
                    "mean_px": round(float(np.nanmean(distance)), 3),
                    "worst": self.labels.keypoints[worst],
                    "worst_px": round(float(distance[worst]), 3),
                }
            )
        return sorted(found, key=lambda each: -each["mean_px"])[:WORST_FRAMES]


def measure(tracker: PictureTracker, labels: LabelSet) -> EngineErrors:
    """Run an engine on labelled frames.

    Parameters
    ----------
    tracker : PictureTracker
        The engine.
    labels : LabelSet
        Frames of any sizes. Keypoints are brought together by name; those that only one side has, and those that the
        engine was never trained on, are left out.

    Raises
    ------
    DataError
        The labels and the engine share no keypoint.
    UsageError
        The crop reaches beyond a frame.
    """
    manifest = tracker.engine.manifest
    finds = [entry.name for entry in manifest.keypoints if entry.trained]
    common = tuple(name for name in finds if name in labels.labelled)
    if not common:
        raise DataError(_nothing_common(manifest.name, finds, labels.labelled))
    common_labels = labels.arranged(common)
    frames = tuple(frame for frame in common_labels.frames if not np.isnan(frame.xy).any(axis=1).all())
    columns = [manifest.names.index(name) for name in common]
    shape = (len(frames), len(common))
    distance, score = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    scale = np.zeros(len(frames), np.float32)
    xy = np.zeros((*shape, 2), np.float32)
    # Size by size: to fit the network to another takes longer than many frames.
    for row in sorted(range(len(frames)), key=lambda row: frames[row].image.shape):
        frame = frames[row]
        pose = tracker.track(frame.image)
        xy[row] = pose.xy[columns]
        distance[row] = np.linalg.norm(xy[row] - frame.xy, axis=1)
        score[row], scale[row] = pose.score[columns], tracker.scale
    return EngineErrors(
        tracker.engine,
        tracker.backend.as_dict(),
        tracker.crop,
        replace(common_labels, frames=frames),
        distance,
        score,
        scale,
        tuple(name for name in labels.labelled if name not in common),
        tuple(name for name in finds if name not in common),
        xy,
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
