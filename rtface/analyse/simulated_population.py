"""A simulated population of neurons whose every cause is known.

A simulated mouse goes through discrete moods (or a tracked real one behaves); latents are known causal functions of
its keypoints over several time scales (`rtface.analyse.latents`); neurons are rectified sums of those latents, of
hidden latents that have nothing to do with behaviour, and of private noise, as deconvolved calcium traces are:
nonnegative, most values small. So what any method can explain from behaviour is known for each neuron and each
component, and a result on it shows how good a method is. It shows nothing of the brain.

Why an encoder from keypoints should beat linear regression from the movie's principal components here
------------------------------------------------------------------------------------------------------
Stated so that nobody takes the gap for a discovery. Only a quarter of the latents are linear in position. Half are
full-wave or half-wave rectified movements (speed, onset, coincidence of two parts), of which whisking at 9 to 15 Hz
is a good part: after the resampling to 3 Hz that the linear method needs, a linear function of position or of the
movie has lost them. Motion energy keeps the speed of the whole pad, but neither its direction (onset) nor where a
part is held (linear, threshold, fold). Kernels last 0.05 to 1.2 s, and the linear method is given one moment. The light of
the room changes (`brightness`) and moves the movie's components, as it does in real films; that costs little here.
What favours the linear method: neurons are all but linear in the latents, tracking noise hurts keypoints alone, the
film is sharp, and all that moves in it is the mouse; and moods move everything at once, which no method misses. In a
quarter of an hour of 2,000 neurons (seed 1), ridge regression from the movie's first 200 components, or those of its
motion energy, reaches 0.44 of the ceiling, from keypoints 0.61, and from the true latents 0.92, with or without the
changes of light. All these are numbers in `PopulationParameters`, to be changed.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from rtface.analyse.behaviour import Behaviour, moody_face, simulated_behaviour
from rtface.analyse.latents import draw_latents, kernel_response, latent_traces
from rtface.analyse.population import Population, PopulationParameters
from rtface.core.errors import UsageError
from rtface.core.records import FloatArray, Image
from rtface.simulate.chance import uniform_hash
from rtface.simulate.moods import ring_jumps, sample_moods

_HIDDEN_S = (0.5, 8.0)
_MOODINESS = (0.6, 1.4)
_SPREAD_SHARE, _LOCAL_SHARE = (0.55, 0.95), (0.1, 0.55)
_PATCH_UM = 150.0
_LATENTS_OF_A_CLUSTER = 6


class Film:
    """The film of a simulated mouse: its face in a light that changes.

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


def simulate_population(
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
        Called with the camera frames done and to do.

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
