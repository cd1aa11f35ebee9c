"""``rtface cameras crop``, ``--crop auto`` and a rig whose crop is auto."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from rtface.cli.app import app
from rtface.config.rigfile import load_rig
from rtface.core.errors import DataError
from rtface.simulate.face import MouseFace
from rtface.track.backends.factory import engine_for
from rtface.track.rigcrop import with_crop


@pytest.fixture
def mirrored_mouse(tmp_path: Path) -> Path:
    """Return a folder of pictures in which a mouse looks right."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    face = np.zeros((300, 400), np.uint8)
    for number in range(3):
        MouseFace(400, 300, 100.0, seed=1).render(number, face)
        wide = np.full((480, 700), 40, np.uint8)
        wide[100:400, 250:650] = face[:, ::-1]
        cv2.imwrite(str(folder / f"{number}.png"), wide)
    return folder


def test_the_crop_is_printed_as_a_rig_takes_it_and_drawn(mirrored_mouse: Path, tmp_path: Path) -> None:
    picture = tmp_path / "crop.png"
    done = CliRunner().invoke(app, ["cameras", "crop", str(mirrored_mouse), "--picture", str(picture)])
    assert done.exit_code == 0, done.output
    line = next(line for line in done.stdout.splitlines() if line.startswith("crop:"))
    rig = tmp_path / "rig.yaml"
    rig.write_text(f"camera: {{kind: images, path: {mirrored_mouse}}}\n{line}\n")
    crop = load_rig(rig).fixed_crop
    assert crop is not None
    assert crop.mirrored
    assert cv2.imread(str(picture))[crop.y + 50, crop.x].tolist() == [0, 255, 255]


def test_a_doubtful_face_is_printed_with_its_doubt_and_drawn_and_is_an_error(
    mirrored_mouse: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rtface.track.facefinder.CONFIDENT", 0.99)
    picture = tmp_path / "crop.png"
    told = ["cameras", "crop", str(mirrored_mouse), "--picture", str(picture), "--json"]
    done = CliRunner().invoke(app, told)
    assert isinstance(done.exception, DataError)
    found = json.loads(done.stdout.splitlines()[0])
    assert found["crop"]["mirrored"] is True
    assert "0.99 is needed" in found["doubtful"]
    assert picture.exists()
    path = tmp_path / "rig.yaml"
    path.write_text(f"camera: {{kind: images, path: {mirrored_mouse}}}\ncrop: auto\n")
    rig = load_rig(path)
    with pytest.raises(DataError, match="no face found that is sure"):
        with_crop(rig, engine_for(rig.engine, rig.backend))


def test_a_rig_with_auto_becomes_one_with_numbers(mirrored_mouse: Path, tmp_path: Path) -> None:
    path = tmp_path / "rig.yaml"
    path.write_text(f"camera: {{kind: images, path: {mirrored_mouse}}}\ncrop: auto\n")
    rig = load_rig(path)
    settled, found = with_crop(rig, engine_for(rig.engine, rig.backend))
    assert found is not None
    assert settled.fixed_crop == found.crop
    assert found.crop.mirrored
    assert found.confidence > 0.8
    assert json.loads(settled.model_dump_json())["crop"]["mirrored"] is True


def test_track_with_auto_refuses_two_mice(tmp_path: Path) -> None:
    """No file is written: the keypoints would be of either, or of both."""
    folder = tmp_path / "two"
    folder.mkdir()
    face = np.zeros((300, 400), np.uint8)
    for number in range(3):
        MouseFace(400, 300, 100.0, seed=1).render(number, face)
        wide = np.full((640, 900), 40, np.uint8)
        wide[20:320, 20:420] = wide[330:630, 470:870] = face
        cv2.imwrite(str(folder / f"{number}.png"), wide)
    out = tmp_path / "out.rtface.h5"
    done = CliRunner().invoke(app, ["track", str(folder), "--crop", "auto", "--out", str(out)])
    assert done.exit_code == DataError.exit_code
    assert "two places are about equally good" in " ".join(done.output.split())
    assert not out.exists()


def test_track_with_auto_says_the_crop_and_tracks(mirrored_mouse: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.rtface.h5"
    done = CliRunner().invoke(app, ["track", str(mirrored_mouse), "--out", str(out), "--crop", "auto"])
    assert done.exit_code == 0, done.output
    assert "mirrored" in done.output
    assert out.is_file()


def test_a_recording_with_no_face_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "black"
    folder.mkdir()
    cv2.imwrite(str(folder / "0.png"), np.zeros((240, 320), np.uint8))
    done = CliRunner().invoke(app, ["track", str(folder), "--out", str(tmp_path / "o.csv"), "--crop", "auto"])
    assert done.exit_code == DataError.exit_code
    assert "no face found" in done.output
