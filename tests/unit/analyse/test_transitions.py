from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtface.analyse.transitions import (
    concentration,
    count_transitions,
    forward_runs,
    irreversibility,
    jump_path,
    lifetimes,
    reversal,
    sequence_order,
    without_self,
)
from rtface.core.errors import UsageError
from rtface.simulate.moods import ring_jumps, sample_moods


def path_of(circulation: float, steps: int = 6000, states: int = 6, seed: int = 0) -> np.ndarray:
    return sample_moods(ring_jumps(states, circulation), 8.0, steps, np.random.default_rng(seed))


def above(matrix: np.ndarray, order: np.ndarray) -> float:
    return float(np.triu(matrix[np.ix_(order, order)], 1).sum())


def test_self_transitions_go_and_rows_sum_to_1() -> None:
    counts = count_transitions(np.array([0, 0, 1, 0, 2, 2, 2]), 4)
    assert counts.tolist() == [[1, 1, 1, 0], [1, 0, 0, 0], [0, 0, 2, 0], [0, 0, 0, 0]]
    assert without_self(counts).tolist() == [[0, 0.5, 0.5, 0], [1, 0, 0, 0], [0] * 4, [0] * 4]


def test_lifetimes_by_the_matrix_and_by_the_visits() -> None:
    path = np.array([0, 0, 1, 1, 1, 0, 1, 2, 2])
    transition = np.array([[0.5, 0.5, 0], [0.25, 0.5, 0.25], [0, 0, 1.0]])
    life = lifetimes(transition, path)
    assert life.geometric.tolist() == [2, 2, np.inf]
    assert life.visits.tolist() == [1, 2, 0]
    assert life.empirical[:2].tolist() == [1, 2]
    assert np.isnan(life.empirical[2])
    long = path_of(0.8, 60_000)
    counts = count_transitions(long, 6)
    both = lifetimes(counts / counts.sum(axis=1, keepdims=True), long)
    assert both.geometric == pytest.approx(both.empirical, rel=0.02)
    assert both.empirical.mean() == pytest.approx(8, rel=0.05)


@pytest.mark.parametrize("states", [3, 6, 12])
def test_a_shuffled_ring_is_put_in_order(states: int) -> None:
    rng = np.random.default_rng(states)
    ring = np.full((states, states), 0.02)
    ring[np.arange(states), (np.arange(states) + 1) % states] = 0.8
    np.fill_diagonal(ring, 0)
    ring[-1, 0] = 0.3  # where it is cut open
    hidden = rng.permutation(states)
    shuffled = ring[np.ix_(hidden, hidden)]
    order = sequence_order(shuffled)
    assert hidden[order].tolist() == list(range(states))


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.integers(2, 6))
def test_the_order_is_the_best_of_all_orders(seed: int, states: int) -> None:
    matrix = np.random.default_rng(seed).random((states, states))
    order = sequence_order(matrix)
    assert sorted(order) == list(range(states))
    best = max(above(matrix, np.array(each)) for each in itertools.permutations(range(states)))
    assert above(matrix, order) == pytest.approx(best)


def test_concentration_counts_the_nearest_states() -> None:
    order = np.arange(4)
    chain = np.array([[0, 1, 0, 0], [0.5, 0, 0.5, 0], [0, 0.5, 0, 0.5], [0, 0, 1, 0.0]])
    curve = concentration(chain, order)
    assert curve.tolist() == pytest.approx([0.75, 1, 1])
    flat = np.full((5, 5), 0.25) * (1 - np.eye(5))
    assert concentration(flat, np.arange(5)) == pytest.approx([0.25, 0.5, 0.75, 1])
    assert concentration(chain, np.array([0, 2, 1, 3]))[0] < 0.75


def test_forward_runs_are_runs_towards_higher_places() -> None:
    path = np.array([0, 0, 1, 2, 2, 0, 1, 0, 2])
    assert forward_runs(path, np.arange(3)).tolist() == [3, 2, 2]
    assert forward_runs(path, np.array([2, 1, 0])).tolist() == [2, 2]
    assert jump_path(path).tolist() == [0, 1, 2, 0, 1, 0, 2]


def test_a_ring_has_an_arrow_of_time_and_a_reversible_chain_none() -> None:
    ring = irreversibility(path_of(0.9), 6, surrogates=199)
    assert ring.p == 1 / 200
    assert ring.entropy_production > 3 * ring.surrogates.max()
    assert ring.backwards == pytest.approx(ring.entropy_production)
    assert ring.shuffled < 0.3 * ring.entropy_production
    chain = irreversibility(path_of(0.5), 6, surrogates=199)
    assert chain.p > 0.05
    assert chain.entropy_production < 0.1 * ring.entropy_production


def test_p_is_uniform_for_reversible_chains() -> None:
    p = np.array([irreversibility(path_of(0.5, 1500, 4, seed), 4, 49, seed).p for seed in range(120)])
    assert (p <= 0.1).mean() < 0.2
    assert (p <= 0.5).mean() == pytest.approx(0.5, abs=0.15)


def test_likely_transitions_of_a_ring_have_no_way_back() -> None:
    ring, chain = reversal(ring_jumps(6, 0.95)), reversal(ring_jumps(6, 0.5))
    assert ring.pairs == 6
    assert ring.forward > 0.8
    assert ring.reverse < ring.baseline
    assert chain.pairs == 12
    assert chain.reverse == pytest.approx(chain.forward)
    assert chain.two_steps_on == pytest.approx(chain.two_steps_back)
    none = reversal(ring_jumps(6, 0.5), likely=0.99)
    assert none.pairs == 0
    assert np.isnan(none.reverse)


def test_paths_that_tell_nothing_are_refused() -> None:
    with pytest.raises(UsageError, match="two steps"):
        count_transitions(np.array([0]), 2)
    with pytest.raises(UsageError, match="from 0 to 1, not 0 to 2"):
        irreversibility(np.array([0, 1, 2, 1]), 2)
    with pytest.raises(UsageError, match="3 or more"):
        irreversibility(np.array([0, 0, 1, 1]), 2)
    with pytest.raises(UsageError, match="square"):
        sequence_order(np.ones((2, 3)))
