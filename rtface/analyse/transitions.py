"""How states follow each other: lifetimes, sequences, concentration, and the arrow of time."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtface.core.errors import UsageError

Float = NDArray[np.float64]
Path = NDArray[np.int64]

_RESTARTS = 20
_SURROGATES = 999


def count_transitions(path: NDArray[np.integer], states: int) -> Float:
    """Return how often each state follows each, shape (states, states), self-transitions included."""
    _check_path(path, states)
    counts = np.zeros((states, states))
    np.add.at(counts, (path[:-1], path[1:]), 1)
    return counts


def without_self(transition: Float) -> Float:
    """Return a transition matrix with its diagonal zeroed and rows that sum to 1 (or 0, where nothing is left)."""
    jumps = transition - np.diag(np.diag(transition))
    total = jumps.sum(axis=1, keepdims=True)
    without: Float = np.divide(jumps, total, out=np.zeros_like(jumps), where=total > 0)
    return without


@dataclass(frozen=True, eq=False)
class Lifetimes:
    """How long states last, in steps.

    Attributes
    ----------
    geometric : ndarray, shape (S,), float64
        Mean lifetime that the self-transition implies, ``1 / (1 - p)``; infinite for a state never left.
    empirical : ndarray, shape (S,), float64
        Mean length of the visits in a path; NaN for a state that no whole visit shows. The first and the last visit
        are left out: they are cut off.
    visits : ndarray, shape (S,), int64
        Whole visits.
    """

    geometric: Float
    empirical: Float
    visits: NDArray[np.int64]


def lifetimes(transition: Float, path: NDArray[np.integer]) -> Lifetimes:
    """Return the lifetimes of the states of a model and of a path through them."""
    states = len(transition)
    _check_path(path, states)
    stay = np.diag(transition)
    with np.errstate(divide="ignore"):
        geometric = 1 / (1 - stay)
    starts = np.flatnonzero(np.diff(path)) + 1
    length, state = np.diff(starts), path[starts[:-1]]
    visits = np.bincount(state, minlength=states)
    total = np.bincount(state, weights=length, minlength=states)
    empirical = np.divide(total, visits, out=np.full(states, np.nan), where=visits > 0)
    return Lifetimes(geometric, empirical, visits)


def jump_path(path: NDArray[np.integer]) -> Path:
    """Return the states in the order in which they were visited, without their repeats."""
    keep = np.flatnonzero(np.diff(path, prepend=path[0] - 1))
    visited: Path = np.asarray(path, np.int64)[keep]
    return visited


def sequence_order(jumps: Float, seed: int = 0) -> NDArray[np.int64]:
    """Return the order of the states that puts as much of `jumps` above the diagonal as it finds.

    This is the linear ordering problem. Starting from several random orders and from the states sorted by what leaves
    less what enters, one state at a time is moved to its best place until no move helps (Lenstra 1973; the insertion
    neighbourhood). For rings any rotation is as good; the one with most just above the diagonal is taken.

    Parameters
    ----------
    jumps : ndarray, shape (S, S), float64
        Weights from row to column; the diagonal does not count.
    seed : int
        Of the random orders.

    Returns
    -------
    ndarray, shape (S,), int64
        ``jumps[order][:, order]`` is the sorted matrix.
    """
    states = len(jumps)
    if jumps.shape != (states, states) or not np.isfinite(jumps).all():
        raise UsageError(f"transitions are a square of finite numbers, not of shape {jumps.shape}")
    rng = np.random.default_rng(seed)
    weights = jumps - np.diag(np.diag(jumps))
    balance = np.argsort(weights.sum(axis=0) - weights.sum(axis=1), kind="stable")
    starts = [balance, *(rng.permutation(states) for _ in range(_RESTARTS if states > 2 else 0))]

    def rank(order: Path) -> tuple[float, float]:
        placed = weights[np.ix_(order, order)]
        return round(float(np.triu(placed, 1).sum()), 9), round(float(np.diag(placed, 1).sum()), 9)

    climbed = [_rotated(weights, _climb(weights, start)) for start in starts]
    best: Path = max(climbed, key=rank)
    return best


def _climb(weights: Float, start: NDArray[np.integer]) -> Path:
    """Move single states to their best places until nothing is gained."""
    order = [int(each) for each in start]
    gained = True
    while gained:
        gained = False
        for state in list(order):
            rest = [each for each in order if each != state]
            forward, backward = weights[rest, state], weights[state, rest]
            # at place k the states before it point forward to it, and it points forward to those from k on
            above = np.concatenate([[0.0], np.cumsum(forward)]) + np.concatenate(
                [np.cumsum(backward[::-1])[::-1], [0.0]]
            )
            here, best = order.index(state), int(above.argmax())
            if above[best] > above[here] + 1e-12:
                order = [*rest[:best], state, *rest[best:]]
                gained = True
    return np.array(order, np.int64)


def _rotated(weights: Float, order: Path) -> Path:
    """Return the rotation of `order` with most above the diagonal."""
    turns = [np.roll(order, -shift) for shift in range(len(order))]
    above = [np.triu(weights[np.ix_(turn, turn)], 1).sum() for turn in turns]
    best: Path = turns[int(np.argmax(above))]
    return best


def concentration(jumps: Float, order: NDArray[np.integer]) -> Float:
    """Return the probability that a jump goes to one of the n nearest states in the order, averaged over states.

    Parameters
    ----------
    jumps : ndarray, shape (S, S), float64
        Without self-transitions, rows summing to 1.
    order : ndarray, shape (S,), integer
        As of `sequence_order`. Of two states as near, the one behind comes second.

    Returns
    -------
    ndarray, shape (S - 1,), float64
        For n = 1 to S - 1; the last is 1.
    """
    placed = jumps[np.ix_(order, order)]
    states = len(placed)
    here = np.arange(states)
    distance = np.abs(here[:, None] - here) - 0.25 * (here > here[:, None])
    nearest = np.argsort(distance, axis=1, kind="stable")[:, 1:]
    left = placed.sum(axis=1) > 0
    curve: Float = np.cumsum(np.take_along_axis(placed, nearest, axis=1), axis=1)[left].mean(axis=0)
    return curve


def forward_runs(path: NDArray[np.integer], order: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return the lengths in states of the runs towards higher places in the order, of 2 or more states."""
    place = np.argsort(order)[jump_path(path)]
    rising = np.diff(place) > 0
    edges = np.flatnonzero(np.diff(np.concatenate([[False], rising, [False]]).astype(np.int8)))
    return np.asarray(edges[1::2] - edges[::2] + 1, np.int64)


@dataclass(frozen=True)
class Reversal:
    """What becomes of the transitions that are likely, when time runs backwards.

    The published test (Facemap, figure 5): for pairs of states with a likely transition, how likely is the way back?

    Attributes
    ----------
    pairs : int
        Likely transitions.
    forward, reverse : float
        Mean probability of them and of their reverse.
    two_steps_on, two_steps_back : float
        Mean probability to be at the same states two jumps later, and two jumps earlier the other way.
    baseline : float
        Mean of all transitions between different states.
    """

    pairs: int
    forward: float
    reverse: float
    two_steps_on: float
    two_steps_back: float
    baseline: float


def reversal(jumps: Float, likely: float | None = None) -> Reversal:
    """Return what becomes of likely transitions backwards.

    Parameters
    ----------
    jumps : ndarray, shape (S, S), float64
        Without self-transitions, rows summing to 1.
    likely : float, optional
        From which probability a transition is likely; twice the mean of all when absent.
    """
    states = len(jumps)
    between = ~np.eye(states, dtype=bool)
    baseline = float(jumps[between].mean()) if states > 1 else 0.0
    chosen = between & (jumps >= (2 * baseline if likely is None else likely))
    if not chosen.any():
        return Reversal(0, np.nan, np.nan, np.nan, np.nan, baseline)
    twice = jumps @ jumps
    forward, reverse, on, back = (float(each[chosen].mean()) for each in (jumps, jumps.T, twice, twice.T))
    return Reversal(int(chosen.sum()), forward, reverse, on, back, baseline)


@dataclass(frozen=True, eq=False)
class Irreversibility:
    """How far a path of states differs from the same path played backwards.

    Attributes
    ----------
    entropy_production : float
        Estimate in nats per jump: the Kullback-Leibler divergence of pairs from reversed pairs,
        ``sum over i, j of p(i, j) log(p(i, j) / p(j, i))``, with half a count added to each pair. 0 for a
        reversible chain but for the bias of a finite path, which the surrogates share.
    surrogates : ndarray, shape (R,), float64
        The same of paths that are reversible by construction: each run between two returns to a common state is
        played forwards or backwards by chance.
    shuffled : float
        Mean of the same when the order of the visits is shuffled.
    backwards : float
        The same of the path played backwards; equal to `entropy_production` but for rounding.
    p : float
        Part of the surrogates, the path itself included, with at least its entropy production.
    """

    entropy_production: float
    surrogates: Float
    shuffled: float
    backwards: float
    p: float


def irreversibility(
    path: NDArray[np.integer], states: int, surrogates: int = _SURROGATES, seed: int = 0
) -> Irreversibility:
    """Test whether a path of states has an arrow of time.

    Null: the chain is reversible. Then the excursion from a state back to itself is as likely forwards as
    backwards, so that turning each round of the path by a coin gives paths as likely as the one seen, with the same
    visits and, for a first-order chain, the same pairs but for their direction. The most visited state is the one
    returned to.

    Parameters
    ----------
    path : ndarray, shape (T,), integer
        States from 0; repeats are dropped, so that lifetimes play no part.
    states : int
        How many there are.
    surrogates : int
        Turned paths, which bound p from below at ``1 / (surrogates + 1)``.
    seed : int
        Of the coins.

    Raises
    ------
    UsageError
        A state is out of range or fewer than 3 jumps are in the path.
    """
    _check_path(path, states)
    visited = jump_path(path)
    if len(visited) < 4:
        raise UsageError(
            f"{len(visited) - 1} jumps between states show nothing of time; 3 or more are needed"
        )
    rng = np.random.default_rng(seed)
    produced = _entropy_production(count_transitions(visited, states))
    loops, rest = _loops(visited, states)
    turned = np.empty(surrogates)
    for index in range(surrogates):
        coin = rng.random(len(loops)) < 0.5
        net = np.tensordot(coin, loops, axes=1)
        counts = net + (loops.sum(axis=0) - net).T + rest
        turned[index] = _entropy_production(counts)
    shuffled = [
        _entropy_production(count_transitions(jump_path(rng.permutation(visited)), states)) for _ in range(20)
    ]
    return Irreversibility(
        entropy_production=produced,
        surrogates=turned,
        shuffled=float(np.mean(shuffled)),
        backwards=_entropy_production(count_transitions(visited[::-1], states)),
        p=float((1 + (turned >= produced - 1e-12).sum()) / (1 + surrogates)),
    )


def _loops(visited: Path, states: int) -> tuple[Float, Float]:
    """Return the pairs in each round from the most visited state back to it, and those outside all rounds."""
    home = int(np.bincount(visited, minlength=states).argmax())
    returns = np.flatnonzero(visited == home)
    loops = np.zeros((max(0, len(returns) - 1), states, states))
    for index, (start, end) in enumerate(itertools.pairwise(returns)):
        np.add.at(loops[index], (visited[start:end], visited[start + 1 : end + 1]), 1)
    return loops, count_transitions(visited, states) - loops.sum(axis=0)


def _entropy_production(counts: Float) -> float:
    between = ~np.eye(len(counts), dtype=bool)
    used = between & ((counts + counts.T) > 0)
    pairs = np.where(used, counts + 0.5, 1.0)
    p = np.where(used, pairs, 0) / pairs[used].sum()
    return float((p * np.log(pairs / pairs.T)).sum())


def _check_path(path: NDArray[np.integer], states: int) -> None:
    if path.ndim != 1 or len(path) < 2:
        raise UsageError(f"a path of states has one axis and two steps or more, not shape {path.shape}")
    if path.min() < 0 or path.max() >= states:
        raise UsageError(f"states are from 0 to {states - 1}, not {path.min()} to {path.max()}")
