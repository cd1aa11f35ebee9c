"""Two pipelines in one process: what they take turns in, and what of the process's they leave as it was."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from support.backends import EMULATED, Runner, face, levels_for, runner_of, tiny_engine
from support.emulated_gpu import EmulatedGpu

from rtface.core.errors import BackendError
from rtface.core.geometry import whole_frame
from rtface.track.gpu import exclusive
from rtface.track.gpu.convolutions import settled
from rtface.track.gpu.exclusive import UnusableError, recorded
from rtface.track.store import Engine

SHAPE = (64, 72)
WHOLE = whole_frame(72, 64)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    pytest.importorskip("torch")
    return tiny_engine(tmp_path_factory.mktemp("tiny") / "small-test", "small", size=32)


@pytest.fixture(params=EMULATED)
def runner(request: pytest.FixtureRequest) -> Runner:
    return runner_of(request.param, request)


def gpu_of(runner: Runner) -> EmulatedGpu:
    assert runner.gpu is not None
    return runner.gpu


@pytest.fixture
def another() -> Iterator[ThreadPoolExecutor]:
    """Another thread of the process."""
    with ThreadPoolExecutor(1) as pool:
        yield pool


def taken(another: ThreadPoolExecutor) -> bool:
    """Tell whether a second pipeline would have to wait now."""

    def ask() -> bool:
        if exclusive._turn.acquire(blocking=False):
            exclusive._turn.release()
            return False
        return True

    return another.submit(ask).result()


@contextmanager
def watched(gpu: EmulatedGpu, look: Callable[[str], None]) -> Iterator[None]:
    """Look at every call, before it is carried out."""
    called = gpu.called

    def watching(name: str) -> Any:
        look(name)
        return called(name)

    gpu.called = watching  # type: ignore[method-assign]
    try:
        yield
    finally:
        gpu.called = called  # type: ignore[method-assign]


def test_all_but_launching_a_graph_is_done_alone(
    runner: Runner, engine: Engine, another: ThreadPoolExecutor
) -> None:
    gpu, backend, frame = gpu_of(runner), runner.make(engine), face(SHAPE)
    shared: set[str] = set()

    def look(name: str) -> None:
        if not taken(another):
            shared.add(name)

    with watched(gpu, look):
        backend.open()
        backend.host_memory(SHAPE)
        backend.prepare(SHAPE, WHOLE)
        backend.itemise(frame)  # type: ignore[attr-defined]
        backend.close()
    assert shared <= {"cuInit", "cuDeviceGetCount", "cuDeviceGet"}, "only looking for GPUs needs no turn"
    assert len(gpu.log) > 20


def test_a_graph_is_launched_without_waiting_for_others(
    runner: Runner, engine: Engine, another: ThreadPoolExecutor
) -> None:
    """A running pipeline does not stand still while another one is prepared, which may take a minute."""
    backend, frame = runner.make(engine), face(SHAPE)
    backend.open()
    backend.prepare(SHAPE, WHOLE)
    let_go, held = threading.Event(), threading.Event()

    def prepare_for_long() -> bool:
        with exclusive.alone():
            held.set()
            return let_go.wait(60)

    waiting = another.submit(prepare_for_long)
    assert held.wait(60)
    backend.infer(frame, levels_for(engine, frame))  # would wait for ever
    let_go.set()
    assert waiting.result()
    backend.close()


def test_steps_that_are_launched_one_by_one_take_turns(
    runner: Runner, engine: Engine, another: ThreadPoolExecutor
) -> None:
    gpu, backend, frame = gpu_of(runner), runner.make(engine), face(SHAPE)
    gpu.fails = {"cuStreamBeginCapture_v2": [900] * 2, "torch.capture": [RuntimeError("no")] * 2}
    backend.open()
    backend.prepare(SHAPE, WHOLE)
    assert str(backend.plan).endswith("plain launches")
    seen: list[bool] = []

    def look(name: str) -> None:
        if name == "cuLaunchKernel":
            seen.append(taken(another))

    with watched(gpu, look):
        backend.infer(frame, levels_for(engine, frame))
    assert seen == [True] * 3
    backend.close()


def test_no_garbage_is_collected_while_a_graph_is_recorded(runner: Runner, engine: Engine) -> None:
    gpu, backend = gpu_of(runner), runner.make(engine)
    seen: list[bool] = []

    def look(name: str) -> None:
        if gpu.recording is not None or name.startswith("torch.capture"):
            seen.append(gc.isenabled())

    backend.open()
    with watched(gpu, look):
        backend.prepare(SHAPE, WHOLE)
        backend.itemise(face(SHAPE))  # type: ignore[attr-defined]
    assert len(seen) > 3
    assert not any(seen)
    assert gc.isenabled()
    backend.close()


@pytest.mark.parametrize("collecting", [True, False])
def test_the_collector_is_as_it_was_after_a_recording_that_failed(collecting: bool) -> None:
    def refuse() -> None:
        assert not gc.isenabled()
        raise BackendError("no")

    (gc.enable if collecting else gc.disable)()
    try:
        with pytest.raises(BackendError):
            recorded(refuse)
        assert gc.isenabled() is collecting
    finally:
        gc.enable()


def test_a_recording_is_tried_twice_and_not_a_third_time(caplog: pytest.LogCaptureFixture) -> None:
    attempts: list[int] = []

    def record() -> str:
        attempts.append(len(attempts))
        if len(attempts) in {1, 3, 4}:
            raise RuntimeError(f"attempt {len(attempts)}")
        return "a graph"

    assert recorded(record) == "a graph"
    assert "tried again: attempt 1" in caplog.text
    with pytest.raises(RuntimeError, match="attempt 4"):
        recorded(record)


def test_what_cannot_be_used_any_more_is_not_tried_again() -> None:
    attempts: list[int] = []

    def record() -> None:
        attempts.append(1)
        raise UnusableError("broken")

    with pytest.raises(UnusableError):
        recorded(record)
    assert len(attempts) == 1


# ------------------------------------------------------------------------------------------------------ torch


@pytest.fixture
def torch_runner(request: pytest.FixtureRequest) -> Runner:
    return runner_of("emulated-torch-cuda", request)


def test_torch_never_waits_for_the_whole_device(
    torch_runner: Runner, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That would break what any other thread records, and `torch.cuda.graph` does."""
    torch = pytest.importorskip("torch")
    waited: list[str] = []
    for name in ("synchronize", "empty_cache"):
        monkeypatch.setattr(torch.cuda, name, lambda name=name: waited.append(name))
    backend = torch_runner.make(engine)
    backend.open()
    backend.prepare(SHAPE, WHOLE)
    backend.close()
    assert gpu_of(torch_runner).log.count("torch.capture") == 1
    assert not waited


@pytest.mark.parametrize("place", ["torch.capture", "torch.capture_end", "cuLaunchKernel"])
def test_after_a_recording_that_failed_torch_s_memory_is_put_in_order(
    torch_runner: Runner, engine: Engine, place: str
) -> None:
    gpu, backend = gpu_of(torch_runner), torch_runner.make(engine)
    backend.open()
    before = [None] * (3 if place == "cuLaunchKernel" else 0)  # those of the warm-up
    gpu.fails = {place: [*before, 2 if place.startswith("cu") else RuntimeError("told to fail")]}
    backend.prepare(SHAPE, WHOLE)
    assert not gpu.fails[place]
    assert gpu.log.count("torch.endAllocateToPool") == 1
    assert not gpu.pools
    assert backend.plan == "one CUDA graph"
    backend.close()


def test_where_torch_s_memory_cannot_be_put_in_order_nothing_goes_on(
    torch_runner: Runner, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch")
    gpu, backend = gpu_of(torch_runner), torch_runner.make(engine)
    backend.open()
    monkeypatch.delattr(torch._C, "_cuda_endAllocateToPool")
    gpu.fails = {"torch.capture_end": [RuntimeError("told to fail")]}
    with pytest.raises(UnusableError, match=r"could not record .*told to fail.*restart the process"):
        backend.prepare(SHAPE, WHOLE)
    assert gpu.log.count("torch.capture") == 1
    backend.close()


def test_torch_s_stream_goes_before_others(torch_runner: Runner, engine: Engine) -> None:
    backend = torch_runner.make(engine)
    backend.open()
    assert gpu_of(torch_runner).priorities == [-5]
    backend.close()


# ------------------------------------------------------------------------------- settings that are the process's


def precisions(torch: Any) -> tuple[Any, ...]:
    cudnn = torch.backends.cudnn
    return (
        torch.backends.fp32_precision,
        cudnn.conv.fp32_precision,
        cudnn.rnn.fp32_precision,
        cudnn.benchmark,
        cudnn.deterministic,
    )


@pytest.fixture
def torch() -> Iterator[Any]:
    module = pytest.importorskip("torch")
    if not hasattr(module.backends, "fp32_precision"):
        pytest.skip("this torch has one switch for TF32")
    yield module
    module.backends.fp32_precision = "none"
    module.backends.cudnn.fp32_precision = "none"
    module.backends.cudnn.allow_tf32 = True


def all_by_tf32(torch: Any) -> None:
    torch.backends.fp32_precision = "tf32"


def convolutions_alone(torch: Any) -> None:
    torch.backends.cudnn.rnn.fp32_precision = "ieee"


def both_switches(torch: Any) -> None:
    all_by_tf32(torch)
    torch.backends.cudnn.conv.fp32_precision = "ieee"
    torch.backends.cudnn.rnn.fp32_precision = "ieee"


@pytest.mark.parametrize("others", [lambda torch: None, all_by_tf32, convolutions_alone, both_switches])
def test_f32_is_f32_whatever_else_the_process_has_set(torch: Any, others: Callable[[Any], None]) -> None:
    others(torch)
    before = precisions(torch)
    with settled(torch):
        assert torch.backends.cudnn.conv.fp32_precision == "ieee"
        assert not torch.backends.cudnn.allow_tf32
        assert torch.backends.cudnn.deterministic, "the same bits each time"
    assert precisions(torch) == before


def test_settings_that_another_thread_changes_meanwhile_are_an_error(torch: Any) -> None:
    before = precisions(torch)
    with pytest.raises(BackendError, match=r"benchmark is False, not True.*not be what was verified"):  # noqa: SIM117
        with settled(torch):
            torch.backends.cudnn.benchmark = False
    assert precisions(torch) == before


def test_settings_that_do_not_hold_are_an_error() -> None:
    @contextmanager
    def flags(
        enabled: bool, benchmark: bool, deterministic: bool, allow_tf32: bool
    ) -> Iterator[None]:  # of a torch before there were precisions by word
        yield

    cudnn = SimpleNamespace(flags=flags, enabled=True, benchmark=True, deterministic=True, allow_tf32=True)
    older = SimpleNamespace(backends=SimpleNamespace(cudnn=cudnn))
    with pytest.raises(BackendError, match="allow_tf32 is True, not False"), settled(older):
        pytest.fail("went on")
    cudnn.allow_tf32 = False
    with settled(older):
        pass
