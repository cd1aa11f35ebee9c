"""An engine tried on a few frames of a rig, for whether it finds the face there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from rtface.config import BackendSettings
from rtface.core.records import KNOWN_VIEW, Crop, Image, Pose
from rtface.track.pictures import PictureTracker
from rtface.track.store import Engine

SURE = 0.5
"""Median score of the trained keypoints from which an engine counts as sure of a frame."""
_MOST = 0.8
"""Part of the frames on which it must know the view and be sure."""


@dataclass(frozen=True, slots=True)
class EngineTrial:
    """What an engine found on a few frames.

    Attributes
    ----------
    engine : Engine
    crop : Crop
        What it was shown.
    poses : dict of int to Pose
        By the frame's number.
    """

    engine: Engine
    crop: Crop
    poses: Mapping[int, Pose]

    @property
    def trained(self) -> tuple[int, ...]:
        """Places of the keypoints that it was trained to find."""
        return tuple(place for place, entry in enumerate(self.engine.manifest.keypoints) if entry.trained)

    def score(self, pose: Pose) -> float:
        """Return the median score of the trained keypoints of a frame."""
        return median(float(pose.score[place]) for place in self.trained)

    @property
    def known(self) -> float | None:
        """Part of the frames whose view it knows; None from an engine that keeps no view."""
        views = [pose.view_ok for pose in self.poses.values()]
        return None if np.isnan(views).all() else float(np.mean([view >= KNOWN_VIEW for view in views]))

    @property
    def sure(self) -> float:
        """Part of the frames of which it is sure."""
        return float(np.mean([self.score(pose) >= SURE for pose in self.poses.values()]))

    @property
    def good_enough(self) -> bool:
        """Whether nothing speaks against it; whether the points are right only a person can tell."""
        return self.sure >= _MOST and (self.known is None or self.known >= _MOST)

    def in_words(self) -> str:
        """Return what to think of it, in a sentence."""
        frames, name = len(self.poses), self.engine.manifest.name
        sure = f"is sure of {round(self.sure * frames)} of {frames} frames"
        view = (
            "keeps no view to hold them against"
            if self.known is None
            else f"knows the view in {round(self.known * frames)}"
        )
        then = (
            "look whether the points lie where they should"
            if self.good_enough
            else "label some frames of this rig and adapt it, or correct the crop"
        )
        return f"{name} {sure} and {view}: {then}"

    def as_dict(self) -> dict[str, Any]:
        """Return it in JSON's types."""
        names = self.engine.manifest.names
        return {
            "engine": self.engine.manifest.name,
            "crop": {
                "x": self.crop.x,
                "y": self.crop.y,
                "width": self.crop.width,
                "height": self.crop.height,
                "mirrored": self.crop.mirrored,
            },
            "good_enough": self.good_enough,
            "known": self.known,
            "sure": self.sure,
            "words": self.in_words(),
            "frames": [
                {
                    "frame": number,
                    "score": round(self.score(pose), 3),
                    "view_ok": None if np.isnan(pose.view_ok) else round(pose.view_ok, 3),
                    "points": [self._point(pose, place) for place in self.trained],
                    "untaught": [
                        self._point(pose, place) for place in range(len(names)) if place not in self.trained
                    ],
                }
                for number, pose in self.poses.items()
            ],
        }

    def _point(self, pose: Pose, place: int) -> dict[str, Any]:
        return {
            "name": self.engine.manifest.names[place],
            "x": _pixels(pose.xy[place, 0]),
            "y": _pixels(pose.xy[place, 1]),
            "score": round(float(np.nan_to_num(pose.score[place])), 3),
        }


def try_engine(
    engine: Engine, frames: Mapping[int, Image], settings: BackendSettings, crop: Crop | None
) -> EngineTrial:
    """Run an engine on a few frames of a rig.

    Parameters
    ----------
    engine : Engine
    frames : mapping of int to ndarray, shape (height, width), uint8
        One or more, of one size, by number.
    settings : BackendSettings
    crop : Crop or None
        The face in the frame; the whole frame when None.

    Raises
    ------
    BackendError, EngineError
        The engine cannot be run as asked.
    UsageError
        The crop reaches beyond the frames.
    """
    with PictureTracker(engine, settings, crop) as tracker:
        poses = {number: tracker.track(image) for number, image in frames.items()}
        return EngineTrial(engine, tracker.seen, poses)


def _pixels(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 2)
