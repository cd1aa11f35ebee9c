"""The back ends as the tests run them: on this machine's CPU, on the emulated GPU, and on a real one where there is one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rtface.config import BackendSettings
from rtface.core.errors import BackendError
from rtface.core.records import Crop, FloatArray, Image
from rtface.simulate.face import MouseFace
from rtface.track.backends.base import Backend
from rtface.track.backends.factory import Installed, choose, make_backend
from rtface.track.gpu.libcuda import Libcuda, probe
from rtface.track.gray_levels import levels
from rtface.track.store import Engine
from support.emulated_gpu import EmulatedGpu, install

SHAPE = (120, 160)


@dataclass(frozen=True)
class Runner:
    """A way to run engines.

    Attributes
    ----------
    settings : dict
        What asks for it.
    gpu : EmulatedGpu or None
        What it runs on, if that is emulated.
    """

    settings: dict[str, Any]
    gpu: EmulatedGpu | None = None

    @property
    def on_gpu(self) -> bool:
        return self.settings["name"] == "tensorrt" or "device" in self.settings

    def make(self, engine: Engine, **settings: Any) -> Backend:
        """Return a back end that is not open yet."""
        asked = BackendSettings.model_validate(self.settings | settings)
        gpu = self.gpu
        if gpu is None:
            return make_backend(engine, asked)
        here = Installed(lambda package: True, lambda: True, Libcuda(gpu).probe, lambda package: None)
        return make_backend(engine, asked, here)

    @contextmanager
    def running(
        self, engine: Engine, shape: tuple[int, int], crop: Crop, **settings: Any
    ) -> Iterator[Callable[[Image], FloatArray]]:
        """Give what finds the keypoints of a frame, from an open and prepared back end; the result is a copy."""
        with ExitStack() as opened:
            backend = self.make(engine, **settings)
            opened.callback(backend.close)
            backend.open()
            backend.prepare(shape, crop)
            yield lambda frame: backend.infer(frame, levels_for(engine, frame)).copy()


ON_CPU = {"openvino": {"name": "openvino"}, "torch": {"name": "torch"}}
CARDS: dict[str, dict[str, Any]] = {
    "tensorrt": {"name": "tensorrt"},
    "torch-cuda": {"name": "torch", "device": "cuda:0"},
}
EMULATED = ("emulated-tensorrt", "emulated-tensorrt-rtx", "emulated-torch-cuda")
REAL = tuple(pytest.param(name, marks=pytest.mark.gpu) for name in CARDS)
ON_GPU = (*EMULATED, *REAL)
ALL = (*ON_CPU, *ON_GPU)


def runner_of(name: str, request: pytest.FixtureRequest) -> Runner:
    """Return one of `ALL`; skip, with the reason, where it cannot run."""
    if name in ON_CPU:
        pytest.importorskip(name)
        return Runner(ON_CPU[name])
    pytest.importorskip("torch")
    if name not in EMULATED:
        return _real(CARDS[name])
    if "tensorrt" in name:  # whose plans onnxruntime runs
        pytest.importorskip("onnxruntime")
    gpu = EmulatedGpu(request.getfixturevalue("emulator"))
    folder: Path = request.getfixturevalue("tmp_path")
    rtx = name.endswith("rtx")  # and without pycuda, as pip install '.[rtx]' leaves a machine
    install(gpu, request.getfixturevalue("monkeypatch"), folder / "cache", rtx=rtx, pycuda=not rtx)
    return Runner(CARDS[name.removeprefix("emulated-").removesuffix("-rtx")], gpu)


def _real(settings: dict[str, Any]) -> Runner:
    from rtface.track.gpu.nvinfer import Nvinfer
    from rtface.track.gpu.plans import check_served

    found = probe()
    if not found.gpus:
        pytest.skip(found.why_none)
    try:
        choose(BackendSettings.model_validate(settings))
        if settings["name"] == "tensorrt":
            check_served(found.gpus[0], Nvinfer())
    except BackendError as error:
        pytest.skip(str(error))
    return Runner(settings)


def face(shape: tuple[int, int] = SHAPE, index: int = 7) -> Image:
    """A frame of the simulated mouse."""
    picture = np.zeros(shape, np.uint8)
    _mouse(shape).render(index, picture)
    return picture


@lru_cache
def _mouse(shape: tuple[int, int]) -> MouseFace:
    return MouseFace(shape[1], shape[0], 100.0, 0)


def levels_for(engine: Engine, frame: Image) -> FloatArray:
    """What a tracker hands to a back end with a frame."""
    spec = engine.manifest.normalise
    return levels(frame, spec.low, spec.high, spec.row_step)


def tiny_engine(folder: Path, family: str, size: int = 64) -> Engine:
    """An engine of random weights: ``small``, whose input is not square, or ``facemap``, whose input is."""
    from rtface.learn.engines.bundle import save_engine
    from rtface.learn.tracker.card import model_card
    from rtface.track.manifest import KeypointEntry
    from support.drawn_labels import ARCHITECTURE, FACEMAP_ARCHITECTURE, NAMES, fresh

    small = family == "small"
    architecture = ARCHITECTURE if small else FACEMAP_ARCHITECTURE
    network: Any = fresh(architecture)
    if small:
        network.network.heads.weight.data *= 20
    return save_engine(
        network,
        folder,
        model_card(
            architecture,
            [KeypointEntry(name=name) for name in NAMES],
            size=size,
            square=not small,
            calibrated=False,
            description="random weights",
            licence="CC0-1.0",
        ),
    )


def reference(engine: Engine, frame: Image, crop: Crop) -> FloatArray:
    """Run the network as built in torch from the engine's weights, outside of any back end."""
    torch = pytest.importorskip("torch")
    from rtface.track.torch_graph import torch_graph

    graph = torch_graph(engine)
    part = np.ascontiguousarray(frame[crop.y : crop.y + crop.height, crop.x : crop.x + crop.width])
    level = levels_for(engine, frame)
    with torch.inference_mode():
        found: FloatArray = graph(torch.from_numpy(part)[None, None], torch.from_numpy(level))[0].numpy()
    return found
