from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.deposit import write_deposit
from typer.testing import CliRunner

from rtface.analyse.hmm import FitOptions
from rtface.analyse.report import ReportOptions
from rtface.cli.app import app
from rtface.core.errors import DataError
from rtface.learn.encoder.optimise import RECIPES
from rtface.learn.study.contents import Stated
from rtface.learn.study.over_sessions import over_sessions, signed_rank, summary
from rtface.learn.study.run import StudyRequest, run_study
from rtface.learn.study.sessions import read_study

pytestmark = pytest.mark.timeout(900)

SMALL: dict[str, Any] = {"name": "causal", "fast_taps": 20, "slow_taps": 60, "units": 12, "hidden": 32}
SMALL |= {"latents": 16, "slow_frames": [0.0, 8.0, 20.0]}
RECIPE = replace(RECIPES["causal"], epochs=2, samples=40, learning_rate=4e-3)
REPORT = ReportOptions(4, "kmeans", 2, FitOptions(starts=1, iterations=4))


def request_for(root: Path, out: Path, **options: Any) -> StudyRequest:
    return StudyRequest(
        root, out, **{"architecture": SMALL, "components": 8, "recipe": RECIPE, "report": REPORT, **options}
    )


@pytest.fixture(scope="module")
def deposit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("deposit")
    write_deposit(root, seconds=110, neurons=60)
    return root


@pytest.fixture(scope="module")
def study(deposit: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A whole study of one recording that was stopped between two parts and within a training, and went on."""
    out = tmp_path_factory.mktemp("study") / "out"
    sessions = read_study(deposit, Stated())[:1]
    for after in (1, 8):
        assert run_study(request_for(deposit, out), sessions, stop=counting(after)) is None
        assert not (out / "report.json").exists()
    found = run_study(request_for(deposit, out), sessions, command="rtface analyse facemap d")
    assert found is not None
    return out, found


def counting(after: int) -> Callable[[], bool]:
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked > after

    return stop


def test_a_study_has_what_the_paper_compares(study: tuple[Path, dict[str, Any]]) -> None:
    out, found = study
    assert json.loads((out / "report.json").read_text()) == found
    for name, session in found["sessions"].items():
        assert session["dropped"] == {"not finite": 1, "empty": 3, "constant": 2}
        assert session["neurons"] == 54
        assert set(session["models"]) == {"keypoints", "movie", "behaviour"}
        for kind in ("keypoints", "movie"):
            models = session["models"][kind]
            # One of two drives is the keypoints' place, which a linear model finds.
            assert models["linear"]["tuned"]["variance_explained"] > models["linear"]["null"]["most"] + 0.05
            assert models["network"]["samples"] == models["linear"]["published"]["samples"]
        assert [each["neurons"] for each in session["by_neurons"]] == []
        assert set(session["without"]) == {"whisker", "nose"}
        whole = session["models"]["keypoints"]["linear"]["tuned"]["variance_explained"]
        # The nose carries that drive.
        assert session["without"]["nose"]["linear"]["variance_explained"] < whole - 0.05
        assert session["without"]["whisker"]["linear"]["variance_explained"] > whole - 0.05
        assert session["report"]["states"]["states"] == 2
        assert (out / name / "report.md").exists()
        assert not list((out / "parts" / name).glob("*.[nc][ph]*"))
    models = found["over_sessions"]["models"]
    assert models["linear tuned, keypoints"]["n"] == 1
    page = (out / "report.md").read_text()
    for words in (
        "rtface analyse facemap d",
        "Against the null",
        "bad neurons were dropped",
        "cut to",
        "models.png",
    ):
        assert words in page


def test_a_study_that_was_stopped_is_that_which_was_not(
    study: tuple[Path, dict[str, Any]], deposit: Path, tmp_path: Path
) -> None:
    sessions = read_study(deposit, Stated())[:1]
    plain = request_for(deposit, tmp_path / "one", curves=False)
    once = run_study(plain, sessions)
    assert once is not None
    name = sessions[0].name
    assert once["sessions"][name]["models"] == study[1]["sessions"][name]["models"]
    # What is known is not computed again.
    part = tmp_path / "one" / "parts" / name / "session.json"
    part.write_text(part.read_text().replace('"minutes": ', '"minutes": 9'))
    again = run_study(plain, sessions)
    assert again is not None
    assert again["sessions"][name]["minutes"] > 90
    with pytest.raises(DataError, match="components"):
        run_study(replace(plain, components=9), sessions)
    part.write_text("{")
    with pytest.raises(DataError, match=r"session\.json is damaged"):
        run_study(plain, sessions)


def test_the_command_says_what_it_found_and_all_that_is_wrong(deposit: Path, tmp_path: Path) -> None:
    told = CliRunner().invoke(app, ["analyse", "facemap", str(deposit), "--check"], catch_exceptions=False)
    assert told.exit_code == 0, told.output
    assert "60 neurons" in told.output
    assert "12 movie components" in told.output
    with pytest.raises(DataError, match="no file holds neurons"):
        CliRunner().invoke(app, ["analyse", "facemap", str(tmp_path), "--check"], catch_exceptions=False)


def test_statistics_over_recordings() -> None:
    found = summary([0.1, 0.3, float("nan"), 0.2])
    assert (found["n"], found["mean"]) == (3, pytest.approx(0.2))
    half = 4.3027 * 0.1 / np.sqrt(3)  # Student's t with two degrees of freedom
    assert found["low"] == pytest.approx(0.2 - half, abs=1e-4)
    assert np.isnan(summary([0.5])["low"])
    assert signed_rank([0.1] * 5) is None
    assert signed_rank(np.arange(1, 7) / 10) == pytest.approx(2 / 2**6)

    def session(value: float) -> dict[str, Any]:
        tuned = {"tuned": {"variance_explained": value}}
        return {"models": {"keypoints": {"linear": tuned, "network": {"variance_explained": value + 0.1}}}}

    over = over_sessions({str(k): session(k / 10) for k in range(7)})
    difference = over["differences"]["network, keypoints - linear tuned, keypoints"]
    assert difference["mean"] == pytest.approx(0.1)
    assert difference["p"] == pytest.approx(2 / 2**7)
    assert set(over["models"]) == {"linear tuned, keypoints", "network, keypoints"}


MEASURE = """
import resource, sys
from pathlib import Path
import numpy as np
from rtface.analyse.explained import explainable_variance
from rtface.analyse.splits import strict
from rtface.analyse.targets import fit_targets
from rtface.learn.study.numpy_files import NpyMatrix
from rtface.learn.study.staging import stage
path, neurons, samples = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
small = np.random.default_rng(0).standard_normal((300, samples)).astype(np.float32)
np.save(path.with_name("small.npy"), small)
def work(source):
    staged = stage(NpyMatrix(source), samples, source.with_name(source.stem + "-staged.npy"))
    split = strict(samples, 13)
    fit_targets(staged.traces, split.train, 16).of(staged.traces, split.test)
    explainable_variance(staged.traces, split.train, split.test, None, components=16)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(work(path.with_name("small.npy")), work(path))
"""


def test_memory_does_not_grow_with_the_neurons(tmp_path: Path) -> None:
    neurons, samples = 24_000, 1_500
    random = np.random.default_rng(1)
    with (tmp_path / "spks.npy").open("wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": (neurons, samples)}
        np.lib.format.write_array_header_1_0(file, header)
        for _ in range(24):
            file.write(random.standard_normal((1000, samples)).astype("<f4").tobytes())
    told = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path / "spks.npy"), str(neurons), str(samples)],
        capture_output=True,
        text=True,
        check=True,
    )
    few, all_of_them = (1024 * int(each) for each in told.stdout.split())
    whole = 4 * neurons * samples
    assert all_of_them - few < 0.75 * whole
