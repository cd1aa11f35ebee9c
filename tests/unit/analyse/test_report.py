from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("scipy", reason="the extra `analyse` is not installed")
pytest.importorskip("sklearn", reason="the extra `analyse` is not installed")
pytest.importorskip("hmmlearn", reason="the extra `analyse` is not installed")

from rtface.analyse.explained import by_column
from rtface.analyse.hmm import FitOptions
from rtface.analyse.population import PopulationParameters
from rtface.analyse.populationfile import (
    ActivityPredictions,
    Recorded,
    read_latents,
    read_population,
    read_predictions,
    write_population,
)
from rtface.analyse.report import ReportOptions, write_report
from rtface.analyse.simulated_population import simulate_population
from rtface.analyse.splits import published
from rtface.cli.app import app
from rtface.core.errors import DataError

QUICK = ReportOptions(clusters=8, method="kmeans", states=6, fit=FitOptions(starts=2, iterations=15))


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A simulated session and predictions of it by linear regression from the true latents."""
    folder = tmp_path_factory.mktemp("session")
    population = simulate_population(
        PopulationParameters(neurons=300, seconds=240, clusters=8, noise=0.2, seed=1)
    )
    write_population(population, folder / "session.npz")
    spks = population.traces()
    centre, scale = spks.mean(axis=1), spks.std(axis=1)
    readout = np.linalg.svd((spks - centre[:, None]) / scale[:, None], full_matrices=False)[0][:, :12]
    components = ((spks - centre[:, None]) / scale[:, None]).T @ readout
    split = published(len(components))
    train, test = split.train, split.test
    latents = np.c_[population.latents[population.sampled], np.ones(len(components))]
    predicted = latents[test] @ np.linalg.lstsq(latents[train], components[train], rcond=None)[0]
    ceiling = by_column(components[test], population.expected_components(readout, centre, scale)[test])
    np.savez(
        folder / "predictions.npz",
        Y_test=components[test],
        Y_pred_test=predicted,
        itest=test,
        U=readout,
        ceiling=ceiling,
    )
    return folder / "session.npz", folder / "predictions.npz"


@pytest.fixture(scope="module")
def recorded(session: tuple[Path, Path]) -> Recorded:
    return read_population(session[0])


@pytest.fixture(scope="module")
def predictions(session: tuple[Path, Path], recorded: Recorded) -> ActivityPredictions:
    return read_predictions(session[1], len(recorded.tneural))


def test_a_report_tells_what_is_true_of_a_simulated_population(
    recorded: Recorded, predictions: ActivityPredictions, tmp_path: Path
) -> None:
    report = write_report(recorded, tmp_path, predictions, options=QUICK, command="rtface analyse report x")
    assert report["simulated"] is True
    assert report["left_out"] == []
    left = ((predictions.real - predictions.predicted) ** 2).sum()
    spread = ((predictions.real - predictions.real.mean(axis=0)) ** 2).sum()
    assert report["components"]["variance_explained"] == pytest.approx(1 - left / spread, abs=1e-3)
    assert 0.5 < report["components"]["of_ceiling"] < 1.05
    assert report["clusters"]["predicted_by"] == "the predictions given"
    assert report["clusters"]["locality_against_predictability"]["spearman"] < -0.4
    assert report["states"]["adjusted_rand_index"] > 0.6
    assert report["states"]["irreversibility"]["p"] < 0.05
    nose = report["forecast"]["nose"]
    assert (np.array(nose["forecast"]) > np.array(nose["last_position"]))[:6].all()
    assert json.loads((tmp_path / "report.json").read_text()) == report
    words = (tmp_path / "report.md").read_text()
    assert "SIMULATED" in words
    assert "rtface analyse report x" in words
    for name in report["pictures"]:
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
        assert f"({name})" in words


def test_what_is_not_there_is_left_out_and_said_to_be(recorded: Recorded, tmp_path: Path) -> None:
    bare = dataclasses.replace(recorded, simulated=False, keypoints=None, truth={}, about="")
    report = write_report(bare, tmp_path, options=QUICK)
    words = (tmp_path / "report.md").read_text()
    assert "SIMULATED" not in words
    for part in ("components", "predictability", "states", "forecast"):
        assert any(line.startswith(part) for line in report["left_out"])
        assert part in words.split("## Left out")[1]
    assert report["pictures"] == []
    assert len(report["clusters"]["locality"]) == 8


def test_the_number_of_states_is_chosen_when_none_is_given(
    recorded: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rtface.analyse.report.CANDIDATES", (2, 4))
    options = dataclasses.replace(QUICK, states=None)
    report = write_report(recorded, tmp_path, latents=recorded.truth["latents"], options=options)
    assert report["states"]["states"] in (2, 4)
    assert set(report["states"]["tried"]) == {"2", "4"}
    assert report["latents"] == "given"
    assert "state_number.png" in report["pictures"]


def test_the_command_simulates_and_reports(tmp_path: Path) -> None:
    runner, out = CliRunner(), tmp_path / "s.npz"
    simulated = ["analyse", "simulate", "--out", str(out), "--neurons", "60", "--minutes", "1", "--seed", "2"]
    first = runner.invoke(app, simulated)
    assert first.exit_code == 0, first.output
    assert "SIMULATED, 60 neurons" in first.output
    again = runner.invoke(app, simulated)
    assert again.exit_code != 0
    reported = runner.invoke(
        app, ["analyse", "report", str(out), "--out", str(tmp_path / "r"), "--states", "3", "--clusters", "4"]
    )
    assert reported.exit_code == 0, reported.output
    assert json.loads((tmp_path / "r" / "report.json").read_text())["states"]["states"] == 3


def test_latents_and_predictions_that_do_not_fit_are_refused(
    recorded: Recorded, session: tuple[Path, Path], tmp_path: Path
) -> None:
    samples = len(recorded.tneural)
    good = dict(np.load(session[1]))
    path = tmp_path / "p.npz"
    for changed, words in (
        ({"itest": good["itest"] + samples}, "itest goes to"),
        ({"Y_test": good["Y_test"][:-1]}, "do not go together"),
    ):
        np.savez(path, **(good | changed))
        with pytest.raises(DataError, match=words):
            read_predictions(path, samples)
    np.savez(path, itest=good["itest"])
    with pytest.raises(DataError, match="no array 'Y_test'"):
        read_predictions(path, samples)
    path.write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"p\.npz"):
        read_predictions(path, samples)
    with pytest.raises(DataError, match="frames of latents"):
        write_report(recorded, tmp_path, latents=np.ones((7, 3), np.float32), options=QUICK)
    np.save(tmp_path / "l.npy", np.array([[1.0, 2.0], [np.nan, 0.0]]))
    with pytest.raises(DataError, match="frame 1 is not finite"):
        read_latents(tmp_path / "l.npy")
    np.save(tmp_path / "l.npy", np.arange(3))
    with pytest.raises(DataError, match="frames x latents"):
        read_latents(tmp_path / "l.npy")
