"""A Gaussian hidden Markov model of latents: fitted by hmmlearn, which this file alone imports, chosen on held-out time."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface.core.errors import BackendError, UsageError
from rtface.core.extras import how_to_install
from rtface.encode.states import StateFilter, StateModel

Float = NDArray[np.float64]

_FLOOR = 1e-3
_BLOCKS = 10
_STARTS_TO_CHOOSE = 2


@dataclass(frozen=True)
class FitOptions:
    """How a model is fitted.

    Attributes
    ----------
    features : int
        Principal components of the latents that the model is fitted to; fewer where there are fewer latents.
    every : int
        A step of the model is the mean of so many frames. Latents of neighbouring frames are all but equal, which a
        Markov model takes for evidence, and rhythms are not states: so a step should last longer than a whisk.
    starts : int
        Fits from different clusterings, of which the likeliest is kept.
    iterations : int
        Most steps of expectation-maximisation of each.
    seed : int
        Of the clusterings.
    """

    features: int = 20
    every: int = 10
    starts: int = 5
    iterations: int = 40
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("features", "every", "starts", "iterations"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} of a state model: 1 or more, not {getattr(self, name)}")


def fit_states(
    latents: NDArray[np.floating[Any]], states: int, options: FitOptions | None = None
) -> StateModel:
    """Fit a hidden Markov model of Gaussian states that share one full covariance.

    Shared, because states of their own covariances are spent on how much the latents vary: on simulated moods they
    found the moods less well (docs/decisions/0019-hmm-library.md).

    Parameters
    ----------
    latents : ndarray, shape (T, L)
        Frame by frame, without gaps.
    states : int
        2 or more.
    options : FitOptions, optional
        How.

    Raises
    ------
    UsageError
        Too few frames for so many states, or a latent is not finite.
    BackendError
        hmmlearn is not installed.
    """
    options = options or FitOptions()
    centre, axes = _projection(latents, options.features)
    return _fit([(_steps(latents, options.every) - centre) @ axes], states, centre, axes, options)


@dataclass(frozen=True, eq=False)
class StateCounts:
    """Held-out likelihood by number of states.

    Attributes
    ----------
    states : tuple of int
        Numbers that were tried.
    gain : ndarray, shape (folds, len(states)), float64
        Log-likelihood of held-out steps, in nats a step, over that of one Gaussian.
    chosen : int
        The fewest states whose mean gain is within one standard error of the best; where the gain still rises, the
        knee of the curve: the number farthest above the line from the first to the last.
    rising : bool
        Only the last number was good enough, so that more might be better still: what changes continuously takes as
        many states as it is given.
    """

    states: tuple[int, ...]
    gain: Float
    chosen: int
    rising: bool


def choose_states(
    latents: NDArray[np.floating[Any]],
    candidates: Sequence[int],
    options: FitOptions | None = None,
    folds: int = 3,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> StateCounts:
    """Choose the number of states by the likelihood of held-out time.

    Time is cut into 10 blocks for each fold; every fold holds out each so manieth block, and the projection is fitted
    without it too. Each fit has two starts at most, since there are many. Of each held-out block the first tenth is
    left out of the mean, since it is near training time.

    Parameters
    ----------
    latents : ndarray, shape (T, L)
        As for `fit_states`.
    candidates : sequence of int
        Numbers of states to try, 2 or more, rising.
    folds : int
        2 or more.
    """
    options = options or FitOptions()
    options = replace(options, starts=min(options.starts, _STARTS_TO_CHOOSE))
    if folds < 2 or not candidates or list(candidates) != sorted(set(candidates)):
        raise UsageError("two folds or more and rising numbers of states are needed to choose among them")
    blocks = np.array_split(latents, _BLOCKS * folds)
    gain = np.empty((folds, len(candidates)))
    for fold in range(folds):
        train = [block for index, block in enumerate(blocks) if index % folds != fold]
        test = [block for index, block in enumerate(blocks) if index % folds == fold]
        centre, axes = _projection(np.concatenate(train), options.features)
        seen = [(_steps(block, options.every) - centre) @ axes for block in train]
        one = _log_density(
            np.concatenate(seen),
            np.concatenate([_steps(block, options.every) for block in test]),
            centre,
            axes,
        )
        for index, states in enumerate(candidates):
            model = _fit(seen, states, centre, axes, options)
            gain[fold, index] = np.mean([held_out_likelihood(model, block) for block in test]) - one
            progress(fold * len(candidates) + index + 1, folds * len(candidates))
    mean = gain.mean(axis=0)
    best = int(mean.argmax())
    error = (gain - gain[:, best : best + 1]).std(axis=0, ddof=1) / np.sqrt(folds)
    enough = int(np.flatnonzero(mean[best] - mean <= error)[0])
    rising = len(candidates) > 2 and enough == len(candidates) - 1
    if rising:
        number = np.array(candidates, np.float64)
        line = mean[0] + (mean[-1] - mean[0]) * (number - number[0]) / (number[-1] - number[0])
        enough = int((mean - line).argmax())
    return StateCounts(tuple(candidates), gain, candidates[enough], rising)


def held_out_likelihood(model: StateModel, latents: NDArray[np.floating[Any]]) -> float:
    """Return the mean log-likelihood of a step of `latents` (T, L) in nats, filtered from the model's start."""
    states = StateFilter(replace(model, every=1))
    steps = []
    for row in _steps(latents, model.every):
        states.step(row)
        steps.append(states.log_likelihood)
    return float(np.mean(steps[len(steps) // 10 :]))


def filtered(model: StateModel, latents: NDArray[np.floating[Any]]) -> Float:
    """Return the probability of each state at each frame given that frame and those before, shape (T, S)."""
    states = StateFilter(model)
    return np.stack([states.step(row).copy() for row in latents])


def decoded(model: StateModel, latents: NDArray[np.floating[Any]]) -> NDArray[np.int64]:
    """Return the likeliest path of states through the model's steps (Viterbi), shape (T // every,)."""
    path: NDArray[np.int64] = _as_hmmlearn(model).predict(model.features(_steps(latents, model.every)))
    return path.astype(np.int64)


def reordered(model: StateModel, order: NDArray[np.integer]) -> StateModel:
    """Return the same model with its states in another order."""
    return StateModel(
        model.start[order],
        model.transition[np.ix_(order, order)],
        model.means[order],
        model.covariances[order],
        model.centre,
        model.axes,
        model.every,
    )


def _steps(latents: NDArray[np.floating[Any]], every: int) -> Float:
    """Return the means of `every` frames each, shape (T // every, L); what is left over is dropped."""
    count = len(latents) // every
    if count == 0:
        raise UsageError(f"{len(latents)} frames make no step of {every}")
    means: Float = latents[: count * every].reshape(count, every, -1).mean(axis=1, dtype=np.float64)
    return means


def _projection(latents: NDArray[np.floating[Any]], features: int) -> tuple[Float, Float]:
    """Return the centre of the latents and their first principal axes."""
    if latents.ndim != 2 or len(latents) < 2:
        raise UsageError(f"latents are frames x latents, two frames or more, not of shape {latents.shape}")
    if not np.isfinite(latents).all():
        raise UsageError("latents of a fit are finite: leave out or fill lost frames first")
    centre = latents.mean(axis=0, dtype=np.float64)
    away = latents - centre
    values, vectors = np.linalg.eigh(away.T @ away / len(away))
    keep = values[::-1][:features] > 1e-9 * max(float(values[-1]), 1e-30)
    axes = np.ascontiguousarray(vectors[:, ::-1][:, :features][:, keep])
    if axes.shape[1] == 0:
        raise UsageError("latents that do not vary have no states")
    return centre, axes


def _gaussian_hmm(states: int, kind: str, iterations: int, floor: float) -> Any:
    try:
        from hmmlearn.hmm import GaussianHMM
    except ImportError as error:
        raise BackendError(
            f"states of latents need hmmlearn: {how_to_install('analyse')} ({error})"
        ) from error
    # hmmlearn logs steps that lose likelihood through the floor of the covariance; the likeliest start is kept anyway.
    logging.getLogger("hmmlearn").setLevel(logging.ERROR)
    return GaussianHMM(states, kind, min_covar=floor, n_iter=iterations, init_params="")


def _started(seen: Float, states: int, iterations: int, seed: int, floor: float) -> Any:
    """Return a model to be fitted that starts from clusters of the steps.

    hmmlearn's own start has the covariance of all steps and a random transition matrix; from there the fit often
    ends in states that alternate rather than in those that last.
    """
    from sklearn.cluster import KMeans

    clusters = KMeans(states, n_init=1, random_state=seed).fit(seen)
    labels, centres = clusters.labels_, clusters.cluster_centers_
    away = seen - centres[labels]
    counts = np.ones((states, states))
    np.add.at(counts, (labels[:-1], labels[1:]), 1)
    model = _gaussian_hmm(states, "tied", iterations, floor)
    model.startprob_ = np.full(states, 1 / states)
    model.transmat_ = counts / counts.sum(axis=1, keepdims=True)
    model.means_ = centres
    model.covars_ = away.T @ away / len(seen) + floor * np.eye(seen.shape[1])
    return model


def _fit(seen: list[Float], states: int, centre: Float, axes: Float, options: FitOptions) -> StateModel:
    stacked = np.concatenate(seen)
    size = stacked.shape[1]
    if states < 2:
        raise UsageError(f"a state model has 2 states or more, not {states}")
    if len(stacked) < states * (size + 2):
        raise UsageError(f"{len(stacked)} steps are too few for {states} states of {size} features")
    spread = float(stacked.var(axis=0).mean())
    lengths = [len(each) for each in seen]
    best, likelihood = None, -np.inf
    for start in range(options.starts):
        model = _started(stacked, states, options.iterations, options.seed + start, _FLOOR * spread)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(stacked, lengths)
        reached = model.score(stacked, lengths)
        if np.isfinite(reached) and reached > likelihood:
            best, likelihood = model, reached
    if best is None:
        raise UsageError(f"no fit of {states} states came to an end: fewer states or features are needed")
    transition = best.transmat_ / best.transmat_.sum(axis=1, keepdims=True)
    covariances = np.array(best.covars_) + _FLOOR * spread * np.eye(size)
    return StateModel(
        best.startprob_ / best.startprob_.sum(),
        transition,
        best.means_,
        covariances,
        centre,
        axes,
        options.every,
    )


def _as_hmmlearn(model: StateModel) -> Any:
    hmm = _gaussian_hmm(model.states, "full", 1, _FLOOR)
    hmm.startprob_, hmm.transmat_, hmm.means_ = model.start, model.transition, model.means
    hmm.n_features = model.means.shape[1]
    hmm.covars_ = model.covariances
    return hmm


def _log_density(seen: Float, test: NDArray[np.floating[Any]], centre: Float, axes: Float) -> float:
    """Return the mean log density of `test` under one Gaussian fitted to `seen`."""
    covariance = np.cov(seen.T).reshape(seen.shape[1], -1)
    away = (test - centre) @ axes - seen.mean(axis=0)
    _, log_det = np.linalg.slogdet(2 * np.pi * covariance)
    return float(-0.5 * (log_det + (away * np.linalg.solve(covariance, away.T).T).sum(axis=1).mean()))
