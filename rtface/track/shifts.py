"""How far keypoints lie from where a reference found them, in the terms of the parity limits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtface.core.records import FloatArray
from rtface.track.manifest import Manifest

_NOWHERE = 2.0
"""Lengths of the network's input that a point which is no number counts as being away; its score as off by 1."""

SURE = 0.5
"""A score from which a point counts as found."""

FloatValues = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Shifts:
    """How far the trained keypoints of n frames lie from a reference's.

    Attributes
    ----------
    px : ndarray, shape (n, trained), float64
        In pixels of the network's input.
    score : ndarray, shape (n, trained), float64
        Absolute difference of the scores.
    sure : ndarray, shape (n, trained), bool
        Whether either of the two gave the point a score of `SURE` or more.
    """

    px: FloatValues
    score: FloatValues
    sure: NDArray[np.bool_]

    @property
    def sure_px(self) -> FloatValues:
        """The shifts of the points that either was sure of, shape (m,)."""
        return self.px[self.sure]


def shifts_of(
    manifest: Manifest,
    xy: FloatArray,
    score: FloatArray,
    reference_xy: FloatArray,
    reference_score: FloatArray,
    scale: float,
) -> Shifts:
    """Return the shifts of the trained keypoints and of their scores.

    Parameters
    ----------
    manifest : Manifest
        Of the engine.
    xy, reference_xy : ndarray, shape (n, K, 2), float32
        In camera pixels.
    score, reference_score : ndarray, shape (n, K), float32
    scale : float
        Camera pixels to a pixel of the network's input.
    """
    trained = [index for index, entry in enumerate(manifest.keypoints) if entry.trained]
    apart = np.linalg.norm((xy - reference_xy)[:, trained].astype(np.float64), axis=2) / scale
    ours, theirs = score[:, trained].astype(np.float64), reference_score[:, trained]
    off = np.abs(ours - theirs)
    return Shifts(
        np.where(np.isfinite(apart), apart, _NOWHERE * manifest.input.size),
        np.where(np.isfinite(off), off, 1.0),
        np.fmax(ours, theirs) >= SURE,
    )
