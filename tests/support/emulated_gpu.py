"""A GPU that is not there: the driver, pycuda, TensorRT and torch's side of CUDA, emulated on the CPU.

Kernels run from the same source (emulated_cuda.py), networks by onnxruntime or torch. Work that is put on a stream is done
when it is waited for and no earlier, so that whoever reads too early reads nothing; what is recorded is copied when it is
recorded; memory ends at pages that may not be touched; whatever is used after it was given back is an error. Every call
is written to a log.
"""

from __future__ import annotations

import ctypes
import re
import threading
import weakref
from collections import Counter
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from rtface.track.gpu import kernels
from rtface.track.gpu.driver.declarations import DECLARATIONS
from rtface.track.gpu.kernels import Launch
from support.emulated_cuda import Emulator, Memory
from support.emulated_tensorrt import tensorrt_module
from support.stubs import Out, as_declared

STREAM = 7
FIRST_CONTEXT = 100
SUCCESS, INVALID_VALUE, OUT_OF_MEMORY, NO_DEVICE, ILLEGAL_ADDRESS = 0, 1, 2, 100, 700
INVALID_PTX = 218
_NAMES = {
    INVALID_VALUE: b"CUDA_ERROR_INVALID_VALUE",
    OUT_OF_MEMORY: b"CUDA_ERROR_OUT_OF_MEMORY",
    NO_DEVICE: b"CUDA_ERROR_NO_DEVICE",
    214: b"CUDA_ERROR_ECC_UNCORRECTABLE",
    INVALID_PTX: b"CUDA_ERROR_INVALID_PTX",
    ILLEGAL_ADDRESS: b"CUDA_ERROR_ILLEGAL_ADDRESS",
    900: b"CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED",
}
_KINDS = {"u64": np.uint64, "u32": np.int32, "f32": np.float32}


class PycudaError(Exception):
    """The base of pycuda's errors."""


def pci_of(index: int) -> str:
    """Return where a GPU is plugged in."""
    return f"0000:{index + 1:02X}:00.0"


def signatures(ptx: str) -> dict[str, list[Any]]:
    """Return the dtype of each parameter of each kernel, as the PTX that is shipped has them."""
    found = re.findall(r"\.visible \.entry (\w+)\(([^)]*)\)", ptx)
    return {name: [_KINDS[kind] for kind in re.findall(r"\.param \.(\w+)", text)] for name, text in found}


class EmulatedGpu:
    """One GPU, and everything that talks to it.

    `fails` maps the name of a call to the errors of its next calls: a number that the driver returns, or an exception;
    None is none. `broken` is what every call returns from some time on, `lacks` names functions that the driver is too old
    for, `taken` lists the GPUs whose contexts were taken.
    """

    def __init__(
        self,
        emulator: Emulator,
        *,
        name: str = "Emulated GPU",
        capability: tuple[int, int] = (8, 9),
        count: int = 1,
    ) -> None:
        self.emulator = emulator
        self.name, self.capability, self.count = name, capability, count
        self.stream = STREAM
        self.current_stream: Any = None
        self.log: list[str] = []
        self.fails: dict[str, list[Any]] = {}
        self.lacks: set[str] = set()
        self.taken: list[int] = []
        self.memory: dict[int, Memory] = {}
        self.locked: set[int] = set()
        self.torch_locked: set[int] = set()
        self.pools: set[tuple[int, int]] = set()
        self.priorities: list[int] = []
        self.modules: set[int] = set()
        self.graphs: dict[int, list[Callable[[], None]]] = {}
        self.executables: dict[int, list[Callable[[], None]]] = {}
        self.plans: set[int] = set()
        self.broken = SUCCESS
        self.cuda = (12, 4)
        self.streams: Counter[int] = Counter()
        self.priority = 0
        self.compiler_says = b""
        self.belongs: dict[int, int | None] = {}
        self.retained: Counter[int] = Counter()
        self.stacks: dict[int, list[int]] = {}
        self.pycuda_stacks: dict[int, list[Any]] = {}
        self.pending: list[Callable[[], None]] = []
        self.recording: list[Callable[[], None]] | None = None
        self.at_once = False
        self.torch_records = False
        self.marks: dict[int, int | None] = {}
        self.passed: list[int] = []
        self._functions: dict[int, str] = {}
        self._handles = iter(range(1000, 10**9))
        self._signatures = signatures(kernels.ptx().decode())

    @property
    def left(self) -> Counter[str]:
        """What was taken and not given back."""
        kinds = {
            "device memory": len(self.memory),
            "locked memory": len(self.locked),
            "modules": len(self.modules),
            "graphs": len(self.graphs) + len(self.executables),
            "plans": len(self.plans),
            "memory that torch gives to a graph alone": len(self.pools),
            "marks": len(self.marks),
            "streams": self.streams.total(),
            "contexts": self.retained.total() + sum(map(len, self.stacks.values())),
            "contexts on pycuda's stack": sum(map(len, self.pycuda_stacks.values())),
        }
        return Counter({kind: count for kind, count in kinds.items() if count})

    @property
    def stack(self) -> list[int]:
        """This thread's stack of contexts; the context of GPU 0 is 100, of GPU 1 101, and so on."""
        return self.stacks.setdefault(threading.get_ident(), [])

    @property
    def current(self) -> int | None:
        """The GPU whose context is current in this thread."""
        return self.stack[-1] - FIRST_CONTEXT if self.stack else None

    def retain(self, index: int) -> int:
        """Return a GPU's primary context, making it if nobody holds it."""
        assert index < self.count
        if not self.retained[index]:
            self.taken.append(index)
        self.retained[index] += 1
        return FIRST_CONTEXT + index

    def release(self, index: int) -> None:
        """Let a GPU's primary context go; what nobody holds is current nowhere."""
        assert self.retained[index] > 0
        self.retained[index] -= 1
        held = self.retained[index] or FIRST_CONTEXT + index not in self.stack
        assert held, "a context ends while it is current"

    def called(self, name: str) -> Any:
        """Write a call down and return the error that it is to fail with, if any."""
        self.log.append(name)
        if self.broken and name != "cuGetErrorName":
            library = name.partition(".")[0]
            errors: dict[str, Any] = {
                "pycuda": PycudaError("an illegal memory access"),
                "torch": RuntimeError("an illegal memory access"),
                "trt": True,
            }
            return errors.get(library, self.broken)
        waiting = self.fails.get(name)
        return waiting.pop(0) if waiting else None

    def put(self, work: Callable[[], None]) -> None:
        """Put work on the stream."""
        if self.recording is not None:
            self.recording.append(work)
        elif self.at_once:
            work()
        else:
            self.pending.append(work)

    def synchronize(self) -> None:
        """Do what was put on the stream."""
        assert self.recording is None, "the stream is waited for while it is recorded"
        waiting, self.pending = self.pending, []
        for work in waiting:
            work()

    def allocate(self, count: int) -> int:
        """Return the address of memory that ends at a page that may not be touched."""
        memory = Memory(at_end=True)
        address, _ = memory.put(np.full(count, 0xA5, np.uint8), writable=True)
        self.memory[address] = memory
        return address

    def free(self, address: int) -> None:
        """Give memory back; anything that still uses it crashes."""
        assert not self.pending, "memory is freed while work is under way"
        self.memory.pop(address).__exit__(None, None, None)

    def is_locked(self, address: int) -> bool:
        """Tell whether host memory is locked, which copies that are recorded or that overlap need."""
        return address in self.locked

    def array(self, address: int, shape: tuple[int, ...], dtype: Any) -> Any:
        """Return device memory as an array."""
        assert address in self.memory, f"{address} is not the beginning of device memory"
        count = int(np.prod(shape)) * np.dtype(dtype).itemsize
        raw = (ctypes.c_uint8 * count).from_address(address)
        return np.frombuffer(raw, dtype).reshape(shape)

    def __getattr__(self, name: str) -> Callable[..., int]:
        """Return a function of the driver, which writes itself down and may be told to fail."""
        if not name.startswith("cu") or name in self.lacks:
            raise AttributeError(name)
        work: Callable[..., int | None] = getattr(_Driver, name)

        def call(*arguments: Any) -> int:
            failure = self.called(name)
            if name == "cuStreamEndCapture" and failure is not None:
                self.recording = None  # whatever it says, it ends
            if failure is not None:
                return int(failure)
            taken = zip(DECLARATIONS[name].arguments, arguments, strict=True)
            return work(self, *(as_declared(*each) for each in taken)) or SUCCESS

        return call


def _array(kind: Any, given: Any, count: int) -> list[Any]:
    """Return the first of an array that a function of the driver is given."""
    if not isinstance(given, Out):
        assert len(given) == count, f"{len(given)} values, where there must be {count}"
        return list(given)
    return list((kind * count).from_address(ctypes.addressof(given._obj)))


class _Driver:
    """The functions of libcuda, by their names."""

    @staticmethod
    def cuGetErrorName(gpu: EmulatedGpu, result: int, text: Any) -> int:  # noqa: N802
        gpu.log.pop()
        text._obj.value = _NAMES.get(result)
        return SUCCESS if result in _NAMES else INVALID_VALUE

    @staticmethod
    def cuInit(gpu: EmulatedGpu, flags: int) -> None:  # noqa: N802
        assert flags == 0

    @staticmethod
    def cuDeviceGetCount(gpu: EmulatedGpu, count: Any) -> None:  # noqa: N802
        count._obj.value = gpu.count

    @staticmethod
    def cuDeviceGet(gpu: EmulatedGpu, device: Any, index: int) -> None:  # noqa: N802
        device._obj.value = index

    @staticmethod
    def cuDeviceGetName(gpu: EmulatedGpu, name: Any, length: int, device: Any) -> None:  # noqa: N802
        name.value = gpu.name.encode()[: length - 1]

    @staticmethod
    def cuDeviceTotalMem_v2(gpu: EmulatedGpu, memory: Any, device: Any) -> None:  # noqa: N802
        memory._obj.value = 8 << 30

    @staticmethod
    def cuDeviceGetAttribute(gpu: EmulatedGpu, value: Any, attribute: int, device: Any) -> None:  # noqa: N802
        value._obj.value = dict(zip((75, 76), gpu.capability, strict=True))[attribute]

    @staticmethod
    def cuDriverGetVersion(gpu: EmulatedGpu, version: Any) -> None:  # noqa: N802
        major, minor = gpu.cuda
        version._obj.value = 1000 * major + 10 * minor

    @staticmethod
    def cuDeviceGetPCIBusId(gpu: EmulatedGpu, text: Any, length: int, device: Any) -> None:  # noqa: N802
        text.value = pci_of(device).encode()[: length - 1]

    @staticmethod
    def cuDevicePrimaryCtxRetain(gpu: EmulatedGpu, context: Any, device: Any) -> None:  # noqa: N802
        context._obj.value = gpu.retain(device)

    @staticmethod
    def cuDevicePrimaryCtxRelease_v2(gpu: EmulatedGpu, device: Any) -> None:  # noqa: N802
        gpu.release(device)

    @staticmethod
    def cuCtxPushCurrent_v2(gpu: EmulatedGpu, context: Any) -> None:  # noqa: N802
        assert gpu.retained[context.value - FIRST_CONTEXT] > 0, "a context that is not there"
        gpu.stack.append(context.value)

    @staticmethod
    def cuCtxGetCurrent(gpu: EmulatedGpu, context: Any) -> None:  # noqa: N802
        context._obj.value = gpu.stack[-1] if gpu.stack else None

    @staticmethod
    def cuCtxGetStreamPriorityRange(gpu: EmulatedGpu, lowest: Any, highest: Any) -> None:  # noqa: N802
        lowest._obj.value, highest._obj.value = 0, -5

    @staticmethod
    def cuStreamCreateWithPriority(gpu: EmulatedGpu, made: Any, flags: int, priority: int) -> None:  # noqa: N802
        assert flags == 1, "a stream that waits for no other"
        assert gpu.current is not None
        gpu.priority = priority
        made._obj.value = STREAM
        gpu.streams[STREAM] += 1

    @staticmethod
    def cuStreamDestroy_v2(gpu: EmulatedGpu, stream: Any) -> None:  # noqa: N802
        assert not gpu.pending
        assert gpu.streams[stream.value] > 0
        gpu.streams[stream.value] -= 1

    @staticmethod
    def cuMemAlloc_v2(gpu: EmulatedGpu, address: Any, count: int) -> None:  # noqa: N802
        assert gpu.current is not None
        address._obj.value = gpu.allocate(count)

    @staticmethod
    def cuMemFree_v2(gpu: EmulatedGpu, address: Any) -> None:  # noqa: N802
        gpu.free(address)

    @staticmethod
    def cuMemcpyHtoDAsync_v2(gpu: EmulatedGpu, memory: int, host: Any, count: int, stream: Any) -> None:  # noqa: N802
        assert stream.value == STREAM
        assert gpu.is_locked(host.value), "a copy of memory that is not locked"
        gpu.put(lambda: ctypes.memmove(memory, host.value, count))

    @staticmethod
    def cuMemsetD32Async(gpu: EmulatedGpu, memory: int, value: int, words: int, stream: Any) -> None:  # noqa: N802
        assert stream.value == STREAM
        gpu.put(lambda: gpu.array(memory, (words,), np.uint32).fill(value))

    @staticmethod
    def cuEventRecord(gpu: EmulatedGpu, event: Any, stream: Any) -> None:  # noqa: N802
        assert event.value in gpu.marks
        assert stream.value == STREAM

    @staticmethod
    def cuEventSynchronize(gpu: EmulatedGpu, event: Any) -> None:  # noqa: N802
        assert event.value in gpu.marks
        gpu.synchronize()

    @staticmethod
    def cuDevicePrimaryCtxSetFlags_v2(gpu: EmulatedGpu, device: Any, flags: int) -> None:  # noqa: N802
        assert flags == 1, "to wait by spinning"

    @staticmethod
    def cuMemGetInfo_v2(gpu: EmulatedGpu, free: Any, total: Any) -> int | None:  # noqa: N802
        if gpu.current is None and not gpu.at_once:
            return INVALID_VALUE
        used = (len(gpu.memory) + len(gpu.plans) + len(gpu.executables)) << 20
        free._obj.value, total._obj.value = (6 << 30) - used, 8 << 30
        return None

    @staticmethod
    def cuEventCreate(gpu: EmulatedGpu, event: Any, flags: int) -> None:  # noqa: N802
        assert flags in (0, 2), "an event that can be timed, or one that cannot"
        event._obj.value = next(gpu._handles)
        gpu.marks[event._obj.value] = None

    @staticmethod
    def cuEventRecordWithFlags(gpu: EmulatedGpu, event: Any, stream: Any, flags: Any) -> None:  # noqa: N802
        assert stream.value == STREAM
        capturing = gpu.recording is not None or gpu.torch_records
        assert flags == int(capturing), "external in a graph, and only there"
        handle = event.value

        def passed() -> None:
            gpu.passed.append(handle)
            gpu.marks[handle] = len(gpu.passed)

        gpu.put(passed)

    @staticmethod
    def cuEventElapsedTime(gpu: EmulatedGpu, milliseconds: Any, begun: Any, ended: Any) -> None:  # noqa: N802
        first, last = gpu.marks[begun.value], gpu.marks[ended.value]
        assert first is not None, "read before it was passed"
        assert last is not None, "read before it was passed"
        milliseconds._obj.value = (last - first) / 1e3

    @staticmethod
    def cuEventDestroy_v2(gpu: EmulatedGpu, event: Any) -> None:  # noqa: N802
        assert not gpu.pending
        del gpu.marks[event.value]

    @staticmethod
    def cuCtxPopCurrent_v2(gpu: EmulatedGpu, context: Any) -> None:  # noqa: N802
        context._obj.value = gpu.stack.pop()

    @staticmethod
    def cuMemHostRegister_v2(gpu: EmulatedGpu, address: Any, size: Any, flags: int) -> None:  # noqa: N802
        assert address.value not in gpu.locked
        assert gpu.current is not None
        assert flags == 3, "for every context, and within the GPU's reach"
        gpu.locked.add(address.value)

    @staticmethod
    def cuMemHostGetDevicePointer_v2(gpu: EmulatedGpu, address: Any, host: Any, flags: int) -> None:  # noqa: N802
        assert flags == 0
        assert host.value in gpu.locked | gpu.torch_locked, "memory that the GPU does not reach"
        address._obj.value = host.value

    @staticmethod
    def cuMemHostUnregister(gpu: EmulatedGpu, address: Any) -> None:  # noqa: N802
        assert not gpu.pending, "memory is unlocked while work is under way"
        gpu.locked.remove(address.value)

    @staticmethod
    def cuModuleLoadDataEx(  # noqa: N802
        gpu: EmulatedGpu, module: Any, image: bytes, count: int, options: Any, values: Any
    ) -> int | None:
        assert image.endswith(b"\0"), "the driver reads to a NUL"
        given = dict(
            zip(_array(ctypes.c_uint, options, count), _array(ctypes.c_void_p, values, count), strict=True)
        )
        assert set(given) == {5, 6}, "the compiler's errors, and how many bytes there are for them"
        if gpu.compiler_says:
            text = gpu.compiler_says[: given[6] - 1] + b"\0"
            ctypes.memmove(given[5], text, len(text))
            return INVALID_PTX
        module._obj.value = next(gpu._handles)
        gpu.modules.add(module._obj.value)
        gpu.belongs[module._obj.value] = gpu.current
        return None

    @staticmethod
    def cuModuleGetFunction(gpu: EmulatedGpu, function: Any, module: Any, name: bytes) -> None:  # noqa: N802
        assert module.value in gpu.modules
        assert name.decode() in gpu._signatures
        function._obj.value = next(gpu._handles)
        gpu._functions[function._obj.value] = name.decode()
        gpu.belongs[function._obj.value] = gpu.belongs[module.value]

    @staticmethod
    def cuModuleUnload(gpu: EmulatedGpu, module: Any) -> None:  # noqa: N802
        gpu.modules.remove(module.value)

    @staticmethod
    def cuLaunchKernel(gpu: EmulatedGpu, function: Any, *rest: Any) -> None:  # noqa: N802
        *shape, shared, stream, parameters, extra = rest
        assert gpu.modules, "a kernel outlives its module"
        assert (shared, stream.value, extra) == (0, STREAM, None)
        assert gpu.belongs[function.value] == gpu.current, "a kernel of another GPU's than is current"
        name = gpu._functions[function.value]
        kinds = gpu._signatures[name]
        parameters = _array(ctypes.c_void_p, parameters, len(kinds))
        values = tuple(
            np.frombuffer(ctypes.string_at(address, np.dtype(kind).itemsize), kind)[0]
            for address, kind in zip(parameters, kinds, strict=True)
        )
        launch = Launch(name, tuple(shape[:3]), tuple(shape[3:]), values)
        gpu.put(lambda: gpu.emulator.launch(launch))

    @staticmethod
    def cuStreamBeginCapture_v2(gpu: EmulatedGpu, stream: Any, mode: int) -> None:  # noqa: N802
        assert (stream.value, mode, gpu.recording) == (STREAM, 1, None)
        gpu.recording = []

    @staticmethod
    def cuStreamEndCapture(gpu: EmulatedGpu, stream: Any, graph: Any) -> None:  # noqa: N802
        assert gpu.recording is not None
        graph._obj.value = next(gpu._handles)
        gpu.graphs[graph._obj.value], gpu.recording = gpu.recording, None

    @staticmethod
    def cuGraphInstantiateWithFlags(gpu: EmulatedGpu, made: Any, graph: Any, flags: Any) -> None:  # noqa: N802
        made._obj.value = next(gpu._handles)
        gpu.executables[made._obj.value] = list(gpu.graphs[graph.value])
        gpu.belongs[made._obj.value] = gpu.current

    @staticmethod
    def cuGraphUpload(gpu: EmulatedGpu, graph: Any, stream: Any) -> None:  # noqa: N802
        assert graph.value in gpu.executables

    @staticmethod
    def cuGraphLaunch(gpu: EmulatedGpu, graph: Any, stream: Any) -> None:  # noqa: N802
        assert gpu.plans or gpu.at_once, "a graph outlives the plan that it launches"
        assert gpu.belongs[graph.value] == gpu.current, "a graph of another GPU's than is current"
        for work in gpu.executables[graph.value]:
            gpu.put(work)

    @staticmethod
    def cuGraphDestroy(gpu: EmulatedGpu, graph: Any) -> None:  # noqa: N802
        del gpu.graphs[graph.value]

    @staticmethod
    def cuGraphExecDestroy(gpu: EmulatedGpu, graph: Any) -> None:  # noqa: N802
        assert not gpu.pending
        del gpu.executables[graph.value]


def pycuda_driver(gpu: EmulatedGpu) -> ModuleType:
    """Return a module like pycuda.driver for this GPU."""

    def call(name: str) -> None:
        failure = gpu.called(f"pycuda.{name}")
        if failure is not None:
            raise failure

    def own_stack() -> list[Context]:
        return gpu.pycuda_stacks.setdefault(threading.get_ident(), [])

    class Context:
        """As pycuda's: whatever pushes or pops first takes off the driver's stack what lies on top of that."""

        def __init__(self, index: int) -> None:
            self.index, self.handle = index, gpu.retain(index)

        def push(self) -> None:
            call("push")
            if own_stack():
                gpu.stack.pop()
            gpu.stack.append(self.handle)
            own_stack().append(self)

        def detach(self) -> None:
            call("detach")
            assert self not in own_stack()
            gpu.stack.append(self.handle)  # pycuda makes it current, and releasing does not change that
            gpu.release(self.index)

        @staticmethod
        def pop() -> None:
            call("pop")
            gpu.stack.pop()
            own_stack().pop()
            if own_stack():
                gpu.stack.append(own_stack()[-1].handle)

    class Device:
        def __init__(self, index: int) -> None:
            self.index = index

        def retain_primary_context(self) -> Context:
            call("retain_primary_context")
            return Context(self.index)

    class Stream:
        handle = STREAM

        def __init__(self, flags: int) -> None:
            assert flags == 1, "a stream that waits for no other"
            assert own_stack(), "pycuda makes nothing without a context on its own stack"
            call("Stream")

    class Event:
        def __init__(self, flags: int) -> None:
            assert flags == 2, "an event without timing"
            assert own_stack()

        def record(self, stream: Stream) -> None:
            call("record")
            self.recorded = len(gpu.pending)

        def synchronize(self) -> None:
            call("synchronize")
            gpu.synchronize()

    class Allocation:
        def __init__(self, count: int) -> None:
            call("mem_alloc")
            assert own_stack()
            self.address = gpu.allocate(count)

        def __int__(self) -> int:
            return self.address

        def free(self) -> None:
            call("free")
            gpu.free(self.address)

    def locked(array: Any) -> bool:
        return gpu.is_locked(array.__array_interface__["data"][0])

    def upload(memory: int, source: Any, stream: Stream) -> None:
        call("memcpy_htod_async")
        assert source.flags.c_contiguous
        assert locked(source), "a copy of memory that is not locked"
        gpu.put(lambda: gpu.array(memory, source.shape, source.dtype).__setitem__(..., source))

    def clear(memory: int, value: int, words: int, stream: Stream) -> None:
        call("memset_d32_async")
        gpu.put(lambda: gpu.array(memory, (words,), np.uint32).fill(value))

    module: Any = ModuleType("pycuda.driver")
    module.Error = PycudaError
    module.init = lambda: call("init")
    module.Context, module.Device, module.Stream, module.Event = Context, Device, Stream, Event
    module.event_flags = SimpleNamespace(DISABLE_TIMING=2)
    module.mem_alloc = Allocation
    module.memcpy_htod_async = upload
    module.memset_d32_async = clear
    return module  # type: ignore[no-any-return]


def torch_device(gpu: EmulatedGpu, monkeypatch: Any) -> type:
    """Return TorchDevice with the CPU's memory in place of the GPU's, where work is done at once."""
    import torch

    from rtface.track.gpu.torchdevice import TorchDevice

    def call(name: str) -> None:
        failure = gpu.called(f"torch.{name}")
        if failure is not None:
            raise failure

    class Stream:
        cuda_stream = STREAM

        def __init__(self, device: Any, priority: int = 0) -> None:
            call("Stream")
            gpu.priorities.append(priority)

        @staticmethod
        def priority_range() -> tuple[int, int]:
            return 0, -5

    class Event:
        def record(self, stream: Stream) -> None:
            call("record")
            assert gpu.current_stream is stream, "another stream is waited for than is worked on"

        def synchronize(self) -> None:
            call("synchronize")

    def set_stream(stream: Any) -> None:
        call("set_stream")
        gpu.current_stream = stream

    class CUDAGraph:
        def capture_begin(self, pool: tuple[int, int], capture_error_mode: str) -> None:
            assert capture_error_mode == "thread_local", "what other threads do must not break it"
            assert gpu.current_stream is not None, "torch's default stream cannot be recorded"
            gpu.pools.add(pool)
            self.pool = pool
            call("capture")
            gpu.torch_records = True

        def capture_end(self) -> None:
            gpu.torch_records = False
            call("capture_end")
            gpu.pools.remove(self.pool)

        def replay(self) -> None:
            call("replay")

    def leave_pool(device: int | None, pool: tuple[int, int]) -> None:
        gpu.log.append("torch.endAllocateToPool")
        if pool not in gpu.pools:
            raise RuntimeError("endAllocatePool: not currently recording to mempool_id")
        gpu.pools.remove(pool)

    monkeypatch.setattr(torch._C, "_cuda_endAllocateToPool", leave_pool)
    for name, stand_in in {
        "CUDAGraph": CUDAGraph,
        "graph_pool_handle": lambda: (0, next(gpu._handles)),
        "is_available": lambda: True,
        "set_device": lambda device: call("set_device"),
        "Stream": Stream,
        "Event": Event,
        "set_stream": set_stream,
        "default_stream": lambda device: None,
    }.items():
        monkeypatch.setattr(torch.cuda, name, stand_in)

    class EmulatedTorchDevice(TorchDevice):
        def __init__(self, index: int) -> None:
            super().__init__(index)
            assert index < gpu.count
            self._device = torch.device("cpu")
            gpu.at_once = True
            gpu.retained[index] += 1
            self._index = index

        def empty(self, shape: tuple[int, ...], dtype: Any) -> Any:
            call("empty")
            return torch.full(shape, 7, dtype=dtype)

        def locked(self, shape: tuple[int, ...], dtype: Any) -> Any:
            call("locked")
            memory = torch.zeros(shape, dtype=dtype)
            gpu.torch_locked.add(memory.data_ptr())
            return memory

        def adopt(self, module: Any, dtype: Any) -> Any:
            call("adopt")
            return super().adopt(module, dtype)

        def capture(self, record: Callable[[], None]) -> Callable[[], None]:
            launch = super().capture(record)
            again = weakref.WeakMethod(record)  # a real graph holds what was recorded, not who recorded it

            def replay() -> None:
                launch()
                work = again()
                assert work is not None, "a graph outlives the memory that it works on"
                gpu.torch_records = True
                work()
                gpu.torch_records = False

            return replay

        def close(self) -> None:
            gpu.retained[self._index] -= 1
            super().close()

    return EmulatedTorchDevice


def install(
    gpu: EmulatedGpu, monkeypatch: Any, cache: Path, *, rtx: bool = False, pycuda: bool = True
) -> None:
    """Put the emulated GPU in the place of a driver, pycuda (or of a machine without it), TensorRT and torch's CUDA."""
    import sys

    from rtface.track.backends import tensorrt, torch_cuda
    from rtface.track.gpu import cuda, nvinfer
    from rtface.track.gpu.driver import lost
    from rtface.track.gpu.libcuda import Libcuda

    package: Any = ModuleType("pycuda")
    package.driver = pycuda_driver(gpu)
    monkeypatch.setitem(sys.modules, "pycuda", package)
    monkeypatch.setitem(sys.modules, "pycuda.driver", package.driver)
    monkeypatch.setattr(cuda, "is_installed", lambda name: pycuda)
    module = tensorrt_module(gpu, rtx=rtx)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    for backend in (tensorrt, torch_cuda):  # kernels that are emulated take their time
        monkeypatch.setattr(backend, "WARM_UP_RUNS", 1)
    monkeypatch.setattr(nvinfer, "find", lambda: module.__name__)
    monkeypatch.setattr(Libcuda, "load", classmethod(lambda cls: cls(gpu)))
    monkeypatch.setattr(lost, "_why", "")
    if find_spec("torch") is not None:
        monkeypatch.setattr(torch_cuda, "TorchDevice", torch_device(gpu, monkeypatch))
    monkeypatch.setenv("RTFACE_CACHE", str(cache))
