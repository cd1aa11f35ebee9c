"""Labelled frames: images with keypoints that somebody clicked, of any set of names."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rtface.core.errors import DataError
from rtface.core.records import FloatArray, Image
from rtface.learn.distances import DeclaredDistance, among, as_declared
from rtface.learn.labels.set_record import SetRecord


@dataclass(frozen=True, slots=True)
class LabelledFrame:
    """One frame and its labels.

    Attributes
    ----------
    name : str
        The image file's name, or the video's and the frame's number.
    video : str
        Which recording it is of; frames of one recording are never split between training and test.
    image : ndarray, shape (height, width), uint8
    xy : ndarray, shape (K, 2), float32
        Pixels of the frame, in the order of the set's keypoints; NaN where there is no label.
    confirmed : ndarray, shape (K,), bool, or None
        Which labels are a network's guesses that a person confirmed where they lay; None where that is not known of any.
    """

    name: str
    video: str
    image: Image
    xy: FloatArray
    confirmed: NDArray[np.bool_] | None = None


@dataclass(frozen=True, slots=True)
class LabelSet:
    """Labelled frames with the names of their keypoints.

    Attributes
    ----------
    keypoints : tuple of str
        Names, K of them, each once.
    frames : tuple of LabelledFrame
    notes : tuple of str
        What looks wrong in the files but may be right; no part of `digest`.
    distances : tuple of DeclaredDistance
        Pairs of keypoints whose distance means something, as declared beside the labels.
    origins : tuple of SetRecord
        The public sets that frames are of; no part of `digest`.
    """

    keypoints: tuple[str, ...]
    frames: tuple[LabelledFrame, ...]
    notes: tuple[str, ...] = ()
    distances: tuple[DeclaredDistance, ...] = ()
    origins: tuple[SetRecord, ...] = ()

    def __post_init__(self) -> None:
        if repeated := {name for name in self.keypoints if self.keypoints.count(name) > 1}:
            raise DataError(f"the label set names a keypoint twice: {', '.join(sorted(repeated))}")

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def videos(self) -> tuple[str, ...]:
        """Names of the recordings."""
        return tuple(sorted({frame.video for frame in self.frames}))

    @property
    def labels(self) -> int:
        """Number of labels: of points, not of frames."""
        return sum(int((~np.isnan(frame.xy).any(axis=1)).sum()) for frame in self.frames)

    @property
    def labelled(self) -> tuple[str, ...]:
        """Names of the keypoints that have a label on at least one frame."""
        seen = np.zeros(len(self.keypoints), bool)
        for frame in self.frames:
            seen |= ~np.isnan(frame.xy).any(axis=1)
        return tuple(name for name, here in zip(self.keypoints, seen, strict=True) if here)

    @property
    def confirmed(self) -> NDArray[np.bool_]:
        """Which labels are guesses that a person confirmed where they lay, shape (N, K); no part of `digest`."""
        none = np.zeros(len(self.keypoints), bool)
        rows = [none if frame.confirmed is None else frame.confirmed for frame in self.frames]
        return np.stack(rows) if rows else np.zeros((0, len(self.keypoints)), bool)

    @property
    def digest(self) -> str:
        """SHA-256 of all that training takes of the set: names, distances, images and labels, in their order."""
        whole = hashlib.sha256(json.dumps(self.keypoints).encode())
        if self.distances:
            whole.update(json.dumps(as_declared(self.distances)).encode())
        for frame in self.frames:
            whole.update(json.dumps([frame.name, frame.video, frame.image.shape]).encode())
            whole.update(np.ascontiguousarray(frame.image).tobytes())
            xy = frame.xy.astype("<f4")
            xy[np.isnan(xy)] = np.nan
            whole.update(xy.tobytes())
        return whole.hexdigest()

    def only(self, videos: Iterable[str]) -> LabelSet:
        """Return the frames of some recordings."""
        wanted = set(videos)
        return replace(self, frames=tuple(frame for frame in self.frames if frame.video in wanted))

    def without(self, videos: Iterable[str]) -> LabelSet:
        """Return the frames of all other recordings."""
        return self.only(set(self.videos) - set(videos))

    def renamed(self, names: Mapping[str, str]) -> LabelSet:
        """Return the set with other names for some keypoints.

        Raises
        ------
        DataError
            A name to be replaced is not in the set, or two keypoints would have one name.
        """
        if unknown := set(names) - set(self.keypoints):
            raise DataError(
                f"the label set has no keypoint {sorted(unknown)[0]!r}; it has {', '.join(self.keypoints)}"
            )
        return replace(
            self,
            keypoints=tuple(names.get(name, name) for name in self.keypoints),
            distances=tuple(each.renamed(names) for each in self.distances),
        )

    def arranged(self, names: Sequence[str]) -> LabelSet:
        """Return the set with these keypoints in this order; NaN where the set lacks one, the rest left out.

        Of the distances those stay both of whose keypoints do.
        """
        place = {name: index for index, name in enumerate(self.keypoints)}
        frames = []
        for frame in self.frames:
            xy = np.full((len(names), 2), np.nan, np.float32)
            confirmed = np.zeros(len(names), bool)
            for index, name in enumerate(names):
                if name in place:
                    xy[index] = frame.xy[place[name]]
                    confirmed[index] = frame.confirmed is not None and frame.confirmed[place[name]]
            frames.append(replace(frame, xy=xy, confirmed=None if frame.confirmed is None else confirmed))
        return replace(
            self, keypoints=tuple(names), frames=tuple(frames), distances=among(self.distances, names)
        )
