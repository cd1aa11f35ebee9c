"""Steps that ask whether the GPU computes what the CPU does."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.gpu.card import REPOSITORY, Card
from rtface.core.errors import BackendError
from rtface.core.geometry import NetworkFrame, whole_frame
from rtface.core.records import Crop, FloatArray, Image
from rtface.simulate.face import MouseFace
from rtface.track.backends.base import Backend
from rtface.track.backends.factory import DEFAULT_GPU_ENGINE, make_backend
from rtface.track.gpu import kernels
from rtface.track.gpu.libcuda import probe
from rtface.track.gray_levels import levels
from rtface.track.manifest import LevelsSpec
from rtface.track.store import Engine, load_engine

SHAPE = (480, 640)
CROPS = (Crop(0, 0, 97, 61), Crop(1, 3, 95, 57), Crop(13, 2, 31, 59), Crop(5, 7, 64, 33), Crop(96, 60, 1, 1))
"""Of frames of 61 rows and 97 columns: no row begins at a multiple of anything."""

_RESTARTS = 3
_MOST_APART = 2e-3


def look(card: Card) -> dict[str, Any]:
    """Look at the machine: GPU, driver, torch, and what cudnn's settings are while a network is recorded."""
    import torch

    from rtface.track.gpu.convolutions import settled

    found = probe()
    if not found.gpus:
        raise BackendError(found.why_none)
    with settled(torch):
        cudnn = torch.backends.cudnn
        settings = {
            name: getattr(cudnn, name) for name in ("enabled", "benchmark", "deterministic", "allow_tf32")
        }
        settings["convolutions"] = getattr(getattr(cudnn, "conv", None), "fp32_precision", None)
    result = {
        "gpus": [str(gpu) for gpu in found.gpus],
        "torch": torch.__version__,
        "cuda_of_torch": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version() if card else None,  # type: ignore[no-untyped-call]
        "settings": settings,
    }
    if card:
        fields = (
            "name,driver_version,memory.total,clocks.sm,clocks.max.sm,clocks.mem,persistence_mode,power.limit"
        )
        asked = subprocess.run(
            ["nvidia-smi", f"--query-gpu={fields}", "--format=csv"],
            capture_output=True,
            text=True,
            check=False,
        )
        result["nvidia_smi"] = (asked.stdout or asked.stderr).splitlines()
    return result


def check_kernels(card: Card) -> dict[str, Any]:
    """Hold each kernel against numpy and torch on the CPU, at odd crops and sizes; raises where one differs."""
    import torch

    from rtface.networks.graph import FacemapDecode, PadResize

    device, launch = card.launcher()
    chance = np.random.default_rng(0)
    frame = chance.integers(0, 256, (61, 97), np.uint8)
    on_card = torch.from_numpy(frame).to(device)
    checked = 0
    for row_step in (1, 3, 4):
        counts = torch.zeros(256, dtype=torch.int32, device=device)
        launch(kernels.histogram(on_card.data_ptr(), counts.data_ptr(), frame.shape, row_step))
        np.testing.assert_array_equal(
            counts.cpu().numpy(), np.bincount(frame[::row_step].ravel(), minlength=256)
        )
        spec = LevelsSpec(row_step=row_step)
        for crop, square, half in ((c, s, h) for c in CROPS for s in (False, True) for h in (False, True)):
            shape = NetworkFrame(crop, 64, True, square).shape
            out = torch.full(shape, -9.0, dtype=torch.float16 if half else torch.float32, device=device)
            addresses = (on_card.data_ptr(), counts.data_ptr(), out.data_ptr())
            launch(kernels.prepare(*addresses, frame.shape, crop, 64, square, spec, half))
            part = frame[crop.y : crop.y + crop.height, crop.x : crop.x + crop.width].copy()
            level = levels(frame, spec.low, spec.high, row_step)
            wanted = PadResize(64, square)(torch.from_numpy(part)[None, None], torch.from_numpy(level))[0, 0]
            kind = np.float16 if half else np.float32
            np.testing.assert_allclose(
                out.cpu().numpy(), wanted.numpy().astype(kind), rtol=2e-3 if half else 1e-5, atol=1e-3
            )
            checked += 1
    maps = [torch.from_numpy(chance.normal(size=(15, 33, 47)).astype(np.float32)) for _ in range(3)]
    maps[0] = maps[0].abs()
    found = torch.full((15, 4), -9.0, device=device)
    placed = [each.to(device) for each in maps]
    heat, down, across = (each.data_ptr() for each in placed)
    launch(kernels.decode_facemap(heat, down, across, found.data_ptr(), 15, 33, 47))
    np.testing.assert_allclose(
        found.cpu().numpy(), FacemapDecode()(*(each[None] for each in maps))[0].numpy(), atol=1e-3
    )
    return {"images": checked, "decoded_keypoints": 15}


def check_graph(card: Card) -> dict[str, Any]:
    """Record one graph; a frame in locked memory and one in ordinary memory must give the CPU's keypoints."""
    engine = load_engine(DEFAULT_GPU_ENGINE)
    worst, plans = {}, {}
    for precision in ("f32", "engine"):
        backend = make_backend(engine, card.settings(precision))
        try:
            backend.open()
            slot = backend.host_memory(SHAPE)
            backend.prepare(SHAPE, whole_frame(SHAPE[1], SHAPE[0]))
            plans[precision] = str(backend.plan)
            apart = []
            for frame in _frames(card.count(20, 1)):
                slot[:] = frame
                wanted = _by_cpu(engine, frame)
                apart += [np.abs(_found(backend, each) - wanted)[:, :2].max() for each in (slot, frame)]
            worst[precision] = float(max(apart))
        finally:
            backend.close()
    result = {"plans": plans, "worst_px": worst}
    if (
        any("one CUDA graph" not in plan for plan in plans.values())
        or worst["f32"] > 0.05
        or worst["engine"] > 0.5
    ):
        raise BackendError(f"not as on the CPU, or not one graph: {result}")
    return result


def check_parity(card: Card) -> dict[str, Any]:
    """Return the parity records of half and of single precision, on frames of the simulated mouse."""
    from rtface.track.comparison import FEWEST_FRAMES
    from rtface.track.verify import verify

    frames = dict(enumerate(_frames(card.count(60, FEWEST_FRAMES))))
    result = {}
    for precision in ("f32", "engine"):
        comparison, record = verify(
            load_engine(DEFAULT_GPU_ENGINE), card.settings(precision), frames, "the simulated mouse"
        )
        result[precision] = record.model_dump(mode="json") | {"in_words": comparison.in_words()}
        if not record.agrees:
            raise BackendError(f"{precision} does not agree: {comparison.in_words()}")
    return result


def restart(card: Card) -> dict[str, Any]:
    """Return what one process finds, bit for bit; started by `check_restarts`."""
    engine, found = load_engine(DEFAULT_GPU_ENGINE), {}
    for precision in ("f32", "engine"):
        backend = make_backend(engine, card.settings(precision))
        try:
            backend.open()
            backend.prepare(SHAPE, whole_frame(SHAPE[1], SHAPE[0]))
            keypoints = np.stack([_found(backend, frame) for frame in _frames(card.count(16, 1))])
        finally:
            backend.close()
        found[precision] = {
            "sha256": hashlib.sha256(keypoints.tobytes()).hexdigest(),
            "keypoints": keypoints.tolist(),
        }
    return found


def check_restarts(card: Card) -> dict[str, Any]:
    """Start three processes one after another and compare what they find; raises beyond the limits of parity."""
    import json
    import tempfile
    from pathlib import Path

    found = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(card.count(_RESTARTS, 2)):
            file = Path(folder, f"{number}.json")
            rehearse = [] if card else ["--rehearse"]
            command = [sys.executable, "-m", "bench.gpu.step", "restart", str(file), *rehearse]
            subprocess.run(command, check=True, cwd=REPOSITORY)
            found.append(json.loads(file.read_text(encoding="utf-8"))["result"])
    result: dict[str, Any] = {}
    for precision in found[0]:
        all_of = [np.array(each[precision]["keypoints"]) for each in found]
        result[precision] = {
            "bit_for_bit": len({each[precision]["sha256"] for each in found}) == 1,
            "largest_difference": float(max(np.abs(other - all_of[0]).max() for other in all_of)),
        }
    if result["f32"]["largest_difference"] > _MOST_APART:
        raise BackendError(f"a restart finds something else in f32: {result}")
    return result


def _frames(count: int) -> Iterator[Image]:
    mouse = MouseFace(SHAPE[1], SHAPE[0], 100.0, 0)
    for index in range(count):
        picture: Image = np.zeros(SHAPE, np.uint8)
        mouse.render(5 * index, picture)
        yield picture


def _found(backend: Backend, frame: Image) -> FloatArray:
    return backend.infer(frame, np.zeros(2, np.float32)).copy()


def _by_cpu(engine: Engine, frame: Image) -> NDArray[np.float32]:
    import torch

    from rtface.track.torch_graph import torch_graph

    spec = engine.manifest.normalise
    level = levels(frame, spec.low, spec.high, spec.row_step)
    with torch.inference_mode():
        found: FloatArray = torch_graph(engine)(torch.from_numpy(frame)[None, None], torch.from_numpy(level))[
            0
        ].numpy()
    return found
