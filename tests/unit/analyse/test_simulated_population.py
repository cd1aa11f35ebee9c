from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("scipy", reason="the extra `analyse` is not installed")

from rtface.analyse.behaviour import Behaviour, tracked_behaviour
from rtface.analyse.explained import by_column
from rtface.analyse.latents import KINDS, draw_latents, kernel_response, latent_traces
from rtface.analyse.population import BLOCK, Population, PopulationParameters
from rtface.analyse.populationfile import read_population, write_population
from rtface.analyse.simulated_population import Film, simulate_population
from rtface.core.errors import DataError, UsageError
from rtface.record.table import PoseTable

SMALL = PopulationParameters(neurons=BLOCK + 100, seconds=240, clusters=12, seed=3)


@pytest.fixture(scope="module")
def population() -> Population:
    return simulate_population(SMALL)


@pytest.fixture(scope="module")
def traces(population: Population) -> np.ndarray:
    return population.traces()


def test_shapes_units_and_signs_are_as_said(population: Population, traces: np.ndarray) -> None:
    samples = len(population.tneural)
    assert traces.shape == (SMALL.neurons, samples)
    assert traces.dtype == np.float32
    assert traces.min() >= 0
    assert abs(samples - SMALL.seconds * SMALL.neural_hz) <= 2
    assert np.isfinite(population.keypoints).all()
    assert "paw" not in population.behaviour.names
    assert (population.tcam[population.sampled] <= population.tneural).all()
    assert (population.tneural - population.tcam[population.sampled] < 1 / SMALL.camera_hz + 1e-9).all()
    for place in (population.xpos, population.ypos):
        assert place.min() >= 0
        assert place.max() <= SMALL.sheet_um
    assert (population.keypoints - population.behaviour.xy).std() == pytest.approx(0.5, rel=0.02)


def test_the_ceiling_of_each_neuron_is_what_drawing_again_and_again_shows(population: Population) -> None:
    # Everything but behaviour is drawn anew each time: what repeats is what behaviour explains.
    rng = np.random.default_rng(0)
    neurons = slice(0, 60)
    rate, noise = population.rate[neurons, None], SMALL.noise
    mu = 1 + population.weights[neurons] @ population.latents[population.sampled].T
    total = np.zeros_like(mu)
    variance = np.zeros(60)
    repeats = 400
    for _ in range(repeats):
        hidden = rng.standard_normal(population.hidden.shape) * population.hidden_gain[:, None]
        drawn = np.maximum(0, mu + population.hidden_weights[neurons] @ hidden.T) * rate
        drawn = noise * rng.standard_gamma(drawn / noise)
        total += drawn
        variance += drawn.var(axis=1) / repeats
    mean = total / repeats
    sampling_error = (variance - mean.var(axis=1)) / repeats
    measured = (mean.var(axis=1) - sampling_error) / variance
    assert population.ceilings()[neurons] == pytest.approx(measured, abs=0.01)
    expected = next(each for _, each in population.expected_blocks())[neurons]
    assert np.abs(expected - mean).mean() < 0.05


def test_no_prediction_from_behaviour_beats_the_ceiling_of_components(
    population: Population, traces: np.ndarray
) -> None:
    centre, scale = traces.mean(axis=1), traces.std(axis=1)
    normal = (traces - centre[:, None]) / scale[:, None]
    readout = np.linalg.svd(normal, full_matrices=False)[0][:, :20]
    components = normal.T @ readout
    expected = population.expected_components(readout, centre, scale)
    latents = np.c_[population.latents[population.sampled], np.ones(len(components))]
    test = np.arange(len(components)) // 60 % 2 == 1
    weights = np.linalg.lstsq(latents[~test], components[~test], rcond=None)[0]
    reached = by_column(components[test], latents[test] @ weights)
    ceiling = by_column(components[test], expected[test])
    assert ceiling[0] > 0.8
    assert (reached < ceiling + 0.05).all()
    well = ceiling > 0.5
    assert well.sum() > 2
    assert reached[well].mean() > 0.85 * ceiling[well].mean()


def test_clusters_that_are_spread_are_driven_more_by_behaviour(population: Population) -> None:
    ceiling, spread = population.ceilings(), population.spread[population.cluster]
    assert ceiling[spread].mean() > 1.5 * ceiling[~spread].mean()
    size = [np.ptp(population.xpos[population.cluster == each]) for each in range(SMALL.clusters)]
    assert min(np.array(size)[population.spread]) > max(np.array(size)[~population.spread])


def test_latents_look_back_only_and_have_their_kernels(population: Population) -> None:
    behaviour, recipe = population.behaviour, population.recipe
    assert {latent.kind for latent in recipe} == set(KINDS)
    xy = behaviour.xy.copy()
    xy[9000:] = xy[:8999:-1]  # played backwards: the session's means and sizes stay all but the same
    changed = latent_traces(dataclasses.replace(behaviour, xy=xy), recipe)
    before, after = np.asarray(population.latents), np.asarray(changed)
    for index in range(SMALL.latents):
        assert np.corrcoef(before[:9000, index], after[:9000, index])[0, 1] > 0.999
    assert np.abs(before[9050:] - after[9050:]).mean() > 0.1
    impulse = np.zeros(3000)
    impulse[10] = 1
    response = kernel_response(impulse, 0.1, 0.5, 50.0)
    assert (response[:10] == 0).all()
    assert response.sum() == pytest.approx(1, abs=1e-6)
    tail = response[200:260]
    assert -1 / np.diff(np.log(tail)).mean() == pytest.approx(0.5 * 50, rel=0.02)
    assert kernel_response(np.ones((50, 2)), 0.1, 0.5, 50.0) == pytest.approx(1)


def test_the_same_seed_gives_the_same_session_and_another_seed_another(
    population: Population, traces: np.ndarray
) -> None:
    short = dataclasses.replace(SMALL, seconds=20)
    one, two, other = (
        simulate_population(each).traces() for each in (short, short, dataclasses.replace(short, seed=4))
    )
    assert (one == two).all()
    assert (one != other).mean() > 0.9
    assert (population.traces() == traces).all()


def test_50_000_neurons_take_the_memory_of_a_block(tmp_path: Path) -> None:
    tracemalloc = pytest.importorskip("tracemalloc")
    many = simulate_population(PopulationParameters(neurons=50_000, seconds=60, latents=8, hidden=4))
    whole = 50_000 * len(many.tneural) * 4
    path = tmp_path / "many.npz"
    tracemalloc.start()
    write_population(many, path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert path.stat().st_size > whole
    assert peak < 0.4 * whole


def test_a_file_gives_back_what_was_written(
    population: Population, traces: np.ndarray, tmp_path: Path
) -> None:
    path = tmp_path / "session.npz"
    write_population(population, path)
    back = read_population(path)
    assert (back.spks == traces).all()
    assert back.simulated
    assert '"simulated": true' in back.about
    assert back.keypoint_names == population.behaviour.names
    assert back.keypoints is not None
    assert (back.keypoints == population.keypoints).all()
    assert (back.truth["state"] == population.behaviour.mood).all()
    assert (back.truth["ceiling"] == population.ceilings()).all()
    with pytest.raises(UsageError, match="exists"):
        write_population(population, path)


def test_files_that_are_none_say_what_is_wrong(tmp_path: Path) -> None:
    good = {
        "spks": np.ones((4, 9)),
        "tcam": np.arange(30.0),
        "tneural": np.arange(9.0),
        "xpos": np.ones(4),
        "ypos": np.ones(4),
    }
    path = tmp_path / "x.npz"

    def written(**changed: np.ndarray | None) -> Path:
        np.savez(path, **{key: each for key, each in (good | changed).items() if each is not None})
        return path

    assert not read_population(written()).simulated
    assert read_population(written(spks=np.ones((4, 9), np.int16))).spks.dtype == np.float32
    for changed, words in (
        ({"tneural": None}, "no array 'tneural'"),
        ({"xpos": np.ones(5)}, r"xpos has shape \(5,\)"),
        ({"spks": np.ones(4)}, "spks is float64 of shape"),
        ({"keypoints": np.ones((7, 2, 2))}, "7 frames of keypoints"),
        ({"tcam": np.array([{}], object)}, "x.npz"),
    ):
        with pytest.raises(DataError, match=words):
            read_population(written(**changed))  # type: ignore[arg-type]
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(DataError, match=r"x\.npz"):
        read_population(path)
    with pytest.raises(DataError, match="missing"):
        read_population(tmp_path / "missing.npz")
    np.save(tmp_path / "one.npy", np.ones(3))
    with pytest.raises(DataError, match="one array"):
        read_population(tmp_path / "one.npy")


def test_parameters_that_cannot_be_are_refused() -> None:
    for wrong in ({"neurons": 0}, {"seconds": 0}, {"noise": -1}, {"camera_hz": 5.0}, {"brightness": -0.1}):
        with pytest.raises(UsageError, match=next(iter(wrong)).split("_")[0]):
            PopulationParameters(**wrong)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="neural samples"):
        simulate_population(PopulationParameters(neurons=5, seconds=2))
    with pytest.raises(UsageError, match="moods"):
        simulate_population(PopulationParameters(neurons=5, seconds=20, moods=7))


def test_the_film_shows_the_mouse_that_the_keypoints_tell_of(population: Population) -> None:
    film, out = Film(population, 96, 72), np.empty((72, 96), np.uint8)
    again = np.empty_like(out)
    film.render(500, out)
    film.render(17, again)
    film.render(500, again)
    assert (out == again).all()
    light = [(film.render(index, out), out.mean())[1] for index in range(0, 3000, 25)]
    still = dataclasses.replace(population, parameters=dataclasses.replace(SMALL, brightness=0))
    steady = Film(still, 96, 72)
    dark = [(steady.render(index, out), out.mean())[1] for index in range(0, 3000, 25)]
    assert np.std(light) > 1.5 * np.std(dark)


def _table(frames: int = 400) -> PoseTable:
    rng = np.random.default_rng(0)
    names = ("nose(tip)", "paw", "whisker(I)", "eye(top)")
    xy = np.cumsum(rng.normal(0, 1, (frames, 4, 2)), axis=0).astype(np.float32)
    score = np.ones((frames, 4), np.float32)
    score[:5, 0] = score[100:110, 2] = 0
    score[: frames // 2 + 10, 3] = 0
    times = (np.arange(frames) * 20_000_000).astype(np.int64)
    unknown = np.full(frames, -1, np.int64)
    outside = np.zeros((frames, 4), np.bool_)
    frame_id = np.arange(frames)
    return PoseTable(names, (True,) * 4, xy, score, outside, frame_id, unknown, unknown, times)


def test_a_tracked_recording_drives_a_population_too() -> None:
    table = _table()
    behaviour = tracked_behaviour(table)
    assert behaviour.names == ("nose(tip)", "whisker(I)")
    assert behaviour.rate_hz == pytest.approx(50)
    assert (behaviour.xy[:5, 0] == table.xy[5, 0]).all()
    assert (behaviour.xy[100:110, 1] == table.xy[99, 2]).all()
    population = simulate_population(PopulationParameters(neurons=20, latents=8), behaviour)
    assert len(population.tcam) == 400
    assert population.ceilings().mean() > 0.02
    with pytest.raises(UsageError, match="its own recording"):
        Film(population, 96, 72)


def test_a_recording_that_drives_nothing_is_refused() -> None:
    table = _table()
    with pytest.raises(DataError, match="no keypoint"):
        tracked_behaviour(dataclasses.replace(table, score=table.score * 0))
    with pytest.raises(DataError, match="give the rate"):
        tracked_behaviour(dataclasses.replace(table, camera_ns=table.arrival_ns))
    assert tracked_behaviour(dataclasses.replace(table, camera_ns=table.arrival_ns), 25.0).rate_hz == 25


def test_latents_of_a_face_without_the_usual_parts_take_all_points() -> None:
    rng = np.random.default_rng(0)
    names = ("hand", "joystick")
    xy = np.cumsum(rng.normal(0, 1, (200, 2, 2)), axis=0).astype(np.float32)
    behaviour = Behaviour(names, xy, 50.0, np.zeros(200, np.int8), simulated=False)
    traces = latent_traces(behaviour, draw_latents(names, 8, rng))
    assert traces.std(axis=0) == pytest.approx(1, abs=1e-3)
