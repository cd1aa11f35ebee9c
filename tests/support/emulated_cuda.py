"""kernels.cu compiled as C++ and run on the CPU, in memory whose neighbouring pages may not be touched."""

from __future__ import annotations

import ctypes
import mmap
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from rtface.track.gpu import kernels
from rtface.track.gpu.kernels import Launch

SOURCES = Path(__file__).parent / "emulation"
GUARD = 64 * mmap.PAGESIZE
PROT_NONE = 0

Array = NDArray[np.generic]


class EmulatorError(Exception):
    """A kernel did what it must not do on a GPU."""


class Memory:
    """Arrays that end just before, or begin just after, pages that may not be touched."""

    def __init__(self, at_end: bool) -> None:
        self._at_end = at_end
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._libc.mmap.restype = ctypes.c_void_p
        self._libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
        self._libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
        self._libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
        self._regions: list[tuple[int, int]] = []

    def __enter__(self) -> Memory:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for region in self._regions:
            self._libc.munmap(*region)

    def put(self, array: Array, writable: bool = False) -> tuple[int, Array]:
        """Return the address of a copy of an array, and a view that is valid until the memory is left."""
        array = np.ascontiguousarray(array)
        pages = -(-array.nbytes // mmap.PAGESIZE) * mmap.PAGESIZE
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        region = self._libc.mmap(None, pages + 2 * GUARD, PROT_NONE, flags, -1, 0)
        assert region not in (None, ctypes.c_void_p(-1).value)
        self._regions.append((region, pages + 2 * GUARD))
        self._protect(region + GUARD, pages, mmap.PROT_READ | mmap.PROT_WRITE)
        address = region + GUARD + (pages - array.nbytes if self._at_end else 0)
        raw = (ctypes.c_uint8 * array.nbytes).from_address(address)
        view = np.frombuffer(raw, array.dtype).reshape(array.shape)
        view[...] = array
        if not writable:
            self._protect(region + GUARD, pages, mmap.PROT_READ)
        return address, view

    def _protect(self, address: int, length: int, how: int) -> None:
        assert self._libc.mprotect(address, length, how) == 0


class Emulator:
    """Runs launches; built once for all tests."""

    def __init__(self, compiler: str, folder: Path) -> None:
        library = folder / "emulate.so"
        command = [
            *(compiler, "-std=c++17", "-O2", "-shared", "-fPIC", "-Wall", "-Wextra"),
            # Each operation rounds, as on the GPU; the compiler's checks of longjmp know no fibers.
            *("-ffp-contract=off", "-fno-strict-aliasing", "-U_FORTIFY_SOURCE"),
            *("-fsanitize=undefined,float-cast-overflow", "-fno-sanitize=vptr"),
            "-fsanitize-undefined-trap-on-error",
            *(f"-I{SOURCES}", f"-I{Path(kernels.__file__).parent}"),
            *(str(SOURCES / "emulate.cpp"), "-o", str(library)),
        ]
        subprocess.run(command, check=True, capture_output=True, text=True)
        self._library = ctypes.CDLL(str(library))

    def launch(self, launch: Launch, backwards: bool = False) -> None:
        """Carry out one launch, its threads and blocks forwards or backwards.

        Raises
        ------
        EmulatorError
            It touched what is not its own, its threads parted at a barrier, or its arguments are wrong.
        """
        values = [np.atleast_1d(value) for value in launch.arguments]
        pointers = (ctypes.c_void_p * len(values))(*(value.ctypes.data for value in values))
        kinds = "".join(value.dtype.str[1:] for value in values)
        message = ctypes.create_string_buffer(200)
        failed = self._library.emulate_launch(
            launch.function.encode(),
            (ctypes.c_uint * 3)(*launch.grid),
            (ctypes.c_uint * 3)(*launch.block),
            kinds.encode(),
            pointers,
            int(backwards),
            message,
            ctypes.c_size_t(len(message)),
        )
        if failed:
            raise EmulatorError(message.value.decode())

    def run(self, inputs: Sequence[Array], out: Array, launch: Callable[..., Launch]) -> Array:
        """Return what a kernel makes of `out`, by a launch that is made of all addresses.

        It runs twice, in both orders and with both ends of its memory guarded; both must give the same bytes.
        """
        results = []
        for backwards in (False, True):
            with Memory(at_end=not backwards) as memory:
                addresses = [memory.put(array)[0] for array in inputs]
                address, view = memory.put(out, writable=True)
                self.launch(launch(*addresses, address), backwards)
                results.append(view.copy())
        assert results[0].tobytes() == results[1].tobytes(), "the result hangs on the order of the threads"
        return results[0]

    def taps(self, axis: int, prepare: Launch) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Return both neighbours and both weights of each row (axis 0) or column (1) of a launch of prepare."""
        numbers = [value.item() for value in prepare.arguments]
        length, count, shift = numbers[4 + axis], numbers[6 + axis], numbers[11 + axis]
        neighbours, weights = np.empty((2, count), np.int32), np.empty((2, count), np.float32)
        floats = [ctypes.c_float(number) for number in (*numbers[8:11], shift)]
        addresses = [ctypes.c_void_p(array.ctypes.data) for array in (neighbours, weights)]
        self._library.emulate_taps(count, length, *floats, *addresses)
        return neighbours, weights

    def half(self, values: NDArray[np.float32]) -> NDArray[np.float16]:
        """Return values as the stand-in for CUDA's conversion rounds them."""
        halves = np.empty(values.shape, np.float16)
        addresses = [ctypes.c_void_p(array.ctypes.data) for array in (values, halves)]
        self._library.emulate_half(values.size, *addresses)
        return halves
