"""``rtface convert``, ``rtface session metadata`` and what ``session export`` refuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.recorded_loop import Loop, record_loop
from typer.testing import CliRunner

from rtface.cli.app import app
from rtface.core.errors import RtfaceError
from rtface.record import formats

Run = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def loop(tmp_path_factory: pytest.TempPathFactory) -> Loop:
    return record_loop(tmp_path_factory.mktemp("sessions"), 60)


@pytest.fixture
def run() -> Run:
    def call(*arguments: object) -> tuple[int, str]:
        result = CliRunner().invoke(app, [str(each) for each in arguments])
        if isinstance(result.exception, RtfaceError):
            return result.exception.exit_code, str(result.exception)
        return result.exit_code, result.output

    return call


@pytest.fixture
def poses(loop: Loop, run: Run, tmp_path: Path) -> Path:
    assert run("session", "export", loop.folder, "--out", tmp_path)[0] == 0
    return tmp_path / "poses.rtface.h5"


def test_a_keypoint_file_becomes_another(poses: Path, run: Run, tmp_path: Path) -> None:
    code, text = run("convert", poses, tmp_path / "x.csv")
    assert (code, text.strip()) == (0, str(tmp_path / "x.csv"))
    before, after = formats.read(poses), formats.read(tmp_path / "x.csv")
    assert after.xy.tobytes() == before.xy.tobytes()
    assert run("convert", poses, tmp_path / "x.csv")[0] == 2
    assert run("convert", poses, tmp_path / "x.csv", "--overwrite")[0] == 0
    assert run("convert", poses, tmp_path / "x.csv", "--rate", 30, "--overwrite") == (
        2,
        "--rate and --metadata are for .nwb, .slp and .parquet",
    )
    assert run("convert", poses, tmp_path / "x.txt")[0] == 2


def test_it_goes_out_as_nwb_with_what_a_metadata_file_says(poses: Path, run: Run, tmp_path: Path) -> None:
    pytest.importorskip("ndx_optogenetics")
    import pynwb

    meta = tmp_path / "meta.yaml"
    assert run("session", "metadata", "--out", meta)[0] == 0
    assert run("session", "metadata", "--out", meta)[0] == 2
    code, text = run("convert", poses, tmp_path / "x.nwb")
    assert code == 8
    assert "rtface session metadata" in text
    assert run("convert", poses, tmp_path / "x.nwb", "--metadata", meta)[0] == 0
    with pynwb.NWBHDF5IO(tmp_path / "x.nwb", "r") as io:
        found = io.read()
        assert found.subject.subject_id == "mouse-1"
        nose = found.processing["behavior"]["PoseEstimation"]["nose"]
        np.testing.assert_array_equal(nose.data[:], formats.read(poses).xy[:, 0])


def test_a_file_without_times_needs_a_rate_but_for_sleap(poses: Path, run: Run, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    run("convert", poses, tmp_path / "x.csv")
    code, text = run("convert", tmp_path / "x.csv", tmp_path / "x.parquet")
    assert (code, "--rate says" in text) == (2, True)
    assert run("convert", tmp_path / "x.csv", tmp_path / "x.parquet", "--rate", 200)[0] == 0
    assert run("convert", tmp_path / "x.csv", tmp_path / "x.slp")[0] == 0
    import pandas as pd

    table = pd.read_parquet(tmp_path / "x.parquet")
    np.testing.assert_allclose(table["t_s"].diff()[1:], 0.005)
    np.testing.assert_array_equal(table["paw.x"], formats.read(poses).xy[:, 2, 0])


def test_the_template_is_printed_with_what_the_session_recorded(loop: Loop, run: Run) -> None:
    code, text = run("session", "metadata", loop.folder)
    assert code == 0
    assert "recorded: may be left out" in text


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--nwb", "--format", "facemap"), "--format is of the keypoint file"),
        (("--metadata", "m.yaml"), "--metadata is for --nwb alone"),
        (("--slp", "--metadata", "m.yaml"), "--metadata is for NWB alone"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    loop: Loop, run: Run, tmp_path: Path, options: tuple[str, ...], why: str
) -> None:
    code, text = run("session", "export", loop.folder, "--out", tmp_path / "out", *options)
    assert code == 2
    assert why in text


def test_a_metadata_file_that_contradicts_is_refused_before_anything_is_written(
    loop: Loop, run: Run, tmp_path: Path
) -> None:
    meta = tmp_path / "meta.yaml"
    meta.write_text("session: {session_id: another}\n", encoding="utf-8")
    code, text = run("session", "export", loop.folder, "--out", tmp_path / "out", "--nwb", "--metadata", meta)
    assert code == 3
    assert "session.session_id: 'another', but the session recorded" in text
    assert list((tmp_path / "out").iterdir()) == []


def test_what_is_not_installed_is_said_before_the_work(
    loop: Loop, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rtface.core.extras.find_spec", lambda name: None)
    for option in ("--nwb", "--parquet"):
        code, text = run("session", "export", loop.folder, "--out", tmp_path / "out", option)
        assert code == 8
        assert "pip install '.[nwb]'" in text
