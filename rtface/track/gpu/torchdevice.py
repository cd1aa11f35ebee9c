"""A GPU in the hands of torch: its stream, memory and graphs, for the torch CUDA back end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rtface.core.errors import BackendError
from rtface.core.extras import needing
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
            self._stream: Any = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
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
        """Settle how convolutions are computed, within: f32 is f32 and not TF32, the fastest algorithm is searched for.

        The settings are the whole process's, so they are put back. A graph keeps what was in force when it was recorded.
        """
        cudnn = self.torch.backends.cudnn
        with cudnn.flags(enabled=True, benchmark=True, deterministic=False, allow_tf32=False):
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
        """Record work on the stream and return what launches it; torch's or the driver's error if it cannot be."""
        graph = self.torch.cuda.CUDAGraph()
        with self.torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
            record()
        replay: Callable[[], None] = graph.replay
        return replay

    def wait(self) -> None:
        """Wait until the stream has done all that was put on it; Python's lock is free meanwhile."""
        self._done.record(self._stream)
        self._done.synchronize()

    def close(self) -> None:
        """Make torch's default stream current again."""
        self.torch.cuda.set_stream(self.torch.cuda.default_stream(self._device))
