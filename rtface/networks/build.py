"""From a manifest's architecture to a network, of keypoints or of an encoder, of random weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch

from rtface.core.errors import EngineError, UsageError
from rtface.networks import facemap, small
from rtface.networks.causal_encoder import CausalEncoder
from rtface.networks.encoder import EncoderNetwork
from rtface.networks.facemap import FacemapNetwork
from rtface.networks.facemap_encoder import FacemapEncoder
from rtface.networks.graph import FacemapDecode, NetworkWithDecode
from rtface.networks.small import SmallDecode, SmallNetwork

_Network = TypeVar("_Network", bound=torch.nn.Module)


def _facemap(keypoints: int, **arguments: Any) -> NetworkWithDecode:
    return NetworkWithDecode(FacemapNetwork(keypoints=keypoints, **arguments), FacemapDecode())


def _small(keypoints: int, **arguments: Any) -> NetworkWithDecode:
    return NetworkWithDecode(SmallNetwork(keypoints, **arguments), SmallDecode(keypoints))


ARCHITECTURES: dict[str, Callable[..., NetworkWithDecode]] = {"facemap": _facemap, "small": _small}
"""Name to a network with its decode."""

ENCODERS: dict[str, Callable[..., EncoderNetwork]] = {"facemap": FacemapEncoder, "causal": CausalEncoder}
"""Name to an encoder."""

HEADS = {"facemap": ("Conv2_1x1.conv0", "Conv2_1x1.conv1", "Conv2_1x1.conv2"), "small": ("heads",)}
"""Name to those modules of its network that have one output a keypoint, or several that stand together."""


def build_network(architecture: Mapping[str, Any], seed: int | None = None) -> NetworkWithDecode:
    """Build a network with its decode, of random weights.

    Parameters
    ----------
    architecture : mapping
        ``name``, one of `ARCHITECTURES`, and the arguments of its network.
    seed : int or None
        What the weights hang on alone; when None on torch's generator.

    Raises
    ------
    EngineError
        The name is unknown or the arguments do not fit.
    """
    return _build(ARCHITECTURES, "architecture", architecture, seed)


def build_encoder(architecture: Mapping[str, Any], seed: int = 0) -> EncoderNetwork:
    """Build an encoder of random weights that hang on the seed alone.

    Parameters
    ----------
    architecture : mapping
        ``name``, one of `ENCODERS`, and the arguments of its class.
    seed : int

    Raises
    ------
    EngineError
        The name is unknown or the arguments do not fit.
    """
    return _build(ENCODERS, "encoder", architecture, seed)


def _build(
    known: Mapping[str, Callable[..., _Network]], what: str, architecture: Mapping[str, Any], seed: int | None
) -> _Network:
    arguments = dict(architecture)
    name = arguments.pop("name", None)
    if name not in known:
        raise EngineError(
            f"the {what} {name!r} is unknown to this version of rtface; there are {', '.join(known)}"
        )
    with torch.random.fork_rng(devices=[], enabled=seed is not None):
        if seed is not None:
            torch.manual_seed(seed)
        try:
            return known[name](**arguments)
        except (TypeError, UsageError) as error:
            raise EngineError(f"the {what} {name} cannot be built of {arguments}: {error}") from error


def fold_batch_norm(network: torch.nn.Module) -> torch.nn.Module:
    """Return a copy of a network, without its decode, with batch normalisations folded into convolutions."""
    if isinstance(network, FacemapNetwork):
        return facemap.fold_batch_norm(network)
    if isinstance(network, SmallNetwork):
        return small.fold_batch_norm(network)
    raise EngineError(
        f"rtface does not know how to fold the batch normalisations of {type(network).__name__}"
    )
