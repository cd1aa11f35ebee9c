"""What gives a GPU its commands: pycuda, and the driver itself where pycuda is absent. One suite for both, on an emulation."""

from __future__ import annotations

import itertools
import logging
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.emulated_cuda import Emulator
from support.emulated_gpu import ILLEGAL_ADDRESS, OUT_OF_MEMORY, EmulatedGpu, PycudaError, install

from rtface.core.errors import BackendError
from rtface.track.gpu import kernels
from rtface.track.gpu.cuda import CudaDevice
from rtface.track.gpu.libcuda import Libcuda, Module
from rtface.track.gpu.owner import Owner

pytest.importorskip("onnxruntime")
pytest.importorskip("torch")


@pytest.fixture(params=["pycuda", "driver"])
def gpu(
    request: pytest.FixtureRequest, emulator: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> EmulatedGpu:
    made = EmulatedGpu(emulator, count=3)
    install(made, monkeypatch, tmp_path, pycuda=request.param == "pycuda")
    return made


@pytest.fixture
def opened(gpu: EmulatedGpu) -> Callable[[int], CudaDevice]:
    """What opens a GPU by its number."""

    def open_one(index: int) -> CudaDevice:
        device = CudaDevice(index, Libcuda(gpu))
        device.open(kernels.ptx())
        return device

    return open_one


def test_what_goes_up_is_there_once_it_is_waited_for(
    gpu: EmulatedGpu, opened: Callable[[int], CudaDevice]
) -> None:
    device, owner = opened(0), Owner()
    there = device.locked((300,), np.uint32, owner)
    memory = device.allocate(there.nbytes, owner)
    there[:] = np.arange(300)
    device.upload(memory, there)
    device.clear(memory, 7)
    back = gpu.array(memory, (300,), np.uint32)
    assert back[9] != 9, "nothing is done before it is waited for"
    device.wait()
    np.testing.assert_array_equal(back[:7], 0)
    np.testing.assert_array_equal(back[7:], there[7:])
    assert device.stream == gpu.stream
    owner.close()
    device.close()
    device.close()
    assert not gpu.left


def test_before_it_is_open_it_does_nothing(gpu: EmulatedGpu) -> None:
    device = CudaDevice(0, Libcuda(gpu))
    for use in (lambda: device.stream, lambda: device.module, device.wait, lambda: device.clear(0, 1)):
        with pytest.raises(BackendError, match="the GPU is not open"):
            use()
    device.close()
    assert not gpu.log


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_contexts_that_are_closed_in_any_order_leave_the_right_one_current(
    gpu: EmulatedGpu, opened: Callable[[int], CudaDevice], order: tuple[int, ...]
) -> None:
    theirs = gpu.retain(2)
    gpu.stack.append(theirs)  # of another library, before us
    devices = [opened(index) for index in range(3)]
    last = set(range(3))
    for index in order:
        devices[index].close()
        last.discard(index)
        assert gpu.current == max(last, default=2), (
            "the newest of those that are open, at last what was there before"
        )
    assert gpu.stack == [theirs]
    assert gpu.retained.total() == 1
    gpu.stack.pop()
    gpu.release(2)
    assert not gpu.left


def test_what_another_library_puts_on_top_meanwhile_stays(
    gpu: EmulatedGpu, opened: Callable[[int], CudaDevice]
) -> None:
    device = opened(0)
    gpu.stack.append(gpu.retain(1))
    device.close()
    assert gpu.current == 1
    assert not gpu.retained[0]


def test_each_is_worked_with_in_turn_and_the_stack_does_not_grow(
    gpu: EmulatedGpu, opened: Callable[[int], CudaDevice]
) -> None:
    first, second = opened(0), opened(1)
    for _ in range(5):
        for index, device in enumerate((first, second)):
            device.make_current()
            assert gpu.current == index
            assert len(gpu.stack) == 2
    first.close()
    second.close()
    assert not gpu.left


def test_a_process_that_ends_without_closing_is_not_ended_by_pycuda(
    gpu: EmulatedGpu, opened: Callable[[int], CudaDevice]
) -> None:
    """pycuda aborts a process or thread that ends while a context is on pycuda's own stack."""
    device, owner = opened(0), Owner()
    device.allocate(4, owner)
    assert not gpu.left["contexts on pycuda's stack"]
    owner.close()
    assert not gpu.left["contexts on pycuda's stack"]
    device.close()


STAND_IN = """
import sys, types
from types import SimpleNamespace

class Made:
    handle = 7
    def __init__(self, *arguments): pass
    def __del__(self): print("freed", type(self).__name__)
    def push(self): pass
    def detach(self): pass
    def free(self): pass
    def __int__(self): return 8
    def retain_primary_context(self): return Context()
class Context(Made):
    pop = staticmethod(lambda: None)
class Stream(Made): pass
class Event(Made): pass
class Memory(Made): pass

package, driver = types.ModuleType("pycuda"), types.ModuleType("pycuda.driver")
driver.__dict__.update(
    Context=Context, Stream=Stream, Event=Event, mem_alloc=Memory, Error=RuntimeError, init=lambda: None,
    event_flags=SimpleNamespace(DISABLE_TIMING=2), Device=lambda index: SimpleNamespace(retain_primary_context=Context),
)
sys.modules.update({"pycuda": package, "pycuda.driver": driver})
package.driver = driver

from rtface.track.gpu.driver.by_pycuda import PycudaCommands
from rtface.track.gpu.owner import Owner

owner = Owner()
commands = PycudaCommands(SimpleNamespace(pop_context=lambda: None), 0)
commands.open(owner)
address = commands.allocate(4, owner)
"""


@pytest.mark.parametrize(
    ("closes", "freed"), [("", []), ("owner.close()", ["Context", "Event", "Memory", "Stream"])]
)
def test_what_pycuda_made_and_nobody_gave_back_is_not_freed_at_exit(closes: str, freed: list[str]) -> None:
    """Its destructors end the process when the driver refuses them, as it does once it has ended."""
    done = subprocess.run(
        [sys.executable, "-c", STAND_IN + closes], capture_output=True, text=True, check=True
    )
    assert sorted(line.removeprefix("freed ") for line in done.stdout.splitlines()) == freed, done.stderr


def test_each_thread_has_its_own(gpu: EmulatedGpu, opened: Callable[[int], CudaDevice]) -> None:
    device, seen = opened(0), list[int | None]()

    def other() -> None:
        seen.append(gpu.current)
        mine = opened(1)
        seen.append(gpu.current)
        mine.close()
        seen.append(gpu.current)

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert seen == [None, 1, None]
    assert gpu.current == 0
    device.close()
    assert not gpu.left


@pytest.mark.parametrize("fails", ["cuMemHostRegister_v2", "memory", "wait"])
def test_an_error_is_told_and_what_was_taken_is_given_back(
    gpu: EmulatedGpu, opened: Callable[[int], CudaDevice], fails: str
) -> None:
    device = opened(0)
    gpu.fails = {
        "cuMemHostRegister_v2": [OUT_OF_MEMORY] if fails == "cuMemHostRegister_v2" else [],
        "pycuda.mem_alloc": [PycudaError("no memory")] if fails == "memory" else [],
        "cuMemAlloc_v2": [OUT_OF_MEMORY] if fails == "memory" else [],
        "pycuda.synchronize": [PycudaError("no")] if fails == "wait" else [],
        "cuEventSynchronize": [OUT_OF_MEMORY] if fails == "wait" else [],
    }
    owner = Owner()

    def use() -> None:
        host = device.locked((4,), np.uint8, owner)
        device.upload(device.allocate(4, owner), host)
        device.wait()

    with pytest.raises(BackendError, match=r"GPU.*(refused|failed)") as caught:
        use()
    assert "restart" not in str(caught.value)
    gpu.pending.clear()
    owner.close()
    device.close()
    assert not gpu.left


def test_the_stream_is_of_the_highest_priority_where_that_can_be_asked_for(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    gpu = EmulatedGpu(emulator)
    install(gpu, monkeypatch, tmp_path, pycuda=False)
    device = CudaDevice(0, Libcuda(gpu))
    device.open(kernels.ptx())
    assert gpu.priority == -5
    assert "pycuda.init" not in gpu.log
    device.close()


def test_a_pycuda_that_cannot_be_imported_is_gone_without_and_that_is_told(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gpu = EmulatedGpu(emulator)
    install(gpu, monkeypatch, tmp_path)
    monkeypatch.setitem(sys.modules, "pycuda.driver", None)
    device = CudaDevice(0, Libcuda(gpu))
    with caplog.at_level(logging.WARNING):
        device.open(kernels.ptx())
    assert "pycuda is installed and cannot be imported" in caplog.text
    device.close()
    assert not gpu.left


def test_kernels_that_the_driver_does_not_take_come_with_what_its_compiler_says(gpu: EmulatedGpu) -> None:
    gpu.compiler_says = b"ptxas application ptx input, line 12; error   : Unknown modifier '.nc'\n" * 500
    with pytest.raises(
        BackendError,
        match=r"refused cuModuleLoadDataEx: CUDA_ERROR_INVALID_PTX \(218\); its compiler says: ptxas .* line 12; error",
    ):
        Module(Libcuda(gpu), kernels.ptx())


@pytest.mark.parametrize("result", [ILLEGAL_ADDRESS, 214])
def test_after_an_error_that_loses_the_gpu_nothing_is_called_again(
    gpu: EmulatedGpu,
    opened: Callable[[int], CudaDevice],
    result: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    device, owner = opened(0), Owner()
    host = device.locked((4,), np.uint8, owner)
    memory = device.allocate(4, owner)
    gpu.broken = result
    with pytest.raises(BackendError, match="the GPU is lost for this process, restart the process") as caught:
        device.upload(memory, host)
    assert ("nvidia-smi -q -d ECC" in str(caught.value)) == (result == 214)
    gpu.log.clear()
    for again in (device.wait, lambda: device.clear(memory, 1), lambda: opened(1)):
        with pytest.raises(BackendError, match="restart the process"):
            again()
    owner.close()
    device.close()
    driver = [name for name in gpu.log if name.startswith("cu")]
    assert not driver, "not even to give memory back"
    assert not caplog.records
    assert "restart the process" in Libcuda(gpu).probe().why_none
