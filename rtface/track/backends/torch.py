"""torch: the reference that other back ends are held against, in the arithmetic that the network was trained in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rtface.core.errors import BackendError, EngineError
from rtface.core.extras import needing
from rtface.core.records import Crop, FloatArray, Image
from rtface.track.backends.base import BackendInfo
from rtface.track.store import Engine

if TYPE_CHECKING:
    from rtface.config import BackendSettings

_WARM_UP_RUNS = 2


class TorchBackend:
    """Builds an engine's network from its weights and runs it in float32.

    Parameters
    ----------
    engine : Engine
        A checked engine that has its weights.
    settings : BackendSettings
        Precision, threads and device (``CPU``; a GPU is `TorchCudaBackend`'s).
    why : str
        Why this back end was chosen, for the record.
    """

    computes_levels = False
    plan = None

    def __init__(self, engine: Engine, settings: BackendSettings, why: str) -> None:
        self._engine = engine
        self._settings = settings
        self._why = why
        self._torch: Any = None
        self._graph: Any = None
        self._device: Any = None
        self._region = (slice(0), slice(0))
        self._output = np.zeros((0, 0), np.float32)

    def open(self) -> BackendInfo:
        """Build the network from its weights and check its output's shape."""
        precision = self._settings.precision
        asked = self._engine.manifest.precision if precision == "engine" else precision
        if asked != "f32":
            raise BackendError(f"the torch back end runs f32, not {asked}: set backend.precision to f32")
        with needing("train"):
            import torch

            from rtface.track.torch_graph import torch_graph
        self._torch = torch
        if self._settings.threads is not None:
            torch.set_num_threads(self._settings.threads)
        manifest = self._engine.manifest
        graph = torch_graph(self._engine)
        try:
            self._device = torch.device((self._settings.device or "cpu").lower())
            self._graph = graph.to(self._device)
        except (RuntimeError, AssertionError) as error:
            raise BackendError(f"torch cannot use the device {self._settings.device}: {error}") from error
        size = manifest.input.size
        self._check_output(self._run(np.zeros((size, size), np.uint8), np.array([0, 255], np.float32)))
        threads = torch.get_num_threads() if self._device.type == "cpu" else None
        return BackendInfo("torch", torch.__version__, str(self._device), "f32", threads, self._why)

    def host_memory(self, shape: tuple[int, int]) -> Image:
        """Return ordinary memory."""
        return np.zeros(shape, np.uint8)

    def prepare(self, frame_shape: tuple[int, int], crop: Crop) -> None:
        """Note the crop and run a few frames."""
        self._region = (slice(crop.y, crop.y + crop.height), slice(crop.x, crop.x + crop.width))
        frame = np.zeros(frame_shape, np.uint8)
        for _ in range(_WARM_UP_RUNS):
            self.infer(frame, np.array([0, 255], np.float32))

    def infer(self, frame: Image, levels: FloatArray) -> FloatArray:
        """Run the network on the crop."""
        try:
            self._output = self._run(np.ascontiguousarray(frame[self._region]), levels)
        except RuntimeError as error:
            raise BackendError(f"torch failed while running {self._engine.manifest.name}: {error}") from error
        return self._output

    def close(self) -> None:
        """Free the network."""
        self._graph = None
        self._output = np.zeros((0, 0), np.float32)

    def _run(self, crop: Image, levels: FloatArray) -> FloatArray:
        torch = self._torch
        with torch.inference_mode():
            image = torch.from_numpy(crop)[None, None].to(self._device)
            keypoints = self._graph(image, torch.from_numpy(levels).to(self._device))
            output: FloatArray = keypoints[0].cpu().numpy()
            return output

    def _check_output(self, output: FloatArray) -> None:
        manifest = self._engine.manifest
        expected = (len(manifest.keypoints), len(manifest.decode.columns))
        if output.shape != expected:
            raise EngineError(
                f"{self._engine.folder}: the network gives {output.shape}, its manifest says {expected}"
            )
