from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.neural_recording import write_session
from typer.testing import CliRunner

from rtface.cli.app import app
from rtface.core.errors import DataError, EngineError, UsageError

RUNNER = CliRunner()


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_session(tmp_path_factory.mktemp("session") / "s.npz", seconds=240)


@pytest.fixture(scope="module")
def encoder(session: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli") / "mine"
    told = RUNNER.invoke(
        app,
        [
            "encoder",
            "fit",
            str(session),
            str(session),
            "--out",
            str(folder),
            "--epochs",
            "2",
            "--input",
            "run",
            "--json",
        ],
        catch_exceptions=False,
    )
    assert told.exit_code == 0
    report = json.loads(told.stdout)
    assert report["encoder"] == "mine"
    assert report["metrics"]["samples"] > 30
    return folder


def test_show_prints_the_card(encoder: Path) -> None:
    told = RUNNER.invoke(app, ["encoder", "show", str(encoder)], catch_exceptions=False)
    assert told.exit_code == 0
    for word in (
        "causal",
        "past frames alone",
        "nose(tip), whisker(I)",
        "run",
        "30 neurons",
        "s.npz",
        "sha256",
    ):
        assert word in told.stdout
    manifest = json.loads(RUNNER.invoke(app, ["encoder", "show", str(encoder), "--json"]).stdout)
    assert manifest["extras"] == ["run"]


def test_evaluate_compares_with_regressions(encoder: Path, session: Path) -> None:
    told = RUNNER.invoke(
        app,
        ["encoder", "evaluate", str(encoder), str(session), str(session), "--json"],
        catch_exceptions=False,
    )
    report = json.loads(told.stdout)
    assert [each["name"] for each in report["results"]][:2] == [
        "encoder mine",
        "reduced rank, keypoints (published)",
    ]
    assert report["learnt_from_it"] is True
    shown = RUNNER.invoke(
        app,
        ["encoder", "evaluate", str(encoder), str(session), str(session), "--no-baselines"],
        catch_exceptions=False,
    )
    assert "encoder mine" in shown.stdout
    assert "ridge" not in shown.stdout


def test_errors_name_file_and_field(session: Path, encoder: Path, tmp_path: Path) -> None:
    def run(*arguments: str) -> None:
        RUNNER.invoke(app, ["encoder", *arguments], catch_exceptions=False)

    out = str(tmp_path / "new")
    with pytest.raises(DataError, match=r"s\.npz has no field speed"):
        run("fit", str(session), str(session), "--out", out, "--input", "speed")
    with pytest.raises(UsageError, match="--input takes NAME"):
        run("fit", str(session), str(session), "--out", out, "--input", "=x.npy")
    with pytest.raises(UsageError, match="no keypoint 'tail'"):
        run("fit", str(session), str(session), "--out", out, "--exclude", "tail")
    with pytest.raises(EngineError, match=r"encoder\.json cannot be read"):
        run("show", str(tmp_path))
    with pytest.raises(EngineError, match="exists already"):
        run("fit", str(session), str(session), "--out", str(encoder))
    assert not (tmp_path / "new").exists()
