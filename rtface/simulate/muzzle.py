"""The soft movements of nose, whisker pad and jaw: a smooth warp of the still head and its exact inverse."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from rtface.core.records import Image
from rtface.simulate.anatomy import Placement, Points
from rtface.simulate.motion import MousePose

# Centre and radius in reference pixels of what moves with nose, whisker pad and jaw.
_PARTS = (((150, 190), 165.0), ((342, 237), 135.0), ((345, 425), 90.0))
_SOLVER_STEPS = 12
_EDGE = cv2.BORDER_REPLICATE


class Muzzle:
    """Warps the muzzle of a still head.

    A pixel p of a frame shows the still head at ``p - D(p)``, where D sums the displacements of the parts, each
    weighted by ``(1 - r^2)^3`` of the distance r from the part's centre over its radius. A point q of the still
    head is therefore seen at the p with ``p = q + D(p)``, which the contraction is iterated for.

    Parameters
    ----------
    place : Placement
        Where the face lies.
    width, height : int
        Frame in pixels.
    """

    def __init__(self, place: Placement, width: int, height: int) -> None:
        self._linear = place.linear
        self._centres = place(np.array([centre for centre, _ in _PARTS], float))
        self._radii = np.array([radius for _, radius in _PARTS]) * place.scale
        low = np.floor((self._centres - self._radii[:, None]).min(axis=0))
        high = np.ceil((self._centres + self._radii[:, None]).max(axis=0)) + 1
        left, top = np.clip(low, 0, (width, height)).astype(int).tolist()
        right, bottom = np.clip(high, 0, (width, height)).astype(int).tolist()
        self._window = np.s_[top:bottom, left:right]
        rows, columns = bottom - top, right - left
        self._here = np.empty((rows, columns, 2), np.float32)
        self._here[..., 0] = np.arange(left, right)
        self._here[..., 1] = np.arange(top, bottom)[:, None]
        step = max(1, int(6 * place.scale))
        coarse_rows, coarse_columns = -(-rows // step), -(-columns // step)
        middle = (step - 1) / 2
        coarse = np.empty((coarse_rows, coarse_columns, 2))
        coarse[..., 0] = left + np.arange(coarse_columns) * step + middle
        coarse[..., 1] = (top + np.arange(coarse_rows) * step + middle)[:, None]
        self._coarse_shape = coarse.shape
        self._weights = self._weights_at(coarse.reshape(-1, 2)).astype(np.float32)
        self._fine = np.empty((coarse_rows * step, coarse_columns * step, 2), np.float32)
        self._there = np.empty_like(self._here)

    def _weights_at(self, points: Points) -> NDArray[np.float64]:
        """Return the weight of each part at points, shape (N, 3)."""
        distance = ((points[:, None] - self._centres) ** 2).sum(axis=-1) / self._radii**2
        weight: NDArray[np.float64] = np.maximum(0, 1 - distance) ** 3
        return weight

    def _displacements(self, pose: MousePose) -> Points:
        return np.array([pose.nose, pose.pad, pose.jaw]) @ self._linear.T

    def warp(self, pose: MousePose, still: Image, out: Image) -> None:
        """Draw the moved muzzle over `out`, both of shape (height, width)."""
        if not self._there.size:
            return
        moves = self._displacements(pose).astype(np.float32)
        coarse = (self._weights @ moves).reshape(self._coarse_shape)
        fine = self._fine
        cv2.resize(coarse, (fine.shape[1], fine.shape[0]), dst=fine, interpolation=cv2.INTER_LINEAR)
        rows, columns = self._there.shape[:2]
        np.subtract(self._here, fine[:rows, :columns], out=self._there)
        # OpenCV's stubs lack that one map of two channels goes with None.
        moved = cv2.remap(still, self._there, None, cv2.INTER_LINEAR, borderMode=_EDGE)  # type: ignore[call-overload]
        np.copyto(out[self._window], moved)

    def moved(self, pose: MousePose, still: Points) -> Points:
        """Return where points of the still head, shape (N, 2) in frame pixels, are seen."""
        moves = self._displacements(pose)
        seen = still
        for _ in range(_SOLVER_STEPS):
            seen = still + self._weights_at(seen) @ moves
        return seen
