"""A GPU in the hands of torch: its stream, memory and graphs, for the torch CUDA back end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from rtface.core.errors import BackendError
from rtface.core.extras import needing
from rtface.track.gpu.convolutions import settled
from rtface.track.gpu.exclusive import UnusableError, alone, recorded
from rtface.track.gpu.libcuda import explained
from rtface.track.gpu.versions import torch_without_gpu


class TorchDevice:
    """One GPU through torch, used by one thread until `close`.

    Parameters
    ----------
    index : int
        Number of the GPU.

    Raises
    ------
    BackendError
        torch is missing, was built without CUDA, or cannot start on the GPU.
    """

    def __init__(self, index: int) -> None:
        with needing("train"):
            import torch
        if not torch.cuda.is_available():
            raise BackendError(torch_without_gpu(torch.__version__, torch.version.cuda))
        self.torch = torch
        self._device = torch.device("cuda", index)
        try:
            torch.cuda.set_device(self._device)
            _, most_urgent = torch.cuda.Stream.priority_range()  # type: ignore[call-arg]  # it is static
            self._stream: Any = torch.cuda.Stream(self._device, priority=most_urgent)  # type: ignore[no-untyped-call]
            self._done: Any = torch.cuda.Event()  # type: ignore[no-untyped-call]
        except RuntimeError as error:
            raise BackendError(f"torch failed on {self._device}: {error}") from error

    @property
    def stream(self) -> int:
        """Handle of the stream that all work is put on."""
        handle: int = self._stream.cuda_stream
        return handle

    @contextmanager
    def working(self) -> Iterator[None]:
        """Put torch's work on the stream, keep nothing for gradients, and make torch's errors `BackendError`.

        The stream is made torch's own each time: another back end in this thread may have made its own that meanwhile.
        """
        try:
            self.torch.cuda.set_stream(self._stream)
            with self.torch.inference_mode():
                yield
        except RuntimeError as error:
            raise explained(f"torch failed on {self._device}: {error}") from error

    @contextmanager
    def arithmetic(self) -> Iterator[None]:
        """Settle how convolutions are computed, within, alone in the process; see `settled`.

        A graph keeps what was in force when it was recorded.
        """
        with alone(), settled(self.torch):
            yield

    def empty(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """Return a tensor in the GPU's memory."""
        return self.torch.empty(shape, dtype=dtype, device=self._device)

    def locked(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """Return a zeroed tensor in host memory whose pages are locked."""
        return self.torch.zeros(shape, dtype=dtype, pin_memory=True)

    def adopt(self, module: Any, dtype: Any) -> Any:
        """Move a network to the GPU in the layout that its convolutions run fastest in."""
        frozen = module.requires_grad_(False)
        return frozen.to(self._device, dtype, memory_format=self.torch.channels_last)

    def capture(self, record: Callable[[], None]) -> Callable[[], None]:
        """Record work on the stream, alone in the process, and return what launches it.

        Raises
        ------
        BackendError, RuntimeError
            The driver or torch refused it twice; stream and memory are as they were.
        UnusableError
            It was refused, and torch's memory may not be what it was.
        """
        return recorded(lambda: self._capture(record))

    def _capture(self, record: Callable[[], None]) -> Callable[[], None]:
        """Record once; not by `torch.cuda.graph`, which waits for all streams and so breaks what others record."""
        graph, pool = self.torch.cuda.CUDAGraph(), self.torch.cuda.graph_pool_handle()
        try:
            graph.capture_begin(pool=pool, capture_error_mode="thread_local")
            try:
                record()
            except BaseException:
                with suppress(RuntimeError):  # it says no more than that something failed
                    graph.capture_end()
                raise
            graph.capture_end()
        except BaseException as error:
            self._leave_pool(pool, error)
            raise
        replay: Callable[[], None] = graph.replay
        return replay

    def _leave_pool(self, pool: Any, error: BaseException) -> None:
        """Let torch's allocator serve from the graph's own memory no longer, which a capture that failed may not have done."""
        leave = getattr(self.torch._C, "_cuda_endAllocateToPool", None)  # noqa: SLF001
        if leave is None:
            raise UnusableError(
                f"torch could not record a CUDA graph ({error}), and its memory cannot be put in order: restart the process"
            ) from error
        with suppress(RuntimeError):  # it had been left
            leave(self._device.index, pool)

    def wait(self) -> None:
        """Wait until the stream has done all that was put on it; Python's lock is free meanwhile."""
        self._done.record(self._stream)
        self._done.synchronize()

    def close(self) -> None:
        """Make torch's default stream current again."""
        self.torch.cuda.set_stream(self.torch.cuda.default_stream(self._device))
