"""A simulated population of neurons whose every cause is known.

A simulated mouse goes through discrete moods (or a tracked real one behaves); latents are known causal functions of
its keypoints over several time scales (`rtface.analyse.latents`); neurons are rectified sums of those latents, of
hidden latents that have nothing to do with behaviour, and of private noise, as deconvolved calcium traces are:
nonnegative, most values small. So what any method can explain from behaviour is known for each neuron and each
component, and a result on it says how good a method is. It says nothing about the brain.

Why an encoder from keypoints should beat linear regression from the movie's principal components here
------------------------------------------------------------------------------------------------------
Stated so that nobody takes the gap for a discovery. Only a quarter of the latents are linear in position. Half are
full-wave or half-wave rectified movements (speed, onset, coincidence of two parts), of which whisking at 9 to 15 Hz
is a good part: after the resampling to 3 Hz that the linear method needs, a linear function of position or of the
movie has lost them. Motion energy keeps the speed of the whole pad, but neither its direction (onset) nor where a
part is held (linear, threshold, fold). Kernels last 0.05 to 1.2 s, and the linear method sees one moment. The light of
the room changes (`brightness`) and moves the movie's components, as it does in real films; that costs little here.
What favours the linear method: neurons are all but linear in the latents, tracking noise hurts keypoints alone, the
film is sharp, and all that moves in it is the mouse; and moods move everything at once, which any method sees. In a
quarter of an hour of 2,000 neurons (seed 1), ridge regression from the movie's first 200 components, or those of its
motion energy, reaches 0.44 of the ceiling, from keypoints 0.61, and from the true latents 0.92, with or without the
changes of light. All these are numbers in `PopulationParameters`, to be changed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from rtface.analyse.behaviour import Behaviour, moody_face, simulated_behaviour
from rtface.analyse.latents import Latent, draw_latents, kernel_response, latent_traces
from rtface.core.errors import UsageError
from rtface.core.records import FloatArray, Image
from rtface.simulate.chance import uniform_hash
from rtface.simulate.moods import ring_jumps, sample_moods

BLOCK = 500
"""Neurons whose traces are drawn together; the unit of bounded memory and of the seeds."""

_HIDDEN_S = (0.5, 8.0)
_MOODINESS = (0.6, 1.4)
_SPREAD_SHARE, _LOCAL_SHARE = (0.55, 0.95), (0.1, 0.55)
_PATCH_UM = 150.0
_LATENTS_OF_A_CLUSTER = 6
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
        What was asked for.
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
        Latents of unit variance that nothing in the behaviour tells of.
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
        """Yield the neurons and what behaviour alone says of their traces: their mean given all keypoints.

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
            Its explained variance of the components is the ceiling (`ceiling_of`).
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


class Film:
    """What the camera saw of a simulated mouse: its face in a light that changes.

    Parameters
    ----------
    population : Population
        Of a simulated mouse.
    width, height : int
        Frame in pixels, of any size: the mouse is scaled to it.

    Raises
    ------
    UsageError
        The behaviour is that of a tracked recording, whose film is the recording.
    """

    def __init__(self, population: Population, width: int, height: int) -> None:
        behaviour, parameters = population.behaviour, population.parameters
        if not behaviour.simulated:
            raise UsageError("the film of a tracked mouse is its own recording")
        self._face = moody_face(behaviour.mood, behaviour.rate_hz, parameters.seed, width, height)
        self._tcam, self._parameters = population.tcam, parameters

    def render(self, index: int, out: Image) -> None:
        """Draw camera frame `index` into `out`, shape (height, width), uint8; any frame at any time."""
        self._face.render(index, out)
        light = 1 + self._parameters.brightness * _light(self._parameters.seed, float(self._tcam[index]))
        np.clip(out * light + 0.5, 0, 255, out=out, casting="unsafe")


def simulate(
    parameters: PopulationParameters | None = None,
    behaviour: Behaviour | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Population:
    """Return a simulated session.

    Parameters
    ----------
    parameters : PopulationParameters, optional
        50,000 neurons for an hour when absent.
    behaviour : Behaviour, optional
        Of a tracked recording (`tracked_behaviour`); a simulated mouse in its moods when absent.
    progress : callable
        Told the camera frames done and to do.

    Raises
    ------
    UsageError
        The session is shorter than 10 neural samples.
    """
    wanted = parameters or PopulationParameters()
    if behaviour is None:
        rng = np.random.default_rng([wanted.seed, 0x300D])
        frames = round(wanted.seconds * wanted.camera_hz)
        moods = sample_moods(
            ring_jumps(wanted.moods, wanted.circulation), wanted.dwell_s * wanted.camera_hz, frames, rng
        )
        behaviour = simulated_behaviour(moods, wanted.camera_hz, wanted.seed, progress)
    rng = np.random.default_rng([wanted.seed, 0x9092])
    tcam = np.arange(len(behaviour)) / behaviour.rate_hz
    samples = int(tcam[-1] * wanted.neural_hz) if len(tcam) else 0
    if samples < 10:
        raise UsageError(f"{len(behaviour)} frames make {samples} neural samples; 10 or more are needed")
    tneural = (np.arange(samples, dtype=np.float64) + float(rng.random())) / wanted.neural_hz
    sampled = np.searchsorted(tcam, tneural, side="right") - 1
    recipe = draw_latents(behaviour.names, wanted.latents, rng)
    latents = latent_traces(behaviour, recipe)
    noise = rng.standard_normal(behaviour.xy.shape, np.float32) * np.float32(wanted.keypoint_noise_px)
    mood = behaviour.mood[sampled]
    weights, hidden_weights, cluster = _weights(wanted, latents, rng)
    spread = np.arange(wanted.clusters) % 2 == 1
    xpos, ypos = _places(wanted, cluster, spread, rng)
    return Population(
        parameters=wanted,
        behaviour=behaviour,
        keypoints=behaviour.xy + noise,
        tcam=tcam,
        tneural=tneural,
        sampled=sampled,
        recipe=recipe,
        latents=latents,
        hidden=_hidden(wanted, samples, rng),
        weights=weights,
        hidden_weights=hidden_weights,
        hidden_gain=rng.uniform(*_MOODINESS, wanted.moods).astype(np.float32)[mood],
        rate=rng.lognormal(0, 0.4, wanted.neurons).astype(np.float32),
        xpos=xpos,
        ypos=ypos,
        cluster=cluster,
        spread=spread,
        run=_running(behaviour, sampled, rng),
    )


def ceiling_of(expected: FloatArray, actual: FloatArray) -> NDArray[np.float64]:
    """Return the part of the variance of each column that its best prediction explains, 1 - mse / variance.

    Parameters
    ----------
    expected, actual : ndarray, shape (S, C)
        The columns of `Population.expected_components` and of the components, at the same samples.
    """
    left = ((actual.astype(np.float64) - expected) ** 2).mean(axis=0)
    ceiling: NDArray[np.float64] = 1 - left / actual.var(axis=0, dtype=np.float64)
    return ceiling


def _weights(
    parameters: PopulationParameters, latents: FloatArray, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray, NDArray[np.int16]]:
    """Return weights of latents and of hidden latents, and each neuron's cluster."""
    neurons, count = parameters.neurons, parameters.latents
    cluster = rng.integers(0, parameters.clusters, neurons).astype(np.int16)
    tuned = min(_LATENTS_OF_A_CLUSTER, count)
    tuning = np.zeros((parameters.clusters, count))
    hidden_tuning = rng.standard_normal((parameters.clusters, parameters.hidden))
    for each in tuning:
        each[rng.permutation(count)[:tuned]] = rng.standard_normal(tuned)
    shares = np.where(
        np.arange(parameters.clusters) % 2 == 1,
        rng.uniform(*_SPREAD_SHARE, parameters.clusters),
        rng.uniform(*_LOCAL_SHARE, parameters.clusters),
    )
    own = 0.3 * rng.standard_normal((neurons, count)).astype(np.float32)
    hidden_own = 0.3 * rng.standard_normal((neurons, parameters.hidden)).astype(np.float32)
    weights = tuning.astype(np.float32)[cluster] + own
    hidden_weights = hidden_tuning.astype(np.float32)[cluster] + hidden_own
    covariance = np.cov(latents.T).reshape(count, count).astype(np.float32)
    size = np.sqrt(np.einsum("nl,lk,nk->n", weights, covariance, weights, optimize=True))
    modulation = parameters.modulation * rng.uniform(0.7, 1.3, neurons)
    share = np.clip(shares[cluster] + rng.normal(0, 0.05, neurons), 0.02, 0.98)
    weights *= (modulation * np.sqrt(share) / size).astype(np.float32)[:, None]
    hidden_size = np.linalg.norm(hidden_weights, axis=1)
    hidden_weights *= (modulation * np.sqrt(1 - share) / hidden_size).astype(np.float32)[:, None]
    return weights, hidden_weights, cluster


def _places(
    parameters: PopulationParameters,
    cluster: NDArray[np.int16],
    spread: NDArray[np.bool_],
    rng: np.random.Generator,
) -> tuple[FloatArray, FloatArray]:
    """Return x and y of every neuron; those of a local cluster lie round its centre, reflected at the border."""
    side = parameters.sheet_um
    centres = rng.uniform(0, side, (len(spread), 2))
    anywhere = rng.uniform(0, side, (len(cluster), 2))
    near = centres[cluster] + rng.normal(0, _PATCH_UM, (len(cluster), 2))
    near = side - np.abs(side - np.abs(near) % (2 * side))
    places = np.where(spread[cluster][:, None], anywhere, near).astype(np.float32)
    return places[:, 0], places[:, 1]


def _hidden(parameters: PopulationParameters, samples: int, rng: np.random.Generator) -> FloatArray:
    """Return Gaussian latents of mean 0 and variance 1 at every sample, shape (S, H), of several time scales."""
    keep = np.exp(-1 / (np.geomspace(*_HIDDEN_S, parameters.hidden) * parameters.neural_hz))
    hidden = np.empty((samples, parameters.hidden))
    hidden[0] = rng.standard_normal(parameters.hidden)
    for index in range(1, samples):
        hidden[index] = keep * hidden[index - 1] + np.sqrt(1 - keep**2) * rng.standard_normal(
            parameters.hidden
        )
    return hidden.astype(np.float32)


def _running(behaviour: Behaviour, sampled: NDArray[np.int64], rng: np.random.Generator) -> FloatArray:
    change = np.abs(np.diff(behaviour.xy, axis=0, prepend=behaviour.xy[:1])).mean(axis=(1, 2))
    speed = kernel_response(change.astype(np.float64), 0.3, 1.0, behaviour.rate_hz)[sampled]
    above = np.maximum(0, speed - np.median(speed)) / max(float(speed.std()), 1e-9)
    return (5 * above + 0.2 * np.abs(rng.standard_normal(len(sampled)))).astype(np.float32)


def _light(seed: int, time_s: float) -> float:
    """Return the change of light at a time, of about unit size: a slow drift, and steps each few seconds."""
    phase = 2 * np.pi * uniform_hash(seed, 0x119)
    drift = np.sin(2 * np.pi * time_s / 37 + phase) + np.sin(2 * np.pi * time_s / 5.3 + 2 * phase)
    step = 2 * uniform_hash(seed, 0x11A, int(time_s / 1.7)) - 1
    return float(0.6 * drift + step)
