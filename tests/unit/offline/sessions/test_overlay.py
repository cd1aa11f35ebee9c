"""The overlay video: every recorded frame with its points, what was decided, and the light, where it may be told."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.numbered_pictures import HEIGHT, WIDTH, image_of
from support.recorded_loop import RULES, Loop, record_loop

from rtface.core.clock import ManualClock
from rtface.core.errors import DataError, UsageError
from rtface.core.records import Image
from rtface.decide.rulebank import ALIKE_NS
from rtface.decide.rules import RulesFile
from rtface.offline.sessions.lights import light_spans, lit_at
from rtface.offline.sessions.outline import Outline, outline
from rtface.offline.sessions.overlay import write_overlay
from rtface.offline.sessions.overlay_drawing import BAR, Told, draw_overlay, overlay_size
from rtface.record.seal.cipher import read_key
from rtface.record.session.entries import GateReplyEntry

BEGAN_NS = 10**12 - 50_000_000
FRAMES = 700
DRAWN = json.loads(RulesFile.model_validate(RULES).of_session(4711).model_dump_json())
YELLOW = np.array((60, 200, 240))
TOLD = Told(1.5, 7, ["1.400 s whisk: fire (rule)  pad.amplitude 7 (threshold 6)"], True, True)


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Loop:
    return record_loop(
        tmp_path_factory.mktemp("sealed"),
        FRAMES,
        DRAWN,
        alike_ns=ALIKE_NS,
        sealed=True,
        pictures="lossless",
        clock=ManualClock(BEGAN_NS),
    )


def pictures(path: Path) -> list[Image]:
    film = cv2.VideoCapture(str(path))
    found = []
    while True:
        there, picture = film.read()
        if not there:
            return found
        found.append(picture)


def is_lit(picture: Image) -> bool:
    near = np.abs(picture[-BAR:].astype(int) - np.array((60, 200, 240)[::-1])).sum(axis=2) < 150
    return bool(near.sum() > 500)


def frame_of(found: Outline, at: int) -> int:
    return (found.session.opened.t_ns if found.session.opened else 0) + at


def test_each_frame_is_in_it_once_and_the_light_where_it_was_on(sealed: Loop, tmp_path: Path) -> None:
    found = outline(sealed.folder, read_key(sealed.folder))
    steps: list[tuple[int, int]] = []
    written = write_overlay(
        found,
        tmp_path / "told.mp4",
        0.0,
        10.0,
        unblind=True,
        progress=lambda done, total: steps.append((done, total)) or True,  # type: ignore[func-returns-value]
    )
    assert written is not None
    assert (written.frames, written.blinded) == (FRAMES, False)
    assert steps[-1] == (FRAMES, FRAMES)
    shown = pictures(tmp_path / "told.mp4")
    assert len(shown) == FRAMES
    width, height, _ = overlay_size(WIDTH, HEIGHT)
    assert shown[0].shape == (height, width, 3)
    spans = light_spans(found.session, blinded=False)
    assert len(spans) == sum(each.action == "fire" for each in found.session.decisions)
    wanted = [
        lit_at(spans, 10**12 + number * 5_000_000, 10**12 + (number + 1) * 5_000_000)
        for number in range(FRAMES)
    ]
    assert [is_lit(each) for each in shown] == wanted
    assert 0 < sum(wanted) < FRAMES / 2


def test_a_sealed_one_shows_neither_light_nor_sham(sealed: Loop, tmp_path: Path) -> None:
    written = write_overlay(outline(sealed.folder), tmp_path / "blind.mp4", 0.0, 10.0)
    assert written is not None
    assert written.blinded
    assert not any(is_lit(each) for each in pictures(tmp_path / "blind.mp4"))


def test_a_stretch_at_a_quarter_of_its_pace(sealed: Loop, tmp_path: Path) -> None:
    found = outline(sealed.folder)
    written = write_overlay(found, tmp_path / "part.mp4", 0.5, 0.75, speed=0.25)
    assert written is not None
    assert written.frames == 51  # both ends are in it
    film = cv2.VideoCapture(str(tmp_path / "part.mp4"))
    times = []
    while film.grab():
        times.append(film.get(cv2.CAP_PROP_POS_MSEC))
    np.testing.assert_allclose(np.diff(times), 20.0, atol=1.01)


def test_what_was_ended_leaves_nothing(sealed: Loop, tmp_path: Path) -> None:
    assert (
        write_overlay(outline(sealed.folder), tmp_path / "x.mp4", 0, 9, progress=lambda done, total: done < 5)
        is None
    )
    assert list(tmp_path.iterdir()) == []


def test_bad_requests_are_refused(sealed: Loop, tmp_path: Path) -> None:
    found = outline(sealed.folder)
    there = tmp_path / "there.mp4"
    there.write_bytes(b"kept")
    for path, begin, end, speed in (
        (tmp_path / "x.mp4", 2.0, 1.0, 1.0),
        (tmp_path / "x.mp4", 100.0, 101.0, 1.0),
        (tmp_path / "x.mp4", 0.0, 1.0, 0.0),
        (tmp_path / "x.avi", 0.0, 1.0, 1.0),
        (there, 0.0, 1.0, 1.0),
    ):
        with pytest.raises(UsageError):
            write_overlay(found, path, begin, end, speed=speed)
    assert there.read_bytes() == b"kept"
    with pytest.raises(DataError):
        write_overlay(found, tmp_path / "no" / "x.mp4", 0.0, 1.0)


def test_points_stand_where_they_are_filled_by_score() -> None:
    image = np.zeros((240, 640), np.uint8)
    xy = np.array([(100, 50), (300, 120), (np.nan, 3), (-1e9, 5), (700, 20)], np.float32)
    score = np.array([0.9, 0.2, 1, 1, 1], np.float32)
    drawn = draw_overlay(image, xy, score, TOLD)
    assert drawn[50, 100].sum() > 200
    assert drawn[120, 300].sum() == 0  # hollow
    assert drawn[117:124, 297:304].sum() > 0
    blank = draw_overlay(image, None, None, replace(TOLD, lit=None, decided=["ä" * 500, "b"]))
    assert blank[:240].sum() == 0


@pytest.mark.parametrize("size", [(24, 32), (479, 641), (1080, 1920)])
def test_small_and_odd_frames_get_a_size_that_codecs_take(size: tuple[int, int]) -> None:
    height, width, enlarged = *overlay_size(size[1], size[0])[1::-1], overlay_size(size[1], size[0])[2]
    drawn = draw_overlay(np.zeros(size, np.uint8), None, None, TOLD)
    assert drawn.shape == (height, width, 3)
    assert width % 2 == height % 2 == 0
    assert width >= 480
    assert enlarged >= 1


def test_a_light_whose_end_was_not_reported_ends_as_planned(sealed: Loop) -> None:
    session = outline(sealed.folder, read_key(sealed.folder)).session
    kept = [
        each
        for each in session.events
        if not (isinstance(each, GateReplyEntry) and each.event == "train_ended")
    ]
    reported = light_spans(session, blinded=False)
    planned = light_spans(replace(session, events=tuple(kept)), blinded=False)
    assert len(planned) == len(reported)
    assert all(0 < each.end_ns - each.begin_ns <= 100_000_000 for each in planned)
    assert not any(each.end_known for each in planned)
    assert light_spans(session, blinded=True) == []


def test_pictures_of_the_video_are_those_recorded(sealed: Loop, tmp_path: Path) -> None:
    write_overlay(outline(sealed.folder), tmp_path / "a.mp4", 0.0, 10.0)
    shown = pictures(tmp_path / "a.mp4")
    for number in (0, 333, FRAMES - 1):
        enlarged = overlay_size(WIDTH, HEIGHT)[2]
        middle = shown[number][HEIGHT * enlarged - 4, :, 1]  # below the points
        wanted = np.repeat(image_of(number)[HEIGHT - 1], enlarged)
        assert np.abs(middle[: len(wanted)].astype(int) - wanted).mean() < 12
