"""Any recorded frame by its number: the picture that was handed over, and no other."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.numbered_pictures import HEIGHT, WIDTH, image_of, number_of
from support.recorded_loop import PERIOD_NS, RULES, setup

from rtface.config import SessionSettings
from rtface.core.errors import DataError, UsageError
from rtface.core.records import FrameMeta
from rtface.decide.rules import RulesFile
from rtface.offline.sessions.outline import outline
from rtface.offline.sessions.pictures import SessionPictures
from rtface.record.session import VIDEO_NAME
from rtface.record.session.recorder import SessionRecorder

FRAMES = 60
"""As many as the recorder holds while its encoder has not begun, so that none is dropped."""


def recorded(root: Path, codec: str, exposures: Callable[[int], int], shows: int = 0) -> Path:
    recorder = SessionRecorder(
        SessionSettings.model_validate({"folder": root, "min_free_gb": 0, "frames": codec}),
        "film",
        setup(RulesFile.model_validate(RULES), width=WIDTH, height=HEIGHT),
    )
    recorder.open()
    for number in range(FRAMES):
        at = exposures(number)
        recorder.frame(image_of(number + shows), FrameMeta(3 * number + 5, at, at + 10**6))
    assert recorder.close()
    return recorder.folder


def steady(number: int) -> int:
    return 10**12 + number * PERIOD_NS


def bursts(number: int) -> int:
    """Three frames in a fraction of a millisecond, then a pause of three: times in the video are moved on."""
    return 10**12 + (number // 3) * 3_000_000 + (number % 3) * 100_000


def crowded(number: int) -> int:
    return 10**12 + number * 300_000 + (50_000_000 if number > 40 else 0)


@pytest.mark.parametrize("codec", ["lossless", "ffv1", "h264"])
@pytest.mark.parametrize("exposures", [steady, bursts, crowded])
def test_every_frame_in_any_order(tmp_path: Path, codec: str, exposures: Callable[[int], int]) -> None:
    pictures = SessionPictures(outline(recorded(tmp_path, codec, exposures)))
    order = [0, 59, 1, 58, 45, 44, 45, 46, 46, 40, 41, 2, *range(25, 35), *range(50, 40, -1)]
    for number in order:
        picture = pictures.of(3 * number + 5)
        assert picture is not None
        assert number_of(picture.image) == number
        assert picture.exposure_ns == exposures(number)
        assert picture.proved == (codec != "h264")
        if picture.proved:
            np.testing.assert_array_equal(picture.image, image_of(number))
    assert pictures.of(6) is None
    assert pictures.of(10**9) is None
    assert pictures.of(-1) is None
    pictures.close()
    again = pictures.of(3 * 7 + 5)
    assert again is not None
    assert number_of(again.image) == 7
    pictures.close()


def test_a_stretch_in_order(tmp_path: Path) -> None:
    pictures = SessionPictures(outline(recorded(tmp_path, "h264", steady)))
    found = [number_of(each.image) for each in pictures.between(steady(20), steady(50))]
    assert found == list(range(20, 51))


def test_a_video_that_was_cut_off_gives_what_it_has(tmp_path: Path) -> None:
    folder = recorded(tmp_path, "lossless", steady)
    video = folder / VIDEO_NAME
    video.write_bytes(video.read_bytes()[: video.stat().st_size // 2])
    pictures = SessionPictures(outline(folder))
    picture = pictures.of(5)
    assert picture is not None
    assert number_of(picture.image) == 0
    with pytest.raises(DataError, match="cut off or changed"):
        pictures.of(3 * (FRAMES - 1) + 5)
    again = pictures.of(3 + 5)
    assert again is not None
    assert number_of(again.image) == 1


def test_pictures_that_were_exchanged_are_not_shown(tmp_path: Path) -> None:
    folder = recorded(tmp_path / "a", "lossless", steady)
    shutil.copy(recorded(tmp_path / "b", "lossless", steady, shows=1) / VIDEO_NAME, folder / VIDEO_NAME)
    with pytest.raises(DataError, match="not the one that was recorded"):
        SessionPictures(outline(folder)).of(3 * 33 + 5)


def test_without_frames_it_says_how_to_record_them(tmp_path: Path) -> None:
    folder = recorded(tmp_path, "none", steady)
    with pytest.raises(UsageError, match="no recorded frames"):
        SessionPictures(outline(folder))
