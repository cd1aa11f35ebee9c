"""Other keypoints for a trained network: the kept ones are found exactly as before."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from support.drawn_labels import ARCHITECTURE, FACEMAP_ARCHITECTURE, NAMES, SIZE, fresh

from rtface.networks.graph import NetworkWithDecode
from rtface.networks.surgery import with_keypoints

FAST_ARCHITECTURE = {
    "name": "small",
    "keypoints": len(NAMES),
    "channels": [6, 8, 10],
    "depths": [1, 1],
    "head": 8,
    "stem": 4,
}

both = pytest.mark.parametrize(
    "architecture", [ARCHITECTURE, FAST_ARCHITECTURE, FACEMAP_ARCHITECTURE], ids=["small", "fast", "facemap"]
)


def lively(architecture: dict[str, Any]) -> NetworkWithDecode:
    """A network whose keypoints differ in all that is theirs."""
    network = fresh(architecture).eval()
    chance = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=chance))
        if "decode.intercept" in network.state_dict():
            network.load_state_dict(
                {"decode.intercept": torch.tensor([-1.0, 0.5, 2.0]), "decode.slope": torch.tensor(1.5)},
                strict=False,
            )
    return network


@torch.no_grad()
def answers(network: NetworkWithDecode) -> torch.Tensor:
    image = torch.rand(1, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(2))
    found: torch.Tensor = network.eval()(image)[0]
    return found


@both
@pytest.mark.parametrize(
    "after",
    [
        NAMES,
        ("ahead", "bright", "faint"),
        ("faint",),
        ("new", "faint", "newer", "bright"),
        ("bright", "faint", "ahead", "new"),
    ],
    ids=",".join,
)
def test_kept_keypoints_are_found_exactly_as_before(
    architecture: dict[str, Any], after: tuple[str, ...]
) -> None:
    network = lively(architecture)
    before = answers(network)
    assert len({tuple(row) for row in before.tolist()}) == 3, "the keypoints must differ"
    changed, built_of = with_keypoints(network, architecture, NAMES, after)
    found = answers(changed)
    assert found.shape[0] == built_of["keypoints"] == len(after)
    assert {**built_of, "keypoints": 3} == architecture
    for index, name in enumerate(after):
        if name in NAMES:
            # Convolutions of another width may add up in another order: a last bit, no more.
            torch.testing.assert_close(found[index], before[NAMES.index(name)], rtol=1e-5, atol=1e-4)
        else:
            assert torch.isfinite(found[index]).all()
    assert torch.equal(answers(network), before), "the network itself is left as it is"


@both
def test_the_weights_of_kept_keypoints_are_theirs_to_the_last_bit(architecture: dict[str, Any]) -> None:
    network = lively(architecture)
    changed, _ = with_keypoints(network, architecture, NAMES, ("ahead", "new", "bright"))
    old, new = network.state_dict(), changed.state_dict()
    heads = 0
    for name, value in new.items():
        if value.shape == old[name].shape and not torch.equal(value, old[name]):
            heads += 1
            mine, theirs = (each.unflatten(0, (3, -1)) for each in (value, old[name]))
            assert torch.equal(mine[0], theirs[2])
            assert torch.equal(mine[2], theirs[0])
            torch.testing.assert_close(mine[1], theirs.mean(dim=0))
    assert heads == (3 if architecture["name"] == "small" else 6)


@both
def test_a_keypoint_may_have_another_name(architecture: dict[str, Any]) -> None:
    network = lively(architecture)
    renamed = ["nose", "faint", "ahead"]
    changed, _ = with_keypoints(network, architecture, renamed, ["ahead", "nose"])
    torch.testing.assert_close(answers(changed), answers(network)[[2, 0]], rtol=1e-5, atol=1e-4)
