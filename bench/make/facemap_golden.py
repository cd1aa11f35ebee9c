"""Makes `tests/data/facemap_golden.npz`: what Facemap finds in three small frames with a tiny random network.

python -m bench.make.facemap_golden --facemap-python PEER/bin/python
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from bench.facemap.peer import run_facemap, write_lossless
from bench.result import add_facemap_python, parser_of
from rtface.core.records import FACEMAP_KEYPOINTS, Crop, Image
from rtface.learn.engines.facemap_fetch import PARAMS_NAME, STATE_NAME
from rtface.networks.facemap import FacemapNetwork

CHANNELS = (3, 5, 7, 11, 13)
CROP = Crop(30, 11, 51, 40)
TARGET = Path(__file__).resolve().parents[2] / "tests" / "data" / "facemap_golden.npz"


def make_frames(count: int = 3, height: int = 64, width: int = 96) -> list[Image]:
    """Return smooth random pictures."""
    random = np.random.default_rng(7)
    noise = (random.random((height, width)).astype(np.float32) for _ in range(count))
    smooth = (cv2.GaussianBlur(picture, (0, 0), 4.0) for picture in noise)
    return [cv2.normalize(s, s, 10, 240, cv2.NORM_MINMAX).astype(np.uint8) for s in smooth]


def make_state() -> dict[str, torch.Tensor]:
    """Return random parameters whose batch normalisations do something."""
    torch.manual_seed(7)
    state = FacemapNetwork(CHANNELS, len(FACEMAP_KEYPOINTS)).state_dict()
    for name, tensor in state.items():
        if name.endswith(("running_var", "0.weight")) and tensor.ndim == 1:
            tensor.copy_(torch.rand(tensor.shape) + 0.5)
        elif tensor.is_floating_point() and tensor.ndim == 1:
            tensor.copy_(torch.randn(tensor.shape) * 0.3)
        elif "Conv2_1x1.conv0" in name:
            tensor.mul_(3)
    return state


def main() -> None:
    """Run Facemap on the whole frames and on a crop of them, and write everything to one file."""
    parser = parser_of(__doc__)
    add_facemap_python(parser)
    options = parser.parse_args()
    frames, state = make_frames(), make_state()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        torch.save(state, work / STATE_NAME)
        torch.save({"params": {"channels": list(CHANNELS)}}, work / PARAMS_NAME)
        write_lossless(work / "frames.avi", frames)
        whole = run_facemap(options.facemap_python, work / "frames.avi", None, work, work / "home")
        cropped = run_facemap(options.facemap_python, work / "frames.avi", CROP, work, work / "home")
    TARGET.parent.mkdir(exist_ok=True)
    arrays: dict[str, Any] = {f"state/{name}": tensor.numpy() for name, tensor in state.items()}
    arrays |= {"frames": np.stack(frames), "whole": whole["keypoints"], "cropped": cropped["keypoints"]}
    arrays["crop"] = np.array([CROP.x, CROP.y, CROP.width, CROP.height])
    arrays["made_with"] = json.dumps(whole["facts"]["versions"])
    np.savez_compressed(TARGET, **arrays)


if __name__ == "__main__":
    main()
