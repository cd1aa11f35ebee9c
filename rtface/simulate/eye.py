"""The eye of a simulated face: iris, pupil, corneal reflection, and the lids that cover them."""

from __future__ import annotations

import cv2
import numpy as np

from rtface.core.records import Image
from rtface.simulate.anatomy import EYE_BALL, EYE_HALF, Placement, Points, eye_margin
from rtface.simulate.fur import FRACTION_BITS, fixed_point
from rtface.simulate.motion import MousePose
from rtface.simulate.parameters import FaceParameters

_REACH = 1.25  # of the eye's half length: a square about the eyeball that holds the open eye
_GLINT = np.array([7.0, 4.0])


class Eye:
    """Draws the eye into a frame; what the lids leave open is seen.

    Parameters
    ----------
    place : Placement
        Where the face lies.
    parameters : FaceParameters
        How it is drawn.
    width, height : int
        Frame in pixels.
    """

    def __init__(self, place: Placement, parameters: FaceParameters, width: int, height: int) -> None:
        self._place, self._parameters = place, parameters
        self._half: float = EYE_HALF * place.scale * parameters.eye_size
        reach = _REACH * EYE_HALF * place.scale * max(1.0, parameters.eye_size)
        x, y = place(EYE_BALL).tolist()
        left, top = max(0, int(x - reach)), max(0, int(y - reach))
        right, bottom = min(width, int(x + reach) + 2), min(height, int(y + reach) + 2)
        self._window = np.s_[top:bottom, left:right]
        self._corner = np.array([left, top], float)
        shape = (max(0, bottom - top), max(0, right - left))
        self._ball = np.full(shape, parameters.iris, np.uint8)
        if self._ball.size:
            rim = min(255, int(1.5 * parameters.iris + 6))
            thickness = max(1, round(6 * place.scale))
            self._circle(self._ball, place(EYE_BALL), 0.9 * self._half, rim, thickness)
            blurred = cv2.GaussianBlur(self._ball, (0, 0), max(0.3, 4 * place.scale))
            self._ball = np.asarray(blurred, np.uint8)
        self._seen, self._lids = np.empty(shape, np.uint8), np.empty(shape, np.uint8)

    def pupil_centre(self, pose: MousePose) -> Points:
        """Return x and y of the pupil in frame pixels."""
        return self._place(EYE_BALL + np.array(pose.gaze))

    def pupil_radius(self, pose: MousePose) -> float:
        """Return the radius of the pupil in frame pixels."""
        return self._half * self._parameters.pupil_size * pose.pupil

    def draw(self, pose: MousePose, out: Image) -> None:
        """Draw the eye over a frame, shape (height, width), that shows closed fur in its place."""
        if not self._seen.size:
            return
        seen, lids, parameters = self._seen, self._lids, self._parameters
        np.copyto(seen, self._ball)
        self._circle(seen, self.pupil_centre(pose), self.pupil_radius(pose), parameters.pupil, -1)
        self._circle(seen, self._place(EYE_BALL + _GLINT), max(0.6, 0.07 * self._half), parameters.glint, -1)
        margin = self._place(eye_margin(pose.eye_closure))
        lids.fill(0)
        cv2.fillPoly(lids, [fixed_point(margin - self._corner)], 255, cv2.LINE_AA, FRACTION_BITS)
        window = out[self._window]
        fur = cv2.multiply(window, cv2.bitwise_not(lids), scale=1 / 255)
        np.copyto(window, cv2.add(cv2.multiply(seen, lids, scale=1 / 255), fur))
        thickness = max(1, round(3 * self._place.scale))
        gray = parameters.pupil + 6
        cv2.polylines(out, [fixed_point(margin)], True, gray, thickness, cv2.LINE_AA, FRACTION_BITS)

    def _circle(self, image: Image, centre: Points, radius: float, gray: int, thickness: int) -> None:
        middle = fixed_point(centre - self._corner).tolist()
        cv2.circle(
            image, middle, round(radius * (1 << FRACTION_BITS)), gray, thickness, cv2.LINE_AA, FRACTION_BITS
        )
