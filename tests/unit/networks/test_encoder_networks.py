from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.paths import DATA

from rtface.core.errors import EngineError, UsageError
from rtface.encode.architecture import layout
from rtface.learn.encoder.facemap_weights import read_facemap_encoder
from rtface.networks.build import build_encoder
from rtface.networks.causal_encoder import CausalEncoder
from rtface.networks.encoder import EncoderNetwork
from rtface.networks.facemap_encoder import FacemapEncoder
from rtface.networks.temporal_kernels import averages, bumps, gabors

GOLDEN = DATA / "facemap_encoder_golden.npz"

ARCHITECTURES: tuple[dict[str, Any], ...] = (
    {"name": "facemap", "inputs": 4, "outputs": 3},
    {"name": "facemap", "inputs": 4, "outputs": 3, "look_ahead": 0, "taps": 31},
    {
        "name": "facemap",
        "inputs": 4,
        "outputs": 3,
        "mixed": 5,
        "core_layers": 1,
        "taps": 31,
        "look_ahead": 10,
    },
    {"name": "facemap", "inputs": 4, "outputs": 3, "identity": True, "core_layers": 3, "readout_layers": 3},
    {"name": "causal", "inputs": 4, "outputs": 3},
    {"name": "causal", "inputs": 4, "outputs": 3, "look_ahead": 7, "units": 5},
    {
        "name": "causal",
        "inputs": 4,
        "outputs": 3,
        "linear_bumps": 0,
        "slow_frames": [0.0, 9.0],
        "slow_taps": 20,
    },
)


@pytest.fixture(params=ARCHITECTURES, ids=lambda each: json.dumps(each)[1:60])
def network(request: pytest.FixtureRequest) -> EncoderNetwork:
    return build_encoder(request.param).eval()


def golden_cases() -> list[tuple[int, dict[str, Any]]]:
    with np.load(GOLDEN) as kept:
        return list(enumerate(json.loads(str(kept["arguments"]))))


@pytest.mark.parametrize(("number", "arguments"), golden_cases(), ids=lambda each: str(each)[:40])
def test_facemaps_weights_give_facemaps_outputs(
    number: int, arguments: dict[str, Any], tmp_path: Path
) -> None:
    with np.load(GOLDEN) as kept:
        prefix = f"{number}/state/"
        state = {
            name.removeprefix(prefix): torch.from_numpy(kept[name])
            for name in kept.files
            if name.startswith(prefix)
        }
        inputs, animal = torch.from_numpy(kept[f"{number}/inputs"]), int(kept[f"{number}/animal"])
        outputs, latents = kept[f"{number}/outputs"], kept[f"{number}/latents"]
    torch.save(state, tmp_path / "weights.pth")
    network, architecture = read_facemap_encoder(tmp_path / "weights.pth")
    assert architecture["inputs"] == arguments["n_in"]
    assert network.look_ahead == architecture["taps"] // 2
    with torch.no_grad():
        own_outputs, own_latents = network(inputs, animal)
    assert outputs.std() > 0.05
    np.testing.assert_allclose(own_outputs.numpy(), outputs, atol=1e-6)
    np.testing.assert_allclose(own_latents.numpy(), latents, atol=1e-6)


def test_a_weight_file_that_is_not_an_encoders_is_named(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    state = FacemapEncoder(4, 3, taps=21).state_dict()
    lacking = {name: value for name, value in state.items() if name != "core.features.latent.0.bias"}
    torch.save(lacking, path)
    with pytest.raises(EngineError, match=r"weights\.pth .*lacks core\.features\.latent\.0\.bias"):
        read_facemap_encoder(path)
    state["core.features.linear1.0.bias"][3] = torch.nan
    torch.save(state, path)
    with pytest.raises(EngineError, match=r"linear1\.0\.bias is not of finite"):
        read_facemap_encoder(path)
    torch.save([1, 2], path)
    with pytest.raises(EngineError, match="no state_dict"):
        read_facemap_encoder(path)


def test_what_training_computes_is_what_the_recording_gives(network: EncoderNetwork) -> None:
    torch.manual_seed(1)
    inputs = torch.randn(900, 4)
    frames = torch.cumsum(torch.randint(3, 19, (45,)), 0) + network.past
    with torch.no_grad():
        whole = network.latents(inputs)[frames]
        some = network.latents_of(network.batch(inputs, frames))
    assert whole.std() > 1e-3
    torch.testing.assert_close(some, whole, atol=1e-5, rtol=0)


def test_outputs_depend_on_the_window_and_on_nothing_else(network: EncoderNetwork) -> None:
    torch.manual_seed(1)
    inputs = torch.randn(700, 4)
    changed = inputs.clone()
    changed[350] += 3
    with torch.no_grad():
        moved = (network(inputs)[0] != network(changed)[0]).any(dim=1).nonzero().ravel()
    assert moved.min() == 350 - network.look_ahead
    # The farthest tap of a kernel may be too small to be seen, but nothing behind it may move.
    assert 350 + network.past - 10 <= moved.max() <= 350 + network.past
    assert network.window == network.past + 1 + network.look_ahead


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda each: json.dumps(each)[1:60])
def test_the_layout_without_torch_is_that_of_the_network(architecture: dict[str, Any]) -> None:
    network = build_encoder(architecture)
    told = layout(architecture)
    assert told.shapes == {name: tuple(each.shape) for name, each in network.state_dict().items()}
    assert (told.past, told.look_ahead) == (network.past, network.look_ahead)


def test_the_seed_alone_decides_the_weights() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    one, same, other = (build_encoder(ARCHITECTURES[4], seed).state_dict() for seed in (5, 5, 6))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["fast.weight"], other["fast.weight"])


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        ({"name": "lstm", "inputs": 1, "outputs": 1}, "'lstm' is unknown"),
        ({"name": "causal", "inputs": 1, "outputs": 1, "colour": 2}, "colour"),
        ({"name": "causal", "inputs": 0, "outputs": 1}, "1 or more"),
        ({"name": "facemap", "inputs": 1, "outputs": 1, "taps": 5, "look_ahead": 5}, "look_ahead is 5"),
    ],
)
def test_impossible_encoders_are_refused(architecture: dict[str, Any], message: str) -> None:
    with pytest.raises(EngineError, match=message):
        build_encoder(architecture)


def test_the_classes_refuse_by_themselves() -> None:
    with pytest.raises(UsageError, match="slow_frames"):
        CausalEncoder(2, 2, slow_frames=())


def test_kernels_are_what_they_are_said_to_be() -> None:
    widening, slow, waves = bumps(8, 50), averages((0.0, 12.0), 150), gabors(10, 201)
    np.testing.assert_allclose(np.linalg.norm(widening, axis=1), 1, rtol=1e-5)
    assert widening[0].argmax() == 49
    assert widening[-1].argmax() == 0
    widths = (widening > 0).sum(axis=1)
    assert widths[0] < widths[3] < widths[6]
    np.testing.assert_allclose(slow.sum(axis=1), 1, rtol=1e-5)
    assert slow[0].argmax() == 149
    np.testing.assert_allclose(slow[1, 1:] / slow[1, :-1], np.exp(1 / 12), rtol=1e-4)
    crossings = (np.diff(np.sign(waves), axis=1) != 0).sum(axis=1)
    assert (np.diff(crossings[::2]) > 0).all()
    assert bumps(0, 7).shape == (0, 7)
    assert np.isfinite(bumps(8, 2)).all()
