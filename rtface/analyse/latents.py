"""Known causal functions of keypoints that drive a simulated population."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from rtface.analyse.behaviour import Behaviour

Kind = Literal["linear", "speed", "onset", "threshold", "fold", "coincidence"]
KINDS: tuple[Kind, ...] = ("linear", "speed", "onset", "threshold", "fold", "coincidence")

_CYCLE: tuple[Kind, ...] = ("linear", "onset", "threshold", "speed", "linear", "fold", "speed", "coincidence")
_FASTEST_S, _SLOWEST_S = 0.05, 1.2
_RISE = 0.3
_GROUPS = ("whisker", "nose", "eye", "lowerlip", "mouth")


@dataclass(frozen=True, eq=False)
class Latent:
    """One causal function of keypoints.

    With p the standardised coordinates, v their change from the frame before over its standard deviation, and k a
    kernel that rises and decays exponentially, of unit sum, the latent is

    =========== ==========================================
    linear      k * (a.p)
    speed       k * abs(a.v)
    onset       k * max(0, a.v)
    threshold   max(0, k * (a.p) - its mean)
    fold        abs(k * (a.p) - its mean)
    coincidence k * sqrt(abs(a.v) abs(b.v))
    =========== ==========================================

    and then centred and scaled to unit variance over the session.

    Attributes
    ----------
    kind : str
        As in the table.
    a, b : ndarray, shape (F,), float64
        Directions over the coordinates; b is 0 but for a coincidence.
    rise_s, decay_s : float
        Time constants of the kernel in seconds.
    """

    kind: Kind
    a: NDArray[np.float64]
    b: NDArray[np.float64]
    rise_s: float
    decay_s: float


def draw_latents(names: tuple[str, ...], count: int, rng: np.random.Generator) -> list[Latent]:
    """Draw latents, each of the keypoints of one part of the face (a coincidence of two).

    Parameters
    ----------
    names : tuple of str, length K
        The keypoints; latents are over their F = 2 K coordinates, x before y.
    count : int
        How many. The kinds take turns: a quarter is linear, a quarter speed, an eighth each other kind.
    rng : Generator
        Draws directions and time constants.
    """
    groups = [[i for i, name in enumerate(names) if name.startswith(group)] for group in _GROUPS]
    parts = [part for part in groups if part] or [list(range(len(names)))]
    decays = np.geomspace(_FASTEST_S, _SLOWEST_S, count)[rng.permutation(count)]

    def direction(part: list[int]) -> NDArray[np.float64]:
        weights = np.zeros((len(names), 2))
        weights[part] = rng.standard_normal(2) + 0.5 * rng.standard_normal((len(part), 2))
        unit: NDArray[np.float64] = weights.ravel() / np.linalg.norm(weights)
        return unit

    drawn = []
    for index in range(count):
        kind = _CYCLE[index % len(_CYCLE)]
        one, other = rng.permutation(len(parts))[[0, -1]]
        a, b = direction(parts[one]), direction(parts[other])
        decay = float(decays[index])
        drawn.append(Latent(kind, a, b if kind == "coincidence" else np.zeros_like(b), _RISE * decay, decay))
    return drawn


def kernel_response(
    signal: NDArray[np.float64], rise_s: float, decay_s: float, rate_hz: float
) -> NDArray[np.float64]:
    """Return `signal` (T, ...) after the causal kernel of unit sum, as if it had always been at its first value.

    Two first-order low-passes in a row: the impulse response is proportional to ``exp(-t/decay) - exp(-t/rise)``.
    """
    out = signal - signal[:1]
    for tau in (rise_s, decay_s):
        pole = np.exp(-1 / (tau * rate_hz))
        out = lfilter([1 - pole], [1, -pole], out, axis=0)
    response: NDArray[np.float64] = out + signal[:1]
    return response


def latent_traces(behaviour: Behaviour, latents: list[Latent]) -> NDArray[np.float32]:
    """Return the latents frame by frame, each of mean 0 and variance 1 over the session, shape (T, L)."""
    flat = behaviour.xy.reshape(len(behaviour), -1).astype(np.float64)
    change = np.diff(flat, axis=0, prepend=flat[:1])
    flat, change = _standardised(flat), change / np.maximum(change.std(axis=0), 1e-6)
    traces = np.empty((len(flat), len(latents)), np.float32)
    for index, latent in enumerate(latents):
        traces[:, index] = _standardised(_trace(latent, flat, change, behaviour.rate_hz))
    return traces


def _trace(
    latent: Latent, place: NDArray[np.float64], change: NDArray[np.float64], rate_hz: float
) -> NDArray[np.float64]:
    if latent.kind in ("linear", "threshold", "fold"):
        smooth = kernel_response(place @ latent.a, latent.rise_s, latent.decay_s, rate_hz)
        if latent.kind == "linear":
            return smooth
        away = smooth - smooth.mean()
        bent: NDArray[np.float64] = np.maximum(0, away) if latent.kind == "threshold" else np.abs(away)
        return bent
    along = change @ latent.a
    if latent.kind == "speed":
        drive = np.abs(along)
    elif latent.kind == "onset":
        drive = np.maximum(0, along)
    else:
        drive = np.sqrt(np.abs(along) * np.abs(change @ latent.b))
    return kernel_response(drive, latent.rise_s, latent.decay_s, rate_hz)


def _standardised(values: NDArray[np.float64]) -> NDArray[np.float64]:
    away = values - values.mean(axis=0)
    standardised: NDArray[np.float64] = away / np.maximum(away.std(axis=0), 1e-6)
    return standardised
