"""What TensorRT for RTX compiles at a start: kept for the next one, and never taken for what it is not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.backends import Runner, face, levels_for, runner_of, tiny_engine

from rtface.core.records import Crop
from rtface.track.gpu.plans import plans_folder
from rtface.track.store import Engine

SHAPE = (64, 72)
WHOLE, PART = Crop(0, 0, 72, 64), Crop(0, 8, 72, 24)
COMPILE = "compile kernels"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    pytest.importorskip("torch")
    return tiny_engine(tmp_path_factory.mktemp("tiny") / "small-test", "small", size=64)


@pytest.fixture
def rtx(request: pytest.FixtureRequest) -> Runner:
    return runner_of("emulated-tensorrt-rtx", request)


def compilations(runner: Runner, engine: Engine, crop: Crop = WHOLE) -> int:
    """Start, find keypoints, end, and return how often something was compiled on the GPU."""
    gpu, backend = runner.gpu, runner.make(engine)
    assert gpu is not None
    gpu.log.clear()
    backend.open()
    backend.prepare(SHAPE, crop)
    frame = face(SHAPE)
    assert backend.infer(frame, levels_for(engine, frame)).any()
    backend.close()
    assert not gpu.left
    return gpu.log.count(COMPILE)


def kept() -> list[Path]:
    return sorted(plans_folder().glob("*.kernels"))


def test_a_second_start_compiles_nothing(rtx: Runner, engine: Engine) -> None:
    assert compilations(rtx, engine) == 1
    (path,) = kept()
    written = path.stat().st_mtime_ns
    assert path.with_suffix(".json").exists(), "it lies beside its plan's record"
    assert compilations(rtx, engine) == 0
    assert path.stat().st_mtime_ns == written, "what did not change is not written again"


def test_each_crop_s_shape_is_kept_by_itself(rtx: Runner, engine: Engine) -> None:
    shapes = {WHOLE: 1, PART: 1}
    for expected in (shapes, dict.fromkeys(shapes, 0)):
        for crop, count in expected.items():
            assert compilations(rtx, engine, crop) == count
    assert len(kept()) == 2


@pytest.mark.parametrize("damage", ["cut", "of another plan", "empty"])
def test_what_is_damaged_or_another_s_is_compiled_anew_and_mended(
    rtx: Runner, engine: Engine, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    compilations(rtx, engine)
    (path,) = kept()
    whole = path.read_bytes()
    if damage == "of another plan":
        compilations(rtx, engine, PART)
        (other,) = set(kept()) - {path}
        path.write_bytes(other.read_bytes())
    else:
        path.write_bytes(whole[:-1] if damage == "cut" else b"")
    assert compilations(rtx, engine) == 1
    assert "damaged, or of another plan" in caplog.text
    assert path.read_bytes() == whole
    assert compilations(rtx, engine) == 0


def test_what_tensorrt_does_not_take_any_more_is_compiled_anew(rtx: Runner, engine: Engine) -> None:
    """As after a driver of another major version."""
    compilations(rtx, engine)
    assert rtx.gpu is not None
    rtx.gpu.fails = {"trt.deserialize": [True]}
    assert compilations(rtx, engine) == 1
    assert compilations(rtx, engine) == 0


@pytest.mark.parametrize("call", ["set_runtime_cache", "serialize"])
def test_without_a_cache_it_runs_all_the_same(rtx: Runner, engine: Engine, call: str) -> None:
    assert rtx.gpu is not None
    rtx.gpu.fails = {f"trt.{call}": [True]}
    assert compilations(rtx, engine) == 1
    assert not kept()


def test_a_folder_that_cannot_be_written_is_a_warning(
    rtx: Runner, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    compilations(rtx, engine)
    (path,) = kept()
    path.unlink()
    path.mkdir()
    (path / "in the way").touch()
    assert compilations(rtx, engine) == 1
    assert "cannot be read" in caplog.text
    assert f"cannot be kept in {path}: {os.strerror(21)}" in caplog.text


def test_the_full_tensorrt_s_plans_come_whole(request: pytest.FixtureRequest, engine: Engine) -> None:
    assert compilations(runner_of("emulated-tensorrt", request), engine) == 0
    assert not kept()
