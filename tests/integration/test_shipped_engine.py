"""The engines that come with rtface: what they say of themselves, what they cost, and that they find faces.

The bounds on errors are wide: they fail when an engine or the path to it is broken, not when it is a little worse.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from rtface.config import BackendSettings
from rtface.core.clock import SystemClock
from rtface.core.records import FACEMAP_KEYPOINTS, Crop, FloatArray, FrameMeta, Image
from rtface.simulate.face import MouseFace
from rtface.track.backends.factory import make_backend
from rtface.track.manifest import MODEL_FILE
from rtface.track.store import Engine, load_engine, shipped_folder
from rtface.track.tracker import Tracker

UNTRAINED = {"nosebridge", "nose(r)", "paw"}
LARGEST_GIGA_OPERATIONS = 1.0
LARGEST_BYTES = 4_000_000
MICE = (0, 1, 2, 3, 4, 5)
FRAMES = range(0, 600, 100)
HEIGHT, WIDTH = 480, 640


@pytest.fixture(scope="module", params=["face-2", "face-2-int8", "face-2-tiny", "face-3", "face-3-int8"])
def engine(request: pytest.FixtureRequest) -> Engine:
    return load_engine(str(shipped_folder() / request.param))


@pytest.fixture(scope="module")
def tracker(engine: Engine) -> Iterator[Tracker]:
    made = Tracker(engine, make_backend(engine, BackendSettings(name="openvino")), SystemClock())
    made.open()
    yield made
    made.close()


def track(tracker: Tracker, image: Image, crop: Crop | None = None) -> tuple[FloatArray, FloatArray]:
    tracker.prepare(image.shape, crop)
    pose = tracker.track(image, FrameMeta(0, 0, 0), 0)
    return pose.xy, pose.score


def filmed(seeds: Sequence[int]) -> tuple[list[Image], FloatArray]:
    """Frames of the simulated mice and the true keypoints, shape (N, 15, 2)."""
    images, truth = [], []
    for seed in seeds:
        mouse = MouseFace(WIDTH, HEIGHT, 50.0, seed)
        for index in FRAMES:
            frame = np.zeros((HEIGHT, WIDTH), np.uint8)
            mouse.render(index, frame)
            images.append(frame)
            truth.append(mouse.truth(index))
    return images, np.array(truth)


def distance(found: FloatArray, truth: FloatArray) -> FloatArray:
    """Errors of the trained keypoints that have a label, in pixels."""
    errors = np.linalg.norm(found - truth, axis=-1)
    return np.asarray(errors[~np.isnan(errors)], np.float32)


def mean_position(truth: FloatArray) -> FloatArray:
    """Return what always guessing each keypoint's mean position gives, shape (N, 15, 2)."""
    labelled = ~np.isnan(truth).all(axis=(0, 2))
    mean = np.full(truth.shape[1:], np.nan, np.float32)
    mean[labelled] = np.nanmean(truth[:, labelled], axis=0)
    return np.broadcast_to(mean, truth.shape)


def test_it_names_facemaps_keypoints_and_those_it_never_learnt(engine: Engine) -> None:
    manifest = engine.manifest
    assert manifest.names == FACEMAP_KEYPOINTS
    assert {entry.name for entry in manifest.keypoints if not entry.trained} == UNTRAINED
    assert manifest.resample.half_pixel
    assert manifest.score.calibrated
    assert manifest.score.radius_px is not None
    assert "MIT" in manifest.licence
    assert manifest.training
    assert manifest.metrics


def test_it_is_small(engine: Engine) -> None:
    assert sum(entry.bytes for entry in engine.manifest.files.values()) < 2 * LARGEST_BYTES
    assert engine.file(MODEL_FILE).stat().st_size < LARGEST_BYTES


def test_it_costs_less_than_a_giga_operation(engine: Engine) -> None:
    openvino = pytest.importorskip("openvino")
    model = openvino.Core().read_model(engine.file(MODEL_FILE))
    model.reshape({"image": [1, 1, HEIGHT, WIDTH]})
    products = 0
    for node in model.get_ordered_ops():
        kind = node.get_type_name()
        if kind not in ("Convolution", "GroupConvolution", "MatMul", "ConvolutionBackpropData"):
            continue
        assert kind in ("Convolution", "GroupConvolution"), f"{kind} is not counted here"
        weights, answer = list(node.input(1).get_shape()), list(node.output(0).get_shape())
        per_output = np.prod(weights[2:]) if kind == "GroupConvolution" else np.prod(weights[1:])
        products += int(np.prod(answer) * per_output)
    assert 0.02 < 2 * products / 1e9 < LARGEST_GIGA_OPERATIONS


def test_keypoints_without_training_are_not_made_up(tracker: Tracker) -> None:
    images, _ = filmed([0])
    xy, score = track(tracker, images[0])
    silent = np.array([name in UNTRAINED for name in FACEMAP_KEYPOINTS])
    assert np.isnan(xy[silent]).all()
    assert (score[silent] == 0).all()
    assert np.isfinite(xy[~silent]).all()
    assert ((score[~silent] >= 0) & (score[~silent] <= 1)).all()


def test_it_finds_the_simulated_mouse(tracker: Tracker) -> None:
    images, truth = filmed(MICE)
    found = np.array([track(tracker, image)[0] for image in images])
    errors = distance(found, truth)
    baseline = distance(mean_position(truth), truth)
    assert np.median(errors) < 6.0
    assert np.median(errors) < 0.5 * np.median(baseline)
    first = distance(found[: len(FRAMES)], truth[: len(FRAMES)])
    assert np.median(first) < 6.0, "seed 0 is the mouse of the demo"


def test_a_crop_of_the_frame_gives_the_same_points(tracker: Tracker) -> None:
    images, truth = filmed([0])
    whole = np.array([track(tracker, image)[0] for image in images])
    crop = Crop(24, 16, 576, 448)
    cropped = np.array([track(tracker, image, crop)[0] for image in images])
    assert np.nanmedian(np.linalg.norm(whole - cropped, axis=2)) < 3.0
    assert np.median(distance(cropped, truth)) < 6.0


def test_a_mirrored_face_is_found_too(tracker: Tracker) -> None:
    images, truth = filmed([0, 1])
    found = np.array([track(tracker, np.ascontiguousarray(image[:, ::-1]))[0] for image in images])
    mirrored = truth.copy()
    mirrored[..., 0] = WIDTH - 1 - mirrored[..., 0]
    assert np.median(distance(found, mirrored)) < 8.0


def test_scores_are_lower_where_there_is_no_face(tracker: Tracker) -> None:
    images, _ = filmed([0])
    _, seen = track(tracker, images[0])
    noise = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH)).astype(np.uint8)
    _, nothing = track(tracker, noise)
    trained = seen > 0
    assert np.median(nothing[trained]) < np.median(seen[trained])


def test_it_finds_real_faces(tracker: Tracker, shared_data: Path) -> None:
    from bench.tracker.side_view import read_side_view

    frames = read_side_view(shared_data / "mouse_face_side_view").frames[::8]
    truth = np.stack([frame.xy for frame in frames])
    errors = distance(np.array([track(tracker, frame.image)[0] for frame in frames]), truth)
    baseline = distance(mean_position(truth), truth)
    assert np.median(errors) < 8.0
    assert np.median(errors) < np.median(baseline)
