"""The encoder that comes with rtface: it fits the simulated mouse of the demo, and says that it is simulated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rtface.config import BackendSettings
from rtface.core.clock import SYSTEM_CLOCK
from rtface.core.defaults import SIMULATED_ENCODER
from rtface.core.records import FrameMeta
from rtface.encode.bundle import EncoderBundle, find_encoder, load_encoder
from rtface.encode.stream import Prediction, StreamingEncoder
from rtface.simulate.face import MouseFace
from rtface.track.backends.factory import engine_for, make_backend
from rtface.track.tracker import Tracker

FRAMES = 400
RATE_HZ = 50.0
WIDTH, HEIGHT = 640, 480


@pytest.fixture(scope="module")
def bundle() -> EncoderBundle:
    return load_encoder(find_encoder(Path(SIMULATED_ENCODER)))


def follow(bundle: EncoderBundle, seed: int) -> tuple[StreamingEncoder, list[float], Prediction]:
    """Film a simulated mouse, track it with the default engine and stream its keypoints; return what was warm."""
    face, settings = MouseFace(WIDTH, HEIGHT, RATE_HZ, seed), BackendSettings(name="openvino")
    engine = engine_for("default", settings)
    tracker = Tracker(engine, make_backend(engine, settings), SYSTEM_CLOCK)
    names = [point.name for point in engine.manifest.skeleton]
    stream = StreamingEncoder(bundle, names, RATE_HZ)
    picture = np.empty((HEIGHT, WIDTH), np.uint8)
    first, last = [], None
    try:
        tracker.open()
        tracker.prepare(picture.shape, None)
        for index in range(FRAMES):
            face.render(index, picture)
            exposure_ns = round(index * 1e9 / RATE_HZ)
            pose = tracker.track(picture, FrameMeta(index, exposure_ns, exposure_ns), exposure_ns)
            found = stream.step(pose.xy, pose.score, exposure_ns, index)
            if found is not None and found.warm:
                first.append(float(found.outputs[0]))
                last = found
    finally:
        tracker.close()
    assert last is not None
    return stream, first, last


def test_it_says_that_it_is_simulated_and_is_small(bundle: EncoderBundle) -> None:
    manifest = bundle.manifest
    assert manifest.simulated
    assert manifest.name.startswith("simulated")
    assert manifest.description.startswith("SIMULATED")
    assert sum(path.stat().st_size for path in bundle.folder.iterdir()) < 1e6
    assert manifest.look_ahead_frames == 0
    assert manifest.metrics["variance_explained"] > 0.2


def test_it_follows_the_mouse_of_the_demo(bundle: EncoderBundle) -> None:
    stream, first, last = follow(bundle, seed=0)
    assert (stream.lost, stream.restarts) == (0, 0)
    assert len(first) == FRAMES - bundle.manifest.past_frames
    assert np.std(first) > bundle.readout.residual_sd[0] / 4
    assert stream.states == 4
    assert last.state in range(4)
    assert not last.out_of_distribution
    assert last.score > 0.8


def test_another_mouse_is_out_of_distribution(bundle: EncoderBundle) -> None:
    _, _, last = follow(bundle, seed=5)
    assert last.out_of_distribution
    assert last.score < 0.8
