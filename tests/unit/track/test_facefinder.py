"""Where the face is: simulated mice both ways round in a wider picture, and pictures without one."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from rtface.config import BackendSettings
from rtface.core.errors import DataError
from rtface.core.geometry import NetworkFrame
from rtface.core.records import Crop, Image
from rtface.simulate.face import MouseFace
from rtface.track.backends.factory import engine_for
from rtface.track.facefinder import DoubtfulFaceError, find_face
from rtface.track.pictures import PictureTracker
from rtface.track.store import Engine

SETTINGS = BackendSettings(threads=1)
EYE = ("eye(back)", "eye(bottom)", "eye(front)", "eye(top)")


@pytest.fixture(scope="module")
def engine() -> Engine:
    return engine_for("default", SETTINGS)


def picture(x: int, y: int, *, mirrored: bool = False) -> Image:
    """Return a frame of 900x640 pixels with a simulated face of 400x300 at a place."""
    face = np.zeros((300, 400), np.uint8)
    MouseFace(400, 300, 100.0, seed=1).render(0, face)
    wide = np.full((640, 900), 40, np.uint8)
    wide[y : y + 300, x : x + 400] = face[:, ::-1] if mirrored else face
    return wide


@pytest.mark.parametrize("mirrored", [False, True])
def test_the_face_of_the_simulated_mouse_is_found_and_which_way_it_looks(
    engine: Engine, mirrored: bool
) -> None:
    frame = picture(380, 250, mirrored=mirrored)
    found = find_face(engine, [frame], SETTINGS)
    assert found.crop.mirrored == mirrored
    assert max(found.crop.shape) < 600  # the face of 400x300, not the frame
    with PictureTracker(engine, SETTINGS, found.crop) as tracker:
        pose = tracker.track(frame)
    truth = MouseFace(400, 300, 100.0, seed=1).truth(0)[:, :2]
    names = engine.manifest.names
    rows = [names.index(name) for name in EYE]
    place = truth[rows].mean(0)
    place = np.array([380 + (399 - place[0] if mirrored else place[0]), 250 + place[1]])
    assert np.hypot(*(pose.xy[rows].mean(0) - place)) < 15


@pytest.mark.parametrize("kind", ["black", "noise", "screw"])
def test_no_face_is_found_where_there_is_none(engine: Engine, kind: str) -> None:
    frame = np.zeros((480, 640), np.uint8)
    if kind == "noise":
        frame = np.random.default_rng(0).integers(0, 256, frame.shape, dtype=np.uint8)
    if kind == "screw":
        frame[:] = 90
        cv2.circle(frame, (320, 240), 40, 200, -1)
        cv2.circle(frame, (320, 240), 22, 15, -1)
        cv2.line(frame, (300, 240), (340, 240), 120, 5)
    with pytest.raises(DataError, match="no face found"):
        find_face(engine, [frame], SETTINGS)


def test_a_place_that_may_be_a_face_is_offered_and_never_found(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is worth less than is needed comes with the error, for a person to look at."""
    frame = picture(100, 50)
    sure = find_face(engine, [frame], SETTINGS)
    monkeypatch.setattr("rtface.track.facefinder.CONFIDENT", sure.confidence + 0.01)
    with pytest.raises(DoubtfulFaceError, match="no face found that is sure") as refused:
        find_face(engine, [frame], SETTINGS)
    assert refused.value.found.crop == sure.crop
    assert refused.value.found.confidence == sure.confidence
    monkeypatch.setattr("rtface.track.facefinder.DOUBTFUL", sure.confidence + 0.01)
    with pytest.raises(DataError) as none:
        find_face(engine, [frame], SETTINGS)
    assert not isinstance(none.value, DoubtfulFaceError), "so little is not even offered"


def test_two_mice_are_refused(engine: Engine) -> None:
    frame = picture(20, 20)
    frame[330:630, 470:870] = frame[20:320, 20:420]
    with pytest.raises(DataError, match="two places are about equally good"):
        find_face(engine, [frame], SETTINGS)


def test_a_mirrored_crop_is_seen_mirrored_and_told_in_the_cameras_pixels(engine: Engine) -> None:
    frame = picture(100, 50)
    flipped = np.ascontiguousarray(frame[:, ::-1])
    plain, mirrored = Crop(100, 50, 400, 300), Crop(400, 50, 400, 300, True)
    with PictureTracker(engine, SETTINGS, plain) as one, PictureTracker(engine, SETTINGS, mirrored) as other:
        seen, again = one.track(frame), other.track(flipped)
    assert np.array_equal(seen.score, again.score)
    known = ~np.isnan(seen.xy[:, 0])
    assert np.allclose(899 - seen.xy[known, 0], again.xy[known, 0], atol=1e-3)
    assert np.allclose(seen.xy[known, 1], again.xy[known, 1], atol=1e-3)


@pytest.mark.parametrize("square", [False, True])
def test_a_mirrored_crops_geometry_goes_both_ways(square: bool) -> None:
    frame = NetworkFrame(Crop(31, 7, 401, 200, True), 256, True, square)
    xy = np.array([[3.0, 4.0], [200.0, 90.0]], np.float32)
    there = frame.to_camera(xy)
    assert np.allclose(frame.to_network(there), xy, atol=1e-3)
    plain = NetworkFrame(replace(frame.crop, mirrored=False), 256, True, square).to_camera(xy)
    assert np.allclose(there[:, 0] - 31, 400 - (plain[:, 0] - 31), atol=1e-3)
