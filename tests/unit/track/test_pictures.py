"""Single pictures: the tracker that runs live, fitted to each size once, and closed whatever happens."""

from __future__ import annotations

import numpy as np
import pytest
from support.fakes import FakeBackend, fake_engine

from rtface.core.errors import BackendError, UsageError
from rtface.core.records import Crop
from rtface.track import pictures
from rtface.track.pictures import PictureTracker


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> FakeBackend:
    made = FakeBackend([[8, 4, 0.5]])
    monkeypatch.setattr(pictures, "make_backend", lambda engine, settings: made)
    return made


def test_pictures_of_one_size_are_fitted_to_once(backend: FakeBackend) -> None:
    small, large = np.zeros((64, 64), np.uint8), np.zeros((128, 128), np.uint8)
    with PictureTracker(fake_engine(half_pixel=True)) as tracker:
        found = []
        for image in (small, small, large, large[::1, ::1]):
            found.append(tracker.track(image).xy[0].tolist())
            assert tracker.seen == Crop(0, 0, *image.shape)
        assert tracker.scale == 2
        tracker.prepare((64, 64))
        assert tracker.scale == 1
    assert found == [[8, 4], [8, 4], [16.5, 8.5], [16.5, 8.5]]
    assert [shape for shape, _ in backend.prepared] == [(64, 64), (128, 128), (64, 64)]


def test_the_crop_is_of_every_picture_and_must_lie_in_it(backend: FakeBackend) -> None:
    crop = Crop(10, 20, 64, 64)
    with PictureTracker(fake_engine(half_pixel=True), crop=crop) as tracker:
        assert tracker.track(np.zeros((100, 120), np.uint8)).xy[0].tolist() == [18, 24]
        assert tracker.crop == tracker.seen == crop
        with pytest.raises(UsageError, match="reaches beyond"):
            tracker.track(np.zeros((70, 70), np.uint8))
    assert backend.log[-1] == "backend.close"


def test_an_engine_that_does_not_open_is_closed(backend: FakeBackend) -> None:
    backend.fails["open"] = BackendError("no")
    with pytest.raises(BackendError, match="no"):
        PictureTracker(fake_engine())
    assert backend.log == ["backend.open", "backend.close"]
