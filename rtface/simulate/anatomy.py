"""The reference mouse face and how it is placed into a frame.

The reference is a side view with the nose to the left, drawn in a frame of 864 x 646 pixels; its layout follows
the mean positions of hand labels on frames of that size.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from rtface.core.records import FACEMAP_KEYPOINTS
from rtface.simulate.parameters import FaceParameters

Points = NDArray[np.float64]

REFERENCE_WIDTH, REFERENCE_HEIGHT = 864, 646

RESTING = {
    "eye(back)": (637, 150),
    "eye(bottom)": (568, 173),
    "eye(front)": (503, 109),
    "eye(top)": (582, 65),
    "lowerlip": (346, 425),
    "mouth": (307, 396),
    "nose(bottom)": (152, 248),
    "nose(r)": (158, 204),
    "nose(tip)": (122, 185),
    "nose(top)": (170, 133),
    "nosebridge": (296, 77),
    "paw": (340, 500),
    "whisker(I)": (344, 193),
    "whisker(III)": (336, 280),
    "whisker(II)": (340, 236),
}
"""The keypoints of the reference face at rest, in its pixels; the paw where it is when it is up."""

# The outline, clockwise from the tip of the nose; far beyond the frame at right, so that the body fills any frame.
# fmt: off
OUTLINE = np.array([
    (122, 185), (125, 162), (142, 144), (170, 133), (215, 114), (258, 96), (296, 77), (348, 50), (410, 24),
    (480, -8), (560, -42), (680, -85), (850, -110), (1100, -120), (1800, -120), (1800, 2000), (1500, 2000),
    (1150, 1150), (960, 800), (800, 648), (730, 590), (690, 548), (650, 512), (600, 486), (540, 474),
    (470, 465), (410, 449), (376, 437), (346, 425), (326, 411), (312, 397), (307, 396), (260, 384),
    (215, 357), (186, 325), (166, 282), (152, 248), (132, 218),
], dtype=np.float64)
CHIN = np.array([
    (140, 144), (124, 185), (134, 220), (154, 250), (170, 285), (190, 325), (218, 355), (260, 382), (307, 396),
    (346, 425), (410, 447), (470, 463),
], dtype=np.float64)
# fmt: on
"""Where the light falls: from the nose along the chin."""
THROAT = np.array([(600, 486), (650, 512), (690, 548), (730, 590), (800, 648), (960, 800)], dtype=np.float64)

EYE_FRONT, EYE_BACK = np.array(RESTING["eye(front)"], float), np.array(RESTING["eye(back)"], float)
_EYE_AXIS = (EYE_BACK - EYE_FRONT) / 2
EYE_HALF = float(np.hypot(*_EYE_AXIS))
EYE_MIDDLE = (EYE_FRONT + EYE_BACK) / 2
_EYE_ALONG = _EYE_AXIS / EYE_HALF
_EYE_UP = np.array([_EYE_ALONG[1], -_EYE_ALONG[0]])
_UPPER_LID, _LOWER_LID, _CLOSED_LID = 67.0, -43.0, -16.0  # heights above the line between the corners
_TOP_AT, _BOTTOM_AT = -8.0 / EYE_HALF, 10.0 / EYE_HALF  # where along the lids the keypoints sit, -1 to 1
_LID_STEPS = np.sin(np.linspace(-np.pi / 2, np.pi / 2, 17))
EYE_BALL = EYE_MIDDLE + 11 * _EYE_UP


def _lid(at: NDArray[np.float64], height: float) -> Points:
    arch = height * (1 - at**2) ** 0.55
    lid: Points = EYE_MIDDLE + at[:, None] * _EYE_AXIS + arch[:, None] * _EYE_UP
    return lid


def eye_margin(closure: float) -> Points:
    """Return the margin of the eyelids as a closed polygon, shape (N, 2), in reference pixels."""
    upper = _UPPER_LID + closure * (_CLOSED_LID - _UPPER_LID)
    lower = _LOWER_LID + closure * (_CLOSED_LID - _LOWER_LID)
    return np.concatenate([_lid(_LID_STEPS, upper), _lid(_LID_STEPS[-2:0:-1], lower)])


def eye_keypoints(closure: float) -> Points:
    """Return back, bottom, front and top of the eyelid margin, shape (4, 2), in reference pixels."""
    upper = _UPPER_LID + closure * (_CLOSED_LID - _UPPER_LID)
    lower = _LOWER_LID + closure * (_CLOSED_LID - _LOWER_LID)
    top, bottom = _lid(np.array([_TOP_AT]), upper), _lid(np.array([_BOTTOM_AT]), lower)
    return np.concatenate([EYE_BACK[None], bottom, EYE_FRONT[None], top])


class Placement:
    """Where the reference face lies in one frame.

    The eye and the snout of an individual are shifted by smooth local displacements; then the face is stretched,
    mirrored, rotated, scaled and moved so that its resting keypoints lie inside the frame.

    Parameters
    ----------
    parameters : FaceParameters
        The individual.
    width, height : int
        The frame in pixels.

    Attributes
    ----------
    scale : float
        Frame pixels per reference pixel.
    linear : ndarray, shape (2, 2), float64
        Turns displacements in reference pixels into displacements in frame pixels.
    """

    def __init__(self, parameters: FaceParameters, width: int, height: int) -> None:
        angle = math.radians(parameters.rotation_deg)
        turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        stretch = np.diag([math.sqrt(parameters.stretch), 1 / math.sqrt(parameters.stretch)])
        flip = np.diag([-1.0 if parameters.mirror else 1.0, 1.0])
        self._eye_shift, self._eye_size = np.array(parameters.eye_shift), parameters.eye_size
        self._snout_shift = np.array(parameters.snout_shift)

        frame = np.array([width, height], float)
        unscaled = turn @ flip @ stretch
        resting = (
            self._individual(np.array([RESTING[name] for name in FACEMAP_KEYPOINTS], float)) @ unscaled.T
        )
        low, high = resting.min(axis=0), resting.max(axis=0)
        margin = np.array([0.07, 0.04])  # of the frame: movements stay inside it too
        whole = min(width / REFERENCE_WIDTH, height / REFERENCE_HEIGHT) * parameters.scale
        self.scale: float = min(whole, *(frame * (1 - 2 * margin) / (high - low)).tolist())
        self.linear: Points = unscaled * self.scale
        slack = frame * (1 - 2 * margin) - (high - low) * self.scale
        # The reference face sits left of and above the middle of its frame, mirrored to the right of it.
        rest = np.array([0.73 if parameters.mirror else 0.27, 0.24])
        share = np.clip(rest + 0.35 * np.array([parameters.x, parameters.y]), 0, 1)
        self._offset = frame * margin + slack * share - low * self.scale

    def _individual(self, points: Points) -> Points:
        eye = np.exp(-((points - EYE_MIDDLE) ** 2).sum(axis=-1, keepdims=True) / (2 * 110.0**2))
        snout = np.exp(-((points - (200, 250)) ** 2).sum(axis=-1, keepdims=True) / (2 * 190.0**2))
        size = 1 + (self._eye_size - 1) * np.exp(
            -((points - EYE_MIDDLE) ** 2).sum(axis=-1, keepdims=True) / (2 * 150.0**2)
        )
        grown = EYE_MIDDLE + size * (points - EYE_MIDDLE)
        shifted: Points = grown + eye * self._eye_shift + snout * self._snout_shift
        return shifted

    def __call__(self, points: object) -> Points:
        """Turn reference pixels, shape (..., 2), into frame pixels."""
        placed: Points = self._individual(np.asarray(points, float)) @ self.linear.T + self._offset
        return placed
