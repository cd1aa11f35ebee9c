"""A mouse whose behaviour goes from one discrete mood to the next, as a Markov chain that is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from rtface.core.errors import UsageError
from rtface.simulate.motion import Engagement, MouseMotion, MousePose
from rtface.simulate.parameters import FaceParameters

MOODS = ("rest", "alert", "whisk", "explore", "sniff", "lick")
"""Names of the moods, in the order of the ring."""

# fmt: off
_HABITS = np.array([
    # sniff whisk chew lick  nose_x nose_y pad_x  jaw  angle squint pupil
    [0.00, 0.00, 0.00, 0.00,  12.0,  12.0,  9.0, -4.0, -0.25, 0.40, 0.85],  # rest
    [0.05, 0.15, 0.00, 0.00,   4.0, -18.0,  1.0, -4.0,  0.05, 0.00, 1.15],  # alert
    [0.05, 1.00, 0.00, 0.00,  -3.0,  -3.0,-13.0,  0.0,  0.30, 0.05, 1.05],  # whisk
    [0.90, 0.80, 0.00, 0.00, -20.0, -12.0,-10.0,  2.0,  0.25, 0.00, 1.20],  # explore
    [1.00, 0.10, 0.05, 0.00, -12.0,  13.0,  0.0,  3.0,  0.00, 0.15, 1.00],  # sniff
    [0.05, 0.10, 0.90, 0.80,   4.0,   4.0,  5.0, 10.0, -0.10, 0.25, 0.95],  # lick
])
# fmt: on
_SETTLING_S = 0.1
_OTHER = 0.06
_DRIFT = 0.15


def ring_jumps(states: int, circulation: float) -> NDArray[np.float64]:
    """Return where a mood goes to when it ends: mostly to a neighbour on a ring.

    Parameters
    ----------
    states : int
        2 to 6.
    circulation : float
        Part of the jumps between neighbours that go forward. At 1/2 the chain is reversible (it is the same
        played backwards), at 1 it runs round the ring.

    Returns
    -------
    ndarray, shape (states, states), float64
        Rows sum to 1; the diagonal is 0. With 2 states there is nothing to circulate.

    Raises
    ------
    UsageError
        Any of the two lies outside its range.
    """
    if not 2 <= states <= len(MOODS):
        raise UsageError(f"a simulated mouse has 2 to {len(MOODS)} moods, not {states}")
    if not 0 <= circulation <= 1:
        raise UsageError(f"circulation is from 0 to 1, not {circulation}")
    jumps = np.full((states, states), _OTHER / (states - 1))
    here = np.arange(states)
    jumps[here, (here + 1) % states] += (1 - _OTHER) * circulation
    jumps[here, (here - 1) % states] += (1 - _OTHER) * (1 - circulation)
    np.fill_diagonal(jumps, 0)
    jumps /= jumps.sum(axis=1, keepdims=True)
    return jumps


def sample_moods(
    jumps: NDArray[np.float64], mean_dwell: float, steps: int, rng: np.random.Generator
) -> NDArray[np.int8]:
    """Draw a Markov chain whose dwell times are geometric.

    Parameters
    ----------
    jumps : ndarray, shape (S, S), float64
        As `ring_jumps` gives them.
    mean_dwell : float
        Mean length of a visit in steps, above 1.
    steps : int
        Length of the chain.

    Returns
    -------
    ndarray, shape (steps,), int8
    """
    if not mean_dwell > 1:
        raise UsageError(f"a mood lasts longer than one step, not {mean_dwell} steps")
    path = np.empty(steps, np.int8)
    edges = np.cumsum(jumps, axis=1)
    at, mood = 0, int(rng.integers(len(jumps)))
    while at < steps:
        stay = int(rng.geometric(1 / mean_dwell))
        path[at : at + stay] = mood
        at += stay
        mood = min(int(np.searchsorted(edges[mood], rng.random(), side="right")), len(jumps) - 1)
    return path


class MoodyMotion(MouseMotion):
    """The movements of a mouse in its moods.

    A mood sets how strong each rhythm is and where nose, whiskers, jaw and eyelids are held; the slow movements of
    `MouseMotion` go on beneath it, at a seventh of their size. Changes of mood settle with a time constant of 0.1 s.

    Parameters
    ----------
    seed : int
        Of the movements; the moods are drawn by whoever gives them.
    parameters : FaceParameters
        Habits of the mouse.
    moods : ndarray, shape (T,), integer
        The mood of each tick, from 0 to 5. A time beyond the last tick has the last mood.
    tick_hz : float
        Ticks per second.
    """

    def __init__(
        self, seed: int, parameters: FaceParameters, moods: NDArray[np.integer], tick_hz: float
    ) -> None:
        if len(moods) == 0 or moods.min() < 0 or moods.max() >= len(MOODS):
            raise UsageError(f"moods are one or more numbers from 0 to {len(MOODS) - 1}")
        super().__init__(
            seed,
            max(3, parameters.whiskers),
            _DRIFT * parameters.movement,
            parameters.blink_probability,
            parameters.paw_probability,
        )
        self._tick_hz = tick_hz
        self._habits = _settled(_HABITS[moods], 1 / (_SETTLING_S * tick_hz))

    def _now(self, time_s: float) -> NDArray[np.float64]:
        now: NDArray[np.float64] = self._habits[
            min(max(0, round(time_s * self._tick_hz)), len(self._habits) - 1)
        ]
        return now

    def _engagement(self, time_s: float, slow: object) -> Engagement:
        return Engagement(*(self._now(time_s)[: len(Engagement._fields)] / _DRIFT).tolist())

    def at(self, time_s: float) -> MousePose:
        """See `MouseMotion.at`."""
        pose = super().at(time_s)
        nose_x, nose_y, pad_x, jaw, angle, squint, pupil = self._now(time_s)[
            len(Engagement._fields) :
        ].tolist()
        return replace(
            pose,
            nose=(pose.nose[0] + nose_x, pose.nose[1] + nose_y),
            pad=(pose.pad[0] + pad_x, pose.pad[1]),
            jaw=(pose.jaw[0], pose.jaw[1] + jaw),
            whisker_angle=pose.whisker_angle + angle,
            tongue=min(1.0, pose.tongue),
            eye_closure=pose.eye_closure + (1 - pose.eye_closure) * squint,
            pupil=pose.pupil * pupil,
        )


def _settled(target: NDArray[np.float64], weight: float) -> NDArray[np.float64]:
    """Low-pass each column of `target` (T, H) with a first-order filter."""
    settled, now = np.empty_like(target), target[0]
    keep = min(1.0, weight)
    for index, level in enumerate(target):
        now = now + keep * (level - now)
        settled[index] = now
    return settled
