"""What only a real GPU can prove: parity, leaks, two at once, foreign plans: ``pytest -m gpu``.

The same tests run on the emulated GPU with few frames, so that they are known to run.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import numpy as np
import psutil
import pytest
from support.backends import ON_GPU, Runner, face, levels_for, reference, runner_of, tiny_engine

from rtface.core.errors import BackendError
from rtface.core.geometry import whole_frame
from rtface.core.records import Crop, FloatArray
from rtface.track.backends.base import Backend
from rtface.track.backends.factory import DEFAULT_GPU_ENGINE
from rtface.track.gpu.libcuda import Libcuda, probe
from rtface.track.store import Engine, load_engine

MOST_GROWTH = 8 << 20
"""Bytes by which memory may grow over thousands of frames without a leak: less than a thousand times one frame."""


@pytest.fixture(params=ON_GPU)
def card(request: pytest.FixtureRequest) -> Runner:
    return runner_of(request.param, request)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    pytest.importorskip("torch")
    return tiny_engine(tmp_path_factory.mktemp("tiny") / "small-test", "small", size=32)


def for_real(card: Runner, frames: int, emulated: int) -> int:
    return frames if card.gpu is None else emulated


@pytest.fixture
def used(card: Runner) -> Callable[[], int]:
    """What tells the bytes of the GPU that are in use, while a back end is open in this thread."""
    driver = Libcuda.load()
    assert driver is not None

    def tell() -> int:
        free, total = driver.free_memory()
        return total - free

    return tell


@pytest.fixture
def backend(card: Runner, tiny: Engine) -> Iterator[Backend]:
    made = card.make(tiny)
    yield made
    made.close()


@pytest.mark.parametrize(("precision", "median", "most"), [("f32", 0.002, 0.05), ("engine", 0.02, 0.5)])
def test_the_default_engine_agrees_with_its_float_reference(
    card: Runner, precision: str, median: float, most: float
) -> None:
    """Shifts in pixels of the network's input, on the simulated mouse at 640 x 480."""
    engine, shape = load_engine(DEFAULT_GPU_ENGINE), (480, 640)
    crop = whole_frame(640, 480)
    shifts: list[FloatArray] = []
    with card.running(engine, shape, crop, precision=precision) as find:
        for index in range(for_real(card, 60, 1)):
            frame = face(shape, 5 * index)
            found, expected = find(frame), reference(engine, frame, crop)
            shifts.append(np.linalg.norm(found[:, :2] - expected[:, :2], axis=1))
            np.testing.assert_allclose(found[:, 2], expected[:, 2], atol=0.02)
    assert np.median(shifts) < median
    assert np.max(shifts) < most


def test_nothing_leaks_over_many_frames(
    card: Runner, backend: Backend, tiny: Engine, used: Callable[[], int]
) -> None:
    shape = (120, 160)
    backend.open()
    backend.prepare(shape, whole_frame(160, 120))
    slot, frame = backend.host_memory(shape), face(shape)
    slot[:] = frame
    level = levels_for(tiny, frame)

    def run(count: int) -> None:
        for index in range(count):
            backend.infer(slot if index % 2 else frame, level)

    run(for_real(card, 500, 4))
    on_gpu, on_host = used(), psutil.Process().memory_info().rss
    run(for_real(card, 10_000, 20))
    assert used() - on_gpu < MOST_GROWTH
    assert psutil.Process().memory_info().rss - on_host < MOST_GROWTH


def test_nothing_leaks_over_many_crops_and_lives(
    card: Runner, backend: Backend, tiny: Engine, used: Callable[[], int]
) -> None:
    shape, after = (120, 160), list[int]()
    for _ in range(for_real(card, 12, 2)):
        backend.open()
        for crop in (Crop(0, 0, 160, 120), Crop(10, 20, 64, 64)) * 2:
            backend.prepare(shape, crop)
        after.append(used())
        backend.close()
    half = len(after) // 2
    assert max(after[half:]) - max(after[:half]) < MOST_GROWTH


def test_two_threads_use_one_card_at_once(card: Runner, tiny: Engine) -> None:
    """Each with its own back end and crop, as two cameras do; the emulated GPU has one stream, so its users take turns."""
    shape, count = (120, 160), for_real(card, 2000, 3)
    crops = (Crop(0, 0, 160, 120), Crop(10, 20, 64, 64))
    frames = [face(shape, index) for index in range(4)]
    turn: Any = nullcontext() if card.gpu is None else threading.RLock()
    together = threading.Barrier(2, timeout=60)
    wrong: list[str] = []

    def work(crop: Crop) -> None:
        expected = [reference(tiny, frame, crop) for frame in frames]
        backend = card.make(tiny, precision="f32")
        try:
            with turn:
                backend.open()
                backend.prepare(shape, crop)
            together.wait()
            for index in range(count):
                pick = index % len(frames)
                with turn:
                    found = backend.infer(frames[pick], levels_for(tiny, frames[pick])).copy()
                if not np.allclose(found, expected[pick], atol=2e-3):
                    wrong.append(f"{crop}, frame {index}: {found} is not {expected[pick]}")
            together.wait()
        except Exception as error:
            wrong.append(repr(error))
            together.abort()
        finally:
            with turn:
                backend.close()

    threads = [threading.Thread(target=work, args=(crop,)) for crop in crops]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong, wrong[:3]


def test_a_plan_of_another_gpu_is_refused(card: Runner, tiny: Engine) -> None:
    """Built ahead of time for another card; the full TensorRT, which builds on the card alone, is given a damaged one."""
    if card.settings["name"] != "tensorrt":
        pytest.skip("torch has no plans")
    from rtface.track.gpu import kernels
    from rtface.track.gpu.body import body_of
    from rtface.track.gpu.cuda import CudaDevice
    from rtface.track.gpu.libcuda import choose_gpu
    from rtface.track.gpu.nvinfer import BuildOptions, Nvinfer

    driver, gpu = choose_gpu(None)
    nvinfer = Nvinfer()
    device = CudaDevice(gpu.index, driver)
    device.open(kernels.ptx())
    try:
        others = [target for target in nvinfer.targets if target != gpu.architecture]
        plan = nvinfer.build(
            body_of(tiny, (32, 32), "f16").onnx, BuildOptions(targets=tuple(others[:1]))
        ).plan
        if not others:
            plan = plan[: len(plan) // 2]
        if card.gpu is not None:
            card.gpu.fails = {"trt.deserialize_cuda_engine": [True]}
        with pytest.raises(
            BackendError, match="cannot load the plan on this GPU; `rtface engines build --rebuild`"
        ):
            nvinfer.load(plan)
    finally:
        device.close()


def test_this_machine_says_why_it_has_no_gpu_or_lists_them() -> None:
    found = probe()
    assert bool(found.gpus) != bool(found.why_none)
