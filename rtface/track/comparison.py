"""How far an engine's keypoints lie from those of another engine of the same network, on real frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from pydantic import ConfigDict, Field

from rtface.config import BackendSettings
from rtface.core.errors import EngineError
from rtface.core.manifest import ManifestPart
from rtface.core.records import Crop, FloatArray, Image
from rtface.track.backends.base import BackendInfo
from rtface.track.parity import LIMITS, ShiftSummary
from rtface.track.pictures import PartProgress, no_part_progress, track_pictures
from rtface.track.sample import ParitySample, choose_frames
from rtface.track.shifts import SURE, FloatValues, shifts_of
from rtface.track.store import Engine

FEWEST_FRAMES = 8
_WORST_FRAMES = 5
_WORST_KEYPOINTS = 3


@dataclass(frozen=True, slots=True)
class WorstFrame:
    """A frame whose keypoints moved farthest: its number, the keypoint, its shift, and its score before."""

    frame: int
    keypoint: str
    shift_px: float
    score: float


class EngineComparison(ManifestPart):
    """How far the keypoints of two engines of one network lie apart.

    Attributes
    ----------
    reference, engine : str
        Names of the engine that is compared with, and of the other.
    reference_backend, backend : BackendInfo
        What ran them.
    frames : int
        Frames that both were run on.
    crop : tuple of int
        x, y, width, height of the part of them that both were shown.
    scale : float
        Camera pixels to a pixel of the network's input.
    sure : float
        Share of the points that the reference gave a score of `SURE` or more.
    shift_px : ShiftSummary
        Distance between the two points, in pixels of the network's input, over all frames and trained keypoints.
    score_shift : ShiftSummary
        Absolute difference of the scores.
    sure_shift_px : ShiftSummary or None
        The shift of the points that either of the two gave a score of `SURE` or more; None where there is none.
    by_keypoint : dict of str to ShiftSummary
        The shift of each trained keypoint.
    worst : tuple of WorstFrame
        The frames where it is largest, the worst first. A shift of many pixels at a low score is a point that has
        two places equally likely.
    sample : ParitySample
        Some of the frames with the reference's keypoints; never in files.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    reference: str
    engine: str
    reference_backend: BackendInfo
    backend: BackendInfo
    frames: int
    crop: tuple[int, int, int, int]
    scale: float
    sure: float
    shift_px: ShiftSummary
    score_shift: ShiftSummary
    sure_shift_px: ShiftSummary | None
    by_keypoint: dict[str, ShiftSummary]
    worst: tuple[WorstFrame, ...]
    sample: ParitySample = Field(exclude=True, repr=False)

    @property
    def agrees(self) -> bool:
        """Whether the shifts stay below `rtface.track.parity.LIMITS`."""
        return LIMITS.allow(self.shift_px, self.score_shift, self.sure_shift_px)

    @property
    def strain(self) -> float:
        """Return how near the shifts come to the limits: 1 and more breaks one."""
        return LIMITS.strain(self.shift_px, self.score_shift, self.sure_shift_px)

    def in_words(self) -> str:
        """Return the figures as one line."""
        shift, score, sure = self.shift_px, self.score_shift, self.sure_shift_px
        leap = "none is found" if sure is None else f"of those found {sure.max:.2f}"
        return (
            f"shift of {shift.n} keypoints on {self.frames} frames: median {shift.p50:.3f}, p99 {shift.p99:.3f}, "
            f"largest {shift.max:.2f} ({leap}) px of the network's input; score: median {score.p50:.4f}, "
            f"p99 {score.p99:.3f}, largest {score.max:.3f}"
        )

    def worst_in_words(self) -> str:
        """Return the keypoints that moved farthest and the frames where they did."""
        by_shift = sorted(self.by_keypoint, key=lambda name: -self.by_keypoint[name].p99)[:_WORST_KEYPOINTS]
        keypoints = ", ".join(f"{name} (p99 {self.by_keypoint[name].p99:.2f} px)" for name in by_shift)
        frames = ", ".join(
            f"{each.frame} ({each.keypoint} {each.shift_px:.1f} px, score {each.score:.2f})"
            for each in self.worst
        )
        return f"worst keypoints: {keypoints}; worst frames: {frames}"

    def as_dict(self) -> dict[str, Any]:
        """Return a plain map, for files."""
        return self.model_dump() | {
            "agrees": self.agrees,
            "limits_px": {"p50": LIMITS.p50_px, "p99": LIMITS.p99_px, "sure": LIMITS.sure_px},
            "limit_score_p99": LIMITS.score_p99,
            "unit": "pixels of the network's input",
        }


def compare(
    reference: Engine,
    engine: Engine,
    frames: Mapping[int, Image],
    *,
    crop: Crop | None = None,
    settings: BackendSettings | None = None,
    reference_settings: BackendSettings | None = None,
    progress: PartProgress = no_part_progress,
) -> EngineComparison:
    """Compare an engine with another on frames, each run in the arithmetic that its manifest asks for.

    Parameters
    ----------
    reference, engine : Engine
        Checked engines of the same keypoints and the same preprocessing.
    frames : mapping of int to ndarray, shape (height, width), uint8
        Whole camera frames of one size, by number.
    crop : Crop or None
        The face in the frame; the whole frame when None.
    settings : BackendSettings or None
        What runs the engine, and the reference as well unless that has settings of its own; the first back end that
        is there when None.
    reference_settings : BackendSettings or None
        What runs the reference.
    progress : callable
        As of `rtface.track.pictures.PartProgress`: the frames of the reference, then those of the engine.

    Raises
    ------
    EngineError
        The engines differ in more than their arithmetic: they are not of one network.
    BackendError, DataError, UsageError
        As of `rtface.track.pictures.track_pictures`.
    """
    ours, theirs = engine.manifest, reference.manifest
    if (ours.keypoints, ours.preprocessing_sha256) != (theirs.keypoints, theirs.preprocessing_sha256):
        raise EngineError(
            f"{ours.name} and {theirs.name} have other keypoints or another preprocessing: not of one network"
        )
    chosen = settings or BackendSettings()
    before = track_pictures(
        reference,
        frames,
        reference_settings or chosen,
        crop,
        partial(progress, f"the reference, {theirs.name}"),
    )
    after = track_pictures(engine, frames, chosen, crop, partial(progress, f"the engine, {ours.name}"))
    scale = ours.network_frame(before.crop).scale
    trained = [index for index, entry in enumerate(ours.keypoints) if entry.trained]
    names = [ours.keypoints[index].name for index in trained]
    shifts = shifts_of(ours, after.xy, after.score, before.xy, before.score, scale)
    box, chosen_rows = before.crop, choose_frames(shifts.px)
    pictures = list(frames.values())
    return EngineComparison(
        reference=theirs.name,
        engine=ours.name,
        reference_backend=before.backend,
        backend=after.backend,
        frames=len(frames),
        crop=(box.x, box.y, box.width, box.height),
        scale=scale,
        sure=round(float((before.score[:, trained] >= SURE).mean()), 4),
        shift_px=ShiftSummary.of(shifts.px),
        score_shift=ShiftSummary.of(shifts.score),
        sure_shift_px=ShiftSummary.of_any(shifts.sure_px),
        by_keypoint={name: ShiftSummary.of(shifts.px[:, column]) for column, name in enumerate(names)},
        worst=_worst(shifts.px, before.score[:, trained], list(frames), names),
        sample=ParitySample(
            np.stack([pictures[row] for row in chosen_rows]),
            box,
            before.xy[chosen_rows],
            before.score[chosen_rows],
        ),
    )


def _worst(
    shift: FloatValues, score: FloatArray, numbers: list[int], names: list[str]
) -> tuple[WorstFrame, ...]:
    column = shift.argmax(axis=1)
    order = np.argsort(-shift.max(axis=1), kind="stable")[:_WORST_FRAMES]
    return tuple(
        WorstFrame(
            numbers[row],
            names[column[row]],
            round(float(shift[row, column[row]]), 3),
            round(float(score[row, column[row]]), 3),
        )
        for row in order
    )
