"""``rtface learn distil`` as a user meets it: a Facemap engine and a recording in, an engine and its report out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import cv2
import numpy as np
import pytest

from rtface.acquire.recording import source_settings
from rtface.config import BackendSettings
from rtface.core.records import FACEMAP_KEYPOINTS
from rtface.learn.labels.survey import read_frames
from rtface.simulate.face import MouseFace
from rtface.track.pictures import track_pictures
from rtface.track.store import load_engine

Run = Callable[..., CompletedProcess[str]]

QUICK = ("--start", "scratch", "--family", "tiny", "--steps", "2", "--batch", "2", "--threads", "1")


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    folder = tmp_path / "mouse"
    folder.mkdir()
    face = MouseFace(96, 80, 20.0, 3)
    image = np.zeros((80, 96), np.uint8)
    for index in range(40):
        face.render(index, image)
        cv2.imwrite(str(folder / f"{index:02d}.png"), image)
    return folder


def test_facemaps_network_teaches_a_small_one(
    rtface: Run, engines_folder: Path, recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The teacher has another input, other columns and another half pixel than the student."""
    monkeypatch.setenv("RTFACE_ENGINES", str(tmp_path / "engines"))
    facemap = engines_folder / "test-engine"
    asked = ("learn", "distil", "--teacher", str(facemap), "--video", "mouse", "--name", "taught", *QUICK)
    done = rtface(*asked, "--run", "run")
    assert done.returncode == 0, done.stderr
    assert "distance from test-engine on 7 held-out frames" in done.stdout
    assert "speed (median, ms a frame): teacher" in done.stdout
    assert {"agreement.png", "report.json", "student.losses.csv", "student.png"} <= {
        path.name for path in (tmp_path / "run").iterdir()
    }

    teacher, student = load_engine(str(facemap)), load_engine(str(tmp_path / "engines" / "taught"))
    assert teacher.manifest.decode.columns[3:] == ("likelihood",)
    assert student.manifest.decode.columns[3:] == ()
    assert student.manifest.names == FACEMAP_KEYPOINTS
    assert student.manifest.training["distilled_from"] == "test-engine"

    figures = json.loads((tmp_path / "run" / "report.json").read_text())["agreement"]
    assert figures["recordings"] == {"mouse": 7}
    frames = read_frames(source_settings(recording), range(33, 40))
    theirs, ours = (track_pictures(each, frames, BackendSettings(), None).xy for each in (teacher, student))
    apart = np.linalg.norm(ours - theirs, axis=2)
    checked = 0
    for index, name in enumerate(FACEMAP_KEYPOINTS):
        stated = figures["by_keypoint"][name]["camera_px"]
        if stated["n"] == len(frames):
            checked += 1
            assert stated["median"] == pytest.approx(np.median(apart[:, index]), abs=0.05), name
    assert checked > 0

    other = rtface(*asked, "--run", "run", "--overwrite", "--frames", "9")
    assert other.returncode != 0
    assert "holds a run with frames" in other.stderr
