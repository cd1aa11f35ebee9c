"""TensorRT: the one place that imports it, be it `tensorrt` 10 or 11 or `tensorrt_rtx`.

One way for all: strongly typed networks, whose file states the precision of every tensor, and only names that are in all
of them; a name that some lack stands behind ``hasattr``. Failures become `BackendError` with TensorRT's reasons.
"""

from __future__ import annotations

import importlib
import logging
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from rtface.core.errors import BackendError
from rtface.core.extras import how_to_install
from rtface.track.gpu.callbacks import Progress, make_logger, make_monitor
from rtface.track.gpu.libcuda import explained

_log = logging.getLogger(__name__)

FULL, RTX = "tensorrt", "tensorrt_rtx"
HOW_TO_INSTALL = f"{how_to_install('tensorrt')}, or '.[rtx]' for a GeForce or RTX card"

_DTYPES = {"HALF": "float16", "FLOAT": "float32"}


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """How a plan is made; all of it is part of the plan's key.

    Attributes
    ----------
    level : int
        TensorRT's optimisation level, 0 to 5: how long it searches for fast kernels.
    workspace_bytes : int
        The most memory that a kernel may take as scratch.
    targets : tuple of str
        GPUs to build for, as ``sm_89``, for TensorRT for RTX alone; all that there are when empty.
    """

    level: int = 3
    workspace_bytes: int = 1 << 30
    targets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Built:
    """A new plan, and the kernels' times, for the next build; None where nothing is timed."""

    plan: bytes
    timings: bytes | None


@dataclass(frozen=True, slots=True)
class PlanTensor:
    """An input or output of a plan: its name, shape, and dtype in numpy's words."""

    name: str
    shape: tuple[int, ...]
    dtype: str


def find() -> str | None:
    """Return the name of the TensorRT that is installed, without importing it; None when there is none."""
    return next((name for name in (FULL, RTX) if find_spec(name) is not None), None)


class Nvinfer:
    """TensorRT, once `open` has imported it; used by one thread."""

    def __init__(self) -> None:
        self._trt: Any = None
        self._logger: Any = None
        self._module = ""

    def open(self) -> tuple[str, str]:
        """Import TensorRT, unless that was done, and return its module's name and full version.

        Raises
        ------
        BackendError
            It is not installed, or its libraries are missing.
        """
        if self._trt is None:
            name = find()
            if name is None:
                raise BackendError(f"TensorRT is not installed: {HOW_TO_INSTALL}")
            try:
                trt = importlib.import_module(name)
            except (ImportError, OSError, RuntimeError) as error:
                raise BackendError(
                    f"{name} is installed but cannot be loaded ({error}): {HOW_TO_INSTALL}"
                ) from error
            self._trt, self._module, self._logger = trt, name, make_logger(trt)
        return self._module, str(self._trt.__version__)

    @property
    def targets(self) -> tuple[str, ...]:
        """GPUs that plans can be built for without one of them; empty when it builds for the GPU that is there."""
        self.open()
        return tuple(_capabilities(self._trt))

    def build(
        self,
        onnx: bytes,
        options: BuildOptions,
        progress: Progress | None = None,
        timings: bytes | None = None,
    ) -> Built:
        """Make a plan of a network.

        The full TensorRT makes it for the GPU whose context is current and needs that GPU's driver; the one for RTX
        makes it for `options.targets` anywhere.

        Parameters
        ----------
        onnx : bytes
            A network whose tensors have the types that they shall be computed in (`rtface.track.gpu.body`).
        options : BuildOptions
            How.
        progress : callable, optional
            Called at every step; an exception that it raises stops the build and is raised again here.
        timings : bytes, optional
            Of an earlier build on this GPU.

        Raises
        ------
        BackendError
            TensorRT refuses the network or fails (with its reasons), or `progress` stopped it.
        """
        self.open()
        trt, logger = self._trt, self._logger
        logger.messages.clear()
        try:
            builder = trt.Builder(logger)
        except (TypeError, RuntimeError) as error:
            raise self._failed("does not start; it needs the driver of an NVIDIA GPU", str(error)) from error
        network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
        parser = trt.OnnxParser(network, logger)
        if not parser.parse(onnx):
            errors = [parser.get_error(index) for index in range(parser.num_errors)]
            raise self._failed("cannot read the network", *(_in_words(each) for each in errors))
        config = self._configured(builder, options)
        cache = self._timing_cache(config, timings)
        monitor = None
        if progress is not None:
            monitor = make_monitor(trt, progress)
            config.progress_monitor = monitor
        plan = builder.build_serialized_network(network, config)
        if monitor is not None and monitor.raised is not None:
            raise monitor.raised
        if monitor is not None and monitor.stopped:
            raise BackendError("the build of the plan was stopped")
        if plan is None:
            raise self._failed("cannot build the network")
        return Built(bytes(plan), None if cache is None else bytes(config.get_timing_cache().serialize()))

    def _configured(self, builder: Any, options: BuildOptions) -> Any:
        trt = self._trt
        config = builder.create_builder_config()
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_bytes)
        config.builder_optimization_level = options.level
        config.max_aux_streams = 0
        config.clear_flag(trt.BuilderFlag.TF32)  # so that f32 is f32; in f16 it has no meaning
        if hasattr(trt.BuilderFlag, "REQUIRE_USER_ALLOCATION"):
            config.set_flag(trt.BuilderFlag.REQUIRE_USER_ALLOCATION)
        known = _capabilities(trt)
        if foreign := [name for name in options.targets if name not in known]:
            raise BackendError(
                f"{self._module} makes no plans for {', '.join(foreign)}; it makes them for "
                f"{', '.join(known) or 'the GPU that is there'}"
            )
        if known:
            chosen = options.targets or tuple(known)
            config.num_compute_capabilities = len(chosen)
            for index, name in enumerate(chosen):
                config.set_compute_capability(known[name], index)
        return config

    def _timing_cache(self, config: Any, timings: bytes | None) -> Any:
        """Give the build the times of an earlier one; a plan for RTX is not timed."""
        if _capabilities(self._trt):
            return None
        cache = config.create_timing_cache(timings or b"")
        if cache is None or not config.set_timing_cache(cache, False):
            cache = config.create_timing_cache(b"")
            config.set_timing_cache(cache, False)
        return cache

    def load(self, plan: bytes, what: str = "the plan", compiled: bytes | None = None) -> LoadedPlan:
        """Make a plan ready to run on the GPU whose context is current.

        Only where a driver was found (`rtface.track.gpu.libcuda.probe`): without one, some releases of TensorRT end
        the process.

        Parameters
        ----------
        plan : bytes
            From `build`, of the same module and version.
        what : str
            What it is, for messages.
        compiled : bytes, optional
            What `LoadedPlan.compiled` gave for this plan on this GPU.

        Raises
        ------
        BackendError
            It is of another version or GPU, damaged, or there is not enough memory.
        """
        self.open()
        self._logger.messages.clear()
        try:
            runtime = self._trt.Runtime(self._logger)
        except (TypeError, RuntimeError) as error:
            raise self._failed("does not start on this GPU", str(error)) from error
        engine = runtime.deserialize_cuda_engine(plan)
        if engine is None:
            del runtime
            raise self._failed(
                f"cannot load {what} on this GPU; `rtface engines build --rebuild` makes it anew"
            )
        parts = [runtime, engine]
        del runtime, engine
        return LoadedPlan(self._trt, self._logger, parts, compiled)

    def _failed(self, what: str, *reasons: str) -> BackendError:
        name, version = self.open()
        return BackendError(f"{name} {version} {what}: {'; '.join(reasons) or self._logger.reasons()}")


class LoadedPlan:
    """A plan on a GPU, run by one thread.

    Parameters
    ----------
    trt, logger
        TensorRT and its logger.
    parts : list
        Runtime and engine, which are taken out of it: no traceback of an error may keep them longer than the GPU.
    compiled : bytes or None
        As of `Nvinfer.load`.

    Attributes
    ----------
    inputs, outputs : tuple of PlanTensor
        What it takes and gives, in the plan's order.
    workspace : int
        Bytes of GPU memory that `use_workspace` must be given before the first run; 0 when the plan has its own.
    """

    def __init__(self, trt: Any, logger: Any, parts: list[Any], compiled: bytes | None = None) -> None:
        self._trt = trt
        self._logger = logger
        self._engine, self._runtime = parts.pop(), parts.pop()
        self._cache: Any = None
        ours = hasattr(trt.BuilderFlag, "REQUIRE_USER_ALLOCATION")
        strategy = trt.ExecutionContextAllocationStrategy
        self._context = self._engine.create_execution_context(
            self._with_cache(strategy.USER_MANAGED, compiled) if ours else strategy.STATIC
        )
        if self._context is None:
            self.close()
            raise BackendError(f"TensorRT cannot make the plan ready: {logger.reasons()}")
        self.workspace = int(self._engine.device_memory_size_v2) if ours else 0
        names = [self._engine.get_tensor_name(index) for index in range(self._engine.num_io_tensors)]
        taken = [name for name in names if self._engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT]
        self.inputs = tuple(self._tensor(name) for name in taken)
        self.outputs = tuple(self._tensor(name) for name in names if name not in taken)

    def _with_cache(self, strategy: Any, compiled: bytes | None) -> Any:
        """Return how a context is made: its memory, and a cache of what is compiled on this GPU."""
        at_run = self._engine.create_runtime_config()
        at_run.set_execution_context_allocation_strategy(strategy)
        cache = at_run.create_runtime_cache()
        if compiled is not None and not cache.deserialize(compiled):
            _log.info("what was compiled before is not for this GPU and driver: %s", self._logger.reasons())
        if at_run.set_runtime_cache(cache):
            self._cache = cache
        return at_run

    def compiled(self) -> bytes | None:
        """Return what was compiled on this GPU so far, for `Nvinfer.load`; None where a plan comes whole."""
        made = None if self._cache is None else self._cache.serialize()
        return None if made is None else bytes(made)

    def _tensor(self, name: str) -> PlanTensor:
        kind = str(self._engine.get_tensor_dtype(name).name)
        shape = tuple(self._engine.get_tensor_shape(name))
        return PlanTensor(name, shape, _DTYPES.get(kind, kind.lower()))

    def place(self, name: str, address: int) -> None:
        """Set where in GPU memory an input is read or an output written.

        Raises
        ------
        BackendError
            The plan has no such tensor, or it is closed.
        """
        if not self._open().set_tensor_address(name, address):
            raise BackendError(f"the plan has no tensor {name!r}: {self._logger.reasons()}")

    def use_workspace(self, address: int) -> None:
        """Lend the plan `workspace` bytes of GPU memory, aligned to 256, until it is closed."""
        self._open().set_device_memory(address, self.workspace)

    def enqueue(self, stream: int) -> None:
        """Put the network on a stream.

        Raises
        ------
        BackendError
            TensorRT refused; so it may while a graph is recorded.
        """
        if not self._open().execute_async_v3(stream):
            raise explained(f"TensorRT cannot run the plan: {self._logger.reasons()}")

    def capturable(self, stream: int) -> bool:
        """Tell whether the network can be recorded into a graph; True where this release cannot tell beforehand."""
        context = self._open()
        return (
            bool(context.is_stream_capturable(stream)) if hasattr(context, "is_stream_capturable") else True
        )

    def _open(self) -> Any:
        if self._context is None:
            raise BackendError("the plan is closed")
        return self._context

    def close(self) -> None:
        """Free it: the context, then the engine, then the runtime; may be called any number of times."""
        self._context = None
        self._cache = None
        self._engine = None
        self._runtime = None


def _capabilities(trt: Any) -> dict[str, Any]:
    """Return the GPUs that plans can be made for ahead of time, as ``sm_89``; none in the full TensorRT."""
    if not hasattr(trt, "ComputeCapability"):
        return {}
    members = trt.ComputeCapability.__members__
    return {f"sm_{name[2:]}": member for name, member in members.items() if name.startswith("SM")}


def _in_words(error: Any) -> str:
    node = f"{error.node_operator()} {error.node_name()}".strip()
    return f"{node}: {error.desc()}" if node else str(error.desc())
