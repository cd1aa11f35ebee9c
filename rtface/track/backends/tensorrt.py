"""TensorRT, or TensorRT for RTX: one CUDA graph from a camera's frame to its keypoints.

A frame is copied to the GPU straight from the ring's slot, whose pages are locked. Everything else is recorded once and
launched with one call: the exact percentiles of the frame, crop, padding and resize, the network, and the decode, which
writes the keypoints (180 bytes for 15 of them) into the host's memory. What comes before and after the network is in
kernels of our own: TensorRT takes no image of 8 bits, and fused they read each pixel once (docs/decisions/0011).
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rtface.core.errors import BackendError, EngineError
from rtface.core.records import Crop, FloatArray, Image
from rtface.track.backends.base import BackendInfo, DeviceStage
from rtface.track.gpu import kept_kernels, kernels
from rtface.track.gpu.backend import WARM_UP_RUNS, GpuBackend
from rtface.track.gpu.body import Body, BodyPrecision, body_of
from rtface.track.gpu.cuda import CudaDevice
from rtface.track.gpu.exclusive import alone, recorded
from rtface.track.gpu.libcuda import Gpu, Graph, choose_gpu
from rtface.track.gpu.locked_frames import LockedFrames
from rtface.track.gpu.nvinfer import LoadedPlan, Nvinfer, PlanTensor
from rtface.track.gpu.owner import Owner
from rtface.track.gpu.plans import check_served, plan_for
from rtface.track.gpu.steps import COUNTS, Addresses, Steps
from rtface.track.gpu.stopwatch import Itemised
from rtface.track.manifest import Manifest
from rtface.track.store import Engine

if TYPE_CHECKING:
    from rtface.config import BackendSettings

_log = logging.getLogger(__name__)


class TensorrtBackend(GpuBackend["_TensorRTPath"]):
    """Runs an engine's network, in floating point or in int8 as exported for TensorRT; see `GpuBackend`.

    The network is a TensorRT plan, which is built at its first use and kept.
    """

    def __init__(self, engine: Engine, settings: BackendSettings, why: str) -> None:
        super().__init__(engine, settings, why)
        self._nvinfer = Nvinfer()
        self._open: _Open | None = None

    def open(self) -> BackendInfo:
        """Take the GPU, and check that the engine's network can be run on it as asked."""
        with alone():
            return self._taking()

    def _taking(self) -> BackendInfo:
        libcuda, gpu = choose_gpu(self._settings.device)
        module, version = self._nvinfer.open()
        check_served(gpu, self._nvinfer)
        size = self._engine.manifest.input.size
        body = body_of(self._engine, (size, size), self._precision)
        if body.quantised and self._settings.precision != "engine":
            raise BackendError(
                f"{body.name} is an int8 engine and cannot run in {self._settings.precision}: set backend.precision "
                "to engine, or take the engine that it was made from"
            )
        device = CudaDevice(gpu.index, libcuda)
        device.open(kernels.ptx())
        self._open = _Open(device, gpu)
        self._frames = LockedFrames(device.locked_frame)
        precision = "int8" if body.quantised else body.precision
        return BackendInfo("tensorrt", f"{version} ({module})", str(gpu), precision, None, self._why)

    @property
    def _precision(self) -> BodyPrecision:
        """The arithmetic asked for; when that is left to the engine, half precision."""
        asked = self._settings.precision
        if asked == "bf16":
            raise BackendError(
                "the tensorrt back end runs f16 or f32, not bf16: set backend.precision to engine"
            )
        return "f32" if asked == "f32" else "f16"

    def _make_current(self) -> None:
        self._taken().device.make_current()

    def _taken(self) -> _Open:
        if self._open is None:
            raise BackendError("the back end is not open")
        return self._open

    def prepare(self, frame_shape: tuple[int, int], crop: Crop) -> None:
        """Load the plan for the crop's shape, building it if there is none yet, and record the graph."""
        with alone():
            self._prepare(frame_shape, crop)

    def _prepare(self, frame_shape: tuple[int, int], crop: Crop) -> None:
        taken = self._taken()
        taken.device.make_current()
        manifest = self._engine.manifest
        shape = manifest.network_frame(crop).shape
        body = body_of(self._engine, shape, self._precision)
        plan = plan_for(body, taken.gpu, self._nvinfer)
        path = _TensorRTPath(taken.device, manifest, body, frame_shape, crop)
        try:
            before = kept_kernels.read(plan)
            loaded = self._nvinfer.load(plan.data, plan.what, before)
            path.load(loaded)
            if (compiled := loaded.compiled()) not in (None, before):
                kept_kernels.write(plan, compiled)
        except BaseException:  # the crop in force stays
            path.close()
            raise
        self._drop_path()
        self._path = path
        how = "one CUDA graph" if path.recorded else "plain launches"
        self.plan = f"{plan.sha256[:12]}, {how}"

    def memory_used(self) -> int:
        """Return the bytes of the GPU's memory that are in use, by whomever."""
        return self._taken().device.memory_used()

    def close(self) -> None:
        """Give everything back: graph, plan, memory, kernels and context, in this order."""
        with alone():
            self._drop_path()
            self.plan = None
            if self._open is not None:
                taken, self._open = self._open, None
                self._locked().forget()
                self._frames = None
                taken.device.close()

    def _drop_path(self) -> None:
        if self._path is not None:
            path, self._path = self._path, None
            path.close()


@dataclass(frozen=True, slots=True)
class _Open:
    """What is held from `open` to `close`."""

    device: CudaDevice
    gpu: Gpu


class _TensorRTPath:
    """What runs for frames of one shape and a crop of them: memory, kernels, plan and their graph.

    Parameters
    ----------
    device : Device
        An open GPU.
    manifest : Manifest
        The engine's.
    body : Body
        Its network for the crop's shape.
    frame_shape : tuple of int
        Rows and columns of a camera frame.
    crop : Crop
        The part of it that the network is shown.
    """

    def __init__(
        self, device: CudaDevice, manifest: Manifest, body: Body, frame_shape: tuple[int, int], crop: Crop
    ) -> None:
        self._device = device
        self._body = body
        self._plan: LoadedPlan | None = None
        self._graph: Graph | None = None
        self._itemised: Itemised | None = None
        with Owner() as owner:
            keypoints = len(manifest.keypoints)
            self.staging: Image = device.locked(frame_shape, np.uint8, owner)
            self._found: FloatArray = device.locked(
                (keypoints, len(manifest.decode.columns)), np.float32, owner
            )
            intercepts: FloatArray = device.locked((keypoints,), np.float32, owner)
            itemsize = 2 if body.precision == "f16" else 4
            self._at = Addresses(
                frame=device.allocate(self.staging.nbytes, owner),
                counts=device.allocate(COUNTS * 4, owner),
                prepared=device.allocate(math.prod(body.shape) * itemsize, owner),
                maps=tuple(device.allocate(math.prod(body.map_shape) * 4, owner) for _ in body.outputs),
                intercept=device.allocate(intercepts.nbytes, owner),
                out=device.address_of(self._found),
            )
            slope = 0.0
            if body.decode is not None:
                intercepts[:], slope = body.decode.intercept, body.decode.slope
            owner.gives_back(device.wait)
            device.upload(self._at.intercept, intercepts)
            device.wait()
            self._steps = Steps(
                device.module,
                device.stream,
                manifest,
                frame_shape,
                crop,
                map_shape=body.map_shape,
                half=body.precision == "f16",
                slope=slope,
                at=self._at,
            )
            self._owner = owner.pop_all()

    @property
    def recorded(self) -> bool:
        """Whether all work after the copy is one graph."""
        return self._graph is not None

    def load(self, plan: LoadedPlan) -> None:
        """Take a plan over, run it a few times and record the graph."""
        self._owner.gives_back(plan.close)
        self._check(plan)
        plan.place(self._body.input, self._at.prepared)
        for name, address in zip(self._body.outputs, self._at.maps, strict=True):
            plan.place(name, address)
        if plan.workspace > 0:
            plan.use_workspace(self._device.allocate(plan.workspace, self._owner))
            self._owner.gives_back(plan.close)  # before its memory: closing again does nothing
        self._plan = plan
        for _ in range(WARM_UP_RUNS):
            self.run(self.staging)
        try:
            if not plan.capturable(self._device.stream):
                raise BackendError("TensorRT reports that this plan cannot be recorded")
            self._graph = recorded(lambda: self._device.capture(self._work))
        except BackendError as error:
            _log.warning("no CUDA graph could be recorded, each step is launched by itself: %s", error)
            return
        self._owner.gives_back(self._graph.destroy)
        for _ in range(WARM_UP_RUNS):
            self.run(self.staging)

    def _check(self, plan: LoadedPlan) -> None:
        """Refuse a plan whose tensors are not those that memory was taken for."""
        body = self._body
        kind = "float16" if body.precision == "f16" else "float32"
        taken = (PlanTensor(body.input, (1, 1, *body.shape), kind),)
        given = {PlanTensor(name, (1, *body.map_shape), "float32") for name in body.outputs}
        if plan.inputs != taken or set(plan.outputs) != given:
            raise EngineError(
                f"the plan of {body.name} takes {plan.inputs} and gives {plan.outputs}, not what its network does: "
                "`rtface engines build --rebuild` makes it anew"
            )

    def _work(self) -> None:
        """Put everything after the copy of the frame on the stream."""
        plan = self._plan
        if plan is None:
            raise BackendError("no plan is loaded")
        self._device.clear(self._at.counts, COUNTS)
        self._steps.before()
        plan.enqueue(self._device.stream)
        self._steps.after()

    def run(self, frame: Image) -> FloatArray:
        """Return the keypoints of a frame in locked memory; borrowed until the next call."""
        self._device.upload(self._at.frame, frame)
        if self._graph is None:
            with alone():
                self._work()
        else:
            self._graph.launch()
        self._device.wait()
        return self._found

    def itemise(self) -> dict[DeviceStage, int]:
        """Return what each stage of the frame in `staging` took on the GPU, in nanoseconds."""
        itemised = self._itemised = self._itemised or self._marked()
        itemised.launch()
        self._device.wait()
        return itemised.watch.read()

    def _marked(self) -> Itemised:
        """Put marks between the stages: in a graph, if the work itself is one."""
        device, at, plan = self._device, self._at, self._plan
        if plan is None:
            raise BackendError("no plan is loaded")

        def prepare() -> None:
            device.clear(at.counts, COUNTS)
            self._steps.before()

        watch = device.stopwatch(
            {
                "copy_in": lambda: device.upload(at.frame, self.staging),
                "prepare": prepare,
                "network": lambda: plan.enqueue(device.stream),
                "decode": self._steps.after,
            }
        )
        self._owner.gives_back(watch.close)
        if self._graph is None:
            return Itemised(watch, watch.launch)
        graph = recorded(lambda: device.capture(watch.record))
        self._owner.gives_back(graph.destroy)
        return Itemised(watch, graph.launch)

    def close(self) -> None:
        """Give everything back in reverse order, once the GPU rests; may be called any number of times."""
        if self._plan is not None:
            self._owner.gives_back(self._device.wait)
        self._owner.gives_back(self._device.make_current)
        self._graph = self._plan = self._itemised = None
        self._owner.close()
