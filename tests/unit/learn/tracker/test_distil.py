"""Distilling: the student comes to find what the teacher finds, and the stated distances are the true ones."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from support.fakes import engine_fields

from rtface.acquire.recording import source_settings
from rtface.config import BackendSettings
from rtface.core.errors import DataError, EngineError, UsageError
from rtface.core.geometry import NetworkFrame
from rtface.core.records import Crop, FloatArray, Image
from rtface.learn.labels.labelset import LabelledFrame, LabelSet
from rtface.learn.labels.survey import read_frames
from rtface.learn.tracker import agreement, distil
from rtface.learn.tracker import pseudo_labels as pseudo_labels
from rtface.learn.tracker.distil import Distilled
from rtface.learn.tracker.distil import distil as distil_engine
from rtface.learn.tracker.distil_request import SPECIALIST, DistilRequest
from rtface.learn.tracker.initial_network import student_network
from rtface.learn.tracker.pseudo_labels import PLAIN, PseudoLabels, full_score, pseudo_label, weights
from rtface.learn.tracker.recording_split import split_recording
from rtface.track import pictures
from rtface.track.backends import factory
from rtface.track.backends.base import Backend, BackendInfo
from rtface.track.manifest import MODEL_FILE, WEIGHTS_FILE
from rtface.track.pictures import track_pictures
from rtface.track.store import Engine, load_engine, write_engine

SHAPE = (64, 96)
FRAMES = 160
FIRST = 131
"""The first frame that judges: 0.82 of 160."""

NAMES = ("spot", "flicker", "never")
TEACHER_SIZE = 48
WRONG = (90.0, 5.0)
RECIPE = replace(
    SPECIALIST,
    steps=120,
    batch=6,
    size=64,
    learning_rate=1e-2,
    averaging=0.95,
    bf16=False,
    augmentation=replace(SPECIALIST.augmentation, rotation_deg=2, zoom=1.05, occlusion=0, blur=0),
)


def spot_at(number: int) -> tuple[float, float]:
    return 48 + 24 * np.sin(0.37 * number), 32 + 14 * np.cos(0.23 * number)


def unsure_at(xy: FloatArray) -> bool:
    """Left of the middle the teacher has no idea where the flickering point is, and knows it."""
    return bool(xy[0] < 48)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A spot of light that wanders over noise, as a folder of images."""
    folder = tmp_path_factory.mktemp("recordings") / "spot"
    folder.mkdir()
    chance = np.random.default_rng(0)
    rows, cols = np.mgrid[: SHAPE[0], : SHAPE[1]]
    for number in range(FRAMES):
        x, y = spot_at(number)
        spot = 200 * np.exp(-((cols - x) ** 2 + (rows - y) ** 2) / (2 * 3.0**2))
        image = (20 + spot + chance.uniform(0, 10, SHAPE)).astype(np.uint8)
        cv2.imwrite(str(folder / f"{number:03d}.png"), image)
    return folder


def find_spot(image: Image) -> FloatArray:
    """The middle of the light, exactly."""
    light = np.clip(image.astype(np.float64) - 60, 0, None)
    rows, cols = np.mgrid[: image.shape[0], : image.shape[1]]
    return np.array([(light * cols).sum(), (light * rows).sum()], np.float32) / np.float32(light.sum())


class SpotBackend:
    """A teacher that finds the spot, has Facemap's four columns and says of how many frames it was asked."""

    computes_levels = False
    plan = None
    asked = 0

    def __init__(self, engine: Engine) -> None:
        manifest = engine.manifest
        self._size, self._half = manifest.input.size, manifest.resample.half_pixel
        self._square = manifest.resample.square

    def open(self) -> BackendInfo:
        return BackendInfo("spot", "1", "nowhere", "f32", None, "a test")

    def host_memory(self, shape: tuple[int, int]) -> Image:
        return np.zeros(shape, np.uint8)

    def prepare(self, frame_shape: tuple[int, int], crop: Crop) -> None:
        self._frame = NetworkFrame(crop, self._size, self._half, self._square)

    def infer(self, frame: Image, levels: FloatArray) -> FloatArray:
        SpotBackend.asked += 1
        spot = find_spot(frame)
        unsure = unsure_at(spot)
        points = np.array([spot, WRONG if unsure else spot, WRONG], np.float32)
        xy = self._frame.to_network(points)
        score = np.array([0.4, 0.01 if unsure else 0.4, 0.9], np.float32)
        return np.column_stack([xy, score, np.full(3, 0.7)]).astype(np.float32)

    def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def _spots_are_found(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setattr(pictures, "make_backend", make_backend)
        yield


def make_backend(engine: Engine, settings: BackendSettings) -> Backend:
    if engine.manifest.name.startswith("teacher"):
        return SpotBackend(engine)
    return factory.make_backend(engine, settings)


def teacher_engine(folder: Path, **changes: object) -> Engine:
    model = folder.parent / "model"
    model.write_bytes(b"none")
    fields = engine_fields(
        keypoints=[("spot", True), ("flicker", True), ("never", False)],
        size=TEACHER_SIZE,
        half_pixel=False,
        columns=("x", "y", "score", "likelihood"),
    )
    return write_engine(folder, {MODEL_FILE: model}, fields | changes)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return teacher_engine(tmp_path_factory.mktemp("engines") / "teacher")


@dataclass(frozen=True)
class Lot:
    """A finished distillation and where it left its files."""

    done: Distilled
    run: Path
    losses: tuple[float, ...]


@pytest.fixture(scope="module")
def lot(tmp_path_factory: pytest.TempPathFactory, teacher: Engine, video: Path) -> Lot:
    folder = tmp_path_factory.mktemp("distilled")
    losses: list[float] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pictures, "make_backend", make_backend)
        done = distil_engine(
            DistilRequest(teacher, [video], family="tiny", recipe=RECIPE),
            folder / "student",
            folder / "run",
            progress=lambda step, loss: losses.append(loss),
        )
    assert done is not None
    return Lot(done, folder / "run", tuple(losses))


def held_out(video: Path) -> dict[int, Image]:
    return read_frames(source_settings(video), range(FIRST, FRAMES))


def test_the_student_comes_to_find_what_the_teacher_finds(lot: Lot) -> None:
    by_keypoint = lot.done.report["agreement"]["by_keypoint"]
    assert by_keypoint["spot"]["input_px"]["median"] < 0.75
    assert by_keypoint["spot"]["correlation"]["x"] > 0.99
    assert by_keypoint["spot"]["correlation"]["y"] > 0.99
    assert np.mean(lot.losses[-10:]) < 0.7 * np.mean(lot.losses[:5])


def test_before_the_training_it_was_far_away(teacher: Engine, video: Path, tmp_path: Path) -> None:
    untaught = replace(RECIPE, steps=1, learning_rate=1e-9)
    done = distil_engine(
        DistilRequest(teacher, [video], family="tiny", recipe=untaught),
        tmp_path / "student",
        tmp_path / "run",
    )
    assert done is not None
    assert done.report["agreement"]["by_keypoint"]["spot"]["input_px"]["median"] > 5


def test_the_stated_distances_are_those_of_the_engines_points(lot: Lot, video: Path) -> None:
    frames = held_out(video)
    ours = track_pictures(lot.done.engine, frames, BackendSettings(), None).xy
    figures = lot.done.report["agreement"]
    assert figures["frames"] == len(frames)
    apart = np.array(
        [np.linalg.norm(ours[row, 0] - find_spot(each)) for row, each in enumerate(frames.values())]
    )
    spot = figures["by_keypoint"]["spot"]
    for stated, scale in ((spot["camera_px"], 1.0), (spot["input_px"], SHAPE[1] / RECIPE.size)):
        assert stated["n"] == len(frames)
        assert stated["mean"] == pytest.approx(apart.mean() / scale, abs=1e-3)
        for key, rank in (("median", 50), ("p90", 90), ("p99", 99)):
            assert stated[key] == pytest.approx(np.percentile(apart, rank) / scale, abs=1e-3)
    sure = np.array([not unsure_at(find_spot(each)) for each in frames.values()])
    flicker = figures["by_keypoint"]["flicker"]
    assert 0 < sure.sum() < len(sure)
    assert flicker["camera_px"]["n"] == sure.sum()
    assert flicker["unsure"] == pytest.approx(1 - sure.mean(), abs=1e-4)
    assert "never" not in figures["by_keypoint"]


def test_labels_that_the_teacher_doubts_do_not_pull(lot: Lot, video: Path) -> None:
    """Half of its labels of this point lie in a far corner; the student never goes there."""
    ours = track_pictures(lot.done.engine, held_out(video), BackendSettings(), None).xy[:, 1]
    assert np.linalg.norm(ours - np.array(WRONG), axis=1).min() > 8
    assert lot.done.report["agreement"]["by_keypoint"]["flicker"]["input_px"]["median"] < 1


def test_what_is_written_says_what_it_is(lot: Lot, teacher: Engine) -> None:
    engine = load_engine(str(lot.done.engine.folder))
    manifest = engine.manifest
    assert [(entry.name, entry.trained) for entry in manifest.keypoints] == [
        ("spot", True),
        ("flicker", True),
        ("never", False),
    ]
    assert "the teacher teacher finds" in manifest.score.definition
    assert manifest.score.calibrated
    assert manifest.training["distilled_from_sha256"] == teacher.sha256
    assert manifest.training["recordings"]["spot"]["held_out_from_frame"] == FIRST
    stated = manifest.metrics["distance_to_teacher"]
    assert stated["by_keypoint_median_input_px"]["spot"] < 0.75
    report = json.loads((lot.run / "report.json").read_text())
    assert report["agreement"] == lot.done.report["agreement"]
    assert report["engine_sha256"] == engine.sha256
    assert cv2.imread(str(lot.run / "agreement.png")) is not None


def test_frames_that_judge_are_not_learnt_from(
    teacher: Engine, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learnt_from: set[bytes] = set()

    class Spy(distil.Training):
        def __init__(self, network, architecture, real, simulated, recipe) -> None:  # type: ignore[no-untyped-def]
            learnt_from.update(picture.image.tobytes() for picture in real)
            super().__init__(network, architecture, real, simulated, recipe)

    monkeypatch.setattr(distil, "Training", Spy)
    request = DistilRequest(teacher, [video], family="tiny", recipe=replace(RECIPE, steps=1))
    assert distil_engine(request, tmp_path / "student", tmp_path / "run") is not None
    frames = read_frames(source_settings(video), range(FRAMES))
    used = {number for number, image in frames.items() if image.tobytes() in learnt_from}
    assert len(used) == len(learnt_from) > FRAMES / 2
    assert max(used) < FIRST - 1, "not a neighbour of the first that judges, either"
    assert min(used) == 0


@pytest.mark.parametrize("count", [5, 20, 60, 1000])
def test_a_recording_is_split_in_time(video: Path, count: int) -> None:
    split = split_recording(video, count, None)
    assert split.first == pytest.approx(FIRST, abs=8)
    assert max(split.training) + 2 <= split.first <= min(split.test)
    assert len(split.training) <= max(count, 8) + 1
    assert len(split.test) >= 1


def test_a_stopped_run_goes_on_as_if_it_had_not_been_stopped(
    teacher: Engine, video: Path, tmp_path: Path
) -> None:
    request = DistilRequest(
        teacher, [video], family="tiny", frames=20, recipe=replace(RECIPE, steps=6, batch=2)
    )
    whole = distil_engine(request, tmp_path / "whole", tmp_path / "run 1")
    steps: list[int] = []

    def progress(step: int, loss: float) -> None:
        steps.append(step)

    stopped = distil_engine(
        request, tmp_path / "parts", tmp_path / "run 2", progress=progress, stop=lambda: len(steps) == 3
    )
    assert stopped is None
    assert not (tmp_path / "parts").exists()
    asked = SpotBackend.asked
    parts = distil_engine(request, tmp_path / "parts", tmp_path / "run 2", progress=progress)
    assert whole is not None
    assert parts is not None
    assert steps == [1, 2, 3, 4, 5, 6]
    assert SpotBackend.asked - asked < 20 + FRAMES - FIRST, "what it learns from was asked for before"
    first, second = (torch.load(each.engine.file(WEIGHTS_FILE)) for each in (whole, parts))
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name
    same = ("camera_px", "input_px", "by_keypoint", "jitter")
    assert all(whole.report["agreement"][key] == parts.report["agreement"][key] for key in same)


@pytest.mark.parametrize("step", [1, 5, 6])
def test_an_interrupt_at_the_first_or_last_step_or_a_kill_changes_nothing(
    teacher: Engine, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """Asked to end at a step (of 6), killed at the next or while the engine is written, then gone on with."""
    request = DistilRequest(
        teacher, [video], family="tiny", frames=20, average=False, recipe=replace(RECIPE, steps=6, batch=2)
    )
    straight = distil_engine(request, tmp_path / "whole", tmp_path / "run 1")
    taken: list[int] = []

    def progress(done: int, loss: float) -> None:
        taken.append(done)

    def killed(*_: object, **__: object) -> bool:
        raise KeyboardInterrupt

    broken = tmp_path / "parts", tmp_path / "run 2"
    ended = distil_engine(request, *broken, progress=progress, stop=lambda: len(taken) >= step)
    assert taken == list(range(1, step + 1))
    assert (ended is None) == (step < 6), "after the last step there is nothing left to end"
    if ended is None:
        with monkeypatch.context() as patch:
            patch.setattr(distil, "save_engine", killed)
            with pytest.raises(KeyboardInterrupt):
                distil_engine(request, *broken, stop=killed if step < 5 else lambda: False)
        assert not broken[0].exists()
        ended = distil_engine(request, *broken)
    assert straight is not None
    assert ended is not None
    first, second = (torch.load(each.engine.file(WEIGHTS_FILE)) for each in (straight, ended))
    assert first.keys() == second.keys()
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())


def test_labels_of_a_person_are_learnt_from_besides(teacher: Engine, video: Path, tmp_path: Path) -> None:
    """They know the keypoint that the teacher never knew; the names that it lacks are left out."""
    frames = read_frames(source_settings(video), range(10))
    labels = LabelSet(
        ("other", "never"),
        tuple(
            LabelledFrame(str(number), "spot", image, np.array([[1, 1], spot_at(number)], np.float32))
            for number, image in frames.items()
        ),
    )
    request = DistilRequest(teacher, [video], family="tiny", labels=labels, recipe=replace(RECIPE, steps=1))
    done = distil_engine(request, tmp_path / "student", tmp_path / "run")
    assert done is not None
    assert all(entry.trained for entry in done.engine.manifest.keypoints)
    assert done.engine.manifest.names == NAMES
    assert done.report["labelled_frames"] == 10


@pytest.mark.parametrize("shift", [0, 10])
def test_a_teacher_that_is_worse_than_its_pupil_is_named_before_the_training(
    teacher: Engine, lot: Lot, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shift: int
) -> None:
    """The start has learnt where the spot is; a teacher that is 10 px off (all to the right) has not."""
    right = SpotBackend.infer

    def infer(self: SpotBackend, frame: Image, levels: FloatArray) -> FloatArray:
        found = right(self, frame, levels)
        found[:, 0] += shift * TEACHER_SIZE / SHAPE[1]
        return found

    monkeypatch.setattr(SpotBackend, "infer", infer)
    frames = read_frames(source_settings(video), range(0, 100, 5))
    labels = LabelSet(
        ("other", "spot", "never"),
        tuple(
            LabelledFrame(
                str(number), "spot", image, np.array([[1, 1], find_spot(image), [9, 9]], np.float32)
            )
            for number, image in frames.items()
        ),
    )
    said: list[str] = []
    done = distil_engine(
        DistilRequest(
            teacher,
            [video],
            start=lot.done.engine,
            labels=labels,
            recipe=replace(RECIPE, steps=1, learning_rate=1e-9),
        ),
        tmp_path / "student",
        tmp_path / "run",
        stage=said.append,
    )
    assert done is not None
    before, after = (done.report["on_labels"][when] for when in ("before", "after"))
    assert before["teacher"]["median_px"] == pytest.approx(shift, abs=0.2)
    assert before["teacher"]["n"] == before["start"]["n"] == len(frames), "a point of both alone"
    assert before["start"]["median_px"] < 2
    ours = track_pictures(done.engine, frames, BackendSettings(), None).xy[:, 0]
    apart = np.linalg.norm(ours - [find_spot(image) for image in frames.values()], axis=1)
    assert after["student"]["median_px"] == pytest.approx(np.median(apart), abs=0.01)
    worse = shift > 0
    assert before["better_than_teacher"] == (["start"] if worse else [])
    assert after["better_than_teacher"] == (["student"] if worse else [])
    warned = [text for text in said if "by your labels the teacher teacher is worse (median" in text]
    assert len(warned) == worse
    if worse:
        assert f"than {lot.done.engine.manifest.name}" in warned[0]
        assert said.index(warned[0]) < said.index("reading the recordings"), "before it takes long"


def test_what_cannot_be_is_refused_before_the_work(
    teacher: Engine, lot: Lot, video: Path, tmp_path: Path
) -> None:
    request = DistilRequest(teacher, [video], family="tiny", recipe=replace(RECIPE, steps=1))
    new, run = tmp_path / "student", tmp_path / "run"
    with pytest.raises(EngineError, match="exists already"):
        distil_engine(request, lot.done.engine.folder, run)
    with pytest.raises(UsageError, match="is the teacher"):
        distil_engine(request, teacher.folder, run, overwrite=True)
    with pytest.raises(UsageError, match="small, fast or tiny, not facemap"):
        distil_engine(replace(request, family="facemap"), new, run)
    with pytest.raises(UsageError, match="is not of the family small"):
        distil_engine(replace(request, family="small", start=lot.done.engine), new, run)
    with pytest.raises(UsageError, match="architecture none"):
        distil_engine(replace(request, family=None, start=teacher), new, run)
    with pytest.raises(UsageError, match="same name"):
        distil_engine(replace(request, videos=[video, video]), new, run)
    strange = LabelSet(
        ("tail",), (LabelledFrame("1", "v", np.zeros(SHAPE, np.uint8), np.ones((1, 2), np.float32)),)
    )
    with pytest.raises(UsageError, match="labels are of tail"):
        distil_engine(replace(request, labels=strange), new, run)
    assert not run.exists()
    with pytest.raises(UsageError, match="reaches beyond"):
        distil_engine(replace(request, crop=Crop(50, 0, 50, 50)), new, run)
    with pytest.raises(DataError, match="holds a run with"):
        distil_engine(replace(request, frames=20), new, lot.run)
    short = tmp_path / "short"
    short.mkdir()
    for number in range(5):
        cv2.imwrite(str(short / f"{number}.png"), np.zeros(SHAPE, np.uint8))
    with pytest.raises(DataError, match="5 frames; 8 or more"):
        distil_engine(replace(request, videos=[short]), new, tmp_path / "run 2")
    assert not new.exists()


def test_a_teacher_that_is_sure_of_nothing_teaches_nothing(
    teacher: Engine, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = SpotBackend.infer

    def infer(self: SpotBackend, frame: Image, levels: FloatArray) -> FloatArray:
        found = nothing(self, frame, levels)
        found[:, 2] = 0
        return found

    monkeypatch.setattr(SpotBackend, "infer", infer)
    with pytest.raises(DataError, match="sure of no point"):
        distil_engine(DistilRequest(teacher, [video], family="tiny"), tmp_path / "student", tmp_path / "run")


def test_a_student_starts_as_the_engine_that_it_starts_from(lot: Lot) -> None:
    start = lot.done.engine
    network, built_of = student_network(("flicker", "new"), family="tiny", start=start, seed=1)
    whole, _ = student_network(NAMES, family=None, start=start, seed=2)
    image = torch.rand(1, 1, 32, 64)
    with torch.no_grad():
        ours, theirs = network.eval()(image), whole.eval()(image)
    assert built_of["keypoints"] == 2
    np.testing.assert_allclose(ours[0, 0], theirs[0, 1], atol=1e-4)
    scratch, _ = student_network(NAMES, family="tiny", start=None, seed=1)
    with torch.no_grad():
        assert not torch.allclose(scratch.eval()(image)[0, 0], theirs[0, 0])


def test_an_average_over_shifts_is_nearer_the_truth(
    teacher: Engine, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A teacher that finds whole multiples of 4 pixels only, as networks with a coarse grid tend to."""
    exact = SpotBackend.infer

    def coarse(self: SpotBackend, frame: Image, levels: FloatArray) -> FloatArray:
        found = exact(self, frame, levels)
        found[:, :2] = 4 * np.round(found[:, :2] / 4)
        return found

    monkeypatch.setattr(SpotBackend, "infer", coarse)
    frames = read_frames(source_settings(video), range(40))
    truth = np.array([find_spot(image) for image in frames.values()])
    errors = []
    for shifts in (PLAIN, pseudo_labels.SHIFTS):
        taught = pseudo_label(teacher, frames, BackendSettings(), None, shifts=shifts)
        errors.append(np.linalg.norm(taught.xy[:, 0] - truth, axis=1).mean())
        assert np.isnan(taught.xy[:, 2]).all()
        assert not taught.score[:, 2].any()
    assert errors[1] < 0.7 * errors[0]


def test_points_outside_the_crop_are_no_labels(teacher: Engine, video: Path) -> None:
    frames = read_frames(source_settings(video), range(40))
    crop = Crop(0, 0, 60, 64)
    taught = pseudo_label(teacher, frames, BackendSettings(), crop)
    inside = np.array([find_spot(image)[0] <= 59.5 for image in frames.values()])
    assert 0 < inside.sum() < 40
    assert (np.isnan(taught.xy[:, 0, 0]) == ~inside).all()
    assert ((weights(taught, 1.0)[:, 0] > 0) == inside).all()


def test_a_label_weighs_what_the_teacher_says_that_it_is_worth(tmp_path: Path, teacher: Engine) -> None:
    score = np.array([[0.4, 0.2], [0.3, 0.05], [0.4, 0.0]], np.float32)
    spread = np.array([[0, 0], [9, 0], [0, 0]], np.float32)
    points = np.ones((3, 2, 2), np.float32)
    taught = PseudoLabels(points, score, spread, points)
    assert full_score(teacher, score) == pytest.approx(0.4)
    expected = [[1, 0.5], [0, 0], [1, 0]]
    np.testing.assert_allclose(weights(taught, 0.4), expected, err_msg="9 pixels apart; 0.05 of 0.4")
    calibrated = teacher_engine(
        tmp_path / "teacher-2",
        score={"definition": "a probability", "calibrated": True, "radius_px": 4.0},
    )
    assert full_score(calibrated, score) == 1


def test_what_lies_outside_the_crop_is_not_compared(teacher: Engine, video: Path) -> None:
    seen = agreement.compare_networks(
        teacher,
        teacher,
        source_settings(video),
        "spot",
        first=FIRST,
        limit=1000,
        crop=Crop(0, 0, 60, 64),
        full=0.4,
        settings=BackendSettings(),
    )
    frames = held_out(video)
    assert seen.number.tolist() == list(frames)
    spots = np.array([find_spot(image) for image in frames.values()])
    inside = spots[:, 0] <= 59.5
    assert 0 < inside.sum() < len(frames)
    np.testing.assert_allclose(seen.weight[:, 0], inside, atol=1e-6)
    assert (np.isnan(seen.distance[:, 0]) == ~inside).all()
    images = np.stack(list(frames.values())).astype(np.float32)[:, :, :60]
    assert np.isnan(seen.change[0])
    np.testing.assert_allclose(seen.change[1:], np.abs(np.diff(images, axis=0)).mean(axis=(1, 2)), rtol=1e-4)


def test_of_a_long_recording_blocks_of_neighbours_are_watched(teacher: Engine, video: Path) -> None:
    seen = agreement.compare_networks(
        teacher,
        teacher,
        source_settings(video),
        "spot",
        first=0,
        limit=agreement.BLOCK,
        crop=None,
        full=0.4,
        settings=BackendSettings(),
    )
    assert seen.number.tolist() == list(range(agreement.BLOCK))
