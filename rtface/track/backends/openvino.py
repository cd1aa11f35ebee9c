"""OpenVINO: the default on a CPU.

The precision hint is always pinned, because OpenVINO otherwise picks bf16 by itself where the processor has it,
and read back, so that what is reported is what runs. Whether the convolutions run in int8 is not a hint but lies in
the network: it is read from the compiled network's layers.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from rtface.core.errors import BackendError, EngineError
from rtface.core.records import Crop, FloatArray, Image
from rtface.track.backends.base import BackendInfo
from rtface.track.manifest import MODEL_FILE
from rtface.track.store import Engine

if TYPE_CHECKING:
    from rtface.config import BackendSettings

_WARM_UP_RUNS = 5
_INT8 = frozenset({"i8", "u8"})


class OpenvinoBackend:
    """Runs an engine's ``model.onnx`` with OpenVINO.

    Parameters
    ----------
    engine : Engine
        A checked engine.
    settings : BackendSettings
        Precision, threads and device.
    why : str
        Why this back end was chosen, for the record.
    """

    computes_levels = False
    plan = None

    def __init__(self, engine: Engine, settings: BackendSettings, why: str) -> None:
        self._engine = engine
        self._settings = settings
        self._why = why
        own = engine.manifest.precision
        self._precision = own if settings.precision == "engine" else settings.precision
        self._hint = "f32" if own == "int8" else self._precision
        self._device = settings.device or "CPU"
        self._openvino: Any = None
        self._core: Any = None
        self._request: Any = None
        self._model_bytes = b""
        self._region = (slice(0), slice(0))
        self._image = np.zeros((1, 1, 1, 1), np.uint8)
        self._levels = np.zeros(2, np.float32)
        self._output = np.zeros((0, 0), np.float32)

    def open(self) -> BackendInfo:
        """Load the model, compile it once for the smallest crop and read the precision back."""
        if self._engine.manifest.precision == "int8" != self._precision:
            raise BackendError(
                f"{self._engine.manifest.name} is an int8 engine and cannot run in {self._precision}: set "
                "backend.precision to engine, or take the engine that it was made from"
            )
        openvino = _import_openvino()
        self._openvino = openvino
        self._core = openvino.Core()
        self._model_bytes = self._engine.file(MODEL_FILE).read_bytes()
        size = self._engine.manifest.input.size
        compiled = self._compile((size, size))
        self._check_outputs(compiled)
        threads = int(compiled.get_property("INFERENCE_NUM_THREADS"))
        version = str(openvino.__version__).partition("-")[0]
        return BackendInfo("openvino", version, self._device_name(), self._precision, threads, self._why)

    def host_memory(self, shape: tuple[int, int]) -> Image:
        """Return ordinary memory: a CPU reads nothing faster."""
        return np.zeros(shape, np.uint8)

    def prepare(self, frame_shape: tuple[int, int], crop: Crop) -> None:
        """Compile for the crop's shape, unless it is the present one, and run a few frames."""
        if self._request is None or self._image.shape[2:] != crop.shape:
            self._fit(crop.shape)
        self._region = (slice(crop.y, crop.y + crop.height), slice(crop.x, crop.x + crop.width))

    def _fit(self, shape: tuple[int, int]) -> None:
        compiled = self._compile(shape)
        image = np.zeros((1, 1, *shape), np.uint8)
        tensor = self._openvino.Tensor
        self._levels[:] = (0.0, 255.0)
        try:
            request = compiled.create_infer_request()
            request.set_tensor("image", tensor(image, shared_memory=True))
            request.set_tensor("levels", tensor(self._levels, shared_memory=True))
            for _ in range(_WARM_UP_RUNS):
                request.infer()
        except RuntimeError as error:
            raise self._failed(error) from error
        self._image, self._request = image, request
        self._output = request.get_output_tensor(0).data[0]

    def _failed(self, error: RuntimeError) -> BackendError:
        return BackendError(f"OpenVINO failed while running {self._engine.manifest.name}: {error}")

    def infer(self, frame: Image, levels: FloatArray) -> FloatArray:
        """Copy the crop out of the frame and run the network on it."""
        self._image[0, 0] = frame[self._region]
        self._levels[:] = levels
        try:
            self._request.infer()
        except RuntimeError as error:
            raise self._failed(error) from error
        return self._output

    def close(self) -> None:
        """Free the network."""
        self._request = None
        self._core = None
        self._output = np.zeros((0, 0), np.float32)

    def _compile(self, shape: tuple[int, int]) -> Any:
        ov = self._openvino
        hints: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": self._hint,
        }
        if self._settings.threads is not None:
            hints["INFERENCE_NUM_THREADS"] = self._settings.threads
        try:
            model = self._core.read_model(self._model_bytes)
            self._check_inputs(model)
            model.reshape({"image": ov.PartialShape([1, 1, *shape])})
            compiled = self._core.compile_model(model, self._device, hints)
        except RuntimeError as error:
            raise BackendError(
                f"OpenVINO cannot run the engine {self._engine.manifest.name} on {self._device} "
                f"with a crop of {shape[1]}x{shape[0]}: {error}"
            ) from error
        live = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
        if live != self._hint:
            raise BackendError(
                f"OpenVINO runs {self._engine.manifest.name} in {live} on this processor, not in "
                f"{self._precision} as asked for: set backend.precision to {live}"
            )
        if _runs_in_int8(compiled) != (self._precision == "int8"):
            found = "in floating point only" if self._precision == "int8" else "partly in int8"
            raise BackendError(
                f"OpenVINO runs {self._engine.manifest.name} {found} on {self._device}, not in "
                f"{self._precision} as its manifest says: take the engine that it was made from"
            )
        return compiled

    def _check_inputs(self, model: Any) -> None:
        live = {port.get_any_name(): port.get_element_type().to_string() for port in model.inputs}
        if live != {"image": "u8", "levels": "f32"}:
            raise EngineError(
                f"{self._engine.file(MODEL_FILE)}: the network's inputs are {live}, not image (u8) and levels (f32)"
            )

    def _check_outputs(self, compiled: Any) -> None:
        manifest = self._engine.manifest
        expected = [1, len(manifest.keypoints), len(manifest.decode.columns)]
        live = [list(port.get_shape()) for port in compiled.outputs]
        if live != [expected]:
            raise EngineError(
                f"{self._engine.file(MODEL_FILE)}: the network gives {live}, its manifest says {[expected]}"
            )

    def _device_name(self) -> str:
        return f"{self._device}: {self._core.get_property(self._device, 'FULL_DEVICE_NAME')}"


def _runs_in_int8(compiled: Any) -> bool:
    """Tell whether any convolution of a compiled network takes integers, by what the device made of it."""
    facts = [layer.get_rt_info() for layer in compiled.get_runtime_model().get_ops()]
    return any(
        each["runtimePrecision"].astype(str) in _INT8
        for each in facts
        if "layerType" in each and each["layerType"].astype(str) == "Convolution"
    )


def _import_openvino() -> Any:
    """Import OpenVINO without its telemetry, which would report each start to its makers and keep a thread."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # None: refuse the import
    try:
        import openvino
    except ImportError as error:
        raise BackendError("openvino is not installed: pip install openvino") from error
    return openvino
