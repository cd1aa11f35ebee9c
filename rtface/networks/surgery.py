"""Other keypoints for a trained network: the weights of the kept ones stay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from rtface.networks.build import HEADS, build_network
from rtface.networks.graph import NetworkWithDecode


def with_keypoints(
    network: NetworkWithDecode, architecture: Mapping[str, Any], before: Sequence[str], after: Sequence[str]
) -> tuple[NetworkWithDecode, dict[str, Any]]:
    """Return a network for the keypoints `after` that finds those of `before` as `network` does.

    New keypoints start from the mean of all old ones' outputs, which is nearer to a map of anything than random
    numbers are, and from the mean of their scores' calibration.

    Parameters
    ----------
    network : NetworkWithDecode
        Left as it is.
    architecture : mapping
        What it was built of.
    before, after : sequence of str
        Names of the keypoints, in the order of the outputs.

    Returns
    -------
    network : NetworkWithDecode
    architecture : dict
        What it is built of.
    """
    changed = dict(architecture) | {"keypoints": len(after)}
    fresh = build_network(changed)
    place = {name: index for index, name in enumerate(before)}
    heads = {f"network.{head}.{part}" for head in HEADS[changed["name"]] for part in ("weight", "bias")}
    state = network.state_dict()
    for name, value in state.items():
        if name in heads or name == "decode.intercept":
            state[name] = _rearranged(value.unflatten(0, (len(before), -1)), place, after).flatten(0, 1)
    fresh.load_state_dict(state)
    return fresh, changed


def _rearranged(values: Tensor, place: Mapping[str, int], names: Sequence[str]) -> Tensor:
    mean = values.mean(dim=0)
    return torch.stack([values[place[name]] if name in place else mean for name in names])
