"""A population of simulated neurons: what it was drawn with, its traces, and what behaviour can explain of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from rtface.analyse.behaviour import Behaviour
from rtface.analyse.latents import Latent
from rtface.core.errors import UsageError
from rtface.core.records import FloatArray

BLOCK = 500
"""Neurons whose traces are drawn together; the unit of bounded memory and of the seeds."""

_ROOT_2PI = np.sqrt(2 * np.pi).astype(np.float32)


@dataclass(frozen=True)
class PopulationParameters:
    """What is simulated.

    Attributes
    ----------
    neurons : int
        How many.
    seconds : float
        Length of the session; that of the behaviour where one is given.
    camera_hz, neural_hz : float
        Frames per second of the camera (that of the behaviour where one is given) and of the microscope.
    moods : int
        Discrete states of the simulated mouse, 2 to 6.
    dwell_s : float
        Mean length of a visit to one.
    circulation : float
        How one-way the moods' ring is: 1/2 is reversible, 1 never goes back (`ring_jumps`).
    latents, hidden : int
        Latents that behaviour drives, and latents that it does not.
    clusters : int
        Groups of neurons of like tuning: the even ones lie in one patch of the sheet each and are driven less by
        behaviour, the odd ones lie all over it and are driven more.
    sheet_um : float
        Side of the square sheet of cortex in micrometres.
    modulation : float
        Standard deviation of a neuron's rate over its mean, before rectification; each neuron's differs by +-30 %.
    noise : float
        Variance of the private noise over the rate (the traces are of gamma law).
    keypoint_noise_px : float
        Standard deviation of the tracking error that is added to the keypoints.
    brightness : float
        Standard deviation, as a part of the gray level, of the slow and sudden changes of light in the film.
    seed : int
        The same seed and parameters give the same session, bit for bit on one machine.
    """

    neurons: int = 50_000
    seconds: float = 3600.0
    camera_hz: float = 50.0
    neural_hz: float = 3.0
    moods: int = 6
    dwell_s: float = 4.0
    circulation: float = 0.9
    latents: int = 32
    hidden: int = 16
    clusters: int = 40
    sheet_um: float = 3000.0
    modulation: float = 0.5
    noise: float = 0.6
    keypoint_noise_px: float = 0.5
    brightness: float = 0.08
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("neurons", "latents", "hidden", "clusters"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name}: 1 or more, not {getattr(self, name)}")
        for name in ("seconds", "camera_hz", "neural_hz", "dwell_s", "sheet_um", "modulation", "noise"):
            if not getattr(self, name) > 0:
                raise UsageError(f"{name}: above 0, not {getattr(self, name)}")
        for name in ("keypoint_noise_px", "brightness"):
            if not getattr(self, name) >= 0:
                raise UsageError(f"{name}: 0 or more, not {getattr(self, name)}")
        if self.camera_hz < 2 * self.neural_hz:
            raise UsageError(
                f"a camera of {self.camera_hz} Hz is too slow for neurons at {self.neural_hz} Hz"
            )


@dataclass(frozen=True, eq=False)
class Population:
    """A simulated session: T camera frames, S neural samples, N neurons, L latents, H hidden ones.

    The traces are not held: `blocks` draws them, the same each time.

    Attributes
    ----------
    parameters : PopulationParameters
        What it was drawn with.
    behaviour : Behaviour
        True keypoints and moods.
    keypoints : ndarray, shape (T, K, 2), float32
        Keypoints as a tracker would give them: the true ones with noise.
    tcam, tneural : ndarray, shape (T,) and (S,), float64
        Times in seconds of camera frames and neural samples.
    sampled : ndarray, shape (S,), int64
        The last camera frame at or before each neural sample. Nothing later drives the neurons.
    recipe : list of Latent
        How the latents follow from the true keypoints.
    latents : ndarray, shape (T, L), float32
        The latents that drive the neurons.
    hidden : ndarray, shape (S, H), float32
        Latents of unit variance that do not depend on behaviour.
    weights : ndarray, shape (N, L), float32
        Drive of each neuron by each latent, as a part of its mean rate.
    hidden_weights : ndarray, shape (N, H), float32
        The same for hidden latents; the mood scales them (`hidden_gain`).
    hidden_gain : ndarray, shape (S,), float32
        What the hidden latents are multiplied with.
    rate : ndarray, shape (N,), float32
        Mean rate before rectification, in the traces' arbitrary unit.
    xpos, ypos : ndarray, shape (N,), float32
        Places in the sheet in micrometres.
    cluster : ndarray, shape (N,), int16
        Which group a neuron is of.
    spread : ndarray, shape (clusters,), bool
        Whether the group lies all over the sheet.
    run : ndarray, shape (S,), float32
        Running speed in cm/s, made of the moods: high in those that move.
    """

    parameters: PopulationParameters
    behaviour: Behaviour
    keypoints: FloatArray
    tcam: NDArray[np.float64]
    tneural: NDArray[np.float64]
    sampled: NDArray[np.int64]
    recipe: list[Latent]
    latents: FloatArray
    hidden: FloatArray
    weights: FloatArray
    hidden_weights: FloatArray
    hidden_gain: FloatArray
    rate: FloatArray
    xpos: FloatArray
    ypos: FloatArray
    cluster: NDArray[np.int16]
    spread: NDArray[np.bool_]
    run: FloatArray

    def blocks(self) -> Iterator[tuple[slice, FloatArray]]:
        """Yield the neurons and their traces, shape (BLOCK or fewer, S), float32, in order."""
        hidden = (self.hidden * self.hidden_gain[:, None]).T
        noise = np.float32(self.parameters.noise)
        for index, neurons in enumerate(self._slices()):
            drive = self._drive(neurons)
            drive += self.hidden_weights[neurons] @ hidden
            shape = np.maximum(0, drive, out=drive)
            shape *= self.rate[neurons, None] / noise
            rng = np.random.default_rng([self.parameters.seed, 0x5135, index])
            traces = rng.standard_gamma(shape, dtype=np.float32)
            traces *= noise
            yield neurons, traces

    def traces(self) -> FloatArray:
        """Return the traces of all neurons at once, shape (N, S), float32."""
        return np.concatenate([traces for _, traces in self.blocks()])

    def expected_blocks(self) -> Iterator[tuple[slice, FloatArray]]:
        """Yield the neurons and what behaviour alone predicts of their traces: their mean given all keypoints.

        It is exact, since hidden latents are Gaussian and independent of behaviour, and noise adds nothing on
        average. No predictor from behaviour has a smaller mean squared error.
        """
        for neurons in self._slices():
            mean, _ = self._moments(neurons)
            yield neurons, mean

    def ceilings(self) -> FloatArray:
        """Return the part of each neuron's variance that behaviour explains at most, shape (N,), float32.

        Over the session, analytic: the variance of the expected trace over that variance plus the mean variance
        of what is left.
        """
        ceiling = np.empty(len(self.rate), np.float32)
        noise = self.parameters.noise
        for neurons in self._slices():
            mean, square = self._moments(neurons)
            explained = mean.var(axis=1)
            left = (square - mean**2).mean(axis=1) + noise * mean.mean(axis=1)
            ceiling[neurons] = explained / (explained + left)
        return ceiling

    def expected_components(self, readout: FloatArray, centre: FloatArray, scale: FloatArray) -> FloatArray:
        """Return the best prediction from behaviour of linear components of the population.

        Parameters
        ----------
        readout : ndarray, shape (N, C)
            Component c is the sum over neurons of ``readout[n, c] * (trace[n] - centre[n]) / scale[n]``.
        centre, scale : ndarray, shape (N,)
            What the traces were normalised with.

        Returns
        -------
        ndarray, shape (S, C), float32
            Its explained variance of the components is the ceiling (`rtface.analyse.explained.by_column`).
        """
        total = np.zeros((len(self.tneural), readout.shape[1]), np.float32)
        for neurons, mean in self.expected_blocks():
            mean -= centre[neurons, None]
            mean /= scale[neurons, None]
            total += mean.T @ readout[neurons].astype(np.float32, copy=False)
        return total

    def truth(self) -> dict[str, Any]:
        """Return what `rtface.analyse.populationfile` stores beside the recording, all keys ``truth_...``."""
        return {
            "truth_latents": self.latents,
            "truth_state": self.behaviour.mood,
            "truth_keypoints": self.behaviour.xy,
            "truth_ceiling": self.ceilings(),
            "truth_cluster": self.cluster,
            "truth_spread": self.spread,
            "truth_weights": self.weights,
            "truth_hidden": self.hidden,
            "truth_hidden_weights": self.hidden_weights,
            "truth_kinds": np.array([latent.kind for latent in self.recipe]),
            "truth_decay_s": np.array([latent.decay_s for latent in self.recipe]),
        }

    def about(self) -> str:
        """Return parameters and origin as JSON."""
        return json.dumps({"simulated": True, "mouse": self.behaviour.simulated, **asdict(self.parameters)})

    def _slices(self) -> Iterator[slice]:
        for start in range(0, len(self.rate), BLOCK):
            yield slice(start, min(start + BLOCK, len(self.rate)))

    def _drive(self, neurons: slice) -> FloatArray:
        drive: FloatArray = self.weights[neurons] @ self.latents[self.sampled].T
        drive += 1
        return drive

    def _moments(self, neurons: slice) -> tuple[FloatArray, FloatArray]:
        """Return mean and mean square of the rectified rate given behaviour, each of shape (n, S)."""
        mu = self._drive(neurons)
        sigma = np.linalg.norm(self.hidden_weights[neurons], axis=1)[:, None] * self.hidden_gain
        sigma = np.maximum(sigma, np.float32(1e-6))
        ratio = mu / sigma
        above = ndtr(ratio)
        bell = np.exp(-0.5 * ratio**2) / _ROOT_2PI
        rate = self.rate[neurons, None]
        mean = rate * (mu * above + sigma * bell)
        square = rate**2 * ((mu**2 + sigma**2) * above + mu * sigma * bell)
        return mean, square
