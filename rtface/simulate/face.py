"""A mouse's face in side view, rendered frame by frame, with its true keypoints."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from rtface.core.errors import UsageError
from rtface.core.records import FACEMAP_KEYPOINTS, FloatArray, Image
from rtface.simulate.anatomy import RESTING, Placement, Points, eye_keypoints
from rtface.simulate.chance import uniform_hash
from rtface.simulate.eye import Eye
from rtface.simulate.fur import FRACTION_BITS, fixed_point, render_still
from rtface.simulate.motion import MouseMotion, MousePose
from rtface.simulate.muzzle import Muzzle
from rtface.simulate.parameters import FaceParameters

SMALLEST_SIDE = 64
_NOISE_PLAY = 61
_PAW_LOW = 150.0  # reference pixels that the paw rises
_PAW_SEEN = 0.3
_WHISKER_JOINTS = 10
_INNER_JOINTS = 3

_EYE_ROWS = [FACEMAP_KEYPOINTS.index(f"eye({part})") for part in ("back", "bottom", "front", "top")]
_PAW_ROW = FACEMAP_KEYPOINTS.index("paw")
_REST = np.array([RESTING[name] for name in FACEMAP_KEYPOINTS], float)
# Whisker angles in radians from the image's x axis towards y: whisker (I) points forward, (III) down.
_NAMED_WHISKERS = (("whisker(I)", 2.95), ("whisker(II)", 2.55), ("whisker(III)", 2.1))


class MouseFace:
    """One simulated mouse before one simulated camera.

    `render` and `truth` are pure functions of the constructor's arguments and the frame's index: any frame can be
    rendered at any time, in any order, with the same result. The still head is rendered once; a frame is a copy
    of it in which the muzzle is warped and eye, whiskers, tongue and paw are drawn, then the camera's noise.
    An instance holds work buffers that only `render` uses: one thread renders, any thread may call `truth`.

    Parameters
    ----------
    width, height : int
        Frame in pixels, 64 x 64 or larger.
    rate_hz : float
        Frames per second: frame `index` shows the time ``index / rate_hz``.
    seed : int
        Which mouse: its appearance (unless `parameters` are given), fur, whiskers and movements.
    parameters : FaceParameters, optional
        Appearance; ``FaceParameters.typical(seed)`` when absent.
    motion : MouseMotion, optional
        How it moves, of at least as many whiskers; the movements of seed and parameters when absent.

    Raises
    ------
    UsageError
        The frame is smaller than 64 x 64 pixels or the rate is not positive.
    """

    def __init__(
        self,
        width: int,
        height: int,
        rate_hz: float,
        seed: int,
        parameters: FaceParameters | None = None,
        motion: MouseMotion | None = None,
    ) -> None:
        if min(width, height) < SMALLEST_SIDE:
            raise UsageError(
                f"a simulated face needs {SMALLEST_SIDE} x {SMALLEST_SIDE} pixels, not {width} x {height}"
            )
        if not rate_hz > 0:
            raise UsageError(f"the rate of a simulated face must be above 0 Hz, not {rate_hz}")
        self.width, self.height, self.rate_hz, self.seed = width, height, rate_hz, seed
        self.parameters = parameters = parameters or FaceParameters.typical(seed)
        rng = np.random.default_rng([seed, 0xF0])
        self._place = place = Placement(parameters, width, height)
        self._motion = motion or MouseMotion.of(seed, parameters)
        self._make_whiskers(rng)
        self._still = render_still(place, parameters, self._roots, width, height, rng)
        self._muzzle = Muzzle(place, width, height)
        self._eye = Eye(place, parameters, width, height)
        self._make_noise(rng)
        self._rest = place(_REST)

    @classmethod
    def randomised(cls, width: int, height: int, rate_hz: float, seed: int) -> MouseFace:
        """Return a mouse whose appearance is drawn from the wide range of `FaceParameters.randomised`."""
        return cls(width, height, rate_hz, seed, FaceParameters.randomised(seed))

    def render(self, index: int, out: Image) -> None:
        """Draw a frame.

        Parameters
        ----------
        index : int
            Number of the frame, 0 or more.
        out : ndarray, shape (height, width), uint8, C-contiguous
            The caller's memory; every pixel is written.

        Raises
        ------
        UsageError
            `out` has another shape or type.
        """
        if out.shape != self._still.shape or out.dtype != np.uint8:
            raise UsageError(
                f"a frame of this face is uint8 of shape {self._still.shape}, not {out.dtype} of shape {out.shape}"
            )
        pose = self._pose(index)
        np.copyto(out, self._still)
        self._muzzle.warp(pose, self._still, out)
        self._eye.draw(pose, out)
        if pose.tongue > 0.05:
            self._draw_tongue(pose, out)
        self._draw_whiskers(pose, out)
        if pose.paw > 0:
            self._draw_paw(pose, out)
        if self._brighter is not None and self._darker is not None:
            row = int(_NOISE_PLAY * uniform_hash(self.seed, 11, index))
            column = int(_NOISE_PLAY * uniform_hash(self.seed, 12, index))
            window = np.s_[row : row + self.height, column : column + self.width]
            cv2.add(out, self._brighter[window], dst=out)
            cv2.subtract(out, self._darker[window], dst=out)

    def truth(self, index: int) -> FloatArray:
        """Return the true keypoints of a frame.

        Parameters
        ----------
        index : int
            Number of the frame, 0 or more.

        Returns
        -------
        ndarray, shape (15, 2), float32
            x and y in pixels of the full frame, in the order of `rtface.core.records.FACEMAP_KEYPOINTS`; NaN for a paw
            that is not up. A point that has moved out of the frame keeps its coordinates.
        """
        pose = self._pose(index)
        points = self._muzzle.moved(pose, self._rest)
        points[_EYE_ROWS] = self._place(eye_keypoints(pose.eye_closure))
        paw = self._paw(pose)
        x, y = paw
        seen = pose.paw > _PAW_SEEN and 0 <= x < self.width and 0 <= y < self.height
        points[_PAW_ROW] = paw if seen else np.nan
        return points.astype(np.float32)

    def pupil(self, index: int) -> tuple[float, float, float]:
        """Return x, y and radius of the pupil in pixels, as if no eyelid covered it."""
        pose = self._pose(index)
        x, y = self._eye.pupil_centre(pose).tolist()
        return x, y, self._eye.pupil_radius(pose)

    def eye_closure(self, index: int) -> float:
        """Return how far the eye is closed, from 0 (open) to 1 (shut)."""
        return self._pose(index).eye_closure

    def whisker_angle(self, index: int) -> float:
        """Return the common angle of the whiskers against rest in radians, positive for protraction."""
        return self._pose(index).whisker_angle

    def _pose(self, index: int) -> MousePose:
        return self._motion.at(index / self.rate_hz)

    def _make_whiskers(self, rng: np.random.Generator) -> None:
        parameters = self.parameters
        named = len(_NAMED_WHISKERS)
        more = max(3, parameters.whiskers) - named
        roots = [RESTING[name] for name, _ in _NAMED_WHISKERS]
        angles = [angle for _, angle in _NAMED_WHISKERS]
        extra = rng.uniform((-62, -62), (50, 62), (more, 2)) + RESTING["whisker(II)"]
        self._roots = np.concatenate([np.array(roots, float), extra])
        lean = 2.55 - 0.009 * (extra[:, 1] - 236) + rng.normal(0, 0.2, more)
        self._angles = np.concatenate([np.array(angles) + rng.normal(0, 0.06, named), lean])
        self._lengths = rng.uniform(190, 330, named + more)
        self._curl = rng.normal(-0.5, 0.25, named + more)
        self._lit = np.arange(named + more) % 3 != 2
        contrast = parameters.whisker_contrast
        root = float(parameters.fur + 90 * parameters.light)
        self._inner_gray = int(np.clip(root * (1 - 0.85 * contrast), 0, 255))
        away = parameters.background
        strong = away + contrast * (190 if away < 110 else -110)
        faint = away + contrast * (75 if away < 110 else -50)
        self._outer_grays = int(np.clip(strong, 0, 255)), int(np.clip(faint, 0, 255))
        self._whisker_width = max(1, round(2.0 * self._place.scale))
        self._roots_in_frame = self._place(self._roots)
        self._along = np.linspace(0, 1, _WHISKER_JOINTS)

    def _make_noise(self, rng: np.random.Generator) -> None:
        self._brighter: Image | None = None
        self._darker: Image | None = None
        if self.parameters.noise > 0:
            shape = (self.height + _NOISE_PLAY, self.width + _NOISE_PLAY)
            noise = np.rint(rng.standard_normal(shape, np.float32) * np.float32(self.parameters.noise))
            self._brighter = np.clip(noise, 0, 255).astype(np.uint8)
            self._darker = np.clip(-noise, 0, 255).astype(np.uint8)

    def _whisker_paths(self, pose: MousePose) -> NDArray[np.int32]:
        """Return the joints of all whiskers, shape (N, joints, 2), as fixed-point frame pixels."""
        swing = self._angles + pose.whisker_angle + pose.whisker_spread
        angle = swing[:, None] + self._curl[:, None] * self._along
        step = self._lengths[:, None] / (_WHISKER_JOINTS - 1)
        steps = np.stack([step * np.cos(angle), step * np.sin(angle)], axis=-1)
        paths = np.cumsum(steps, axis=1) - steps[:, :1]
        roots = self._muzzle.moved(pose, self._roots_in_frame)
        return fixed_point(paths @ self._place.linear.T + roots[:, None])

    def _draw_whiskers(self, pose: MousePose, out: Image) -> None:
        paths, lit = self._whisker_paths(pose), self._lit
        outer, inner = paths[:, _INNER_JOINTS - 1 :], paths[:, :_INNER_JOINTS]
        strong, faint = self._outer_grays
        cv2.polylines(out, list(outer[~lit]), False, faint, 1, cv2.LINE_AA, FRACTION_BITS)
        cv2.polylines(out, list(outer[lit]), False, strong, 1, cv2.LINE_AA, FRACTION_BITS)
        cv2.polylines(
            out, list(inner), False, self._inner_gray, self._whisker_width, cv2.LINE_AA, FRACTION_BITS
        )

    def _draw_tongue(self, pose: MousePose, out: Image) -> None:
        root = self._muzzle.moved(pose, self._place(np.array([(318.0, 404.0)])))[0]
        tip = root + self._place.linear @ np.array([-20.0, 22.0]) * pose.tongue
        ends = fixed_point(np.stack([root, tip]))
        thickness = max(1, round(19 * self._place.scale))
        gray = int(min(255, 70 + 60 * self.parameters.light))
        cv2.line(out, ends[0].tolist(), ends[1].tolist(), gray, thickness, cv2.LINE_AA, FRACTION_BITS)

    def _paw(self, pose: MousePose) -> Points:
        low = np.array([0.0, _PAW_LOW * (1 - pose.paw)])
        paw: Points = self._rest[_PAW_ROW] + self._place.linear @ (low + np.array(pose.paw_sway))
        return paw

    def _draw_paw(self, pose: MousePose, out: Image) -> None:
        paw, scale = self._paw(pose), self._place.scale
        gray = int(min(255, self.parameters.fur + 60 * self.parameters.light))
        arm = paw + np.array([(0.0, 0.0), (36.0, 70.0), (300.0, 1600.0)]) @ self._place.linear.T
        cv2.polylines(
            out,
            [fixed_point(arm)],
            False,
            gray * 2 // 3,
            max(1, round(44 * scale)),
            cv2.LINE_AA,
            FRACTION_BITS,
        )
        fingers = (
            np.array([(-44.0, -12.0), (-36.0, -32.0), (-16.0, -44.0), (8.0, -42.0)]) @ self._place.linear.T
        )
        lines = [fixed_point(np.stack([paw, paw + finger])) for finger in fingers]
        cv2.polylines(out, lines, False, gray, max(1, round(13 * scale)), cv2.LINE_AA, FRACTION_BITS)
        centre = fixed_point(paw).tolist()
        cv2.circle(out, centre, int(27 * scale * (1 << FRACTION_BITS)), gray, -1, cv2.LINE_AA, FRACTION_BITS)
