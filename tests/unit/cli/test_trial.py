"""``rtface engines try`` and ``rtface cameras pictures``."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.commandline import run

from rtface.acquire.picturefile import write_pictures
from rtface.core.errors import DataError
from rtface.simulate.face import MouseFace
from rtface.track.store import load_engine


@pytest.fixture
def mouse(tmp_path: Path) -> Path:
    folder = tmp_path / "mouse"
    folder.mkdir()
    face = np.zeros((480, 640), np.uint8)
    for number in range(6):
        MouseFace(640, 480, 100.0, seed=1).render(40 * number, face)
        cv2.imwrite(str(folder / f"{number}.png"), face)
    return folder


def test_an_engine_that_knows_the_face_passes_and_its_points_come_with_pictures(
    mouse: Path, tmp_path: Path
) -> None:
    ended = run("engines", "try", "--frames", mouse, "--out", tmp_path / "seen", "--count", 3, "--json")
    report = json.loads(ended.stdout)
    assert report["good_enough"]
    assert (report["sure"], report["known"]) == (1.0, 1.0)
    assert len(report["frames"]) == 3
    for each in report["frames"]:
        picture = cv2.imread(each["picture"], cv2.IMREAD_GRAYSCALE)
        assert picture.shape == (480, 640)
        assert all(0 <= point["x"] < 640 for point in each["points"])
        names = {point["name"] for point in (*each["points"], *each["untaught"])}
        assert names == set(load_engine("default").manifest.names)
    assert "look whether" in report["words"]


def test_an_engine_in_front_of_no_face_fails(tmp_path: Path) -> None:
    folder = tmp_path / "noise"
    folder.mkdir()
    noise = np.random.default_rng(0).integers(0, 255, (2, 240, 320), np.uint8)
    for number, image in enumerate(noise):
        cv2.imwrite(str(folder / f"{number}.png"), image)
    report = json.loads(run("engines", "try", "--frames", folder, "--json").stdout)
    assert not report["good_enough"]
    assert report["known"] == 0
    assert "label some frames" in report["words"]


def test_a_rig_gives_camera_crop_and_engine(mouse: Path, tmp_path: Path) -> None:
    rig = tmp_path / "rig.yaml"
    rig.write_text(
        f"camera: {{kind: images, path: {mouse}}}\ncrop: {{x: 100, y: 20, width: 440, height: 440}}\n"
        "engine: face-2-tiny\n"
    )
    report = json.loads(run("engines", "try", "--rig", rig, "--json").stdout)
    assert (report["engine"], report["crop"]["x"], report["crop"]["width"]) == ("face-2-tiny", 100, 440)
    assert json.loads(run("engines", "try", "face-2", "--rig", rig, "--json").stdout)["engine"] == "face-2"


def test_what_it_is_tried_on_is_named_once(mouse: Path) -> None:
    assert run("engines", "try").returncode == 2
    assert run("engines", "try", "--frames", mouse, "--rig", mouse).returncode == 2


def test_pictures_of_a_rig_can_be_played_again(tmp_path: Path) -> None:
    rig = tmp_path / "rig.yaml"
    rig.write_text("camera: {kind: simulated, width: 320, height: 240}\n")
    ended = run(
        "cameras", "pictures", rig, "--out", tmp_path / "seen", "--count", 4, "--seconds", 1, "--json"
    )
    rows = json.loads(ended.stdout)["pictures"]
    assert 2 <= len(rows) <= 4
    assert {(row["width"], row["height"]) for row in rows} == {(320, 240)}
    again = run("cameras", "pictures", tmp_path / "seen", "--out", tmp_path / "again", "--count", 9)
    assert again.returncode == 0, again.stderr
    assert len(list((tmp_path / "again").iterdir())) == len(rows)


def test_another_picture_is_not_overwritten(tmp_path: Path) -> None:
    one, other = np.zeros((20, 20), np.uint8), np.ones((20, 20), np.uint8)
    write_pictures(tmp_path, {3: one})
    assert write_pictures(tmp_path, {3: one}) == {3: tmp_path / "frame000003.png"}
    with pytest.raises(DataError, match=r"frame000003\.png"):
        write_pictures(tmp_path, {3: other})
