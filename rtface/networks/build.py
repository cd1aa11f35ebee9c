"""From a manifest's architecture and a file of weights to a network that runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from rtface.core.errors import EngineError
from rtface.networks import facemap, small
from rtface.networks.facemap import FacemapNetwork
from rtface.networks.graph import EngineGraph, FacemapDecode, NetworkWithDecode
from rtface.networks.small import SmallDecode, SmallNetwork


def _facemap(keypoints: int, **arguments: Any) -> NetworkWithDecode:
    return NetworkWithDecode(FacemapNetwork(keypoints=keypoints, **arguments), FacemapDecode())


def _small(keypoints: int, **arguments: Any) -> NetworkWithDecode:
    return NetworkWithDecode(SmallNetwork(keypoints, **arguments), SmallDecode(keypoints))


ARCHITECTURES: dict[str, Callable[..., NetworkWithDecode]] = {"facemap": _facemap, "small": _small}
"""Name to a network with its decode."""

HEADS = {"facemap": ("Conv2_1x1.conv0", "Conv2_1x1.conv1", "Conv2_1x1.conv2"), "small": ("heads",)}
"""Name to those modules of its network that have one output a keypoint."""


def build_network(architecture: Mapping[str, Any]) -> NetworkWithDecode:
    """Build a network with its decode, of random weights.

    Parameters
    ----------
    architecture : mapping
        ``name``, one of `ARCHITECTURES`, and the arguments of its network.

    Raises
    ------
    EngineError
        The name is unknown or the arguments do not fit.
    """
    arguments = dict(architecture)
    name = arguments.pop("name", None)
    if name not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise EngineError(f"the architecture {name!r} is unknown to this version of rtface; it knows {known}")
    try:
        return ARCHITECTURES[name](**arguments)
    except TypeError as error:
        raise EngineError(f"the architecture {name} cannot be built of {arguments}: {error}") from error


def build_graph(
    architecture: Mapping[str, Any], weights: Path, size: int, square: bool, engine: Path
) -> EngineGraph:
    """Build all of an engine in torch: raw pixels in, keypoints out, in evaluation mode.

    Parameters
    ----------
    architecture : mapping
        As of `build_network`.
    weights : Path
        ``state_dict`` of the network with its decode; read as tensors only.
    size : int
        Longer side of the network's input in pixels.
    square : bool
        Whether the network's input is square.
    engine : Path
        The engine's folder, for messages.

    Raises
    ------
    EngineError
        The weights do not fit the architecture.
    """
    network = build_network(architecture)
    try:
        network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    except Exception as error:  # torch raises nearly anything on a file that is not its own
        raise EngineError(f"{engine}: {weights.name} does not fit its architecture: {error}") from error
    return EngineGraph(network, size, square).eval()


def fold_batch_norm(network: torch.nn.Module) -> torch.nn.Module:
    """Return a copy of a network, without its decode, with batch normalisations folded into convolutions."""
    if isinstance(network, FacemapNetwork):
        return facemap.fold_batch_norm(network)
    if isinstance(network, SmallNetwork):
        return small.fold_batch_norm(network)
    raise EngineError(
        f"rtface does not know how to fold the batch normalisations of {type(network).__name__}"
    )
