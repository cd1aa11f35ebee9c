"""What every back end must do, on a real engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from rtface.config import BackendSettings
from rtface.errors import BackendError
from rtface.records import Crop, FloatArray, Image
from rtface.simulate.face import MouseFace
from rtface.track.backends.base import Backend
from rtface.track.backends.factory import BACKENDS, make_backend
from rtface.track.normalise import levels
from rtface.track.store import Engine, load_engine

SHAPE = (120, 160)
CROPS = [Crop(0, 0, 160, 120), Crop(10, 20, 64, 64), Crop(3, 5, 101, 40), Crop(7, 1, 33, 90)]


@pytest.fixture(scope="session")
def small_engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """An engine of the small network with random weights, whose input is not square."""
    pytest.importorskip("torch")
    from drawn import ARCHITECTURE, NAMES, SIZE, fresh

    from rtface.learn.fit import write_engine_of
    from rtface.track.manifest import KeypointEntry

    network = fresh()
    network.network.heads.weight.data *= 20  # type: ignore[operator, union-attr]
    return write_engine_of(
        network,
        tmp_path_factory.mktemp("small") / "small-test",
        ARCHITECTURE,
        [KeypointEntry(name=name) for name in NAMES],
        size=SIZE,
        square=False,
        calibrated=False,
        description="random weights",
        licence="CC0-1.0",
        training={},
        metrics={},
    )


@pytest.fixture(params=["square", "not square"])
def engine(request: pytest.FixtureRequest, test_engine: str) -> Engine:
    if request.param == "square":
        return load_engine(test_engine)
    small: Engine = request.getfixturevalue("small_engine")
    return small


@pytest.fixture(params=sorted(BACKENDS))
def backend(request: pytest.FixtureRequest, engine: Engine) -> Iterator[Backend]:
    pytest.importorskip(BACKENDS[request.param][2])
    made = make_backend(engine, BackendSettings(name=request.param, precision="f32"))
    yield made
    made.close()


@pytest.fixture
def frame() -> Image:
    picture = np.zeros(SHAPE, np.uint8)
    MouseFace(SHAPE[1], SHAPE[0], 100.0, 0).render(7, picture)
    return picture


def reference(engine: Engine, frame: Image, crop: Crop) -> FloatArray:
    """Run the network as built in torch from the engine's weights, outside of any back end."""
    torch = pytest.importorskip("torch")
    from rtface.networks.build import build_graph
    from rtface.track.manifest import WEIGHTS_FILE

    manifest = engine.manifest
    graph = build_graph(
        manifest.architecture,
        engine.file(WEIGHTS_FILE),
        manifest.input.size,
        manifest.resample.square,
        engine.folder,
    )
    part = np.ascontiguousarray(frame[crop.y : crop.y + crop.height, crop.x : crop.x + crop.width])
    with torch.inference_mode():
        found: FloatArray = graph(torch.from_numpy(part)[None, None], torch.from_numpy(levels(frame)))[
            0
        ].numpy()
    return found


def test_says_what_it_runs_and_why(backend: Backend, engine: Engine) -> None:
    info = backend.open()
    assert info.name in BACKENDS
    assert info.version
    assert info.device
    assert info.precision == "f32"
    assert info.name in info.why


@pytest.mark.parametrize("crop", CROPS, ids=str)
def test_agrees_with_the_reference_network(
    backend: Backend, engine: Engine, frame: Image, crop: Crop
) -> None:
    backend.open()
    backend.prepare(SHAPE, crop)
    found = backend.infer(frame, levels(frame))
    expected = reference(engine, frame, crop)
    manifest = engine.manifest
    assert found.shape == expected.shape == (len(manifest.keypoints), len(manifest.decode.columns))
    assert np.ptp(expected[:, :2]) > 5, "the points must differ"
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_another_crop_can_be_prepared_at_any_time(backend: Backend, engine: Engine, frame: Image) -> None:
    backend.open()
    for crop in [*CROPS, CROPS[0]]:
        backend.prepare(SHAPE, crop)
        np.testing.assert_allclose(
            backend.infer(frame, levels(frame)), reference(engine, frame, crop), atol=2e-3
        )


def test_a_crop_of_the_same_size_elsewhere_is_not_the_old_one(
    backend: Backend, engine: Engine, frame: Image
) -> None:
    backend.open()
    here, there = Crop(0, 0, 80, 60), Crop(60, 50, 80, 60)
    backend.prepare(SHAPE, here)
    first = backend.infer(frame, levels(frame)).copy()
    backend.prepare(SHAPE, there)
    second = backend.infer(frame, levels(frame)).copy()
    assert not np.allclose(first, second)
    np.testing.assert_allclose(second, reference(engine, frame, there), atol=2e-3)


def test_a_frame_leaves_no_trace_in_the_next(backend: Backend, frame: Image) -> None:
    backend.open()
    backend.prepare(SHAPE, CROPS[0])
    level = levels(frame)
    first = backend.infer(frame, level).copy()
    backend.infer(255 - frame, level)
    np.testing.assert_array_equal(backend.infer(frame, level), first)


def test_does_not_write_to_the_frame_and_does_not_keep_it(backend: Backend, frame: Image) -> None:
    backend.open()
    backend.prepare(SHAPE, CROPS[1])
    before, level = frame.copy(), levels(frame)
    found = backend.infer(frame, level).copy()
    np.testing.assert_array_equal(frame, before)
    frame[:] = 0
    np.testing.assert_array_equal(backend.infer(before, level), found)


@pytest.mark.parametrize("value", [0, 255])
def test_a_frame_of_one_gray_gives_finite_keypoints(backend: Backend, value: int) -> None:
    backend.open()
    backend.prepare(SHAPE, CROPS[0])
    flat = np.full(SHAPE, value, np.uint8)
    assert np.isfinite(backend.infer(flat, levels(flat))).all()


def test_gives_memory_for_frames(backend: Backend) -> None:
    backend.open()
    memory = backend.host_memory(SHAPE)
    assert memory.shape == SHAPE
    assert memory.dtype == np.uint8
    assert memory.flags.c_contiguous
    assert memory.flags.writeable


def test_close_may_come_at_any_time_and_twice(backend: Backend, frame: Image) -> None:
    backend.close()
    backend.open()
    backend.prepare(SHAPE, CROPS[0])
    backend.infer(frame, levels(frame))
    backend.close()
    backend.close()


def test_an_unknown_device_is_an_error_and_not_a_fall_back(backend: Backend, engine: Engine) -> None:
    name = backend.open().name
    settings = BackendSettings.model_validate({"name": name, "precision": "f32", "device": "NOSUCH"})
    other = make_backend(engine, settings)
    with pytest.raises(BackendError, match="NOSUCH"):
        other.open()
    other.close()


def test_an_int8_engine_is_run_in_int8_or_refused(tmp_path: Path) -> None:
    """No back end may run an int8 engine in another arithmetic without saying so."""
    pytest.importorskip("onnxruntime")
    from spots import SHAPE as SPOT_SHAPE
    from spots import spot_engine, spot_frames

    from rtface.learn.exporting import export_engine

    source = spot_engine(tmp_path / "spot")
    int8 = export_engine(
        source, tmp_path / "int8", "int8", spot_frames(), settings=BackendSettings(name="openvino")
    ).engine
    picture = next(iter(spot_frames().values()))
    for name in BACKENDS:
        backend = make_backend(int8, BackendSettings(name=name))
        try:
            info = backend.open()
        except BackendError as error:
            assert "int8" in str(error)  # noqa: PT017  (any back end may refuse)
            continue
        assert info.precision == "int8"
        backend.prepare(SPOT_SHAPE, Crop(8, 4, 80, 70))
        found = backend.infer(picture, levels(picture)).copy()
        backend.close()
        float_backend = make_backend(source, BackendSettings(name=name))
        float_backend.open()
        float_backend.prepare(SPOT_SHAPE, Crop(8, 4, 80, 70))
        np.testing.assert_allclose(found, float_backend.infer(picture, levels(picture)), atol=0.5)
        float_backend.close()
