"""An engine in torch, built from its weights: for the back ends that torch runs, and for training. Needs torch."""

from __future__ import annotations

import torch

from rtface.core.errors import EngineError
from rtface.networks.build import build_network
from rtface.networks.graph import EngineGraph, NetworkWithDecode
from rtface.track.manifest import WEIGHTS_FILE
from rtface.track.store import Engine


def torch_graph(engine: Engine) -> EngineGraph:
    """Build all of an engine in torch: raw pixels in, keypoints out, in evaluation mode.

    Raises
    ------
    EngineError
        The engine has no weights, its architecture is unknown, or the weights do not fit it.
    """
    manifest = engine.manifest
    network = torch_network(engine)
    return EngineGraph(network, manifest.input.size, manifest.resample.square).eval()


def torch_network(engine: Engine) -> NetworkWithDecode:
    """Build an engine's network with its decode in torch, in evaluation mode: prepared image in, keypoints out.

    Raises
    ------
    EngineError
        As of `torch_graph`.
    """
    weights = engine.file(WEIGHTS_FILE)
    network = build_network(engine.manifest.architecture)
    try:
        network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    except Exception as error:  # torch raises nearly anything on a file that is not its own
        raise EngineError(
            f"{engine.folder}: {weights.name} does not fit its architecture: {error}"
        ) from error
    return network.eval()
