from __future__ import annotations

import numpy as np
import pytest

from rtface.analyse.baselines import (
    choose_penalty,
    filtered_at,
    fit_reduced_rank,
    fit_ridge,
    keypoint_baselines,
    smoothed_at,
)
from rtface.analyse.explained import (
    Explainable,
    by_column,
    by_neuron,
    checkerboard,
    explainable_variance,
    variance_explained,
)
from rtface.analyse.splits import Split, hold_back, strict
from rtface.analyse.targets import fit_targets
from rtface.core.errors import DataError
from rtface.networks.temporal_kernels import averages

RANDOM = np.random.default_rng(0)


def population(
    neurons: int, samples: int, latents: int, noise: float, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    weights = random.normal(size=(neurons, latents)) / np.sqrt(latents)
    shared = weights @ random.normal(size=(latents, samples))
    return (shared + noise * random.normal(size=(neurons, samples))).astype(np.float32), shared


def test_explained_variance_by_hand() -> None:
    actual = np.array([[0, 1], [2, 1], [4, 4]], np.float32)
    predicted = np.array([[0, 2], [2, 2], [3, 2]], np.float32)
    np.testing.assert_allclose(by_column(actual, predicted), [1 - 1 / 8, 1 - 6 / 6])
    assert variance_explained(actual, predicted) == pytest.approx(1 - 7 / 14)
    assert variance_explained(actual, actual) == 1
    assert np.isnan(by_column(np.ones((3, 1), np.float32), np.ones((3, 1), np.float32))[0])
    with pytest.raises(DataError, match="shape"):
        by_column(actual, predicted[:2])


def test_components_are_the_principal_ones_of_the_training_samples() -> None:
    neurons, _ = population(300, 500, 10, 0.5)
    train = np.arange(350)
    targets = fit_targets(neurons, train, 12)
    scored = targets.scored(neurons, train, slice(None))
    np.testing.assert_allclose(scored.mean(axis=1), 0, atol=1e-5)
    np.testing.assert_allclose(scored.std(axis=1), 1, atol=1e-4)
    left, sizes, _ = np.linalg.svd(scored, full_matrices=False)
    assert targets.basis is not None
    np.testing.assert_allclose(targets.basis.T @ targets.basis, np.eye(12), atol=1e-4)
    np.testing.assert_allclose(np.abs(np.diag(targets.basis[:, :10].T @ left[:, :10])), 1, atol=1e-3)
    np.testing.assert_allclose(
        targets.of(neurons, train)[:, :10].var(axis=0) * 350, sizes[:10] ** 2, rtol=1e-3
    )
    # Nothing of the test samples is in them, and the seed decides the rest.
    changed = neurons.copy()
    changed[:, 350:] *= 3
    assert np.array_equal(fit_targets(changed, train, 12).basis, targets.basis)


def test_few_neurons_are_their_own_targets() -> None:
    neurons, _ = population(30, 200, 3, 0.5)
    targets = fit_targets(neurons, np.arange(150))
    assert targets.basis is None
    assert targets.count == 30
    values = targets.of(neurons, np.arange(200))
    np.testing.assert_allclose(values[:150].std(axis=0), 1, rtol=1e-4)
    assert np.array_equal(targets.neurons_of(values), values.T)


def test_neurons_that_are_not_numbers_are_named() -> None:
    neurons, _ = population(30, 200, 3, 0.5)
    neurons[17, 20] = np.nan
    with pytest.raises(DataError, match="neuron 17 of spks"):
        fit_targets(neurons, np.arange(150))
    with pytest.raises(DataError, match="none of the neurons"):
        fit_targets(np.ones((3, 50), np.float32), np.arange(50))


def test_variance_of_neurons_is_that_of_their_z_scores() -> None:
    neurons, _ = population(260, 400, 5, 0.5)
    train, test = np.arange(300), np.arange(310, 400)
    targets = fit_targets(neurons, train, 20)
    predicted = targets.of(neurons, test)
    found = by_neuron(targets, neurons, test, predicted)
    assert targets.basis is not None
    scored = targets.scored(neurons, test, slice(None)).T
    np.testing.assert_allclose(found, by_column(scored, predicted @ targets.basis.T), atol=1e-5)


def test_peers_explain_what_is_shared_and_no_more() -> None:
    split = strict(2000, 3)
    positions = np.random.default_rng(1).uniform(0, 2000, (600, 2))
    neurons, shared = population(600, 2000, 4, 1.0)
    found = explainable_variance(neurons, split.train, split.test, positions, components=8)
    truth = shared.var(axis=1) / neurons.var(axis=1)
    assert found.mean == pytest.approx(truth.mean(), abs=0.03)
    assert np.corrcoef(found.neurons, truth)[0, 1] > 0.95
    alone = np.random.default_rng(2).normal(size=(600, 2000)).astype(np.float32)
    assert abs(explainable_variance(alone, split.train, split.test, None, components=8).mean) < 0.02
    with pytest.raises(DataError, match="one field"):
        explainable_variance(neurons, split.train, split.test, np.zeros((600, 2)))


def test_the_checkerboard_has_a_period_of_two_fields() -> None:
    x = np.array([0, 199, 201, 399, 401, -1])
    assert checkerboard(np.stack([x, 0 * x], axis=1)).tolist() == [False, False, True, True, False, True]


def test_normalising_leaves_out_neurons_without_a_value() -> None:
    bound = Explainable(np.array([0.5, 0.3, np.nan]))
    assert bound.normalise(np.array([0.2, 0.2, 0.9])) == pytest.approx(0.5)
    assert np.isnan(Explainable(np.array([-0.1])).normalise(np.array([0.2])))


def test_ridge_is_the_closed_form_and_shrinks() -> None:
    x = RANDOM.normal(size=(200, 6)).astype(np.float32)
    y = (x @ RANDOM.normal(size=(6, 4)) + 3).astype(np.float32)
    line = fit_ridge(x, y, 0.0)
    np.testing.assert_allclose(line.predict(x), y, atol=1e-4)
    centred, level = x - x.mean(0), y - y.mean(0)
    expected = np.linalg.solve(centred.T @ centred + 50 * np.eye(6), centred.T @ level)
    np.testing.assert_allclose(fit_ridge(x, y, 50.0).weights, expected, rtol=1e-4, atol=1e-6)


def test_reduced_rank_is_the_best_of_its_rank() -> None:
    x = RANDOM.normal(size=(400, 8)).astype(np.float32)
    y = (x @ RANDOM.normal(size=(8, 10)) + RANDOM.normal(size=(400, 10))).astype(np.float32)
    line = fit_reduced_rank(x, y, 2, 0.0)
    assert np.linalg.matrix_rank(line.weights, tol=1e-6) == 2
    error = np.square(line.predict(x) - y).sum()
    full = fit_ridge(x, y, 0.0)
    left, sizes, right = np.linalg.svd(full.predict(x) - y.mean(0), full_matrices=False)
    fitted = (left[:, :2] * sizes[:2]) @ right[:2]
    assert error == pytest.approx(np.square(fitted + y.mean(0) - y).sum(), rel=1e-3)
    np.testing.assert_allclose(fit_reduced_rank(x, y, 8, 0.0).predict(x), full.predict(x), atol=1e-4)


def test_the_penalty_is_chosen_by_what_is_held_back() -> None:
    random = np.random.default_rng(3)
    x = random.normal(size=(120, 80)).astype(np.float32)
    y = (x[:, :1] + 2 * random.normal(size=(120, 1))).astype(np.float32)
    split = Split(np.arange(80), np.arange(80, 120))
    noisy = choose_penalty(x, y, split)
    clear = choose_penalty(x[:, :2], x[:, :1], split)
    assert noisy > 10 * clear


def test_filters_at_frames_are_convolutions() -> None:
    inputs = RANDOM.normal(size=(300, 2)).astype(np.float32)
    bank = averages((3.0, 8.0), 40)
    frames = np.array([0, 10, 150, 299])
    found = filtered_at(inputs, frames, bank).reshape(4, 2, 2)
    for column in range(2):
        for kernel in range(2):
            whole = np.convolve(inputs[:, column], bank[kernel, ::-1])[:300]
            np.testing.assert_allclose(found[:, column, kernel], whole[frames], atol=1e-5)
    ahead = filtered_at(inputs, frames[1:3], bank, 5)
    np.testing.assert_allclose(ahead, filtered_at(inputs, frames[1:3] + 5, bank), atol=1e-6)


def test_the_baselines_find_linear_encoding_and_the_filters_what_lasted() -> None:
    random = np.random.default_rng(4)
    inputs = random.normal(size=(15_000, 3)).astype(np.float32)
    frames = np.arange(200, 15_000, 15)
    slow = filtered_at(inputs[:, :1], frames, averages((30.0,), 120))
    values = np.concatenate([inputs[frames, 1:2], 6 * slow], axis=1)
    split = strict(len(frames), 13)
    held = hold_back(split.train, 0.15, 13)
    found = dict(keypoint_baselines(inputs, frames, values, split, held, 15.0, 199))
    actual = values[split.test]
    explained = {name: by_column(actual, predicted) for name, predicted in found.items()}
    now, filters = explained["ridge, keypoints"], explained["ridge, causal filters of them"]
    assert now[0] > 0.95
    assert now[1] < 0.3
    assert filters[1] > 0.85
    assert smoothed_at(inputs, frames, 15.0).std() < inputs.std()
