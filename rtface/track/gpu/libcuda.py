"""What neither pycuda nor torch offers of NVIDIA's driver: probing, kernels from PTX, capture of graphs, locked pages.

Everything goes by raw handles through the library that comes with the driver: so a machine without a GPU can be
told from one with a GPU before pycuda, TensorRT or torch are imported, and both GPU back ends launch the same kernels
into the same kind of graph. Source: CUDA Driver API, sections 6.1 to 6.24.
"""

from __future__ import annotations

import ctypes
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface.core.errors import BackendError
from rtface.track.gpu.driver.library import LIBRARY, Driver
from rtface.track.gpu.driver.lost import why_lost
from rtface.track.gpu.kernels import Launch

_DRIVER_VERSION = Path("/sys/module/nvidia/version")
_NO_DEVICE = 100
_THREAD_LOCAL_CAPTURE = 1
_SCHEDULE_SPIN = 1
_PORTABLE, _MAPPED = 1, 2
_ATTRIBUTE_MAJOR, _ATTRIBUTE_MINOR = 75, 76
_ERROR_LOG, _ERROR_LOG_BYTES = 5, 6
_LOG_BYTES = 8192

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Gpu:
    """One NVIDIA GPU as its driver describes it.

    Attributes
    ----------
    index : int
        Its number among the GPUs that this process may use.
    name : str
        Of the product.
    compute_capability : tuple of int
        Major and minor.
    memory_bytes : int
        All of its memory.
    driver : str
        Version of the driver and of the CUDA that it can run.
    cuda : tuple of int
        Major and minor version of the newest CUDA that the driver can run; (0, 0) where that is not known.
    pci : str
        Where it is plugged in, as ``0000:01:00.0``: what tells it from others, however they are numbered.
    """

    index: int
    name: str
    compute_capability: tuple[int, int]
    memory_bytes: int
    driver: str
    cuda: tuple[int, int] = (0, 0)
    pci: str = ""

    @property
    def architecture(self) -> str:
        """Return the compute capability as compilers write it: ``sm_89``."""
        major, minor = self.compute_capability
        return f"sm_{major}{minor}"

    def __str__(self) -> str:
        return f"cuda:{self.index}: {self.name} ({self.architecture}, driver {self.driver})"


@dataclass(frozen=True, slots=True)
class Probe:
    """What was found: the GPUs, or why there are none."""

    gpus: tuple[Gpu, ...]
    why_none: str = ""


class Libcuda(Driver):
    """The driver, and what is asked of it before and beside the work; see `rtface.track.gpu.driver.library.Driver`."""

    def probe(self) -> Probe:
        """List the GPUs, without making a context on any; raises nothing."""
        count = ctypes.c_int()
        try:
            result = self.try_call("cuInit", 0)
            if result == _NO_DEVICE:
                return Probe((), "the NVIDIA driver finds no GPU")
            if result != 0:
                return Probe((), f"the NVIDIA driver does not start: {self.name_of(result)}")
            self.call("cuDeviceGetCount", ctypes.byref(count))
            gpus = tuple(self._describe(index) for index in range(count.value))
        except BackendError as error:
            return Probe((), str(error))
        return Probe(gpus, "" if gpus else "the NVIDIA driver finds no GPU")

    def _describe(self, index: int) -> Gpu:
        device, name, memory = ctypes.c_int(), ctypes.create_string_buffer(256), ctypes.c_size_t()
        self.call("cuDeviceGet", ctypes.byref(device), index)
        self.call("cuDeviceGetName", name, len(name), device)
        self.call("cuDeviceTotalMem_v2", ctypes.byref(memory), device)
        major, minor = (self._attribute(each, device) for each in (_ATTRIBUTE_MAJOR, _ATTRIBUTE_MINOR))
        pci = ctypes.create_string_buffer(32)
        self.call("cuDeviceGetPCIBusId", pci, len(pci), device)
        cuda = self._cuda()
        return Gpu(
            index,
            name.value.decode(),
            (major, minor),
            memory.value,
            _driver_in_words(cuda),
            cuda,
            pci.value.decode(),
        )

    def _attribute(self, attribute: int, device: ctypes.c_int) -> int:
        value = ctypes.c_int()
        self.call("cuDeviceGetAttribute", ctypes.byref(value), attribute, device)
        return value.value

    def _cuda(self) -> tuple[int, int]:
        version = ctypes.c_int()
        self.call("cuDriverGetVersion", ctypes.byref(version))
        return version.value // 1000, version.value % 1000 // 10

    def failed(self, what: str) -> BackendError:
        """Return the error for what another library failed at; it says so if the GPU is lost by that.

        The GPU's context must be current: the driver then returns what lost it from any call.
        """
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        try:
            result = self.try_call("cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(total))
            if result != 0:
                self.refused("what was asked", result)
        except BackendError as error:
            _log.debug("%s", error)
        lost = why_lost()
        return BackendError(f"{what}; {lost}" if lost and lost not in what else what)

    def wait_by_spinning(self, index: int) -> None:
        """Let waiting on this GPU spin in the driver, which gives Python's lock free, instead of sleeping.

        It holds for all that this process does on the GPU. Where another library has settled it already, the driver may
        refuse: then waiting takes longer, and is right all the same.
        """
        device = ctypes.c_int()
        self.call("cuDeviceGet", ctypes.byref(device), index)
        try:
            self.call("cuDevicePrimaryCtxSetFlags_v2", device, _SCHEDULE_SPIN)
        except BackendError as error:
            _log.warning("waiting for the GPU may sleep, which costs time: %s", error)

    def lock_pages(self, memory: NDArray[np.uint8]) -> None:
        """Lock the pages of host memory, so that the GPU copies from where a camera wrote, or writes there itself.

        Needs a current context.
        """
        address = ctypes.c_void_p(memory.ctypes.data)
        self.call("cuMemHostRegister_v2", address, memory.nbytes, _PORTABLE | _MAPPED)

    def unlock_pages(self, memory: NDArray[np.uint8]) -> None:
        """Undo `lock_pages`; the memory itself stays its owner's."""
        self.call("cuMemHostUnregister", ctypes.c_void_p(memory.ctypes.data))

    def device_address(self, memory: NDArray[Any]) -> int:
        """Return the address by which the current context's GPU reaches locked host memory."""
        address = ctypes.c_uint64()
        host = ctypes.c_void_p(memory.ctypes.data)
        self.call("cuMemHostGetDevicePointer_v2", ctypes.byref(address), host, 0)
        return address.value

    def pop_context(self) -> None:
        """Make the context that is current in this thread current no more."""
        popped = ctypes.c_void_p()
        self.call("cuCtxPopCurrent_v2", ctypes.byref(popped))

    def free_memory(self) -> tuple[int, int]:
        """Return free and all memory of the current context's GPU in bytes."""
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        self.call("cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(total))
        return free.value, total.value


class Module:
    """Kernels loaded into the current context.

    Parameters
    ----------
    cuda : Libcuda
        The driver.
    ptx : bytes
        PTX text, ended by a NUL; the driver compiles it for the GPU at hand.

    Raises
    ------
    BackendError
        The driver does not take the text; the message has what its compiler says.
    """

    def __init__(self, cuda: Libcuda, ptx: bytes) -> None:
        self._cuda = cuda
        self._module = ctypes.c_void_p()
        self._functions: dict[str, ctypes.c_void_p] = {}
        said = ctypes.create_string_buffer(_LOG_BYTES)
        options = {_ERROR_LOG: ctypes.addressof(said), _ERROR_LOG_BYTES: len(said)}
        count = len(options)
        names, values = (ctypes.c_uint * count)(*options), (ctypes.c_void_p * count)(*options.values())
        load = "cuModuleLoadDataEx"
        result = cuda.try_call(load, ctypes.byref(self._module), ptx, count, names, values)
        if result != 0:
            text = " ".join(said.value.decode(errors="replace").split())
            raise cuda.refused(load, result, f"; its compiler says: {text}" if text else "")

    def bind(self, launch: Launch, stream: int) -> Callable[[], None]:
        """Return a function that puts a kernel on a stream (into the graph, while the stream is captured).

        Its arguments are packed here, once: calling it allocates nothing.
        """
        function, handle = self._function(launch.function), ctypes.c_void_p(stream)
        values = [np.atleast_1d(value) for value in launch.arguments]
        pointers = (ctypes.c_void_p * len(values))(*(value.ctypes.data for value in values))
        shape = (*launch.grid, *launch.block)

        def put(kept: list[NDArray[np.generic]] = values) -> None:
            self._cuda.call("cuLaunchKernel", function, *shape, 0, handle, pointers, None)

        return put

    def _function(self, name: str) -> ctypes.c_void_p:
        if name not in self._functions:
            function = ctypes.c_void_p()
            self._cuda.call("cuModuleGetFunction", ctypes.byref(function), self._module, name.encode())
            self._functions[name] = function
        return self._functions[name]

    def unload(self) -> None:
        """Free the kernels; may be called any number of times."""
        if self._module.value is not None:
            module, self._module = self._module, ctypes.c_void_p()
            self._functions.clear()
            self._cuda.call("cuModuleUnload", module)


class Graph:
    """Work that was recorded once and is launched with one call.

    Parameters
    ----------
    cuda : Libcuda
        The driver.
    stream : int
        Handle of the stream that it was recorded on and is launched on; not the default stream.
    record : callable
        Puts the work on the stream.

    Raises
    ------
    BackendError
        The driver, or something that `record` called, refused to be recorded. The stream is usable again then.
    """

    def __init__(self, cuda: Libcuda, stream: int, record: Callable[[], None]) -> None:
        self._cuda = cuda
        self._stream = ctypes.c_void_p(stream)
        self._executable = ctypes.c_void_p()
        with self._captured(record) as graph:
            cuda.call("cuGraphInstantiateWithFlags", ctypes.byref(self._executable), graph, 0)
        try:
            cuda.call("cuGraphUpload", self._executable, self._stream)
        except BackendError:
            self.destroy()
            raise

    @contextmanager
    def _captured(self, record: Callable[[], None]) -> Iterator[ctypes.c_void_p]:
        graph = ctypes.c_void_p()
        self._cuda.call("cuStreamBeginCapture_v2", self._stream, _THREAD_LOCAL_CAPTURE)
        try:
            record()
        except BaseException:
            self._abandon(graph)
            raise
        self._cuda.call("cuStreamEndCapture", self._stream, ctypes.byref(graph))
        try:
            yield graph
        finally:
            self._cuda.call("cuGraphDestroy", graph)

    def _abandon(self, graph: ctypes.c_void_p) -> None:
        """End a capture that failed: the driver may report it again, and may have left a half-made graph."""
        try:
            self._cuda.call("cuStreamEndCapture", self._stream, ctypes.byref(graph))
            if graph.value is not None:
                self._cuda.call("cuGraphDestroy", graph)
        except BackendError:
            return

    def launch(self) -> None:
        """Put all of it on the stream."""
        self._cuda.call("cuGraphLaunch", self._executable, self._stream)

    def destroy(self) -> None:
        """Free it; may be called any number of times."""
        if self._executable.value is not None:
            executable, self._executable = self._executable, ctypes.c_void_p()
            self._cuda.call("cuGraphExecDestroy", executable)


def probe() -> Probe:
    """List the NVIDIA GPUs of this machine, importing nothing and making no context."""
    cuda = Libcuda.load()
    if cuda is None:
        return Probe((), f"no NVIDIA driver is installed ({LIBRARY} is not there)")
    return cuda.probe()


def explained(what: str) -> BackendError:
    """Return the error for what another library failed at, as `Libcuda.failed`."""
    cuda = Libcuda.load()
    return BackendError(what) if cuda is None else cuda.failed(what)


def choose_gpu(device: str | None) -> tuple[Libcuda, Gpu]:
    """Return the driver and the GPU that a setting names.

    Parameters
    ----------
    device : str or None
        ``cuda:N``, or None for the first.

    Raises
    ------
    BackendError
        There is no driver, no GPU, or none of that number; the message lists those that are there.
    """
    wanted = device_index(device)
    cuda = Libcuda.load()
    found = probe() if cuda is None else cuda.probe()
    if cuda is None or not found.gpus:
        raise BackendError(f"no GPU can be used: {found.why_none}")
    return cuda, gpu_at(found.gpus, wanted)


def gpu_at(gpus: tuple[Gpu, ...], index: int) -> Gpu:
    """Return one of the GPUs that there are; `BackendError` lists them if it is none of them."""
    if index >= len(gpus):
        listed = "; ".join(map(str, gpus))
        raise BackendError(f"backend.device is cuda:{index}, but the GPUs of this machine are: {listed}")
    return gpus[index]


def device_index(device: str | None) -> int:
    """Return N of ``cuda:N``, 0 of None; `BackendError` for anything else."""
    if device is None:
        return 0
    kind, _, number = device.lower().partition(":")
    if kind != "cuda" or not (number.isdecimal() or device.lower() == "cuda"):
        raise BackendError(f"backend.device is {device!r}; a GPU is named cuda:0, cuda:1, ...")
    return int(number or 0)


def _driver_in_words(cuda: tuple[int, int]) -> str:
    words = "CUDA {}.{}".format(*cuda)
    try:
        return f"{_DRIVER_VERSION.read_text(encoding='ascii').strip()}, {words}"
    except OSError:  # a Jetson's driver is part of its kernel, and other systems have no such file
        return words
