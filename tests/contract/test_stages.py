"""What a back end on a GPU tells of the stages of a frame, for benchmarks; on an emulated one, and on a real one."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from support.backends import ON_CPU, ON_GPU, SHAPE, Runner, face, levels_for, runner_of, tiny_engine

from rtface.core.records import Crop
from rtface.track.backends.base import DeviceStage, Itemises
from rtface.track.store import Engine

CROP = Crop(3, 5, 101, 40)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    pytest.importorskip("torch")
    folder: Path = tmp_path_factory.mktemp("staged")
    return tiny_engine(folder / "staged", "small")


@pytest.fixture(params=ON_GPU)
def runner(request: pytest.FixtureRequest) -> Runner:
    return runner_of(request.param, request)


@pytest.mark.parametrize("recorded", [True, False], ids=["one graph", "plain launches"])
def test_every_stage_is_told_and_the_keypoints_stay_the_same(
    runner: Runner, engine: Engine, recorded: bool
) -> None:
    if not recorded:
        if runner.gpu is None:
            pytest.skip("a real driver records")
        runner.gpu.fails = {
            "cuStreamBeginCapture_v2": [900] * 2,
            "torch.capture": [RuntimeError("not now")] * 2,
        }
    backend = runner.make(engine)
    try:
        backend.open()
        backend.prepare(SHAPE, CROP)
        assert (backend.plan or "").endswith("one CUDA graph" if recorded else "plain launches")
        assert isinstance(backend, Itemises)
        frame, other = face(), face(index=40)
        level = levels_for(engine, frame)
        expected = backend.infer(frame, level).copy()
        second = backend.infer(other, level).copy()
        assert not np.array_equal(expected, second)
        for _ in range(3):
            stages = backend.itemise(frame)
            assert tuple(stages) == get_args(DeviceStage)
            assert all(took > 0 for took in stages.values())
            kept = backend.infer(other, level)
            np.testing.assert_array_equal(kept, second)
        backend.itemise(frame)
        np.testing.assert_array_equal(kept, expected)  # borrowed memory, into which itemise wrote
        assert backend.memory_used() > 0
        backend.prepare(SHAPE, Crop(10, 20, 64, 64))
        assert len(backend.itemise(frame)) == len(stages)
    finally:
        backend.close()
    if runner.gpu is not None:
        assert not runner.gpu.left


def test_marks_are_passed_in_order_around_each_stage(engine: Engine, request: pytest.FixtureRequest) -> None:
    runner = runner_of("emulated-tensorrt", request)
    assert runner.gpu is not None
    backend = runner.make(engine)
    try:
        backend.open()
        backend.prepare(SHAPE, CROP)
        assert isinstance(backend, Itemises)
        backend.itemise(face())
        first = list(runner.gpu.passed)
        assert len(first) == len(set(first)) == len(get_args(DeviceStage)) + 1
        launched = runner.gpu.log.count("cuGraphLaunch")
        backend.itemise(face())
        assert runner.gpu.passed == first * 2
        assert runner.gpu.log.count("cuGraphLaunch") == launched + 1, "one launch for all of it"
    finally:
        backend.close()


@pytest.mark.parametrize("call", ["cuEventCreate", "cuEventRecordWithFlags", "cuEventElapsedTime"])
@pytest.mark.parametrize("name", ["emulated-tensorrt", "emulated-torch-cuda"])
def test_an_error_of_the_clock_is_told_and_leaves_nothing(
    engine: Engine, request: pytest.FixtureRequest, name: str, call: str
) -> None:
    from rtface.core.errors import BackendError

    runner = runner_of(name, request)
    assert runner.gpu is not None
    backend = runner.make(engine)
    try:
        backend.open()
        backend.prepare(SHAPE, CROP)
        assert isinstance(backend, Itemises)
        frame = face()
        level = levels_for(engine, frame)
        expected = backend.infer(frame, level).copy()
        runner.gpu.fails = {call: [None, 1, 1] if call == "cuEventRecordWithFlags" else [None, 1]}
        with pytest.raises(BackendError, match=call):
            backend.itemise(frame)
        np.testing.assert_array_equal(backend.infer(frame, level), expected)
        assert len(backend.itemise(frame)) == len(get_args(DeviceStage))
    finally:
        backend.close()
    assert not runner.gpu.left


@pytest.mark.parametrize("name", ON_CPU)
def test_a_back_end_on_the_cpu_tells_no_stages(
    engine: Engine, request: pytest.FixtureRequest, name: str
) -> None:
    assert not isinstance(runner_of(name, request).make(engine), Itemises)
