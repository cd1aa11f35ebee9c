from __future__ import annotations

from functools import cache

import numpy as np
import pytest

pytest.importorskip("scipy", reason="the extra `analyse` is not installed")
pytest.importorskip("hmmlearn", reason="the extra `analyse` is not installed")

from sklearn.metrics import adjusted_rand_score

from rtface.analyse.hmm import (
    FitOptions,
    choose_states,
    decoded,
    filtered,
    fit_states,
    held_out_likelihood,
    reordered,
)
from rtface.analyse.population import Population, PopulationParameters
from rtface.analyse.simulated_population import simulate_population
from rtface.analyse.transitions import irreversibility
from rtface.core.errors import UsageError
from rtface.simulate.moods import ring_jumps, sample_moods

STEP = FitOptions(features=3, every=1, starts=2, iterations=15)


def drawn(states: int, steps: int, seed: int, circulation: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    path = sample_moods(ring_jumps(states, circulation), 10.0, steps, rng)
    means = 2.5 * rng.standard_normal((states, 5))
    return means[path] + rng.standard_normal((steps, 5)), path


@cache
def moody() -> Population:
    return simulate_population(PopulationParameters(neurons=1, seconds=600, seed=2))


def test_a_chain_is_found_and_its_matrix_with_it() -> None:
    latents, path = drawn(4, 3000, 0)
    model = fit_states(latents, 4, STEP)
    found = decoded(model, latents)
    assert adjusted_rand_score(path, found) > 0.95
    matched = np.array([np.bincount(found[path == state], minlength=4).argmax() for state in range(4)])
    transition = reordered(model, matched).transition
    assert np.diag(transition) == pytest.approx(0.9, abs=0.02)
    assert transition[0, 1] > 4 * transition[1, 0]
    assert adjusted_rand_score(path, filtered(model, latents).argmax(axis=1)) > 0.9


def test_the_moods_of_a_simulated_mouse_are_found() -> None:
    population = moody()
    model = fit_states(population.latents, 6, FitOptions(starts=4, iterations=25))
    path = decoded(model, population.latents)
    mood = population.behaviour.mood[model.every // 2 :: model.every][: len(path)]
    assert adjusted_rand_score(mood, path) > 0.8
    assert irreversibility(path, 6, surrogates=199).p < 0.02


def test_held_out_time_tells_how_many_states_there_are() -> None:
    latents, _ = drawn(3, 1500, 3)
    choice = choose_states(latents, (2, 3, 4, 5), STEP)
    assert (choice.chosen, choice.rising) == (3, False)
    assert choice.gain.shape == (3, 4)
    assert choice.gain.mean(axis=0)[1] > choice.gain.mean(axis=0)[0] + 0.1
    noise = np.random.default_rng(0).standard_normal((600, 5))
    assert choose_states(noise, (2,), STEP).gain.max() < 0.05


def test_where_the_likelihood_still_rises_the_knee_is_taken() -> None:
    rng = np.random.default_rng(0)
    angle = 2 * np.pi * np.arange(1500) / 100 + np.cumsum(rng.normal(0, 0.05, 1500))
    ring = np.stack([np.cos(angle), np.sin(angle)], axis=1) + 0.05 * rng.standard_normal((1500, 2))
    choice = choose_states(ring, (2, 4, 8, 12), STEP)
    assert choice.rising
    assert choice.chosen in (4, 8)


def test_held_out_likelihood_is_lower_for_time_of_another_kind() -> None:
    latents, _ = drawn(3, 1500, 1)
    model = fit_states(latents[:1000], 3, STEP)
    same, shifted = latents[1000:], latents[1000:] + 3
    assert held_out_likelihood(model, same) > held_out_likelihood(model, shifted) + 1
    assert held_out_likelihood(model, same) == pytest.approx(
        held_out_likelihood(model, latents[:1000]), abs=0.3
    )


def test_the_same_seed_gives_the_same_model() -> None:
    latents, _ = drawn(3, 600, 1)
    one, two = (fit_states(latents, 3, STEP) for _ in range(2))
    assert (one.means == two.means).all()


def test_latents_that_have_no_states_are_refused() -> None:
    latents, _ = drawn(3, 200, 1)
    for wrong, words in (
        (np.where(np.arange(200)[:, None] == 7, np.nan, latents), "finite"),
        (np.ones((200, 5)), "do not vary"),
        (latents[0], "frames x latents"),
        (latents[:10], "too few"),
    ):
        with pytest.raises(UsageError, match=words):
            fit_states(wrong, 3, STEP)
    with pytest.raises(UsageError, match="2 states"):
        fit_states(latents, 1, STEP)
    with pytest.raises(UsageError, match="no step"):
        fit_states(latents, 2, FitOptions(every=500))
    with pytest.raises(UsageError, match="rising"):
        choose_states(latents, (4, 2), STEP)
    with pytest.raises(UsageError, match="every"):
        FitOptions(every=0)
