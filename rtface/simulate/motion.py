"""How a simulated mouse moves: every quantity is a pure function of seed and time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rtface.simulate.chance import uniform_hash
from rtface.simulate.parameters import FaceParameters

_BANDS_HZ = {
    "nose_x": (0.1, 1.2),
    "nose_y": (0.1, 1.2),
    "sniff": (0.05, 0.3),
    "pad_x": (0.1, 1.5),
    "pad_y": (0.1, 1.5),
    "whisk": (0.05, 0.4),
    "whisk_phase": (0.05, 0.4),
    "set_point": (0.05, 0.6),
    "jaw": (0.1, 0.8),
    "chew": (0.05, 0.25),
    "lick": (0.04, 0.2),
    "gaze_x": (0.05, 0.5),
    "gaze_y": (0.05, 0.5),
    "pupil": (0.01, 0.15),
    "squint": (0.03, 0.4),
    "paw_x": (0.3, 2.0),
    "paw_y": (0.3, 2.0),
}
_COMPONENTS = 3


@dataclass(frozen=True, slots=True)
class MousePose:
    """The state of the face at one time; lengths in pixels of the reference face, angles in radians.

    Attributes
    ----------
    nose, pad, jaw : tuple of float
        Displacement (x, y) of nose, whisker pad and lower lip from rest.
    whisker_angle : float
        Common angle of the whiskers against rest, positive for protraction.
    whisker_spread : ndarray, shape (N,), float64
        What each whisker adds to it.
    tongue : float
        How far the tongue is out, 0 to 1.
    eye_closure : float
        0 open, 1 closed.
    gaze : tuple of float
        Displacement of the pupil.
    pupil : float
        Radius of the pupil over its mean.
    paw : float
        How far the paw is up, 0 to 1.
    paw_sway : tuple of float
        Displacement of the raised paw.
    """

    nose: tuple[float, float]
    pad: tuple[float, float]
    jaw: tuple[float, float]
    whisker_angle: float
    whisker_spread: NDArray[np.float64]
    tongue: float
    eye_closure: float
    gaze: tuple[float, float]
    pupil: float
    paw: float
    paw_sway: tuple[float, float]


class Engagement(NamedTuple):
    """How strong each rhythm is at one time, 0 to 1."""

    sniff: float
    whisk: float
    chew: float
    lick: float


def _bout(signal: float) -> float:
    """Turn a slow signal of unit variance into an envelope that is 0 most of the time and rises to 1."""
    return min(1.0, max(0.0, 1.6 * (signal - 0.2)))


class MouseMotion:
    """The movements of one mouse.

    Slow movements are sums of sines with seeded frequencies and phases, whisking, sniffing and chewing are
    rhythms under slow envelopes, and blinks and paw strokes are pulses placed by a hash of the window of time
    they fall in: so any moment can be had, in any order.

    Parameters
    ----------
    seed : int
        The same seed gives the same movements.
    whiskers : int
        Number of whiskers.
    movement : float
        Factor on every movement but blinks and the paw.
    blink_probability, paw_probability : float
        Of a blink in each 2.5 s and of a paw stroke in each 5 s.
    """

    def __init__(
        self, seed: int, whiskers: int, movement: float, blink_probability: float, paw_probability: float
    ) -> None:
        rng = np.random.default_rng([seed, 0x307E])
        bands = [*_BANDS_HZ.values(), *[(0.1, 2.0)] * whiskers]
        low, high = np.array(bands).T[:, :, None]
        shape = (len(bands), _COMPONENTS)
        self._omega = 2 * np.pi * np.exp(rng.uniform(np.log(low), np.log(high), shape))
        self._phase = rng.uniform(0, 2 * np.pi, shape)
        self._whisk_hz, self._sniff_hz = rng.uniform(9, 15), rng.uniform(5, 10)
        self._chew_hz, self._lick_hz = rng.uniform(4, 6), rng.uniform(6, 8)
        self._seed, self._movement = seed, movement
        self._blink_probability, self._paw_probability = blink_probability, paw_probability

    @staticmethod
    def of(seed: int, parameters: FaceParameters) -> MouseMotion:
        """Return the movements of a mouse of these habits."""
        return MouseMotion(
            seed,
            max(3, parameters.whiskers),
            parameters.movement,
            parameters.blink_probability,
            parameters.paw_probability,
        )

    def _pulse(
        self, kind: int, time_s: float, window_s: float, duration_s: float, probability: float
    ) -> float:
        window = math.floor(time_s / window_s)
        if uniform_hash(self._seed, kind, window, 0) >= probability:
            return 0.0
        start = window * window_s + uniform_hash(self._seed, kind, window, 1) * (window_s - duration_s)
        part = (time_s - start) / duration_s
        return math.sin(math.pi * part) if 0 < part < 1 else 0.0

    def _engagement(self, time_s: float, slow: Mapping[str, float]) -> Engagement:
        return Engagement(*(_bout(slow[each]) for each in Engagement._fields))

    def at(self, time_s: float) -> MousePose:
        """Return the pose at a time in seconds since the first frame."""
        waves = np.sin(self._omega * time_s + self._phase).sum(axis=1) * math.sqrt(2 / _COMPONENTS)
        slow = dict(zip(_BANDS_HZ, waves.tolist(), strict=False))
        turn, gain = 2 * math.pi * time_s, self._movement
        engaged = self._engagement(time_s, slow)
        sniff = engaged.sniff * math.sin(turn * self._sniff_hz)
        whisk = engaged.whisk * math.sin(turn * self._whisk_hz + 3 * slow["whisk_phase"])
        chew = engaged.chew * (0.5 - 0.5 * math.cos(turn * self._chew_hz))
        lick = engaged.lick * max(0.0, math.sin(turn * self._lick_hz))
        blink = min(1.0, 1.3 * self._pulse(1, time_s, 2.5, 0.25, self._blink_probability))
        paw = min(1.0, 1.6 * self._pulse(2, time_s, 5.0, 1.6, self._paw_probability))
        squint = 0.12 * gain * (1 + math.tanh(slow["squint"]))
        return MousePose(
            nose=(
                gain * (20 * math.tanh(slow["nose_x"]) + 5 * sniff),
                gain * (20 * math.tanh(slow["nose_y"]) + 9 * sniff),
            ),
            pad=(
                gain * (13 * math.tanh(slow["pad_x"]) - 9 * whisk),
                gain * (7 * math.tanh(slow["pad_y"]) + 3 * whisk),
            ),
            jaw=(
                gain * (6 * math.tanh(slow["jaw"]) + 4 * chew),
                gain * (5 * math.tanh(slow["jaw"]) + 12 * chew + 10 * lick),
            ),
            whisker_angle=gain * (0.45 * math.tanh(slow["set_point"]) + 0.4 * whisk),
            whisker_spread=0.08 * gain * waves[len(_BANDS_HZ) :],
            tongue=lick,
            eye_closure=squint + (1 - squint) * blink,
            gaze=(gain * 8 * math.tanh(slow["gaze_x"]), gain * 5 * math.tanh(slow["gaze_y"])),
            pupil=1 + 0.3 * gain * math.tanh(slow["pupil"]),
            paw=paw,
            paw_sway=(10 * gain * math.tanh(slow["paw_x"]), 8 * gain * math.tanh(slow["paw_y"])),
        )
