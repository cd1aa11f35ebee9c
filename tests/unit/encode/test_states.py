from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from rtface.core.errors import EngineError, UsageError
from rtface.encode.states import StateFilter, StateModel, load_states


def drawn_model(
    seed: int = 0, states: int = 4, size: int = 3, latents: int = 7, every: int = 1
) -> StateModel:
    rng = np.random.default_rng(seed)
    roots = rng.standard_normal((states, size, size))
    return StateModel(
        start=rng.dirichlet(np.ones(states)),
        transition=rng.dirichlet(np.ones(states), states),
        means=rng.standard_normal((states, size)),
        covariances=roots @ roots.transpose(0, 2, 1) + 0.3 * np.eye(size),
        centre=rng.standard_normal(latents),
        axes=rng.standard_normal((latents, size)),
        every=every,
    )


def forward_in_logarithms(model: StateModel, features: np.ndarray) -> tuple[np.ndarray, float]:
    """The textbook's forward pass, in plain logarithms and inverses: filtered probabilities and log-likelihood."""
    log_density = np.empty((len(features), model.states))
    for state in range(model.states):
        away = features - model.means[state]
        inverse = np.linalg.inv(model.covariances[state])
        _, log_det = np.linalg.slogdet(2 * np.pi * model.covariances[state])
        log_density[:, state] = -0.5 * (np.einsum("td,de,te->t", away, inverse, away) + log_det)
    alpha = np.log(model.start) + log_density[0]
    rows = [alpha]
    for density in log_density[1:]:
        alpha = np.logaddexp.reduce(alpha[:, None] + np.log(model.transition), axis=0) + density
        rows.append(alpha)
    total = np.logaddexp.reduce(rows, axis=1)
    return np.exp(rows - total[:, None]), float(total[-1])


@pytest.mark.parametrize("seed", range(4))
def test_frame_by_frame_equals_the_forward_pass_of_the_whole(seed: int) -> None:
    model = drawn_model(seed)
    latents = 2 * np.random.default_rng(seed + 100).standard_normal((200, 7))
    whole, likelihood = forward_in_logarithms(model, model.features(latents))
    states = StateFilter(model)
    total = 0.0
    for index, row in enumerate(latents):
        assert np.abs(states.step(row) - whole[index]).max() < 1e-10
        assert states.state == whole[index].argmax()
        total += states.log_likelihood
    assert total == pytest.approx(likelihood, abs=1e-7)
    states.reset()
    assert np.abs(states.step(latents[0]) - whole[0]).max() < 1e-10


def test_a_step_of_several_frames_takes_their_mean_and_holds_between() -> None:
    model = drawn_model(every=5)
    latents = np.random.default_rng(1).standard_normal((52, 7))
    means = latents[:50].reshape(10, 5, 7).mean(axis=1)
    whole, _ = forward_in_logarithms(model, model.features(means))
    states = StateFilter(model)
    got = np.stack([states.step(row).copy() for row in latents])
    assert (got[:4] == model.start).all()
    for step in range(10):
        assert np.abs(got[5 * step + 4] - whole[step]).max() < 1e-10
        assert (got[5 * step + 4 : 5 * step + 9] == got[5 * step + 4]).all()


def test_lost_frames_spread_the_probabilities_and_break_nothing() -> None:
    model = drawn_model()
    latents = np.random.default_rng(2).standard_normal((30, 7))
    states = StateFilter(model)
    for row in latents:
        before = states.step(row).copy()
    lost = states.step(np.full(7, np.nan)).copy()
    assert lost == pytest.approx(before @ model.transition)
    assert np.isnan(states.log_likelihood)
    for _ in range(200):
        last = states.step(np.array([np.nan, *latents[0][1:]]))
    assert last @ model.transition == pytest.approx(last)
    assert np.isfinite(states.step(latents[0])).all()
    half = StateFilter(dataclasses.replace(model, every=2))
    whole = StateFilter(model)
    half.step(np.full(7, np.inf))
    assert half.step(latents[0]) == pytest.approx(whole.step(latents[0]))


def test_features_far_from_all_states_give_probabilities_all_the_same() -> None:
    model = drawn_model()
    states = StateFilter(model)
    for scale in (1e3, 1e6, 1e150):
        probability = states.step(np.full(7, scale))
        assert probability.sum() == pytest.approx(1)
        assert probability.min() >= 0
    sure = dataclasses.replace(model, start=np.eye(4)[0], transition=np.eye(4))
    states = StateFilter(sure)
    away = np.linalg.lstsq(model.axes.T, 1e4 * (model.means[1] - model.means[0]), rcond=None)[0]
    assert states.step(model.centre + away).sum() == pytest.approx(1)


def test_a_saved_model_is_the_same(tmp_path: Path) -> None:
    model = drawn_model(every=3)
    model.save(tmp_path / "states.npz")
    back = load_states(tmp_path / "states.npz")
    for field in dataclasses.fields(model):
        assert np.array_equal(getattr(back, field.name), getattr(model, field.name))


def test_files_that_hold_no_model_say_so(tmp_path: Path) -> None:
    path = tmp_path / "states.npz"
    with pytest.raises(EngineError, match=r"states\.npz is no state model"):
        load_states(path)
    path.write_bytes(b"PK\x03\x04 no zip")
    with pytest.raises(EngineError, match="no state model"):
        load_states(path)
    np.savez(path, start=np.ones(2) / 2)
    with pytest.raises(EngineError, match=r"no .*transition"):
        load_states(path)
    model = drawn_model()
    arrays = {field.name: getattr(model, field.name) for field in dataclasses.fields(model)}
    np.savez(path, format=np.array(9), **arrays)
    with pytest.raises(EngineError, match="format 9"):
        load_states(path)
    np.savez(path, format=np.array(1), **(arrays | {"transition": np.ones((4, 4))}))
    with pytest.raises(EngineError, match="transition of a state model: probabilities"):
        load_states(path)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("start", np.ones(4), "start .* sum to 1"),
        ("means", np.full((4, 3), np.nan), "means"),
        ("means", np.zeros((5, 3)), "start of a state model has shape"),
        ("covariances", -np.broadcast_to(np.eye(3), (4, 3, 3)), "positive definite"),
        ("axes", np.ones((6, 3)), "axes"),
        ("every", 0, "one frame or more"),
    ],
)
def test_models_that_cannot_be_are_refused(field: str, value: object, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        dataclasses.replace(drawn_model(), **{field: value})
