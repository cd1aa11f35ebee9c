"""Facemap's network: names and shapes of its parameters, sizes, maps and folding."""

from __future__ import annotations

import pytest
import torch

from rtface.core.errors import UsageError
from rtface.networks.facemap import FacemapNetwork, fold_batch_norm

CHANNELS = (3, 5, 7, 11, 13)
KEYPOINTS = 4


def _norm(prefix: str, width: int) -> dict[str, tuple[int, ...]]:
    names = ("weight", "bias", "running_mean", "running_var")
    return {f"{prefix}.{name}": (width,) for name in names} | {f"{prefix}.num_batches_tracked": ()}


def _block(prefix: str, inputs: int, outputs: int, first: int = 2) -> dict[str, tuple[int, ...]]:
    return {
        **_norm(f"{prefix}.conv.conv_0.0", inputs),
        f"{prefix}.conv.conv_0.{first}.weight": (outputs, inputs, 3, 3),
        **_norm(f"{prefix}.conv.conv_1.0", outputs),
        f"{prefix}.conv.conv_1.2.weight": (outputs, outputs, 3, 3),
    }


def _facemap_layout() -> dict[str, tuple[int, ...]]:
    """The layout of Facemap's weight files."""
    c0, c1, c2, c3, c4 = CHANNELS
    layout = _block("Conv.conv0", 1, c0, first=1)
    layout |= _block("Conv.conv1", c0, c1) | _block("Conv.conv2", c1, c2)
    layout |= _block("Conv.conv3", c2, c3) | _block("Conv.conv4", c3, c4)
    layout |= _block("Up_conv.upconv0", c4 + c3, c3) | _block("Up_conv.upconv1", c3 + c2, c2)
    for head in range(3):
        layout[f"Conv2_1x1.conv{head}.weight"] = (KEYPOINTS, c2, 1, 1)
        layout[f"Conv2_1x1.conv{head}.bias"] = (KEYPOINTS,)
    return layout


def _lively(network: FacemapNetwork, seed: int = 0) -> FacemapNetwork:
    """Give the batch normalisations statistics that are not those of a fresh network."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if "running_mean" in name or name.endswith(".bias"):
                tensor.copy_(torch.randn(tensor.shape, generator=generator) * 0.3)
            elif "running_var" in name or (name.endswith(".weight") and tensor.ndim == 1):
                tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
    return network.eval()


def test_parameters_have_the_names_and_shapes_of_facemaps_files() -> None:
    state = FacemapNetwork(CHANNELS, KEYPOINTS).state_dict()
    assert {name: tuple(tensor.shape) for name, tensor in state.items()} == _facemap_layout()
    assert len(state) == 90


@pytest.mark.parametrize(
    ("channels", "millions"),
    [
        ((16, 32, 64, 128, 200), 1.56),
        ((32, 64, 128, 200, 200), 3.21),
        ((32, 64, 128, 200, 256), 3.64),
        ((32, 64, 128, 256, 512), 7.67),
        ((64, 128, 192, 256, 320), 6.54),
    ],
)
def test_number_of_parameters(channels: tuple[int, ...], millions: float) -> None:
    with torch.device("meta"):
        network = FacemapNetwork(channels, 15)
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(millions, abs=0.005)


def test_maps_are_a_quarter_of_the_input_and_the_heatmap_is_not_negative() -> None:
    network = _lively(FacemapNetwork(CHANNELS, KEYPOINTS))
    with torch.no_grad():
        heat, row_offset, col_offset = network(torch.randn(2, 1, 256, 256))
    assert heat.shape == row_offset.shape == col_offset.shape == (2, KEYPOINTS, 64, 64)
    assert heat.min() == 0 < heat.max()
    assert row_offset.min() < 0 < row_offset.max()


def test_the_first_unit_has_no_relu_and_all_others_have_one() -> None:
    network = FacemapNetwork(CHANNELS, KEYPOINTS)
    units = [unit for name, unit in network.named_modules() if name.rsplit(".", 1)[-1].startswith("conv_")]
    rectified = [any(isinstance(layer, torch.nn.ReLU) for layer in unit.children()) for unit in units]
    assert rectified == [False] + [True] * 13


def test_folding_keeps_the_maps_and_leaves_the_original_alone() -> None:
    network = _lively(FacemapNetwork((16, 32, 64, 128, 200), 15))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    folded = fold_batch_norm(network)
    image = torch.randn(1, 1, 256, 256, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        for plain, fast in zip(network(image), folded(image), strict=True):
            assert plain.std() > 0.01
            torch.testing.assert_close(fast, plain, atol=1e-4, rtol=0)
    count = sum(isinstance(module, torch.nn.BatchNorm2d) for module in folded.modules())
    assert count == 7, "one batch normalisation of each of the seven blocks cannot be folded"
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize(
    ("channels", "keypoints"), [((8, 8, 8, 8), 15), ((8, 8, 0, 8, 8), 15), (CHANNELS, 0)]
)
def test_impossible_widths_are_refused(channels: tuple[int, ...], keypoints: int) -> None:
    with pytest.raises(UsageError, match="5 widths"):
        FacemapNetwork(channels, keypoints)
