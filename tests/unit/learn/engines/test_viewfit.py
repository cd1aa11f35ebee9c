"""What an engine takes for a proper view, made from what it finds in frames and in pictures without a face."""

from __future__ import annotations

import shutil
from bisect import bisect
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.commandline import run

from rtface.config import BackendSettings
from rtface.core.errors import DataError
from rtface.core.records import KNOWN_VIEW, FloatArray
from rtface.learn.engines.bundle import ModelCard, save_engine
from rtface.learn.engines.precision import export_engine
from rtface.learn.engines.viewfit import LEAST_LIMIT, fit_view
from rtface.learn.engines.viewmaking import view_of_engine
from rtface.learn.tracker.samples import Picture, simulated_pictures
from rtface.simulate.face import MouseFace
from rtface.track.pictures import PictureTracker
from rtface.track.store import Engine, load_engine, shipped_folder
from rtface.track.torch_graph import torch_network
from rtface.track.view import VIEW_FILE, read_view
from rtface.track.viewcheck import ViewCheck
from tests.support.spot_engine import spot_engine

NAMES = [f"point {number}" for number in range(9)]
SHAPE = np.random.default_rng(5).normal(size=(9, 2))


def faces(
    count: int,
    seed: int = 0,
    *,
    sizes: tuple[float, float] = (40, 50),
    turns: tuple[float, float] = (-10, 10),
    spread: float = 0.03,
    score: float = 0.9,
    mirrored: bool = False,
) -> FloatArray:
    """Return the outputs of an engine for faces of one shape, shape (count, 9, 3)."""
    random = np.random.default_rng(seed)
    found = np.empty((count, 9, 3), np.float32)
    for each in found:
        shape = SHAPE - SHAPE.mean(0)
        shape = shape / np.sqrt((shape**2).sum(1).mean()) + random.normal(0, spread, (9, 2))
        turn = np.radians(random.uniform(*turns))
        turned = shape @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
        turned *= random.uniform(*sizes)
        if mirrored:
            turned[:, 0] = -turned[:, 0]
        each[:, :2] = turned + random.uniform(80, 160, 2)
        each[:, 2] = np.clip(score + random.normal(0, 0.03, 9), 0, 1)
    return found


def nowhere(count: int, seed: int = 1, score: float = 0.1) -> FloatArray:
    random = np.random.default_rng(seed)
    found = random.uniform(0, 250, (count, 9, 3)).astype(np.float32)
    found[..., 2] = score * random.uniform(0, 1, (count, 9))
    return found


def known(found: FloatArray, other: FloatArray, foreign: FloatArray | None = None) -> float:
    """Return the part of other frames that a view made from `found` knows."""
    view = fit_view(NAMES, found, nowhere(20) if foreign is None else foreign)
    check = ViewCheck(view, tuple(NAMES))
    return float(np.mean([check.view_ok(each) >= KNOWN_VIEW for each in other]))


def test_frames_that_it_was_not_made_from_are_known_and_foreign_ones_are_not() -> None:
    assert known(faces(40), faces(100, 9)) == 1
    assert known(faces(40), nowhere(200, 3)) == 0
    assert known(faces(40), nowhere(200, 3, score=1.0)) == 0, "sure of points that lie anywhere"


@pytest.mark.parametrize("count", [1, 2, 10])
def test_few_frames_are_enough(count: int) -> None:
    assert known(faces(count), faces(100, 9)) == 1


def test_it_has_the_sizes_turns_and_facts_of_the_frames() -> None:
    view = fit_view(NAMES, faces(200), nowhere(5), made_from={"recording": "a.mp4"})
    assert view.size_px == (pytest.approx(40, abs=2), pytest.approx(50, abs=2))
    low, high = view.turn_deg
    assert high - low == pytest.approx(20, abs=3)
    assert (view.made_from["frames"], view.made_from["recording"]) == (200, "a.mp4")
    assert LEAST_LIMIT <= view.limit < view.made_from["least"] <= view.usual


def test_both_ways_are_known_where_the_frames_or_the_engine_say_so() -> None:
    assert not fit_view(NAMES, faces(30), nowhere(5)).both_ways
    assert not fit_view(NAMES, faces(30), nowhere(5), mirrored=nowhere(10)).both_ways
    assert fit_view(NAMES, faces(30), nowhere(5), mirrored=faces(10, 2, mirrored=True)).both_ways
    mixed = np.concatenate([faces(20), faces(20, 4, mirrored=True)])
    assert fit_view(NAMES, mixed, nowhere(5)).both_ways
    assert known(mixed, faces(50, 7, mirrored=True)) == 1


def test_the_limit_lies_above_what_foreign_pictures_reach() -> None:
    faint = faces(10, 3, score=0.55)  # as where an engine makes up the face that it learnt
    view = fit_view(NAMES, faces(40), faint)
    check = ViewCheck(view, tuple(NAMES))
    assert max(check.view_ok(each) for each in faint) < KNOWN_VIEW
    assert min(check.view_ok(each) for each in faces(40)) >= KNOWN_VIEW
    turned = fit_view(NAMES, faces(40), nowhere(5), turned=faint)
    assert LEAST_LIMIT < turned.limit < view.limit


@pytest.mark.parametrize(
    ("found", "foreign", "text"),
    [
        (faces(20)[:, :3], nowhere(5)[:, :3], "3 keypoints are too few"),
        (faces(0), nowhere(5), "sure of nothing"),
        (nowhere(30, score=0.05), nowhere(5), "sure of nothing"),
        (nowhere(30, score=1.0), nowhere(5), "too differently from frame to frame"),
        (faces(20), faces(10, 4), "cannot be told from each other"),
        (np.where(np.arange(20)[:, None, None] == 3, np.float32("nan"), faces(20)), nowhere(5), "no numbers"),
    ],
)
def test_where_views_cannot_be_told_it_says_why(found: FloatArray, foreign: FloatArray, text: str) -> None:
    with pytest.raises(DataError, match=text):
        fit_view(NAMES[: found.shape[1]], found, foreign)


def test_a_limit_that_is_all_but_what_is_usual_tells_nothing() -> None:
    one = faces(1)
    view = fit_view(NAMES, one, nowhere(5))
    check = ViewCheck(view, tuple(NAMES))

    def fainter(part: float) -> FloatArray:
        return np.asarray(one * np.array([1, 1, part], np.float32), np.float32)

    wanted = check.support(one[0])[0] - 0.05 - 1e-5
    part = bisect(np.linspace(0.9, 1, 200_001), wanted, key=lambda each: check.support(fainter(each)[0])[0])
    with pytest.raises(DataError, match="cannot be told from each other"):
        fit_view(NAMES, one, fainter(0.9 + part * 0.1 / 200_000))


def test_an_engine_of_two_keypoints_is_written_without_one(tmp_path: Path) -> None:
    assert read_view(spot_engine(tmp_path / "spot")) is None


def test_frames_give_a_shipped_engine_the_view_that_it_lacks() -> None:
    engine = load_engine(str(shipped_folder() / "face-2-int8"))
    mouse, images = MouseFace(320, 240, 50.0, 3), []
    for number in range(0, 300, 30):
        image = np.zeros((240, 320), np.uint8)
        mouse.render(number, image)
        images.append(image)
    view = view_of_engine(engine, images, settings=BackendSettings(threads=1))
    assert view.keypoints == tuple(each.name for each in engine.manifest.keypoints if each.trained)
    assert view.both_ways, "it was trained on mirrored frames too"
    shipped = read_view(engine)
    assert shipped is not None
    lengths = [np.ptp(np.array(each.shape), axis=0) for each in (view, shipped)]
    np.testing.assert_allclose(*lengths, rtol=0.3)


@pytest.fixture
def shipped(tmp_path: Path) -> Engine:
    """A float engine in a folder of its own."""
    shutil.copytree(shipped_folder() / "face-2-tiny", tmp_path / "face-2-tiny")
    return load_engine(str(tmp_path / "face-2-tiny"))


def written(engine: Engine, folder: Path, views: Sequence[Picture]) -> Engine:
    """Write the network of an engine anew."""
    manifest = engine.manifest
    card = ModelCard(
        architecture=manifest.architecture,
        keypoints=manifest.keypoints,
        description="again",
        licence=manifest.licence,
        decode=manifest.decode.method,
        score=manifest.score,
        input_size=manifest.input.size,
        resample=manifest.resample,
        normalise=manifest.normalise,
    )
    return save_engine(torch_network(engine), folder, card, views=views)


def test_an_engine_that_is_written_keeps_the_view_of_what_it_was_trained_on(
    shipped: Engine, tmp_path: Path
) -> None:
    engine = written(shipped, tmp_path / "again", simulated_pictures(40, 3))
    view, before = read_view(engine), read_view(shipped)
    assert view is not None
    assert before is not None
    assert (view.keypoints, view.made_from["frames"], view.both_ways) == (before.keypoints, 40, True)
    images = [picture.image for picture in simulated_pictures(12, 900, per_mouse=1)]
    with PictureTracker(engine, BackendSettings(threads=1)) as tracker:
        assert np.mean([tracker.track(image).view_ok >= KNOWN_VIEW for image in images]) > 0.9
        assert tracker.track(np.zeros((64, 64), np.uint8)).view_ok < KNOWN_VIEW
    assert read_view(written(shipped, tmp_path / "without", ())) is None


def test_an_exported_engine_keeps_that_of_its_source_or_one_of_its_frames(
    shipped: Engine, tmp_path: Path
) -> None:
    mouse = simulated_pictures(24, 5, per_mouse=24)
    source = written(shipped, tmp_path / "source", mouse)
    frames = {number: picture.image for number, picture in enumerate(mouse)}
    settings = BackendSettings(name="openvino", threads=1)
    made = export_engine(source, tmp_path / "half", "f16", frames, settings=settings).engine
    assert read_view(made) == read_view(source) is not None
    (source.folder / VIEW_FILE).unlink()
    other = read_view(export_engine(source, tmp_path / "other", "f16", frames, settings=settings).engine)
    assert other is not None
    assert other.made_from["frames"] == len(frames)


def test_the_command_gives_an_engine_of_before_a_view_once(shipped: Engine, tmp_path: Path) -> None:
    (shipped.folder / VIEW_FILE).unlink()
    frames = tmp_path / "frames"
    frames.mkdir()
    for number, picture in enumerate(simulated_pictures(8, 5, per_mouse=8)):
        cv2.imwrite(str(frames / f"{number}.png"), picture.image)
    ended = run("engines", "view", shipped.folder, "--frames", frames)
    assert ended.returncode == 0, ended.stderr
    assert "made from 8 frames" in ended.stdout
    view = read_view(load_engine(str(shipped.folder)))
    assert view is not None
    assert view.made_from["recording"] == "frames"
    again = run("engines", "view", shipped.folder, "--frames", frames)
    assert (again.returncode, "keeps a view already" in again.stderr) == (5, True)
    assert run("engines", "view", shipped.folder, "--frames", frames, "--overwrite").returncode == 0
