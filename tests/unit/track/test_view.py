"""What a proper view is: kept beside the manifest, and how keypoints are held against it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rtface.config import BackendSettings
from rtface.core.errors import EngineError
from rtface.core.records import KNOWN_VIEW, FloatArray
from rtface.track.pictures import PictureTracker
from rtface.track.store import MANIFEST_FILE, Engine, load_engine, shipped_folder
from rtface.track.view import VIEW_FILE, ViewModel, read_view, view_hash, view_in_words, write_view
from rtface.track.viewcheck import ViewCheck

NAMES = tuple(f"point {number}" for number in range(10))
SHAPE = np.random.default_rng(3).normal(size=(8, 2))
SHAPE -= SHAPE.mean(0)
SHAPE /= np.sqrt((SHAPE**2).sum(1).mean())


def model(**changes: Any) -> ViewModel:
    """Return a view of the first eight of the keypoints, learnt at sizes of 40 to 60 pixels and turned by up to 20 degrees."""
    given = {
        "keypoints": NAMES[:8],
        "shape": [tuple(each) for each in SHAPE.tolist()],
        "reach": [0.3] * 8,
        "size_px": (40.0, 60.0),
        "turn_deg": (-20.0, 20.0),
        "both_ways": True,
        "limit": 0.2,
        "usual": 0.9,
    }
    return ViewModel.model_validate(given | changes)


def face(
    size: float = 50.0, turn_deg: float = 0.0, score: float = 0.95, *, mirrored: bool = False
) -> FloatArray:
    """Return an engine's outputs of a face of the learnt shape; the last two keypoints lie anywhere and score 1."""
    turn = np.radians(turn_deg)
    turned = SHAPE @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) * size
    if mirrored:
        turned[:, 0] = -turned[:, 0]
    found = np.ones((len(NAMES), 3), np.float32)
    found[:8, :2], found[:8, 2] = turned + np.array([130, 90]), score
    found[8:, :2] = (3, 250), (240, 1)
    return found


def moved(found: FloatArray, rows: slice, by: float) -> FloatArray:
    other = found.copy()
    other[rows, :2] += by * np.array([[1.0, -0.4]], np.float32)
    return other


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize(("size", "turn_deg"), [(40, 0), (60, 0), (50, 19), (50, -19), (33, 0), (50, 35)])
def test_a_face_is_known_at_any_place_and_at_sizes_and_turns_near_those_learnt(
    size: float, turn_deg: float, mirrored: bool
) -> None:
    check = ViewCheck(model(), NAMES)
    assert check.view_ok(face(size, turn_deg, mirrored=mirrored)) >= KNOWN_VIEW


def test_size_and_turn_are_found() -> None:
    check = ViewCheck(model(), NAMES)
    for mirrored in (False, True):
        support, size, turn = check.support(face(47.0, 13.0, mirrored=mirrored))
        assert (size, np.degrees(turn)) == (pytest.approx(47.0, rel=1e-3), pytest.approx(13.0, abs=0.1))
        assert support == pytest.approx((8 * 0.95 - 2) / 6, abs=1e-3)


@pytest.mark.parametrize(
    "found",
    [
        face(score=0.15),
        face(size=200.0),
        face(size=8.0),
        face(turn_deg=90.0),
        face(turn_deg=180.0),
        face()[[*np.roll(np.arange(8), 3), 8, 9]],
        moved(face(), slice(0, 4), 90.0),
        np.zeros((10, 3), np.float32),
        np.full((10, 3), np.nan, np.float32),
        np.full((10, 3), np.inf, np.float32),
    ],
    ids=["unsure", "huge", "tiny", "quarter", "half", "shuffled", "torn", "nothing", "nan", "inf"],
)
def test_what_is_no_such_face_is_unknown(found: FloatArray) -> None:
    assert 0 <= ViewCheck(model(), NAMES).view_ok(found) < KNOWN_VIEW


@pytest.mark.parametrize("sure", [1, 2, 3])
def test_a_few_points_that_are_sure_make_no_view(sure: int) -> None:
    """The danger list: an ear that scores 0.98 as an eye, three eye points on a screw."""
    found = face(score=0.02)
    found[:sure, 2] = 0.99
    assert ViewCheck(model(), NAMES).view_ok(found) < KNOWN_VIEW


def test_points_that_are_sure_at_a_wrong_place_count_against_it() -> None:
    check = ViewCheck(model(), NAMES)
    faint = face()
    faint[6:8, 2] = 0.0
    wrong = moved(face(), slice(6, 8), 80.0)
    assert check.view_ok(wrong) < check.view_ok(faint) < check.view_ok(face())


def test_a_mirrored_face_is_known_to_an_engine_that_learnt_both_ways_alone() -> None:
    one_way = ViewCheck(model(both_ways=False), NAMES)
    assert one_way.view_ok(face()) >= KNOWN_VIEW > one_way.view_ok(face(mirrored=True))


def test_keypoints_that_are_not_looked_at_do_not_matter() -> None:
    check, found = ViewCheck(model(), NAMES), face()
    other = found.copy()
    other[8:] = np.nan
    assert check.view_ok(other) == check.view_ok(found)


def test_view_ok_rises_with_the_support_from_0_by_a_half_at_the_limit_to_1() -> None:
    check = ViewCheck(model(limit=0.3), NAMES)
    scores = np.linspace(0, 1, 51)
    told = [check.view_ok(face(score=float(score))) for score in scores]
    assert told == sorted(told)
    assert (told[0], told[-1]) == (0.0, 1.0)
    at_limit = (0.3 * 6 + 2) / 8
    assert check.view_ok(face(score=at_limit)) == pytest.approx(0.5, abs=0.01)


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    """A copy of a shipped engine."""
    folder = tmp_path / "face-2-int8"
    shutil.copytree(shipped_folder() / "face-2-int8", folder)
    return load_engine(str(folder))


def test_it_is_read_as_it_was_written_and_changes_no_hash_of_the_engine(engine: Engine) -> None:
    view, sha256 = read_view(engine), engine.sha256
    assert view is not None
    before = view_hash(engine)
    changed = view.model_copy(update={"limit": 0.2})
    write_view(engine.folder, changed)
    assert read_view(engine) == changed
    assert view_hash(engine) != before
    assert load_engine(str(engine.folder)).sha256 == sha256


def test_an_engine_of_before_keeps_none_and_its_poses_say_so(engine: Engine) -> None:
    (engine.folder / VIEW_FILE).unlink()
    assert (read_view(engine), view_hash(engine)) == (None, None)
    assert "keeps no view" in view_in_words(None)
    with PictureTracker(engine, BackendSettings(threads=1)) as tracker:
        pose = tracker.track(np.zeros((64, 64), np.uint8))
    assert np.isnan(pose.view_ok)


def test_that_of_another_engine_is_refused(engine: Engine) -> None:
    shutil.copy(shipped_folder() / "face-2" / VIEW_FILE, engine.folder / VIEW_FILE)
    with pytest.raises(EngineError, match="belongs to another engine"):
        read_view(engine)


def test_that_of_a_changed_engine_is_refused(engine: Engine) -> None:
    manifest = engine.folder / MANIFEST_FILE
    manifest.write_text(manifest.read_text("utf-8") + " ", encoding="utf-8")
    with pytest.raises(EngineError, match="was changed since"):
        read_view(engine)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"keypoints": ["eye(back)"] * 12}, "twice|differ"),
        ({"keypoints": [f"other {number}" for number in range(12)]}, "does not find"),
        ({"reach": [0.3]}, "different lengths"),
        ({"reach": [0.0] * 12}, "above 0"),
        ({"limit": 0.95}, "limit"),
        ({"size_px": [50, 40]}, "size"),
        ({"colour": "gray"}, "colour"),
    ],
)
def test_a_damaged_one_is_refused_by_name(engine: Engine, change: dict[str, Any], text: str) -> None:
    path = engine.folder / VIEW_FILE
    kept = json.loads(path.read_text("utf-8"))
    kept["view"] |= change
    path.write_text(json.dumps(kept), encoding="utf-8")
    with pytest.raises(EngineError, match=text):
        read_view(engine)


def test_one_that_is_no_json_is_refused_when_the_engine_is_to_run(engine: Engine) -> None:
    (engine.folder / VIEW_FILE).write_text("{", encoding="utf-8")
    with pytest.raises(EngineError, match=r"view\.json"):
        PictureTracker(replace(engine), BackendSettings(threads=1))
