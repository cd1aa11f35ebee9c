from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from support.encoders import NAMES, made_encoder, walk
from typer.testing import CliRunner

from rtface.cli.app import app
from rtface.core.errors import DataError
from rtface.encode.states import load_states
from rtface.encode.stream import StreamingEncoder
from rtface.record import formats
from rtface.record.table import NO_TIME, PoseTable


def recording(path: Path, frames: int) -> Path:
    none = np.full(frames, NO_TIME, np.int64)
    table = PoseTable(
        names=NAMES,
        trained=(True,) * len(NAMES),
        xy=np.nan_to_num(walk(frames), nan=30),
        score=np.ones((frames, len(NAMES)), np.float32),
        outside=np.zeros((frames, len(NAMES)), np.bool_),
        frame_id=np.arange(frames),
        exposure_ns=none,
        arrival_ns=none,
        camera_ns=10**9 + np.arange(frames) * 10_000_000,
    )
    formats.write(table, path)
    return path


def test_a_model_of_the_latents_is_one_that_the_stream_takes(tmp_path: Path) -> None:
    pytest.importorskip("hmmlearn", reason="the fit needs hmmlearn")
    bundle = made_encoder(tmp_path / "enc")
    source = recording(tmp_path / "v.rtface.h5", 4000)
    out = tmp_path / "states.npz"
    arguments = [
        "encoder",
        "states",
        str(bundle.folder),
        str(source),
        "--out",
        str(out),
        "--states",
        "3",
        "--json",
    ]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["rows"] == 4000 / 2 - bundle.manifest.past_frames
    assert len(told["lifetimes_s"]) == 3
    model = load_states(out)
    assert (model.states, model.every) == (3, 10)
    assert StreamingEncoder(bundle, NAMES, 100.0, states=model).states == 3
    again = CliRunner().invoke(app, arguments)
    assert again.exit_code != 0
    assert "exists already" in str(again.exception)


def test_a_model_is_fitted_to_the_npz_that_fit_takes(tmp_path: Path) -> None:
    pytest.importorskip("hmmlearn", reason="the fit needs hmmlearn")
    bundle = made_encoder(tmp_path / "enc")
    table = formats.read(recording(tmp_path / "v.rtface.h5", 4000))
    arrays = {"keypoints": table.xy, "keypoint_names": np.array(NAMES)}
    np.savez(tmp_path / "timed.npz", **arrays, tcam=table.camera_ns * 1e-9)
    np.savez(tmp_path / "plain.npz", **arrays)

    def fitted(name: str, *more: str) -> np.ndarray:
        out = tmp_path / f"{Path(name).name}.states.npz"
        source, into = str(tmp_path / name), str(out)
        CliRunner().invoke(
            app,
            ["encoder", "states", str(bundle.folder), source, "--out", into, "--states", "3", *more],
            catch_exceptions=False,
        )
        return load_states(out).means

    wanted = fitted("v.rtface.h5")
    np.testing.assert_allclose(fitted("timed.npz"), wanted, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(fitted("plain.npz", "--rate", "100"), wanted, rtol=1e-3, atol=1e-4)
    (tmp_path / "plain.npz.states.npz").unlink()
    with pytest.raises(DataError, match=r"plain\.npz: its frames have no times"):
        fitted("plain.npz")


def test_a_recording_shorter_than_the_window_is_refused(tmp_path: Path) -> None:
    bundle = made_encoder(tmp_path / "enc")
    source = recording(tmp_path / "v.rtface.h5", 20)
    done = CliRunner().invoke(
        app, ["encoder", "states", str(bundle.folder), str(source), "--out", str(tmp_path / "s.npz")]
    )
    assert "the encoder's window is never full" in str(done.exception)
