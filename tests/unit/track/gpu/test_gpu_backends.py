"""The back ends on the emulated GPU: what they call and when, what an error leaves behind, what goes first at the end."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from support.backends import EMULATED, Runner, face, levels_for, reference, runner_of, tiny_engine
from support.emulated_gpu import ILLEGAL_ADDRESS, OUT_OF_MEMORY, EmulatedGpu, PycudaError
from support.fakes import FakeHandler

from rtface.acquire.factory import make_camera
from rtface.bench.measuring import Nowhere
from rtface.config import SimulatedCameraSettings
from rtface.core.clock import SYSTEM_CLOCK
from rtface.core.errors import BackendError
from rtface.core.records import Crop, FloatArray, Image, Pose
from rtface.live.pipeline import Pipeline
from rtface.track.backends.base import Backend
from rtface.track.gpu.libcuda import Libcuda
from rtface.track.store import Engine
from rtface.track.tracker import Tracker

SHAPE = (64, 72)
WHOLE, PART = Crop(0, 0, 72, 64), Crop(5, 4, 50, 40)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    pytest.importorskip("torch")
    return tiny_engine(tmp_path_factory.mktemp("tiny") / "small-test", "small", size=32)


@pytest.fixture(params=EMULATED)
def runner(request: pytest.FixtureRequest) -> Runner:
    return runner_of(request.param, request)


@pytest.fixture(params=[name for name in EMULATED if "tensorrt" in name])
def tensorrt(request: pytest.FixtureRequest) -> Runner:
    return runner_of(request.param, request)


def gpu_of(runner: Runner) -> EmulatedGpu:
    assert runner.gpu is not None
    return runner.gpu


def live(backend: Backend, engine: Engine) -> FloatArray:
    """Open, look at a part, at the whole, at frames of the ring and at others; close is the caller's."""
    backend.open()
    slot = backend.host_memory(SHAPE)
    slot[:] = face(SHAPE)
    backend.prepare(SHAPE, PART)
    backend.prepare(SHAPE, WHOLE)
    for frame in (slot, face(SHAPE)):
        found = backend.infer(frame, levels_for(engine, frame))
    return found.copy()


def calls_of_a_life(runner: Runner, engine: Engine) -> Counter[str]:
    backend = runner.make(engine)
    live(backend, engine)
    backend.close()
    gpu = gpu_of(runner)
    assert not gpu.left
    calls = Counter(gpu.log)
    gpu.log.clear()
    return calls


# ----------------------------------------------------------------------------------------------- what is called

PER_FRAME = {
    "emulated-tensorrt": [
        *("cuCtxGetCurrent", "pycuda.memcpy_htod_async", "cuGraphLaunch"),
        *("pycuda.record", "pycuda.synchronize"),
    ],
    "emulated-tensorrt-rtx": [
        *("cuCtxGetCurrent", "cuMemcpyHtoDAsync_v2", "cuGraphLaunch"),
        *("cuEventRecord", "cuEventSynchronize"),
    ],
    "emulated-torch-cuda": ["torch.set_stream", "torch.replay", "torch.record", "torch.synchronize"],
}


@pytest.mark.parametrize("name", EMULATED)
def test_a_frame_costs_a_copy_a_launch_and_a_wait_and_no_memory(
    name: str, request: pytest.FixtureRequest, engine: Engine
) -> None:
    runner = runner_of(name, request)
    backend, gpu = runner.make(engine), gpu_of(runner)
    live(backend, engine)
    slot = backend.host_memory(SHAPE)
    before = gpu.left
    for frame in (slot, face(SHAPE)):
        gpu.log.clear()
        backend.infer(frame, levels_for(engine, frame))
        called = [
            name for name in gpu.log if name != "cuLaunchKernel"
        ]  # torch's emulated graph launches them
        assert called == PER_FRAME[name]
    assert gpu.left == before
    backend.close()


def test_the_result_is_borrowed_and_its_memory_the_same_each_time(runner: Runner, engine: Engine) -> None:
    backend = runner.make(engine)
    live(backend, engine)
    frame = face(SHAPE)
    first = backend.infer(frame, levels_for(engine, frame))
    assert backend.infer(frame, levels_for(engine, frame)) is first
    backend.close()
    assert np.isfinite(first).all(), "it may be looked at after the end"


def test_another_crop_frees_what_the_old_one_took(runner: Runner, engine: Engine) -> None:
    backend, gpu = runner.make(engine), gpu_of(runner)
    backend.open()
    backend.prepare(SHAPE, WHOLE)
    with_one = gpu.left
    for crop in (PART, WHOLE):
        backend.prepare(SHAPE, crop)
    assert gpu.left == with_one
    backend.close()
    assert not gpu.left


def test_memory_of_frames_is_lent_again_when_it_is_free(tensorrt: Runner, engine: Engine) -> None:
    backend, gpu = tensorrt.make(engine), gpu_of(tensorrt)
    backend.open()
    for _ in range(5):  # a camera that is paused and started anew
        ring = [backend.host_memory(SHAPE) for _ in range(3)]
        for slot in ring:
            assert not slot.any()
            slot[:] = 9
        del ring, slot
    assert gpu.left["locked memory"] == 3
    backend.close()
    assert not gpu.left


@pytest.mark.parametrize(
    ("name", "waits", "frees", "lets_go"),
    [
        ("emulated-tensorrt", "pycuda.synchronize", "pycuda.free", ["pycuda.detach"]),
        ("emulated-tensorrt-rtx", "cuEventSynchronize", "cuMemFree_v2", ["cuStreamDestroy_v2"]),
    ],
)
def test_what_is_taken_is_given_back_in_reverse(
    name: str, waits: str, frees: str, lets_go: list[str], request: pytest.FixtureRequest, engine: Engine
) -> None:
    runner = runner_of(name, request)
    backend, gpu = runner.make(engine), gpu_of(runner)
    live(backend, engine)
    gpu.log.clear()
    backend.close()
    log = gpu.log
    places = {each: (log.index(each), len(log) - 1 - log[::-1].index(each)) for each in log}
    order = [
        waits,
        "cuGraphExecDestroy",
        "free context",
        "free engine",
        "free runtime",
        frees,
        "cuMemHostUnregister",
        "cuModuleUnload",
        *lets_go,
        "cuCtxPopCurrent_v2",
        "cuDevicePrimaryCtxRelease_v2",
    ]
    assert set(order) <= set(log)
    for earlier, later in pairwise(order):
        assert places[earlier][0] < places[later][0], (earlier, later)
    assert places[frees][1] < places["cuModuleUnload"][0]


def test_of_several_gpus_the_one_that_is_named_is_used(tensorrt: Runner, engine: Engine) -> None:
    gpu = gpu_of(tensorrt)
    gpu.count = 3
    for device, index in ((None, 0), ("cuda:2", 2), ("CUDA:1", 1)):
        backend = tensorrt.make(engine, device=device)
        assert backend.open().device.startswith(f"cuda:{index}: ")
        assert gpu.taken[-1] == index
        backend.close()


def test_two_gpus_in_one_thread_take_turns_and_end_in_any_order(tensorrt: Runner, engine: Engine) -> None:
    """The emulated driver refuses kernels, graphs and memory of another GPU than the one whose context is current."""
    gpu, frame = gpu_of(tensorrt), face(SHAPE)
    gpu.count = 2
    first, second = (tensorrt.make(engine, device=f"cuda:{index}", precision="f32") for index in (0, 1))
    for backend in (first, second):
        backend.open()
    for crop in (PART, WHOLE):
        for backend in (first, second):
            backend.prepare(SHAPE, crop)
    for backend in (first, second, first):
        found = backend.infer(frame, levels_for(engine, frame))
        np.testing.assert_allclose(found, reference(engine, frame, WHOLE), atol=2e-3)
        assert set(backend.itemise(frame)) >= {"copy_in", "network"}  # type: ignore[attr-defined]
    first.close()
    assert gpu.current == 1
    second.infer(frame, levels_for(engine, frame))
    second.close()
    assert not gpu.left


# ---------------------------------------------------------------------------------------- what an error leaves

WITH_PYCUDA = {"pycuda.detach", "pycuda.free"}
WITHOUT_PYCUDA = {"cuEventDestroy_v2", "cuMemFree_v2", "cuStreamDestroy_v2"}
GIVES_BACK = {
    "cuCtxPopCurrent_v2", "cuDevicePrimaryCtxRelease_v2", "cuGraphDestroy", "cuGraphExecDestroy", "cuMemHostUnregister",
    "cuModuleUnload", *WITH_PYCUDA, *WITHOUT_PYCUDA,
}  # fmt: skip
NEVER_FAIL = {"free context", "free engine", "free runtime", "cuGetErrorName", "pycuda.pop"}
WAITS = {
    "pycuda.record", "pycuda.synchronize", "torch.record", "torch.synchronize", "torch.set_stream",
    "cuEventRecord", "cuEventSynchronize",
}  # fmt: skip
CACHES = {"trt.deserialize", "trt.serialize", "trt.set_runtime_cache"}
"""Without them a start takes longer and nothing else changes: test_kept_kernels.py."""
WARNS = {"cuDevicePrimaryCtxSetFlags_v2"}
RECORDS = {
    "cuStreamBeginCapture_v2", "cuStreamEndCapture", "cuGraphInstantiateWithFlags", "cuGraphUpload",
    "torch.capture", "torch.capture_end", "cuGraphDestroy",
}  # fmt: skip


def failure_of(call: str) -> Any:
    if call.startswith("cu"):
        return OUT_OF_MEMORY
    return {"pycuda": PycudaError("told to fail"), "torch": RuntimeError("told to fail"), "trt": True}[
        call.partition(".")[0]
    ]


def fail_at(runner: Runner, engine: Engine, call: str, number: int, expected: FloatArray) -> str:
    """Make one call of a life fail, and hold what comes of it against what must; return in a word what came."""
    gpu = gpu_of(runner)
    backend = None
    gpu.fails = {call: [None] * number + [failure_of(call)]}
    try:
        backend = runner.make(engine)
        np.testing.assert_allclose(live(backend, engine), expected, atol=1e-6)
        outcome = str(backend.plan)
    except BackendError as error:
        outcome = str(error)
        assert len(outcome) > 20
        assert any(
            word in outcome for word in ("GPU", "torch failed", "tensorrt", "TensorRT", "plan has no")
        ), outcome
    if backend is not None:
        backend.close()
    assert not any(gpu.fails.values()), f"{call} was not called {number + 1} times"
    gpu.fails = {}
    assert not gpu.left, gpu.left
    assert not gpu.pending
    if number == 0:
        backend = backend or runner.make(engine)
        np.testing.assert_allclose(live(backend, engine), expected, atol=1e-6, err_msg="opened again")
        backend.close()
        assert not gpu.left
    return outcome


def fresh(request: pytest.FixtureRequest, name: str) -> Runner:
    return runner_of(name, request)


@pytest.mark.parametrize("name", EMULATED)
def test_whatever_fails_is_told_and_nothing_is_left(
    name: str, request: pytest.FixtureRequest, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    """Every call of a life, at its first and at its last time; the plan lies in the cache from the second life on."""
    runner = fresh(request, name)
    first_life = calls_of_a_life(runner, engine)
    backend = runner.make(engine)
    expected = live(backend, engine)
    backend.close()
    gpu_of(runner).log.clear()
    calls = calls_of_a_life(runner, engine)
    assert set(calls) >= RECORDS & {each for each in calls if each.startswith("cu")}
    for call in sorted(set(calls) - NEVER_FAIL):
        for number in {0} if call == "cuCtxGetCurrent" else {0, calls[call] - 1}:
            if call in GIVES_BACK or call == "cuInit":
                continue
            caplog.clear()
            outcome = fail_at(runner, engine, call, number, expected)
            told = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
            if call in WAITS and number > 0:  # the wait at the end
                assert "while giving back" in told[0], (call, told)
                continue
            assert not [text for text in told if "giving back" in text], (call, number, told)
            if call in CACHES:
                assert "one CUDA graph" in outcome
            elif call in WARNS:
                assert "sleep" in told[0]
            elif "one CUDA graph" in outcome:
                assert told, f"{call} failed and nobody said so"
                assert "tried again" in told[0] or "no CUDA graph" in told[0], (call, number, told)
            elif "plain launches" in outcome:
                assert "no CUDA graph could be recorded" in told[-1], (call, number, outcome)
            assert "one CUDA graph" in outcome or call not in RECORDS, "once is not for ever"
    assert set(first_life) - set(calls) <= {
        *("trt.Builder", "trt.parse", "trt.build_serialized_network", "compile kernels")
    }


@pytest.mark.parametrize(
    ("name", "call"),
    [
        *(("emulated-tensorrt", call) for call in sorted({*GIVES_BACK, "cuCtxGetCurrent"} - WITHOUT_PYCUDA)),
        *(("emulated-tensorrt-rtx", call) for call in sorted({*GIVES_BACK, "cuCtxGetCurrent"} - WITH_PYCUDA)),
    ],
)
def test_what_cannot_be_given_back_keeps_nothing_else_from_it(
    name: str, call: str, request: pytest.FixtureRequest, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    runner = fresh(request, name)
    gpu, backend = gpu_of(runner), runner.make(engine)
    live(backend, engine)
    gpu.fails = {call: [failure_of(call)]}
    backend.close()
    if call == "cuGraphDestroy":  # is done when the graph is recorded, not at the end
        assert not gpu.left
        return
    assert not gpu.fails[call]
    assert sum(gpu.left.values()) <= 2, gpu.left
    assert "while giving back" in caplog.text
    backend.close()


@pytest.mark.parametrize(
    "call",
    [
        *("trt.Builder", "trt.parse", "trt.build_serialized_network"),
        *("trt.Runtime", "trt.deserialize_cuda_engine", "trt.create_execution_context"),
    ],
)
def test_what_fails_while_a_plan_is_made_is_told(tensorrt: Runner, engine: Engine, call: str) -> None:
    """Nothing is left even while the error, with all that its traceback refers to, is kept, as pipelines do."""
    gpu, backend = gpu_of(tensorrt), tensorrt.make(engine)
    gpu.fails = {call: [True]}
    with pytest.raises(BackendError, match=r"(?i)tensorrt.*(told to fail|no network|nullptr)") as caught:
        live(backend, engine)
    backend.close()
    assert not gpu.left
    assert caught.value.__traceback__ is not None
    live(backend, engine)
    backend.close()


def test_after_a_crop_that_failed_the_old_one_is_in_force(runner: Runner, engine: Engine) -> None:
    backend, gpu = runner.make(engine, precision="f32"), gpu_of(runner)
    backend.open()
    backend.prepare(SHAPE, WHOLE)
    plan, left = backend.plan, gpu.left
    gpu.fails = {"cuLaunchKernel": [None, OUT_OF_MEMORY]}
    with pytest.raises(BackendError, match=r"cuLaunchKernel: CUDA_ERROR_OUT_OF_MEMORY \(2\)"):
        backend.prepare(SHAPE, PART)
    assert (backend.plan, gpu.left) == (plan, left)
    frame = face(SHAPE)
    np.testing.assert_allclose(
        backend.infer(frame, levels_for(engine, frame)), reference(engine, frame, WHOLE), atol=2e-3
    )
    backend.close()


@pytest.mark.parametrize(
    "refuse",
    [
        lambda gpu: gpu.fails.update({"cuStreamBeginCapture_v2": [900] * 2, "torch.capture": [RuntimeError("no")] * 2}),
        lambda gpu: gpu.fails.update({"cuGraphUpload": [1] * 2, "torch.capture_end": [RuntimeError("no")] * 2}),
        lambda gpu: (gpu.lacks.add("cuGraphInstantiateWithFlags"), gpu.fails.update({"torch.capture": [RuntimeError()] * 2})),
    ],
    ids=["the stream", "the graph", "an old driver"],
)  # fmt: skip
def test_where_no_graph_can_be_recorded_each_step_is_launched_and_it_says_so(
    runner: Runner, engine: Engine, refuse: Callable[[EmulatedGpu], Any], caplog: pytest.LogCaptureFixture
) -> None:
    backend, gpu = runner.make(engine, precision="f32"), gpu_of(runner)
    refuse(gpu)
    backend.open()
    backend.prepare(SHAPE, PART)
    assert str(backend.plan).endswith("plain launches")
    assert "no CUDA graph could be recorded, each step is launched by itself" in caplog.text
    gpu.log.clear()
    frame = face(SHAPE)
    found = backend.infer(frame, levels_for(engine, frame))
    np.testing.assert_allclose(found, reference(engine, frame, PART), atol=2e-3)
    assert gpu.log.count("cuLaunchKernel") == 3
    assert not {"cuGraphLaunch", "torch.replay"} & set(gpu.log)
    backend.close()
    assert not gpu.left


LOST = "the GPU is lost for this process, restart the process"


def test_after_an_error_that_no_process_gets_over_nothing_is_called_and_it_says_what_to_do(
    runner: Runner, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    backend, gpu = runner.make(engine), gpu_of(runner)
    live(backend, engine)
    frame = face(SHAPE)
    gpu.broken = ILLEGAL_ADDRESS
    with pytest.raises(BackendError, match=LOST):
        backend.infer(frame, levels_for(engine, frame))
    called = len(gpu.log)
    for again in (
        lambda: backend.infer(frame, levels_for(engine, frame)),
        lambda: backend.itemise(frame),  # type: ignore[attr-defined]
        lambda: runner.make(engine).open(),
        lambda: probe_or_raise(gpu),
    ):
        with pytest.raises(BackendError, match=LOST):
            again()
    backend.close()
    assert gpu.log[called:] == [], "not even to give something back"
    assert not caplog.records
    assert gpu.left, "it is the driver that frees it, when the process ends"


def probe_or_raise(gpu: EmulatedGpu) -> None:
    found = Libcuda(gpu).probe()
    assert not found.gpus
    raise BackendError(found.why_none)


def test_a_pipeline_whose_gpu_is_lost_ends_and_hands_the_reason_to_who_must_turn_the_light_off(
    runner: Runner, engine: Engine
) -> None:
    gpu, log = gpu_of(runner), list[str]()

    class Handler(FakeHandler):
        def handle(self, pose: Pose) -> None:
            super().handle(pose)
            if pose.frame.frame_id >= 3:
                gpu.broken = ILLEGAL_ADDRESS

        def published(self, image: Image, pose: Pose, published_ns: int) -> None:
            self._call("published")

    camera = make_camera(SimulatedCameraSettings(width=SHAPE[1], height=SHAPE[0], rate_hz=100))
    handler = Handler(log)
    tracker = Tracker(engine, runner.make(engine), SYSTEM_CLOCK)
    pipeline = Pipeline(camera, tracker, Nowhere(), handler=handler)
    pipeline.start()
    assert pipeline.wait(60)
    assert isinstance(pipeline.error, BackendError)
    assert LOST in str(pipeline.error)
    assert handler.closed_with == [pipeline.error]
    assert LOST in str(pipeline.status().error)


def test_torch_changes_nothing_for_others(engine: Engine, request: pytest.FixtureRequest) -> None:
    """What is the whole process's in torch is as it was, whether a graph is launched or not."""
    torch = pytest.importorskip("torch")
    cudnn = torch.backends.cudnn
    runner = fresh(request, "emulated-torch-cuda")
    before = (cudnn.enabled, cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32)
    seen: list[tuple[bool, bool]] = []
    gpu = gpu_of(runner)
    gpu.fails = {"torch.capture": [RuntimeError("no")] * 2}
    backend = runner.make(engine, precision="f32")
    backend.open()
    backend.prepare(SHAPE, WHOLE)
    forward = backend._network.forward  # type: ignore[attr-defined]

    def spy(image: Any) -> Any:
        seen.append((cudnn.benchmark, cudnn.allow_tf32))
        assert torch.is_inference_mode_enabled()
        return forward(image)

    backend._network.forward = spy  # type: ignore[attr-defined]
    frame = face(SHAPE)
    backend.infer(frame, levels_for(engine, frame))
    assert seen == [(True, False)], "the search for speed, and true f32, hold for our own network"
    assert (cudnn.enabled, cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32) == before
    assert not torch.is_inference_mode_enabled()
    backend.close()
    assert gpu.current_stream is None


def test_a_card_that_tensorrt_for_rtx_does_not_serve_is_told_at_once(
    engine: Engine, request: pytest.FixtureRequest
) -> None:
    runner = fresh(request, "emulated-tensorrt-rtx")
    gpu_of(runner).capability = (9, 0)
    backend = runner.make(engine)
    with pytest.raises(
        BackendError, match=r"makes no plans for Emulated GPU \(sm_90\), only for sm_86, .*torch"
    ):
        backend.open()
    assert not gpu_of(runner).left
    backend.close()


def test_a_plan_that_is_of_another_network_is_refused(tensorrt: Runner, engine: Engine) -> None:
    """Else its outputs would be written beyond the memory that was taken for them."""
    from rtface.core.errors import EngineError
    from rtface.track.gpu.nvinfer import LoadedPlan, PlanTensor

    gpu, backend = gpu_of(tensorrt), tensorrt.make(engine)
    backend.open()
    real = LoadedPlan._tensor

    def larger(self: LoadedPlan, name: str) -> PlanTensor:
        tensor = real(self, name)
        return PlanTensor(tensor.name, (*tensor.shape[:-1], tensor.shape[-1] + 1), tensor.dtype)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LoadedPlan, "_tensor", larger)
        with pytest.raises(EngineError, match="not what its network does: `rtface engines build --rebuild`"):
            backend.prepare(SHAPE, WHOLE)
    backend.prepare(SHAPE, WHOLE)
    backend.close()
    assert not gpu.left
