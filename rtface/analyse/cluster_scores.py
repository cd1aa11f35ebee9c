"""Groups of neurons: how local they are, how well behaviour predicts them, and whether the two go together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtface.analyse.targets import Targets
from rtface.analyse.traces import Traces
from rtface.core.errors import UsageError
from rtface.core.records import FloatArray

BIN_UM = 200.0

_CHUNK = 2000

Float = NDArray[np.float64]


def locality(
    xpos: FloatArray, ypos: FloatArray, labels: NDArray[np.integer], clusters: int, bin_um: float = BIN_UM
) -> Float:
    """Return how local each cluster is: the divergence of its neurons' places from those of all neurons.

    The discrete Kullback-Leibler divergence in nats over square bins, bins empty in either left out, as Facemap's
    locality index. 0: spread as all neurons are; the higher, the more local. A cluster of few neurons cannot be in
    all bins and so is never at 0: with n neurons over B bins the index is about B / (2 n) too high.

    Parameters
    ----------
    xpos, ypos : ndarray, shape (N,)
        Places in micrometres.
    labels : ndarray, shape (N,), integer
        Cluster of each neuron; a negative one is of none.
    clusters : int
        How many clusters there are.
    bin_um : float
        Side of the bins in micrometres.

    Returns
    -------
    ndarray, shape (clusters,), float64
        NaN for a cluster without neurons.
    """
    if not len(xpos) == len(ypos) == len(labels):
        raise UsageError(f"{len(xpos)} and {len(ypos)} places but {len(labels)} labels")
    if labels.max(initial=-1) >= clusters:
        raise UsageError(f"label {labels.max()}, but there are {clusters} clusters")
    column = ((xpos - xpos.min()) // bin_um).astype(np.int64)
    row = ((ypos - ypos.min()) // bin_um).astype(np.int64)
    place = row * (column.max() + 1) + column
    bins = int(place.max()) + 1
    everywhere = np.bincount(place, minlength=bins) / len(place)
    index = np.full(clusters, np.nan)
    for cluster in range(clusters):
        inside = place[labels == cluster]
        if inside.size:
            share = np.bincount(inside, minlength=bins) / len(inside)
            some = share > 0
            index[cluster] = (share[some] * np.log(share[some] / everywhere[some])).sum()
    return index


def cluster_traces(spks: FloatArray, labels: NDArray[np.integer], clusters: int) -> FloatArray:
    """Return the mean over the neurons of each cluster, shape (clusters, S), float32; NaN for an empty one."""
    total = np.zeros((clusters, spks.shape[1]), np.float64)
    count = np.bincount(labels[labels >= 0], minlength=clusters)
    for cluster in np.flatnonzero(count):
        total[cluster] = spks[labels == cluster].sum(axis=0, dtype=np.float64)
    total[count == 0] = np.nan
    return (total / np.maximum(count, 1)[:, None]).astype(np.float32)


def scored_cluster_traces(
    targets: Targets, neurons: Traces, labels: NDArray[np.integer], clusters: int
) -> FloatArray:
    """Return the mean z-score over the neurons of each cluster, shape (clusters, S), a chunk of neurons at a time."""
    samples = np.arange(neurons.shape[1])
    total = np.zeros((clusters, len(samples)), np.float64)
    for first in range(0, len(neurons), _CHUNK):
        part = slice(first, first + _CHUNK)
        scored = targets.scored(neurons, samples, part)
        for cluster in np.unique(labels[part]):
            if cluster >= 0:
                total[cluster] += scored[labels[part] == cluster].sum(axis=0, dtype=np.float64)
    count = np.bincount(labels[labels >= 0], minlength=clusters)
    total[count == 0] = np.nan
    return (total / np.maximum(count, 1)[:, None]).astype(np.float32)


def trace_correlation(real: FloatArray, predicted: FloatArray) -> Float:
    """Return the correlation of each row of `real` (C, S) with that of `predicted`, shape (C,).

    NaN for rows that do not vary.
    """
    if real.shape != predicted.shape:
        raise UsageError(f"real traces have shape {real.shape}, predicted ones {predicted.shape}")
    one, other = (each - each.mean(axis=1, keepdims=True, dtype=np.float64) for each in (real, predicted))
    size = np.sqrt((one**2).sum(axis=1) * (other**2).sum(axis=1))
    product = (one * other).sum(axis=1)
    correlation: Float = np.divide(product, size, out=np.full(len(size), np.nan), where=size > 0)
    return correlation


@dataclass(frozen=True)
class Relation:
    """Whether two properties of clusters go together.

    Attributes
    ----------
    rho : float
        Spearman's rank correlation.
    p : float
        Two-sided, of a permutation test: part of shuffled pairings, the real one included, with at least its size.
    n : int
        Clusters where both are known.
    """

    rho: float
    p: float
    n: int


def relation(one: Float, other: Float, permutations: int = 9999, seed: int = 0) -> Relation:
    """Return Spearman's correlation of two properties of clusters with a permutation test.

    Raises
    ------
    UsageError
        Fewer than 4 clusters have both.
    """
    known = np.isfinite(one) & np.isfinite(other)
    count = int(known.sum())
    if count < 4:
        raise UsageError(
            f"{count} clusters with both values are too few for a correlation; 4 or more are needed"
        )
    a, b = (_ranks(each[known]) for each in (one, other))
    rng = np.random.default_rng(seed)
    shuffled = np.array([a @ rng.permutation(b) for _ in range(permutations)])
    extreme = (np.abs(shuffled) >= abs(a @ b) - 1e-12).sum()
    return Relation(float(a @ b), float((1 + extreme) / (1 + permutations)), count)


def _ranks(values: Float) -> Float:
    """Return centred ranks of unit length, ties sharing their mean; 0 where all are alike."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    rank = (np.cumsum(counts) - (counts + 1) / 2)[inverse]
    rank = rank - rank.mean()
    ranks: Float = rank / max(float(np.linalg.norm(rank)), 1e-12)
    return ranks
