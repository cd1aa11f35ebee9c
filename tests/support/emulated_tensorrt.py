"""A module like `tensorrt` or `tensorrt_rtx` whose plans are networks that onnxruntime runs on the emulated GPU.

It has the names that both have and those of one alone; what fails says so as TensorRT does: by None or False, and a
message to the logger. A context holds its engine, an engine its runtime, as they do in the real one.
"""

from __future__ import annotations

from enum import Enum, IntEnum
from functools import lru_cache
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from support.emulated_gpu import EmulatedGpu

WORKSPACE = 1000
_BEGIN = b"plan of "
_TYPES = {"tensor(float16)": "HALF", "tensor(float)": "FLOAT"}
_WIDTHS = {"HALF": "float16", "FLOAT": "float32"}


@lru_cache(maxsize=16)
def _session(onnx: bytes) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])


def tensorrt_module(gpu: EmulatedGpu, *, rtx: bool = False) -> ModuleType:
    """Return a module like `tensorrt_rtx`, or `tensorrt`, for this GPU."""
    module: Any = ModuleType("tensorrt_rtx" if rtx else "tensorrt")
    module.__spec__ = ModuleSpec(module.__name__, None)
    module.__version__ = "10.0.emulated"

    class ILogger:
        INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)

    class IProgressMonitor:
        pass

    def refused(name: str, logger: Any) -> bool:
        failure = gpu.called(f"trt.{name}")
        if failure is None:
            return False
        if logger is not None:
            logger.log(ILogger.ERROR, f"{name} was told to fail")
        return True

    class Builder:
        def __init__(self, logger: Any) -> None:
            if refused("Builder", logger):
                raise TypeError("pybind11::init(): factory function returned nullptr")
            self.logger = logger

        def create_network(self, flags: int) -> Network:
            assert flags == 1 << module.NetworkDefinitionCreationFlag.STRONGLY_TYPED
            return Network()

        def create_builder_config(self) -> Config:
            return RtxConfig() if rtx else Config()

        def build_serialized_network(self, network: Network, config: Config) -> bytes | None:
            assert rtx or gpu.current is not None, (
                "the full TensorRT builds on the GPU whose context is current"
            )
            monitor = config.progress_monitor
            if monitor is not None:
                monitor.phase_start("Building Engine", None, 3)
                for step in range(3):
                    if not monitor.step_complete("Building Engine", step):
                        return None
                monitor.phase_finish("Building Engine")
            if config.cache is not None:
                config.cache.data += b"+timed"
            return None if refused("build_serialized_network", self.logger) else _BEGIN + network.onnx

    class Network:
        onnx = b""

    class Config:
        def __init__(self) -> None:
            self.progress_monitor: Any = None
            self.cache: TimingCache | None = None
            self.flags: set[Any] = set()
            self.capabilities: list[Any] = []
            self.builder_optimization_level = self.max_aux_streams = -1

        def set_memory_pool_limit(self, pool: Any, size: int) -> None:
            assert size > 0

        def set_flag(self, flag: Any) -> None:
            self.flags.add(flag)

        def clear_flag(self, flag: Any) -> None:
            self.flags.discard(flag)

        def create_timing_cache(self, data: bytes) -> TimingCache | None:
            return None if data and refused("create_timing_cache", None) else TimingCache(data)

        def set_timing_cache(self, cache: TimingCache, ignore_mismatch: bool) -> bool:
            assert not ignore_mismatch
            if cache.data and refused("set_timing_cache", None):
                return False
            self.cache = cache
            return True

        def get_timing_cache(self) -> TimingCache | None:
            return self.cache

    class RtxConfig(Config):
        @property
        def num_compute_capabilities(self) -> int:
            return len(self.capabilities)

        @num_compute_capabilities.setter
        def num_compute_capabilities(self, count: int) -> None:
            self.capabilities = [None] * count

        def set_compute_capability(self, capability: Any, index: int) -> None:
            self.capabilities[index] = capability

    class TimingCache:
        def __init__(self, data: bytes) -> None:
            self.data = data

        def serialize(self) -> bytes:
            return self.data

    class ParserError:
        def desc(self) -> str:
            return "this is no network"

        def node_name(self) -> str:
            return "/conv"

        def node_operator(self) -> str:
            return "Conv"

    class OnnxParser:
        num_errors = 1

        def __init__(self, network: Network, logger: Any) -> None:
            self.network, self.logger = network, logger

        def parse(self, onnx: bytes) -> bool:
            self.network.onnx = onnx
            return not refused("parse", self.logger)

        def get_error(self, index: int) -> ParserError:
            assert index == 0
            return ParserError()

    class Runtime:
        def __init__(self, logger: Any) -> None:
            if refused("Runtime", logger):
                raise TypeError("pybind11::init(): factory function returned nullptr")
            self.logger = logger
            self.engines = 0
            gpu.plans.add(id(self))

        def deserialize_cuda_engine(self, plan: bytes) -> Engine | None:
            failed = refused("deserialize_cuda_engine", self.logger)
            return None if failed or not plan.startswith(_BEGIN) else Engine(self, plan.removeprefix(_BEGIN))

        def __del__(self) -> None:
            if hasattr(self, "engines"):
                gpu.called("free runtime")
                assert self.engines == 0, "a runtime is freed before its engine"
                gpu.plans.remove(id(self))

    class Engine:
        device_memory_size_v2 = WORKSPACE

        def __init__(self, runtime: Runtime, onnx: bytes) -> None:
            self.session, self.onnx = _session(onnx), onnx
            self.inputs, self.outputs = self.session.get_inputs(), self.session.get_outputs()
            self.tensors = {each.name: each for each in (*self.inputs, *self.outputs)}
            self.logger, self.contexts = runtime.logger, 0
            self.runtime = runtime
            runtime.engines += 1
            gpu.plans.add(id(self))

        @property
        def num_io_tensors(self) -> int:
            return len(self.tensors)

        def get_tensor_name(self, index: int) -> str:
            return str(list(self.tensors)[index])

        def get_tensor_mode(self, name: str) -> Any:
            taken = name in {each.name for each in self.inputs}
            return module.TensorIOMode.INPUT if taken else module.TensorIOMode.OUTPUT

        def get_tensor_shape(self, name: str) -> list[int]:
            return list(self.tensors[name].shape)

        def get_tensor_dtype(self, name: str) -> Any:
            return module.DataType[_TYPES[self.tensors[name].type]]

        def create_execution_context(self, how: Any) -> Context | None:
            if refused("create_execution_context", self.logger):
                return None
            if not rtx:
                assert how == module.ExecutionContextAllocationStrategy.STATIC
                return Context(self)
            assert how.strategy == module.ExecutionContextAllocationStrategy.USER_MANAGED
            return RtxContext(self, how.cache)

        def create_runtime_config(self) -> IRuntimeConfig:
            return IRuntimeConfig()

        def __del__(self) -> None:
            gpu.called("free engine")
            assert self.contexts == 0, "an engine is freed before its context"
            self.runtime.engines -= 1
            gpu.plans.remove(id(self))

    class Context:
        def __init__(self, engine: Engine) -> None:
            self.tensors, self.session, self.logger = engine.tensors, engine.session, engine.logger
            self.inputs, self.outputs = engine.inputs, engine.outputs
            self.at: dict[str, int] = {}
            self.workspace: int | None = None
            self.engine = engine
            engine.contexts += 1
            gpu.plans.add(id(self))

        def set_tensor_address(self, name: str, address: int) -> bool:
            if refused("set_tensor_address", self.logger) or name not in self.tensors:
                return False
            self.at[name] = address
            return True

        def execute_async_v3(self, stream: int) -> bool:
            if refused("execute_async_v3", self.logger):
                return False
            assert stream == gpu.stream
            assert self.workspace in gpu.memory or not rtx, "the plan has no memory to work in"
            gpu.put(run_of(self))
            return True

        def __del__(self) -> None:
            gpu.called("free context")
            assert not gpu.pending, "a plan is freed while work is under way"
            assert self.workspace in gpu.memory or not rtx or self.workspace is None
            self.engine.contexts -= 1
            gpu.plans.remove(id(self))

    class IRuntimeConfig:
        strategy: Any = None
        cache: IRuntimeCache | None = None

        def set_execution_context_allocation_strategy(self, strategy: Any) -> None:
            self.strategy = strategy

        def create_runtime_cache(self) -> IRuntimeCache:
            return IRuntimeCache()

        def set_runtime_cache(self, cache: IRuntimeCache) -> bool:
            if refused("set_runtime_cache", None):
                return False
            self.cache = cache
            return True

    class IRuntimeCache:
        compiled = b""

        def deserialize(self, kept: bytes) -> bool:
            if refused("deserialize", None):
                return False
            self.compiled = kept
            return True

        def serialize(self) -> bytes | None:
            return None if refused("serialize", None) else self.compiled

    class RtxContext(Context):
        def __init__(self, engine: Engine, cache: IRuntimeCache | None) -> None:
            super().__init__(engine)
            needed = b"kernels of " + engine.onnx
            if cache is None or cache.compiled != needed:
                gpu.log.append("compile kernels")
            if cache is not None:
                cache.compiled = needed

        def set_device_memory(self, address: int, size: int) -> None:
            assert size == WORKSPACE
            self.workspace = address

        def is_stream_capturable(self, stream: int) -> bool:
            return not refused("is_stream_capturable", self.logger)

    def run_of(context: Context) -> Any:
        """Return the work of a run, which holds no plan: a plan that is closed and still runs is an error."""
        own, session, at = id(context), context.session, dict(context.at)
        (taken,), given = context.inputs, context.outputs

        def run() -> None:
            assert own in gpu.plans, "a plan runs after it was closed"
            value = gpu.array(at[taken.name], taken.shape, _WIDTHS[_TYPES[taken.type]])
            made = session.run([each.name for each in given], {taken.name: value})
            for tensor, values in zip(given, made, strict=True):
                gpu.array(at[tensor.name], tensor.shape, _WIDTHS[_TYPES[tensor.type]])[...] = values

        return run

    module.ILogger, module.IProgressMonitor = ILogger, IProgressMonitor
    module.Builder, module.OnnxParser, module.Runtime = Builder, OnnxParser, Runtime
    module.NetworkDefinitionCreationFlag = IntEnum("NetworkDefinitionCreationFlag", {"STRONGLY_TYPED": 1})
    flags = ["TF32", "REQUIRE_USER_ALLOCATION"] if rtx else ["TF32"]
    module.BuilderFlag = Enum("BuilderFlag", flags)  # type: ignore[misc]
    module.MemoryPoolType = Enum("MemoryPoolType", ["WORKSPACE"])
    module.TensorIOMode = Enum("TensorIOMode", ["INPUT", "OUTPUT"])
    module.DataType = Enum("DataType", ["HALF", "FLOAT"])
    module.ExecutionContextAllocationStrategy = Enum(
        "ExecutionContextAllocationStrategy", ["STATIC", "USER_MANAGED"]
    )
    if rtx:
        module.IRuntimeCache, module.IRuntimeConfig = IRuntimeCache, IRuntimeConfig
        module.ComputeCapability = Enum("ComputeCapability", ["SM86", "SM89", "CURRENT"])
    return module  # type: ignore[no-any-return]
