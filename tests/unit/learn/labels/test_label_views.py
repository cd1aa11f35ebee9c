"""Labels of another rig by mistake are told before a training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rtface.config import BackendSettings
from rtface.core.records import FACEMAP_KEYPOINTS, Crop, FloatArray, Image
from rtface.learn.guided.check import check_labels
from rtface.learn.labels.formats.table import write_table
from rtface.learn.labels.keypoint_changes import KeypointChanges
from rtface.learn.labels.label_views import odd_recordings, unknown_to
from rtface.learn.labels.labelset import LabelledFrame, LabelSet
from rtface.learn.tracker.adapt import adapt
from rtface.learn.tracker.adapt_request import AdaptRequest
from rtface.learn.tracker.from_labels import TrainRequest, train_engine
from rtface.learn.tracker.optimise import Recipe
from rtface.simulate.face import MouseFace
from rtface.track.pictures import PictureTracker
from rtface.track.store import DEFAULT_ENGINE, Engine, load_engine, shipped_folder

WIDTH, HEIGHT = 320, 240
BRIEF = Recipe(steps=2, batch=2, size=64, bf16=False, simulated_share=0)


@pytest.fixture(scope="module")
def engine() -> Engine:
    return load_engine(str(shipped_folder() / DEFAULT_ENGINE))


def filmed(video: str, seed: int = 0, count: int = 6) -> LabelSet:
    """Labelled frames of a simulated mouse."""
    mouse, frames = MouseFace(WIDTH, HEIGHT, 50.0, seed), []
    for number in range(0, 60 * count, 60):
        image = np.zeros((HEIGHT, WIDTH), np.uint8)
        mouse.render(number, image)
        xy = np.asarray(mouse.truth(number)[:, :2], np.float32)
        frames.append(LabelledFrame(f"{video}-{number:03}.png", video, image, xy))
    return LabelSet(FACEMAP_KEYPOINTS, tuple(frames))


def of_both(*sets: LabelSet) -> LabelSet:
    return LabelSet(FACEMAP_KEYPOINTS, tuple(frame for each in sets for frame in each.frames))


def changed(
    labels: LabelSet, *, xy: FloatArray | None = None, image: Image | None = None, order: int = 0
) -> LabelSet:
    """Return frames with other images or labels, or with the labels of other keypoints."""
    frames = tuple(
        replace(
            frame,
            image=frame.image if image is None else image,
            xy=np.roll(frame.xy if xy is None else xy, order, axis=0),
        )
        for frame in labels.frames
    )
    return LabelSet(labels.keypoints, frames)


def mirrored(labels: LabelSet) -> LabelSet:
    frames = tuple(
        replace(
            frame, image=frame.image[:, ::-1], xy=np.float32([WIDTH - 1, 0]) + frame.xy * np.float32([-1, 1])
        )
        for frame in labels.frames
    )
    return LabelSet(labels.keypoints, frames)


def test_recordings_of_one_kind_of_view_pass_also_where_mice_look_the_other_way(engine: Engine) -> None:
    labels = of_both(filmed("a"), filmed("b", 3), mirrored(filmed("c", 5)))
    assert odd_recordings(labels, None) == []
    assert unknown_to(engine, labels, None) == []


def test_few_labels_on_a_recording_make_it_no_odd_one() -> None:
    sparse = filmed("b", 3)
    for frame in sparse.frames:
        frame.xy[5:] = np.nan
    assert odd_recordings(of_both(filmed("a"), sparse), None) == []
    for frame in sparse.frames:
        frame.xy[2:] = np.nan
    assert odd_recordings(of_both(filmed("a"), sparse), None) == []


def test_labels_under_other_names_are_told_with_their_recording(engine: Engine) -> None:
    labels = of_both(filmed("a"), filmed("b", 3), changed(filmed("wrong", 5), order=4))
    (line,) = odd_recordings(labels, None)
    assert line.startswith("wrong: its labels do not lie to each other as those of the other recordings")
    (line,) = unknown_to(engine, labels, None)
    assert line.startswith(
        f"wrong: {DEFAULT_ENGINE} knows this view and finds the keypoints far from their labels"
    )


def test_labels_of_other_frames_are_told(engine: Engine) -> None:
    moved = filmed("wrong", 5)
    labels = changed(moved, xy=moved.frames[0].xy * np.float32(0.4) + np.float32([150, 0]))
    (line,) = unknown_to(engine, labels, None)
    assert "are these the labels of these frames?" in line


def test_a_view_that_the_engine_does_not_know_is_told(engine: Engine) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH)).astype(np.uint8)
    (line,) = unknown_to(engine, of_both(filmed("a"), changed(filmed("wrong"), image=noise)), None)
    assert line.startswith(f"wrong: {DEFAULT_ENGINE} does not know this view")
    (line,) = unknown_to(engine, filmed("a"), Crop(0, 0, 40, 40))
    assert "is the crop the face?" in line


def test_it_is_told_before_a_training(
    engine: Engine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    labels = of_both(filmed("a"), filmed("b", 3), changed(filmed("wrong", 5), order=4))
    table = write_table(labels, tmp_path / "labels")
    request = TrainRequest(
        (table,), tmp_path / "new", tmp_path / "run", family="tiny", held_out=0.0, simulated=0, recipe=BRIEF
    )
    train_engine(request, stop=lambda: True)
    assert [each.getMessage()[:6] for each in caplog.records] == ["wrong:"]
    caplog.clear()
    adapt(AdaptRequest(engine, labels, tmp_path / "other", tmp_path / "adapting"), stop=lambda: True)
    assert [each.getMessage()[:6] for each in caplog.records] == ["wrong:", "wrong:"]


def test_the_guided_way_tells_them_too_and_not_twice(engine: Engine) -> None:
    labels = of_both(filmed("a"), filmed("b", 3), changed(filmed("wrong", 5), order=4))
    found = check_labels(labels, engine, KeypointChanges(), None, BackendSettings())
    assert [each[:6] for each in found.warnings if "labels do not lie" in each or "far" in each] == [
        "wrong:"
    ] * 2
    noise = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH)).astype(np.uint8)
    unknown = check_labels(
        changed(filmed("dark"), image=noise), engine, KeypointChanges(), None, BackendSettings()
    )
    assert [each.partition(":")[0] for each in unknown.warnings if "view" in each or "far" in each] == [
        "dark"
    ]


def test_keypoints_under_names_of_the_lab_are_those_of_the_engine(engine: Engine) -> None:
    """Also where the lab gives one the name of another."""
    names = FACEMAP_KEYPOINTS
    theirs = dict(zip(names, names[4:] + names[:4], strict=True))
    named = of_both(filmed("a")).renamed(theirs)
    columns = {theirs[name]: place for place, name in enumerate(engine.manifest.names)}
    assert unknown_to(engine, named, None, columns=columns) == []
    (line,) = unknown_to(engine, named, None)
    assert "far from their labels" in line


def test_guesses_that_a_person_confirmed_are_no_reason_to_doubt_the_labels(engine: Engine) -> None:
    labels = filmed("a")
    columns = [engine.manifest.names.index(name) for name in labels.keypoints]
    with PictureTracker(engine) as tracker:
        places = [tracker.track(each.image).xy[columns] for each in labels.frames]
    as_found = [replace(each, xy=xy) for each, xy in zip(labels.frames, places, strict=True)]
    left = check_labels(
        replace(labels, frames=tuple(as_found)), engine, KeypointChanges(), None, BackendSettings()
    )
    assert any("nobody moved" in line for line in left.serious)
    yes = np.ones(len(labels.keypoints), bool)
    confirmed = replace(labels, frames=tuple(replace(each, confirmed=yes) for each in as_found))
    found = check_labels(confirmed, engine, KeypointChanges(), None, BackendSettings())
    assert not any("nobody moved" in line for line in found.warnings)
    assert not any("person confirmed" in line for line in found.serious)
    assert any(
        "a person confirmed: they are taken as right, and teach little" in line for line in found.warnings
    )
