from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.neural_recording import write_session
from typer.testing import CliRunner

from rtface.analyse.explained import variance_explained
from rtface.analyse.populationfile import read_latents, read_predictions
from rtface.cli.app import app
from rtface.core.errors import DataError
from rtface.learn.encoder.fit_results import read_fit
from rtface.learn.encoder.from_recording import EncoderRequest, fit_encoder
from rtface.learn.encoder.optimise import RECIPES
from rtface.learn.encoder.recording import RecordingFiles, read_recording

pytestmark = pytest.mark.timeout(900)

SMALL: dict[str, Any] = {"name": "causal", "fast_taps": 20, "slow_taps": 60, "units": 12, "hidden": 32}
SMALL |= {"latents": 32, "slow_frames": [0.0, 8.0, 20.0]}


@pytest.fixture(scope="module")
def fit(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("fit")
    session = write_session(folder / "s.npz", seconds=200.0, neurons=40)
    recipe = replace(RECIPES["causal"], epochs=4, samples=40, learning_rate=4e-3)
    request = EncoderRequest(
        RecordingFiles(session, session),
        folder / "enc",
        folder / "run",
        SMALL,
        recipe=recipe,
        explainable=False,
    )
    fitted = fit_encoder(request)
    assert fitted is not None
    return session, folder / "run", fitted.report["metrics"]


def test_a_fit_leaves_what_a_report_reads(fit: tuple[Path, Path, dict[str, Any]]) -> None:
    session, run, metrics = fit
    recording = read_recording(RecordingFiles(session, session))
    found = read_predictions(run / "predictions.npz", len(recording.neural_times))
    assert variance_explained(found.real, found.predicted) == pytest.approx(
        metrics["variance_explained"], abs=1e-4
    )
    assert found.ridge is not None
    assert metrics["ridge"] == pytest.approx(variance_explained(found.real, found.ridge), abs=1e-4)
    assert metrics["null"]["most"] < metrics["ridge"]
    assert read_latents(run / "latents.npy").shape == (len(recording.raw), 32)
    page = (run / "report.md").read_text()
    for name in ("learning.png", "traces.png", "explained.png"):
        assert name in page
        assert (run / name).read_bytes().startswith(b"\x89PNG")


def test_a_report_of_a_fit_needs_no_other_file(
    fit: tuple[Path, Path, dict[str, Any]], tmp_path: Path
) -> None:
    command = ["analyse", "report", str(fit[1]), "--out", str(tmp_path / "r"), "--states", "2"]
    told = CliRunner().invoke(
        app, [*command, "--clusters", "4", "--method", "kmeans"], catch_exceptions=False
    )
    assert told.exit_code == 0, told.output
    report = json.loads((tmp_path / "r" / "report.json").read_text())
    assert report["left_out"] == []
    assert report["components"]["predicted_by"] == "encoder enc"
    assert report["components"]["variance_explained"] == pytest.approx(fit[2]["variance_explained"], abs=1e-3)
    assert report["components"]["null"]["shifts"] == 20
    assert report["clusters"]["predicted_by"] == "encoder enc"
    assert report["states"]["states"] == 2


def test_a_report_of_a_session_alone_predicts_by_ridge(
    fit: tuple[Path, Path, dict[str, Any]], tmp_path: Path
) -> None:
    command = ["analyse", "report", str(fit[0]), "--out", str(tmp_path / "r"), "--states", "2"]
    told = CliRunner().invoke(
        app, [*command, "--clusters", "4", "--method", "kmeans"], catch_exceptions=False
    )
    assert told.exit_code == 0, told.output
    report = json.loads((tmp_path / "r" / "report.json").read_text())
    assert report["left_out"] == []
    assert report["components"]["predicted_by"] == "ridge, causal filters of the keypoints"
    assert report["components"]["variance_explained"] > report["components"]["null"]["most"]
    assert "ridge" in report["latents"]


def test_a_folder_of_something_else_is_refused(
    fit: tuple[Path, Path, dict[str, Any]], tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"recording\.json is missing"):
        read_fit(tmp_path)
    (tmp_path / "recording.json").write_text('{"keypoints": 3}')
    with pytest.raises(DataError, match="is damaged"):
        read_fit(tmp_path)
    (tmp_path / "recording.json").write_text((fit[1] / "recording.json").read_text())
    np.save(tmp_path / "latents.npy", np.zeros((7, 3), np.float32))
    with pytest.raises(DataError, match="has 7 frames"):
        read_fit(tmp_path)
