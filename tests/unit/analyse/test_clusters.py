from __future__ import annotations

import importlib.util

import numpy as np
import pytest

pytest.importorskip("scipy", reason="the extra `analyse` is not installed")
pytest.importorskip("sklearn", reason="the extra `analyse` is not installed")

from sklearn.metrics import adjusted_rand_score

from rtface.analyse.cluster_scores import cluster_traces, locality, relation, trace_correlation
from rtface.analyse.clusters import find_clusters
from rtface.analyse.population import Population, PopulationParameters
from rtface.analyse.simulated_population import simulate_population
from rtface.core.errors import BackendError, UsageError


@pytest.fixture(scope="module")
def population() -> Population:
    return simulate_population(
        PopulationParameters(neurons=2000, seconds=160, clusters=12, noise=0.1, seed=5)
    )


@pytest.fixture(scope="module")
def parts(population: Population) -> tuple[np.ndarray, np.ndarray]:
    """Loadings of the neurons on components, and the courses of these in time."""
    spks = population.traces()
    normal = (spks - spks.mean(axis=1, keepdims=True)) / spks.std(axis=1, keepdims=True)
    left, values, right = np.linalg.svd(normal, full_matrices=False)
    return left[:, :24] * values[:24], right[:24].T * values[:24]


def test_locality_by_hand() -> None:
    x = np.array([0, 0, 0, 250, 250, 250, 250, 250], np.float32)
    y = np.zeros(8, np.float32)
    labels = np.array([0, 0, 0, 1, 1, 1, 1, -1])
    index = locality(x, y, labels, 3)
    assert index[0] == pytest.approx(np.log(1 / (3 / 8)))
    assert index[1] == pytest.approx(np.log(1 / (5 / 8)))
    assert np.isnan(index[2])
    assert locality(x, y, np.zeros(8, int), 1) == pytest.approx(0)


def test_local_clusters_are_told_from_spread_ones(population: Population) -> None:
    index = locality(population.xpos, population.ypos, population.cluster, 12)
    assert index[~population.spread].min() > 1.7 * index[population.spread].max()
    ceiling = np.array([population.ceilings()[population.cluster == each].mean() for each in range(12)])
    found = relation(index, ceiling)
    assert found.rho < -0.5
    assert found.p < 0.05


def test_kmeans_finds_the_clusters(population: Population, parts: tuple[np.ndarray, np.ndarray]) -> None:
    clusters = find_clusters(*parts, 12, "kmeans")
    assert clusters.method == "kmeans"
    assert adjusted_rand_score(population.cluster, clusters.labels) > 0.6
    assert sorted(clusters.order) == list(range(2000))
    assert (np.diff(clusters.labels[clusters.order]) >= 0).all()
    again = find_clusters(*parts, 12, "kmeans")
    assert (again.labels == clusters.labels).all()
    found = locality(population.xpos, population.ypos, clusters.labels, 12)
    assert found.max() > 2 * found.min()


def test_rastermap_finds_them_where_it_is_installed(
    population: Population, parts: tuple[np.ndarray, np.ndarray]
) -> None:
    if importlib.util.find_spec("rastermap") is None:
        with pytest.raises(BackendError, match=r"'.\[cluster\]'"):
            find_clusters(*parts, 12, "rastermap")
        assert find_clusters(*parts, 12).method == "kmeans"
        pytest.skip("rastermap (GPL) is not installed")
    clusters = find_clusters(*parts, 12)
    assert clusters.method == "rastermap"
    assert adjusted_rand_score(population.cluster, clusters.labels) > 0.5
    assert sorted(clusters.order) == list(range(2000))


def test_cluster_traces_are_means() -> None:
    spks = np.arange(12, dtype=np.float32).reshape(4, 3)
    traces = cluster_traces(spks, np.array([1, 0, 1, -1]), 3)
    assert traces[:2].tolist() == [[3, 4, 5], [3, 4, 5]]
    assert np.isnan(traces[2]).all()


def test_correlation_of_traces() -> None:
    rng = np.random.default_rng(0)
    real = rng.standard_normal((3, 500))
    predicted = np.stack([real[0], 2 * real[1], np.zeros(500)])
    correlation = trace_correlation(real, predicted)
    assert correlation[:2] == pytest.approx(1)
    assert np.isnan(correlation[2])
    with pytest.raises(UsageError, match="shape"):
        trace_correlation(real, predicted[:2])


def test_p_of_a_relation_is_that_of_shuffled_pairings() -> None:
    rng = np.random.default_rng(0)
    one = rng.standard_normal(30)
    assert relation(one, -(one**3)).rho == pytest.approx(-1)
    assert relation(one, -(one**3)).p == 1 / 10_000
    assert relation(one, np.ones(30)).p == 1
    p = np.array([relation(rng.standard_normal(12), rng.standard_normal(12), 99, s).p for s in range(200)])
    assert (p <= 0.1).mean() == pytest.approx(0.1, abs=0.07)
    ties = relation(np.array([1, 1, 2, 3, np.nan]), np.array([1, 1, 2, 3, 5.0]))
    assert (ties.rho, ties.n) == (pytest.approx(1), 4)
    with pytest.raises(UsageError, match="too few"):
        relation(one[:3], one[:3])


def test_loadings_that_give_no_clusters_are_refused(parts: tuple[np.ndarray, np.ndarray]) -> None:
    loadings, courses = parts
    for wrong, count, words in (
        (loadings, 1, "1 clusters"),
        (loadings[:5], 5, "5 clusters"),
        (loadings * np.nan, 3, "finite"),
        (loadings[:, 1:], 3, "courses"),
    ):
        with pytest.raises(UsageError, match=words):
            find_clusters(wrong, courses, count)
    with pytest.raises(UsageError, match="labels"):
        locality(np.ones(3, np.float32), np.ones(3, np.float32), np.zeros(4, int), 1)
    with pytest.raises(UsageError, match="label 7"):
        locality(np.ones(3, np.float32), np.ones(3, np.float32), np.array([0, 7, 1]), 3)
