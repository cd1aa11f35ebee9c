from __future__ import annotations

from dataclasses import astuple

import numpy as np
import pytest
from support.fakes import CountingClock, FakeBackend, fake_engine, meta

from rtface.core.errors import BackendError, UsageError
from rtface.core.geometry import NetworkFrame
from rtface.core.records import Crop, FloatArray, Image
from rtface.track.tracker import Tracker

SHAPE = (240, 320)


def frame(value: int = 9) -> Image:
    return np.full(SHAPE, value, np.uint8)


def make(backend: FakeBackend, **engine: object) -> Tracker:
    return Tracker(fake_engine(**engine), backend, CountingClock())


@pytest.mark.parametrize("half_pixel", [False, True])
@pytest.mark.parametrize(
    "crop", [None, Crop(10, 20, 300, 101), Crop(7, 1, 64, 239), Crop(3, 5, 101, 100), Crop(0, 0, 64, 64)]
)
def test_network_pixels_come_out_as_camera_pixels(crop: Crop | None, half_pixel: bool) -> None:
    backend = FakeBackend([[0, 0, 0.5], [63, 63, 0.5], [31.5, 31.5, 0.5]])
    tracker = make(backend, half_pixel=half_pixel, keypoints=[(name, True) for name in "abc"])
    tracker.prepare(SHAPE, crop)
    used = crop or Crop(0, 0, 320, 240)
    assert tracker.crop == used
    assert backend.prepared == [(SHAPE, used)]
    side = max(used.width, used.height) + (used.width - used.height) % 2
    corner = np.array([used.x - (side - used.width) // 2, used.y - (side - used.height) // 2])
    scale = side / 64
    wanted = np.array([[0, 0], [63, 63], [31.5, 31.5]]) * scale + corner
    if half_pixel:
        wanted += (scale - 1) / 2
        np.testing.assert_allclose(wanted[2], corner + (side - 1) / 2)  # the middle is the middle
    pose = tracker.track(frame(), meta(1), 0)
    assert pose.xy.dtype == np.float32
    np.testing.assert_allclose(pose.xy, wanted, atol=1e-3)


def test_points_that_were_never_trained_have_no_place_and_no_score() -> None:
    backend = FakeBackend([[10, 20, 0.9], [3, 4, 0.8], [9999, 4, 0.7]])
    tracker = make(backend, keypoints=[("eye", True), ("paw", False), ("tail", False)])
    tracker.prepare(SHAPE, None)
    pose = tracker.track(frame(), meta(1), 0)
    assert np.isnan(pose.xy).tolist() == [[False, False], [True, True], [True, True]]
    np.testing.assert_allclose(pose.score, [0.9, 0, 0])
    assert pose.outside.tolist() == [False, False, False]
    np.testing.assert_array_equal(backend.found[:, 2], np.array([0.9, 0.8, 0.7], np.float32))


def test_points_outside_are_flagged_and_not_moved() -> None:
    backend = FakeBackend([[-9, 5, 0.9], [5, 80, 0.9], [10, 10, 0.1]])
    tracker = make(backend, keypoints=[(name, True) for name in "abc"])
    crop = Crop(0, 0, 240, 240)
    tracker.prepare(SHAPE, crop)
    pose = tracker.track(frame(), meta(1), 0)
    assert pose.outside.tolist() == [True, True, False]
    np.testing.assert_allclose(pose.xy, NetworkFrame(crop, 64, True).to_camera(backend.found[:, :2]))
    assert pose.xy[0, 0] < 0


def test_outside_is_of_the_frame_and_not_of_the_crop() -> None:
    tracker = make(FakeBackend([[-9, 5, 0.9]]))
    tracker.prepare(SHAPE, Crop(200, 100, 64, 64))
    pose = tracker.track(frame(), meta(1), 0)
    np.testing.assert_allclose(pose.xy, [[191, 105]])
    assert pose.outside.tolist() == [False]


def test_a_pose_does_not_change_with_the_next_frame() -> None:
    backend = FakeBackend([[1, 2, 0.9, 0.6]])
    tracker = make(backend, columns=("x", "y", "score", "likelihood"))
    tracker.prepare(SHAPE, Crop(0, 0, 64, 64))
    pose = tracker.track(frame(), meta(1), 0)
    backend.found[:] = -1
    np.testing.assert_allclose(pose.xy, [[1, 2]])
    np.testing.assert_allclose(pose.score, [0.9])
    assert pose.likelihood is not None
    np.testing.assert_allclose(pose.likelihood, [0.6])


def test_only_engines_that_have_a_likelihood_give_one() -> None:
    tracker = make(FakeBackend())
    tracker.prepare(SHAPE, None)
    assert tracker.track(frame(), meta(1), 0).likelihood is None


def test_stamps_are_taken_in_order_and_handed_on() -> None:
    clock = CountingClock(10**6)
    tracker = Tracker(fake_engine(), FakeBackend(), clock)
    tracker.prepare(SHAPE, None)
    taken_ns = clock.now_ns()
    pose = tracker.track(frame(), meta(3), taken_ns)
    assert pose.frame == meta(3)
    stamps = astuple(pose.stamps)
    assert stamps[:3] == (3000, 3100, taken_ns)
    assert stamps[2:] == tuple(range(taken_ns, taken_ns + 4))


def test_levels_are_of_the_whole_frame_and_as_the_manifest_says() -> None:
    backend = FakeBackend()
    tracker = make(backend)
    tracker.prepare(SHAPE, Crop(0, 0, 64, 64))
    tracker.track(frame(77), meta(1), 0)
    assert backend.levels == [(77.0, 77.0)]
    backend.computes_levels = True
    tracker.track(frame(77), meta(2), 0)
    assert backend.levels[-1] == (0.0, 0.0)


@pytest.mark.parametrize("bad", [Crop(300, 0, 64, 64), Crop(-1, 0, 5, 5), Crop(0, 0, 0, 9)])
def test_a_crop_that_does_not_fit_leaves_the_old_one(bad: Crop) -> None:
    backend = FakeBackend([[1, 2, 0.9]])
    tracker = make(backend)
    good = Crop(10, 10, 64, 64)
    tracker.prepare(SHAPE, good)
    with pytest.raises(UsageError):
        tracker.prepare(SHAPE, bad)
    assert tracker.crop == good
    assert len(backend.prepared) == 1
    np.testing.assert_allclose(tracker.track(frame(), meta(1), 0).xy, [[11, 12]])


def test_a_crop_that_the_back_end_cannot_do_leaves_the_old_one() -> None:
    backend = FakeBackend([[1, 2, 0.9]])
    tracker = make(backend)
    tracker.prepare(SHAPE, Crop(10, 10, 64, 64))
    backend.fails["prepare"] = BackendError("no memory")
    with pytest.raises(BackendError):
        tracker.prepare(SHAPE, Crop(0, 0, 100, 100))
    assert tracker.crop == Crop(10, 10, 64, 64)
    np.testing.assert_allclose(tracker.track(frame(), meta(1), 0).xy, [[11, 12]])


def test_opening_and_closing_are_the_back_ends() -> None:
    backend = FakeBackend()
    tracker = make(backend)
    assert tracker.open().name == "fake"
    tracker.close()
    assert backend.log == ["backend.open", "backend.close"]
    assert tracker.host_memory((3, 4)).shape == (3, 4)
    assert tracker.engine.manifest.name == "fake"


@pytest.mark.parametrize(("row_step", "expected"), [(1, 200.0), (4, 10.0)])
def test_levels_are_of_the_rows_that_the_engine_says(row_step: int, expected: float) -> None:
    backend = AnyFrameBackend()
    tracker = Tracker(fake_engine(row_step=row_step), backend, CountingClock())
    tracker.prepare(SHAPE, None)
    image = frame(200)
    image[::4] = 10
    tracker.track(image, meta(1), 0)
    assert backend.levels == [(10.0, expected)]


class AnyFrameBackend(FakeBackend):
    """Takes frames of more than one gray level."""

    def infer(self, frame: Image, levels: FloatArray) -> FloatArray:
        self.levels.append(tuple(levels.tolist()))
        return self.found
