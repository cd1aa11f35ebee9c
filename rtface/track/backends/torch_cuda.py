"""torch on a GPU: for GPUs that TensorRT for RTX does not serve, and to hold TensorRT against.

The network is the same as on a CPU, with its batch normalisations folded, in half precision and with channels last; the
frame's way to it and from its maps to keypoints goes through the same kernels as with TensorRT, and all of it is one
CUDA graph.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from rtface.core.errors import BackendError
from rtface.core.records import Crop, FloatArray, Image
from rtface.track.backends.base import BackendInfo, DeviceStage
from rtface.track.gpu import kernels
from rtface.track.gpu.backend import WARM_UP_RUNS, GpuBackend
from rtface.track.gpu.driver.lost import keep_if_lost
from rtface.track.gpu.exclusive import UnusableError, alone
from rtface.track.gpu.libcuda import Libcuda, Module, choose_gpu
from rtface.track.gpu.locked_frames import LockedFrames
from rtface.track.gpu.owner import Owner
from rtface.track.gpu.steps import COUNTS, Addresses, Steps
from rtface.track.gpu.stopwatch import Itemised, Stopwatch
from rtface.track.gpu.torchdevice import TorchDevice
from rtface.track.store import Engine

if TYPE_CHECKING:
    from rtface.config import BackendSettings

_log = logging.getLogger(__name__)


class TorchCudaBackend(GpuBackend["_TorchPath"]):
    """Builds an engine's network from its weights and runs it on a GPU; see `GpuBackend`."""

    def __init__(self, engine: Engine, settings: BackendSettings, why: str) -> None:
        super().__init__(engine, settings, why)
        self._owner = Owner()
        self._device: TorchDevice | None = None
        self._module: Module | None = None
        self._network: Any = None
        self._decode: Any = None
        self._libcuda: Libcuda | None = None
        self._half = True

    def open(self) -> BackendInfo:
        """Take the GPU and build the network on it."""
        with alone():
            return self._taking()

    def _taking(self) -> BackendInfo:
        manifest = self._engine.manifest
        if self._settings.precision == "bf16" or manifest.precision == "int8":
            asked = "int8" if manifest.precision == "int8" else "bf16"
            raise BackendError(
                f"torch runs f16 or f32 on a GPU, not {asked}: take a float engine and set backend.precision to "
                "engine"
            )
        self._half = self._settings.precision != "f32"
        libcuda, gpu = choose_gpu(self._settings.device)
        libcuda.wait_by_spinning(gpu.index)
        with Owner() as owner:
            device = TorchDevice(gpu.index)
            owner.gives_back(device.close)
            self._build(device, libcuda, owner)
            self._device, self._libcuda = device, libcuda
            self._owner.push(owner.pop_all())
        self._frames = LockedFrames(self._locked_frame)
        precision = "f16" if self._half else "f32"
        return BackendInfo("torch", device.torch.__version__, str(gpu), precision, None, self._why)

    def _build(self, device: TorchDevice, libcuda: Libcuda, owner: Owner) -> None:
        """Put the network on the GPU, and the kernels around it."""
        from rtface.networks.build import fold_batch_norm
        from rtface.track.torch_graph import torch_network

        whole, torch = torch_network(self._engine), device.torch
        with device.working():
            network = device.adopt(
                fold_batch_norm(whole.network),
                torch.float16 if self._half else torch.float32,
            )
            self._module = Module(libcuda, kernels.ptx())
            owner.gives_back(self._module.unload)
        self._network, self._decode = network, whole.decode

    def _locked_frame(self, shape: tuple[int, int]) -> Image:
        device = self._device
        if device is None:
            raise BackendError("the back end is not open")
        with device.working():
            frame: Image = device.locked(shape, device.torch.uint8).numpy()
        return frame

    def prepare(self, frame_shape: tuple[int, int], crop: Crop) -> None:
        """Record the graph for frames of one shape and a crop of them."""
        device, module, libcuda = self._device, self._module, self._libcuda
        if device is None or module is None or libcuda is None:
            raise BackendError("the back end is not open")
        with alone(), device.working(), device.arithmetic():
            self._forget_marks()
            self._path = _TorchPath(
                device,
                module,
                libcuda,
                self._engine,
                self._network,
                self._decode,
                frame_shape,
                crop,
                self._half,
            )
        self.plan = "one CUDA graph" if self._path.recorded else "plain launches"

    def memory_used(self) -> int:
        """Return the bytes of the GPU's memory that are in use, by whomever."""
        if self._device is None or self._libcuda is None:
            raise BackendError("the back end is not open")
        with self._device.working():
            free, total = self._libcuda.free_memory()
        return total - free

    def _forget_marks(self) -> None:
        if self._path is not None:
            self._path.forget_marks()

    def close(self) -> None:
        """Give everything back, once the GPU rests; may be called any number of times."""
        with alone():
            if self._device is not None:
                with Owner() as first:
                    first.gives_back(self._forget_marks)
                    first.gives_back(self._device.wait)
            keep_if_lost(self._path, self._network)
            self._path = self._network = self._decode = self.plan = None
            self._owner.close()
            self._device = self._module = self._frames = self._libcuda = None


class _TorchPath:
    """What runs for frames of one shape and a crop of them: memory, kernels and their graph."""

    def __init__(
        self,
        device: TorchDevice,
        module: Module,
        libcuda: Libcuda,
        engine: Engine,
        network: Any,
        decode: Any,
        frame_shape: tuple[int, int],
        crop: Crop,
        half: bool,
    ) -> None:
        torch, manifest = device.torch, engine.manifest
        self._device = device
        self._libcuda = libcuda
        self._network = network
        self._itemised: Itemised | None = None
        shape = manifest.network_frame(crop).shape
        keypoints = len(manifest.keypoints)
        found = (keypoints, len(manifest.decode.columns))
        self._staging = device.locked(frame_shape, torch.uint8)
        self.staging: Image = self._staging.numpy()
        self._host = device.locked(found, torch.float32)
        self._found: FloatArray = self._host.numpy()
        self._frame = device.empty(frame_shape, torch.uint8)
        self._counts = device.empty((COUNTS,), torch.int32)
        self._prepared = device.empty((1, 1, *shape), torch.float16 if half else torch.float32).zero_()
        maps = self._maps_of()
        self._maps = [device.empty(tuple(each.shape[1:]), torch.float32) for each in maps]
        self._intercept = device.empty((keypoints,), torch.float32).zero_()
        slope = 0.0
        if hasattr(decode, "intercept"):
            self._intercept.copy_(decode.intercept)
            slope = float(decode.slope)
        self._steps = Steps(
            module,
            device.stream,
            manifest,
            frame_shape,
            crop,
            map_shape=tuple(self._maps[0].shape),
            half=half,
            slope=slope,
            at=Addresses(
                frame=self._frame.data_ptr(),
                counts=self._counts.data_ptr(),
                prepared=self._prepared.data_ptr(),
                maps=tuple(each.data_ptr() for each in self._maps),
                intercept=self._intercept.data_ptr(),
                out=libcuda.device_address(self._found),
            ),
        )
        self._replay: Callable[[], None] | None = None
        for _ in range(WARM_UP_RUNS):
            self.run(self.staging)
        try:
            self._replay = device.capture(self._work)
        except UnusableError:
            raise
        except (BackendError, RuntimeError) as error:
            device.wait()
            _log.warning("no CUDA graph could be recorded, each step is launched by itself: %s", error)
            return
        for _ in range(WARM_UP_RUNS):
            self.run(self.staging)

    @property
    def recorded(self) -> bool:
        """Whether all work after the copy is one graph."""
        return self._replay is not None

    def _maps_of(self) -> tuple[Any, ...]:
        """Run the network on what was prepared."""
        maps = self._network(self._prepared)
        return maps if isinstance(maps, tuple) else (maps,)

    def _work(self) -> None:
        """Put everything after the copy of the frame on the stream."""
        self._prepare()
        self._infer()
        self._steps.after()

    def _prepare(self) -> None:
        self._counts.zero_()
        self._steps.before()

    def _infer(self) -> None:
        for kept, made in zip(self._maps, self._maps_of(), strict=True):
            kept.copy_(made[0])

    def itemise(self) -> Mapping[DeviceStage, int]:
        """Return what each stage of the frame in `staging` took on the GPU, in nanoseconds."""
        with self._device.working():
            if self._itemised is None:
                with self._device.arithmetic():
                    self._itemised = self._marked()
            self._itemised.launch()
            self._device.wait()
            return self._itemised.watch.read()

    def forget_marks(self) -> None:
        """Give the marks back that `itemise` puts between the stages."""
        if self._itemised is not None:
            itemised, self._itemised = self._itemised, None
            itemised.watch.close()

    def _marked(self) -> Itemised:
        """Put marks between the stages: in a graph, if the work itself is one."""
        watch = Stopwatch(
            self._libcuda,
            self._device.stream,
            {
                "copy_in": lambda: self._frame.copy_(self._staging, non_blocking=True),
                "prepare": self._prepare,
                "network": self._infer,
                "decode": self._steps.after,
            },
        )
        if self._replay is None:
            return Itemised(watch, watch.launch)
        try:
            return Itemised(watch, self._device.capture(watch.record))
        except BaseException:
            watch.close()
            raise

    def run(self, frame: Image) -> FloatArray:
        """Return the keypoints of a frame in locked memory; borrowed until the next call."""
        device = self._device
        with device.working():
            self._frame.copy_(device.torch.from_numpy(frame), non_blocking=True)
            if self._replay is None:
                with device.arithmetic():
                    self._work()
            else:
                self._replay()
            device.wait()
        return self._found
