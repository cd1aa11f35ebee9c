"""How far rtface's keypoints lie from Facemap's, with the same weights on the same frames.

Weights are made here by a brief training on the frames themselves, so that heatmaps have real peaks; Facemap and
rtface both load the same two files. Facemap runs in its own environment (`bench.facemap.reference`), rtface
through its whole tracking path: levels, crop, exported engine in OpenVINO (float32), geometry. Six cases:
square, wide and tall frames, whole and cropped.

What remains is rounding. The largest part comes from torch.quantile, in which Facemap works out the rank of the
percentiles in float32 and so lands up to a hundredth of a rank beside them; rtface's levels are exact.

    python -m bench.facemap.parity VIDEO --facemap-python PEER/bin/python
"""

from __future__ import annotations

import sys
import tempfile
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from bench.facemap.peer import CHANNELS, read_gray, run_facemap, write_lossless, write_weights
from bench.result import RESULTS, add_facemap_python, parser_of, write
from bench.tracking import track
from rtface.core.records import FACEMAP_KEYPOINTS, Crop, FloatArray, Image
from rtface.learn.engines.facemap_fetch import PARAMS_NAME, STATE_NAME
from rtface.learn.engines.facemap_import import import_facemap
from rtface.networks.facemap import FacemapNetwork
from rtface.networks.graph import FACEMAP_OFFSET, FACEMAP_STRIDE, PadResize
from rtface.track.gray_levels import levels
from rtface.track.store import Engine

GOAL_MEDIAN_PX = 0.01
GOAL_MAX_PX = 0.1
CELLS = 64


@dataclass(frozen=True)
class Case:
    """A part of the source video that plays the camera, and the crop that is tracked in it."""

    name: str
    view: Crop
    crop: Crop | None


CASES = (
    Case("square 480x480, whole", Crop(160, 0, 480, 480), None),
    Case("square 480x480, crop 400x400", Crop(160, 0, 480, 480), Crop(40, 60, 400, 400)),
    Case("wide 800x480, whole", Crop(0, 0, 800, 480), None),
    Case("wide 800x480, crop 401x300", Crop(0, 0, 800, 480), Crop(220, 111, 401, 300)),
    Case("tall 302x480, whole", Crop(250, 0, 302, 480), None),
    Case("tall 302x480, crop 180x241", Crop(250, 0, 302, 480), Crop(60, 120, 180, 241)),
)


def make_weights(frames: Sequence[Image], folder: Path, steps: int, seed: int = 0) -> None:
    """Train a Facemap network on conspicuous points of the frames and write it as Facemap's two files.

    It is no tracker of anything; its maps have peaks and offsets as those of a trained network do.
    """
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    mean = np.mean(frames, axis=0).astype(np.uint8)
    corners = cv2.goodFeaturesToTrack(mean, len(FACEMAP_KEYPOINTS), 0.001, 25)
    points = torch.from_numpy(corners.reshape(-1, 2)).float()
    network = FacemapNetwork(CHANNELS, len(points)).train()
    optimiser = torch.optim.Adam(network.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=steps)
    prepare = PadResize(CELLS * FACEMAP_STRIDE)
    mesh = torch.arange(CELLS, dtype=torch.float32)
    height, width = mean.shape
    for _ in range(steps):
        images, targets = [], []
        for index in random.integers(len(frames), size=4):
            w, h = int(random.integers(240, width + 1)), int(random.integers(240, height + 1))
            x, y = int(random.integers(width - w + 1)), int(random.integers(height - h + 1))
            frame = frames[index]
            part = torch.from_numpy(frame[y : y + h, x : x + w].copy())[None, None]
            images.append(prepare(part, torch.from_numpy(levels(frame))))
            side = max(w, h) + (w - h) % 2
            offset = torch.tensor([(side - w) // 2 - x, (side - h) // 2 - y])
            targets.append((points + offset) / side * CELLS)
        heat, row_offset, col_offset = network(torch.cat(images))
        target = torch.stack(targets)
        cols = mesh - target[..., 0, None]
        rows = mesh - target[..., 1, None]
        square = rows[..., :, None] ** 2 + cols[..., None, :] ** 2
        shape = torch.exp(-square / 18)
        present = ((target >= 0) & (target < CELLS)).all(-1).float()
        wanted = 10 * shape / shape.sum((2, 3), keepdim=True)
        scaled = 10 * heat / (1e-4 + heat.sum((2, 3), keepdim=True))
        miss = ((rows[..., None] / FACEMAP_OFFSET - row_offset) ** 2 + 1e-8) + (
            cols[..., None, :] / FACEMAP_OFFSET - col_offset
        ) ** 2
        loss = (wanted - scaled).abs().sum((2, 3)) + 0.5 * (miss.sqrt() * (square <= 9)).sum((2, 3))
        loss = (loss * present).sum() / present.sum().clamp(min=1)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    write_weights(network, CHANNELS, folder)


def run_rtface(engine: Engine, frames: Sequence[Image], crop: Crop | None) -> FloatArray:
    """Track the frames with rtface; returns (n, K, 3): x, y in camera pixels, legacy likelihood."""
    poses = track(engine, "f32", frames, crop).poses
    assert all(pose.likelihood is not None for pose in poses)
    return np.stack([np.column_stack((pose.xy, np.asarray(pose.likelihood))) for pose in poses])


def compare(ours: FloatArray, theirs: FloatArray) -> dict[str, Any]:
    """Summarise the distances between two sets of keypoints, (n, K, 3)."""
    distance = np.hypot(ours[..., 0] - theirs[..., 0], ours[..., 1] - theirs[..., 1]).ravel()
    likelihood: NDArray[np.float32] = np.abs(ours[..., 2] - theirs[..., 2]).ravel()
    return {
        "frames": len(ours),
        "points": int(distance.size),
        "median_px": float(np.median(distance)),
        "p99_px": float(np.percentile(distance, 99)),
        "max_px": float(distance.max()),
        "points_beyond_goal": int((distance > GOAL_MAX_PX).sum()),
        "likelihood_median": float(np.median(likelihood)),
        "likelihood_max": float(likelihood.max()),
        "coordinates_sd_px": float(theirs[..., :2].std(axis=0).mean()),
    }


def run_case(
    case: Case,
    source: Sequence[Image],
    engine: Engine,
    python: str,
    weights: Path,
    work: Path,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run one case on both sides; returns its result and the facts of Facemap's run."""
    view = case.view
    frames = [
        np.ascontiguousarray(frame[view.y : view.y + view.height, view.x : view.x + view.width])
        for frame in source
    ]
    video = work / f"case{CASES.index(case)}.avi"
    write_lossless(video, frames)
    theirs = run_facemap(python, video, case.crop, weights, work / "home")
    if [zlib.crc32(frame.tobytes()) for frame in frames] != theirs["crc32"].tolist():
        raise SystemExit(f"{case.name}: Facemap did not read the pixels that were written")
    if tuple(theirs["facts"].pop("bodyparts")) != FACEMAP_KEYPOINTS:
        raise SystemExit("Facemap's keypoints have other names or another order than rtface's")
    ours = run_rtface(engine, frames, case.crop)
    result: dict[str, Any] = {"case": case.name, **compare(ours, theirs["keypoints"])}
    result["crop"] = asdict(case.crop) if case.crop else None
    result["within_goal"] = result["median_px"] <= GOAL_MEDIAN_PX and result["max_px"] <= GOAL_MAX_PX
    return result, theirs["facts"]


def compare_cases(
    video: Path, python: str, frames: int, steps: int, work: Path, cases: Sequence[Case] = CASES
) -> dict[str, Any]:
    """Make weights, run the cases on both sides and return all results."""
    source = read_gray(video, frames)
    make_weights(source, work / "weights", steps)
    engine = import_facemap(work / "weights" / STATE_NAME, work / "weights" / PARAMS_NAME, work / "parity")
    results = []
    facts: dict[str, Any] = {}
    for case in cases:
        result, facts = run_case(case, source, engine, python, work / "weights", work)
        results.append(result)
        print(
            f"{case.name:32} median {result['median_px']:.5f}  p99 {result['p99_px']:.5f}  "
            f"max {result['max_px']:.5f} px   likelihood max {result['likelihood_max']:.1e}",
            flush=True,
        )
    return {
        "question": "distance between rtface's and Facemap's keypoints, same weights, same frames, camera pixels",
        "facemap": facts,
        "network": {"channels": list(CHANNELS), "training_steps": steps},
        "backend": {"name": "openvino", "precision": "f32"},
        "goal": {"median_px": GOAL_MEDIAN_PX, "max_px": GOAL_MAX_PX},
        "cases": results,
        "within_goal": all(result["within_goal"] for result in results),
    }


def main(given: Sequence[str] | None = None) -> int:
    """Run the comparison and write its result."""
    parser = parser_of(__doc__)
    parser.add_argument("video", type=Path, help="a video of at least 800x480 pixels")
    add_facemap_python(parser)
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--steps", type=int, default=200, help="training steps of the weights")
    parser.add_argument("--out", type=Path, default=RESULTS / "parity_facemap.json")
    options = parser.parse_args(given)
    with tempfile.TemporaryDirectory() as work:
        result = compare_cases(
            options.video,
            options.facemap_python,
            options.frames,
            options.steps,
            Path(work),
        )
    write(options.out, result)
    return 0 if result["within_goal"] else 1


if __name__ == "__main__":
    sys.exit(main())
