"""Clusters of neurons by their activity, by Rastermap or by k-means of scaled loadings.

Rastermap (Stringer et al., Nature Neuroscience 2025) is GPL and therefore an optional extra that this file alone
imports. Without it k-means does: the same question, another answer, and named as such wherever the result is shown.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rtface.core.errors import BackendError, UsageError
from rtface.core.extras import how_to_install
from rtface.core.records import FloatArray

Method = Literal["auto", "rastermap", "kmeans"]


@dataclass(frozen=True, eq=False)
class Clusters:
    """Groups of N neurons.

    Attributes
    ----------
    labels : ndarray, shape (N,), int64
        Cluster of each neuron, 0 to `count` - 1.
    order : ndarray, shape (N,), int64
        Neurons sorted so that those of like activity are neighbours.
    count : int
        Clusters.
    method : str
        ``rastermap`` or ``kmeans``.
    """

    labels: NDArray[np.int64]
    order: NDArray[np.int64]
    count: int
    method: str


def find_clusters(
    loadings: FloatArray, courses: FloatArray, count: int = 100, method: Method = "auto", seed: int = 0
) -> Clusters:
    """Return clusters of neurons.

    Parameters
    ----------
    loadings : ndarray, shape (N, C)
        Of the neurons on the components of the population, scaled by singular values (``U * sv``).
    courses : ndarray, shape (S, C)
        Of the components in time, scaled alike (``V * sv``). Rastermap alone needs them, to chain its clusters.
    count : int
        Clusters, 2 or more, fewer than neurons; under 200 for Rastermap.
    method : str
        ``auto`` takes Rastermap where it is installed.
    seed : int
        Of k-means; Rastermap is deterministic.

    Raises
    ------
    UsageError
        The count does not go with the neurons, or a loading is not finite.
    BackendError
        Rastermap is requested and not installed.
    """
    if loadings.ndim != 2 or not np.isfinite(loadings).all():
        raise UsageError(f"loadings are finite, neurons x components, not of shape {loadings.shape}")
    if courses.ndim != 2 or courses.shape[1] != loadings.shape[1]:
        raise UsageError(f"courses of shape {courses.shape} for loadings of shape {loadings.shape}")
    if not 2 <= count < len(loadings):
        raise UsageError(f"{count} clusters of {len(loadings)} neurons: 2 or more, fewer than neurons")
    if method == "auto":
        method = "rastermap" if importlib.util.find_spec("rastermap") else "kmeans"
    if method == "rastermap":
        return _by_rastermap(loadings, courses, count)
    return _by_kmeans(loadings, count, seed)


def _by_rastermap(loadings: FloatArray, courses: FloatArray, count: int) -> Clusters:
    try:
        from rastermap import Rastermap
    except ImportError as error:
        raise BackendError(f"clusters by Rastermap need it: {how_to_install('cluster')} ({error})") from error
    # Facemap's settings, on U * sv; normalising is done.
    model = Rastermap(
        n_clusters=count,
        time_lag_window=10,
        locality=0.5,
        n_PCs=loadings.shape[1],
        mean_time=False,
        verbose=False,
    )
    model.fit(
        Usv=np.array(loadings, np.float32), Vsv=np.array(courses, np.float32), compute_X_embedding=False
    )
    labels = np.asarray(model.embedding_clust, np.int64)
    return Clusters(labels, np.asarray(model.isort, np.int64), int(labels.max()) + 1, "rastermap")


def _by_kmeans(loadings: FloatArray, count: int, seed: int) -> Clusters:
    """Cluster directions, so that how strongly a neuron is driven plays no part, and chain the centres by likeness."""
    from sklearn.cluster import MiniBatchKMeans

    size = np.linalg.norm(loadings, axis=1, keepdims=True)
    unit = (loadings / np.maximum(size, 1e-9)).astype(np.float32)
    model = MiniBatchKMeans(count, random_state=seed, n_init=3, batch_size=4096).fit(unit)
    centres = model.cluster_centers_
    like = centres @ centres.T
    chain, left = [0], set(range(1, count))
    while left:
        chain.append(max(left, key=lambda each: (like[chain[-1], each], -each)))
        left.remove(chain[-1])
    place = np.argsort(chain)
    labels = place[model.labels_].astype(np.int64)
    return Clusters(labels, np.argsort(labels, kind="stable"), count, "kmeans")
