"""Against what Facemap 1.0.8 itself found: `bench/make/facemap_golden.py` made the file."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from numpy.lib.npyio import NpzFile
from support.paths import DATA

from rtface.core.geometry import NetworkFrame, whole_frame
from rtface.core.records import Crop
from rtface.networks.facemap import FacemapNetwork, fold_batch_norm
from rtface.networks.graph import EngineGraph, FacemapDecode, NetworkWithDecode
from rtface.track.gray_levels import levels

GOLDEN = DATA / "facemap_golden.npz"


@pytest.fixture(scope="module")
def golden() -> Iterator[NpzFile]:
    with np.load(GOLDEN, allow_pickle=False) as file:
        yield file


@pytest.fixture(scope="module")
def network(golden: NpzFile) -> FacemapNetwork:
    state = {
        name.removeprefix("state/"): torch.from_numpy(golden[name])
        for name in golden.files
        if name.startswith("state/")
    }
    network = FacemapNetwork((3, 5, 7, 11, 13), 15)
    network.load_state_dict(state, strict=True)
    return network.eval()


@pytest.mark.parametrize("folded", [False, True])
@pytest.mark.parametrize("part", ["whole", "cropped"])
def test_keypoints_are_facemaps(golden: NpzFile, network: FacemapNetwork, part: str, folded: bool) -> None:
    frames, expected = golden["frames"], golden[part]
    crop = Crop(*map(int, golden["crop"])) if part == "cropped" else whole_frame(96, 64)
    prepared = NetworkWithDecode(fold_batch_norm(network) if folded else network, FacemapDecode())
    graph = EngineGraph(prepared, 256)
    geometry = NetworkFrame(crop, 256, half_pixel=False)
    rows, cols = slice(crop.y, crop.y + crop.height), slice(crop.x, crop.x + crop.width)
    assert expected[..., :2].std(axis=(0, 1)).min() > 5, "the points must differ"
    for frame, wanted in zip(frames, expected, strict=True):
        image = torch.from_numpy(np.ascontiguousarray(frame[rows, cols]))[None, None]
        with torch.no_grad():
            found = graph(image, torch.from_numpy(levels(frame)))[0].numpy()
        np.testing.assert_allclose(geometry.to_camera(found[:, :2]), wanted[:, :2], atol=1e-3)
        np.testing.assert_allclose(found[:, 3], wanted[:, 2], atol=1e-5)
