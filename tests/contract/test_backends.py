"""What every back end must do, on engines of both families; those for a GPU on an emulated one, and on a real one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from support.backends import (
    ALL,
    CARDS,
    ON_CPU,
    ON_GPU,
    SHAPE,
    Runner,
    face,
    levels_for,
    reference,
    runner_of,
    tiny_engine,
)

from rtface.core.errors import BackendError, EngineError
from rtface.core.records import Crop, FloatArray, Image
from rtface.learn.engines.quantise import Scheme
from rtface.track.backends.base import Backend
from rtface.track.backends.factory import BACKENDS
from rtface.track.store import Engine

CROPS = [Crop(0, 0, 160, 120), Crop(10, 20, 64, 64), Crop(3, 5, 101, 40), Crop(7, 1, 33, 90)]


@pytest.fixture(scope="session")
def engines(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Engine]:
    pytest.importorskip("torch")
    folder = tmp_path_factory.mktemp("tiny")
    return {family: tiny_engine(folder / f"{family}-test", family) for family in ("small", "facemap")}


@pytest.fixture(params=["small", "facemap"])
def engine(request: pytest.FixtureRequest, engines: dict[str, Engine]) -> Engine:
    return engines[request.param]


@pytest.fixture(params=ALL)
def runner(request: pytest.FixtureRequest) -> Runner:
    return runner_of(request.param, request)


@pytest.fixture
def backend(runner: Runner, engine: Engine, caplog: pytest.LogCaptureFixture) -> Iterator[Backend]:
    made = runner.make(engine, precision="f32")
    yield made
    made.close()
    if runner.gpu is not None:
        assert not runner.gpu.left
    assert not [record for record in caplog.records if "giving back" in record.getMessage()]


@pytest.fixture
def frame() -> Image:
    return face()


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
    found = backend.infer(frame, levels_for(engine, frame))
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
            backend.infer(frame, levels_for(engine, frame)), reference(engine, frame, crop), atol=2e-3
        )


def test_a_crop_of_the_same_size_elsewhere_is_not_the_old_one(
    backend: Backend, engine: Engine, frame: Image
) -> None:
    backend.open()
    here, there = Crop(0, 0, 80, 60), Crop(60, 50, 80, 60)
    backend.prepare(SHAPE, here)
    first = backend.infer(frame, levels_for(engine, frame)).copy()
    backend.prepare(SHAPE, there)
    second = backend.infer(frame, levels_for(engine, frame)).copy()
    assert not np.allclose(first, second)
    np.testing.assert_allclose(second, reference(engine, frame, there), atol=2e-3)


def test_a_frame_leaves_no_trace_in_the_next(backend: Backend, engine: Engine, frame: Image) -> None:
    backend.open()
    backend.prepare(SHAPE, CROPS[0])
    level = levels_for(engine, frame)
    first = backend.infer(frame, level).copy()
    backend.infer(255 - frame, level)
    np.testing.assert_array_equal(backend.infer(frame, level), first)


def test_does_not_write_to_the_frame_and_does_not_keep_it(
    backend: Backend, engine: Engine, frame: Image
) -> None:
    backend.open()
    backend.prepare(SHAPE, CROPS[1])
    before, level = frame.copy(), levels_for(engine, frame)
    found = backend.infer(frame, level).copy()
    np.testing.assert_array_equal(frame, before)
    frame[:] = 0
    np.testing.assert_array_equal(backend.infer(before, level), found)


@pytest.mark.parametrize("value", [0, 255])
def test_a_frame_of_one_gray_gives_finite_keypoints(backend: Backend, engine: Engine, value: int) -> None:
    backend.open()
    backend.prepare(SHAPE, CROPS[0])
    flat = np.full(SHAPE, value, np.uint8)
    assert np.isfinite(backend.infer(flat, levels_for(engine, flat))).all()


def test_gives_memory_for_frames_and_finds_the_same_in_it(
    backend: Backend, engine: Engine, frame: Image
) -> None:
    backend.open()
    memory = backend.host_memory(SHAPE)
    assert memory.shape == SHAPE
    assert memory.dtype == np.uint8
    assert memory.flags.c_contiguous
    assert memory.flags.writeable
    assert not memory.any()
    backend.prepare(SHAPE, CROPS[2])
    elsewhere = backend.infer(frame, levels_for(engine, frame)).copy()
    memory[:] = frame
    np.testing.assert_array_equal(backend.infer(memory, levels_for(engine, memory)), elsewhere)


def test_memory_for_frames_outlives_the_back_end(backend: Backend, engine: Engine, frame: Image) -> None:
    backend.open()
    memory = backend.host_memory(SHAPE)
    memory[:] = frame
    backend.close()
    np.testing.assert_array_equal(memory, frame)
    memory[:] = 1


def test_memory_is_not_lent_again_while_a_part_of_it_is_held(backend: Backend) -> None:
    backend.open()
    part = backend.host_memory(SHAPE)[5:9, ::2]
    part[:] = 77
    others = [backend.host_memory(SHAPE) for _ in range(3)]
    for other in others:
        other[:] = 1
    assert (part == 77).all()


@pytest.mark.parametrize("view", [np.s_[::-1, ::-1], np.s_[::2, ::2]], ids=str)
def test_a_frame_that_is_a_view_is_read_as_it_is(
    backend: Backend, engine: Engine, frame: Image, view: tuple[slice, slice]
) -> None:
    backend.open()
    memory = backend.host_memory((2 * SHAPE[0], 2 * SHAPE[1]))
    memory[:] = np.kron(frame, np.ones((2, 2), np.uint8))
    part = memory[::2, ::2] if view == np.s_[::2, ::2] else frame[view]
    backend.prepare(SHAPE, CROPS[0])
    np.testing.assert_allclose(
        backend.infer(part, levels_for(engine, part)),
        reference(engine, np.ascontiguousarray(part), CROPS[0]),
        atol=2e-3,
    )


def test_close_may_come_at_any_time_and_twice(backend: Backend, engine: Engine, frame: Image) -> None:
    backend.close()
    backend.open()
    backend.close()
    backend.open()
    backend.prepare(SHAPE, CROPS[0])
    backend.infer(frame, levels_for(engine, frame))
    backend.close()
    backend.close()
    assert backend.plan is None


def test_is_opened_again_after_it_was_closed(backend: Backend, engine: Engine, frame: Image) -> None:
    found: list[FloatArray] = []
    for _ in range(2):
        backend.open()
        backend.prepare(SHAPE, CROPS[0])
        found.append(backend.infer(frame, levels_for(engine, frame)).copy())
        backend.close()
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("first", ["closed first", "closed last"])
def test_two_in_one_thread_do_not_disturb_each_other(
    runner: Runner, backend: Backend, engine: Engine, frame: Image, first: str
) -> None:
    """As in a comparison, and as in several pipelines, which end in any order."""
    here, there = CROPS[0], CROPS[1]
    other = runner.make(engine, precision="f32")
    backend.open()
    backend.prepare(SHAPE, here)
    other.open()
    other.prepare(SHAPE, there)
    for each, crop in ((backend, here), (other, there), (backend, here)):
        np.testing.assert_allclose(
            each.infer(frame, levels_for(engine, frame)), reference(engine, frame, crop), atol=2e-3
        )
    ends, stays, crop = (backend, other, there) if first == "closed first" else (other, backend, here)
    ends.close()
    np.testing.assert_allclose(
        stays.infer(frame, levels_for(engine, frame)), reference(engine, frame, crop), atol=2e-3
    )
    stays.close()


def test_an_unknown_device_is_an_error_and_not_a_fall_back(runner: Runner, engine: Engine) -> None:
    with pytest.raises(BackendError, match="NOSUCH"):
        runner.make(engine, precision="f32", device="NOSUCH").open()


@pytest.fixture(scope="session", params=list(Scheme), ids=lambda scheme: scheme.name)
def int8_engine(
    request: pytest.FixtureRequest, engines: dict[str, Engine], tmp_path_factory: pytest.TempPathFactory
) -> Engine:
    """The small engine in int8, by either scheme; of random weights, so that no report of parity lets it in."""
    pytest.importorskip("onnxruntime")
    from rtface.learn.engines.quantise import quantise
    from rtface.track.manifest import MODEL_FILE
    from rtface.track.store import write_engine

    folder = tmp_path_factory.mktemp("int8")
    source, made = engines["small"], folder / MODEL_FILE
    frames = {index: face(index=index) for index in range(8)}
    quantise(source.file(MODEL_FILE), made, frames, source.manifest.normalise, scheme=request.param)
    fields: dict[str, Any] = source.manifest.model_dump(
        exclude={"name", "files", "preprocessing_sha256", "rtface_engine"}
    )
    parity = {"calibration": {"scheme": request.param.value}}
    fields |= {"precision": "int8", "weights": "int8", "metrics": {"parity": parity}}
    fields["training"] = {"exported_from": source.manifest.name}
    return write_engine(folder / f"small-{request.param.name.lower()}", {MODEL_FILE: made}, fields)


def test_an_int8_engine_is_run_in_int8_or_refused(
    runner: Runner, int8_engine: Engine, engines: dict[str, Engine], frame: Image
) -> None:
    """No back end may run an int8 engine in another arithmetic without saying so."""
    backend = runner.make(int8_engine)
    name, scheme = runner.settings["name"], int8_engine.manifest.name
    if name == "torch" or (name == "tensorrt" and scheme == "small-cpu"):
        with pytest.raises((BackendError, EngineError), match="int8"):
            backend.open()
        backend.close()
        return
    assert backend.open().precision == "int8"
    backend.prepare(SHAPE, CROPS[0])
    found = backend.infer(frame, levels_for(int8_engine, frame)).copy()
    backend.close()
    shift = np.linalg.norm(found[:, :2] - reference(engines["small"], frame, CROPS[0])[:, :2], axis=1)
    assert 0 < np.median(shift) < 2, shift


@pytest.mark.parametrize("precision", ["f32", "bf16", "f16"])
def test_an_int8_engine_runs_in_nothing_else(runner: Runner, int8_engine: Engine, precision: str) -> None:
    backend = runner.make(int8_engine, precision=precision)
    with pytest.raises((BackendError, EngineError)):
        backend.open()
    backend.close()


# ------------------------------------------------------------------------------------------- those on a GPU


@pytest.fixture(params=ON_GPU)
def gpu_runner(request: pytest.FixtureRequest) -> Runner:
    return runner_of(request.param, request)


@pytest.mark.parametrize("crop", CROPS, ids=str)
def test_on_a_gpu_half_precision_is_the_default_and_agrees(
    gpu_runner: Runner, engines: dict[str, Engine], frame: Image, crop: Crop
) -> None:
    engine = engines["small"]
    backend = gpu_runner.make(engine)
    assert backend.open().precision == "f16"
    backend.prepare(SHAPE, crop)
    found = backend.infer(frame, levels_for(engine, frame))
    np.testing.assert_allclose(found, reference(engine, frame, crop), atol=0.1)
    assert not np.array_equal(found, reference(engine, frame, crop)), "in truth in f32"
    backend.close()


def test_on_a_gpu_the_levels_are_not_the_callers(
    gpu_runner: Runner, engines: dict[str, Engine], frame: Image
) -> None:
    backend = gpu_runner.make(engines["small"], precision="f32")
    assert backend.computes_levels
    backend.open()
    backend.prepare(SHAPE, CROPS[0])
    found = backend.infer(frame, np.full(2, np.nan, np.float32))
    np.testing.assert_allclose(found, reference(engines["small"], frame, CROPS[0]), atol=2e-3)
    backend.close()


def test_on_a_gpu_a_frame_of_another_shape_is_refused(
    gpu_runner: Runner, engines: dict[str, Engine], frame: Image
) -> None:
    engine = engines["small"]
    backend = gpu_runner.make(engine)
    backend.open()
    with pytest.raises(BackendError, match="not prepared"):
        backend.infer(frame, levels_for(engine, frame))
    backend.prepare(SHAPE, CROPS[0])
    for shape in ((SHAPE[0] + 1, SHAPE[1]), (1, SHAPE[1]), (SHAPE[1], SHAPE[0])):
        other = face(shape) if shape[0] > 1 else frame[:1]
        with pytest.raises(BackendError, match=r"prepared for frames of \(120, 160\), not"):
            backend.infer(other, levels_for(engine, other))
    backend.close()


def test_on_a_gpu_what_was_compiled_is_told(gpu_runner: Runner, engines: dict[str, Engine]) -> None:
    backend = gpu_runner.make(engines["small"])
    info = backend.open()
    assert info.threads is None
    assert info.device.startswith("cuda:0: ")
    backend.prepare(SHAPE, CROPS[0])
    assert backend.plan is not None
    assert backend.plan.endswith("one CUDA graph")
    backend.close()


def test_on_a_gpu_bf16_and_a_card_that_is_not_there_are_refused(
    gpu_runner: Runner, engines: dict[str, Engine]
) -> None:
    for settings, message in (
        ({"precision": "bf16"}, "bf16.*set backend.precision to engine"),
        ({"device": "cuda:63"}, r"cuda:63, but the GPUs of this machine are: cuda:0: "),
    ):
        with pytest.raises(BackendError, match=message):
            gpu_runner.make(engines["small"], **settings).open()


def test_every_back_end_of_the_configuration_is_held_to_this() -> None:
    names = {settings["name"] for settings in (*ON_CPU.values(), *CARDS.values())}
    assert names == set(BACKENDS)
