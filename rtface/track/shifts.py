"""How far keypoints lie from where a reference found them, in the terms of the parity limits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rtface.core.records import FloatArray
from rtface.track.manifest import Manifest

_NOWHERE = 2.0
"""Lengths of the network's input that a point which is no number counts as being away; its score as off by 1."""

FloatValues = NDArray[np.float64]


def shifts_of(
    manifest: Manifest,
    xy: FloatArray,
    score: FloatArray,
    reference_xy: FloatArray,
    reference_score: FloatArray,
    scale: float,
) -> tuple[FloatValues, FloatValues]:
    """Return the shift of each trained keypoint and of its score.

    Parameters
    ----------
    manifest : Manifest
        Of the engine.
    xy, reference_xy : ndarray, shape (n, K, 2), float32
        In camera pixels.
    score, reference_score : ndarray, shape (n, K), float32
    scale : float
        Camera pixels to a pixel of the network's input.

    Returns
    -------
    shift : ndarray, shape (n, trained), float64
        In pixels of the network's input.
    score_shift : ndarray, shape (n, trained), float64
    """
    trained = [index for index, entry in enumerate(manifest.keypoints) if entry.trained]
    apart = np.linalg.norm((xy - reference_xy)[:, trained].astype(np.float64), axis=2) / scale
    off = np.abs(score[:, trained].astype(np.float64) - reference_score[:, trained])
    return np.where(np.isfinite(apart), apart, _NOWHERE * manifest.input.size), np.where(
        np.isfinite(off), off, 1.0
    )
