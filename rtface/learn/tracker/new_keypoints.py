"""Whether new keypoints were learnt: held against a constant guess, the mean position of their labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rtface.core.records import FloatArray
from rtface.learn.tracker.evaluation import Predictions
from rtface.learn.tracker.step_search import robust_error

FEWEST_LABELS = 5
"""Held-out labels of a keypoint below which it is judged on the frames that it was learnt from."""

STILL_PX = 2.0
"""Error in pixels of the network's input that is enough even where a constant guess does better: the point stays still."""


@dataclass(frozen=True, slots=True)
class NewKeypoint:
    """What became of a new keypoint; errors in pixels of the network's input, none counted beyond 16.

    Attributes
    ----------
    name : str
    labels : int
        Those that it was judged by.
    held_out : bool
        Whether they are of frames that it was not learnt from.
    error_px : float
    constant_px : float
        Error of a constant guess, the mean position of the labels that it was learnt from.
    """

    name: str
    labels: int
    held_out: bool
    error_px: float
    constant_px: float

    @property
    def learnt(self) -> bool:
        """Whether it is better than the constant guess, or as near as a point that stays still needs."""
        return self.error_px < self.constant_px or self.error_px <= STILL_PX

    def in_words(self) -> str:
        """Return its errors as a sentence's part."""
        on = "held-out frames" if self.held_out else "frames that it was learnt from"
        return (
            f"{self.name} is off by {self.error_px:.1f} px of the network's input on {self.labels} {on}, where its "
            f"mean position is off by {self.constant_px:.1f}"
        )


def judged(
    names: Sequence[str],
    new: Sequence[int],
    learnt: Predictions,
    held_out: Predictions | None,
    places: Sequence[int],
) -> list[NewKeypoint]:
    """Judge new keypoints.

    Parameters
    ----------
    names : sequence of str
        Of all keypoints.
    new : sequence of int
        Places of the new ones.
    learnt : Predictions
        Of the engine's network on all labelled pictures.
    held_out : Predictions or None
        Of the network that did not learn from the held-out pictures, on these.
    places : sequence of int
        Those pictures' places among all.
    """
    rest = np.setdiff1d(np.arange(len(learnt.distance)), np.array(places, int))
    found = []
    for keypoint in new:
        apart = (
            held_out is not None and int((~np.isnan(held_out.distance[:, keypoint])).sum()) >= FEWEST_LABELS
        )
        if apart and held_out is not None and not np.isnan(learnt.labelled[rest, keypoint]).all():
            judge, guess = held_out, _mean(learnt.labelled[rest, keypoint])
        else:
            apart, judge, guess = False, learnt, _mean(learnt.labelled[:, keypoint])
        distance = judge.distance[:, keypoint]
        constant = np.linalg.norm(judge.labelled[:, keypoint] - guess, axis=1).astype(np.float32)
        found.append(
            NewKeypoint(
                names[keypoint],
                int((~np.isnan(distance)).sum()),
                apart,
                round(robust_error(distance), 2),
                round(robust_error(constant), 2),
            )
        )
    return found


def _mean(points: FloatArray) -> FloatArray:
    return np.asarray(np.nanmean(points, axis=0), np.float32)
