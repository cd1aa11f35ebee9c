"""Facemap's encoder weight files: what they are of is in the names and shapes of their arrays."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rtface.core.errors import EngineError
from rtface.learn.engines.facemap_weights import load_tensors
from rtface.networks.facemap_encoder import FacemapEncoder

_KERNELS = "core.features.wavelet0.weight"
_LATENT = "core.features.latent.0.weight"
_CORE = re.compile(r"core\.features\.linear(\d+)\.0\.weight")
_READOUT = re.compile(r"readout\.features\.linear(\d+)(?:_(\d+))?\.weight")
_LARGEST = 100_000


def read_facemap_encoder(
    path: Path, *, rectify_filters: bool = True, rectify_latents: bool = True
) -> tuple[FacemapEncoder, dict[str, Any]]:
    """Read a weight file of Facemap's encoder into our network, in evaluation mode.

    Parameters
    ----------
    path : Path
        ``model_*.pth``, a bare state_dict; read as tensors only, so code in it never runs.
    rectify_filters, rectify_latents : bool
        Facemap's switches of the two ReLUs, which the file does not hold.

    Returns
    -------
    network : FacemapEncoder
        Its kernels look half ahead, as Facemap's do.
    architecture : dict
        Its arguments.

    Raises
    ------
    EngineError
        The file is missing, damaged, holds code, or is not of a Facemap encoder; the message names file and array.
    """
    content = load_tensors(path, "weight")
    if not isinstance(content, Mapping) or not all(isinstance(each, Tensor) for each in content.values()):
        raise EngineError(f"{path} holds no state_dict of a network")
    state = {str(name): tensor for name, tensor in content.items()}
    architecture = infer_architecture(state, path)
    network = FacemapEncoder(**architecture, rectify_filters=rectify_filters, rectify_latents=rectify_latents)
    expected = network.state_dict()
    if state.keys() != expected.keys():
        off = sorted(state.keys() ^ expected.keys())[0]
        raise EngineError(
            f"{path} is not of a Facemap encoder: it {'lacks' if off in expected else 'has the unknown'} {off}"
        )
    for name, tensor in state.items():
        if tensor.shape != expected[name].shape:
            raise EngineError(
                f"{path}: {name} has the shape {tuple(tensor.shape)}, but {tuple(expected[name].shape)} would fit"
            )
        if not tensor.is_floating_point() or not bool(torch.isfinite(tensor).all()):
            raise EngineError(f"{path}: {name} is not of finite floating-point numbers")
    network.load_state_dict({name: tensor.float() for name, tensor in state.items()})
    return network.eval(), architecture | {
        "rectify_filters": rectify_filters,
        "rectify_latents": rectify_latents,
    }


def infer_architecture(state: Mapping[str, Tensor], path: Path) -> dict[str, Any]:
    """Return the arguments of `FacemapEncoder` from the shapes of a state_dict.

    Raises
    ------
    EngineError
        An array that is needed is missing or has an impossible shape.
    """
    for name, axes in ((_KERNELS, 3), (_LATENT, 2)):
        if name not in state or state[name].ndim != axes:
            raise EngineError(f"{path} is not of a Facemap encoder: it has no {name} of {axes} axes")
    filters, _, taps = state[_KERNELS].shape
    latents, width = state[_LATENT].shape
    core = {int(match[1]): name for name in state if (match := _CORE.fullmatch(name))}
    readout: dict[int, dict[int, str]] = {}
    for name in state:
        if match := _READOUT.fullmatch(name):
            readout.setdefault(int(match[2] or 0), {})[int(match[1])] = name
    if not readout:
        raise EngineError(f"{path} is not of a Facemap encoder: it has no readout.features.linear0.weight")
    several = any(
        "_" in name.rsplit("linear", 1)[1] for layers in readout.values() for name in layers.values()
    )
    outputs = [state[readout[animal][max(readout[animal])]].shape[0] for animal in sorted(readout)]
    first = state[core[1]].shape[1] if 1 in core else width
    identity = 0 not in core
    mixed = first // filters if identity else state[core[0]].shape[0]
    numbers = [filters, taps, latents, mixed, *outputs]
    if not all(0 < number <= _LARGEST for number in numbers):
        raise EngineError(f"{path} states impossible widths {numbers}")
    return {
        "inputs": mixed if identity else state[core[0]].shape[1],
        "outputs": outputs if several else outputs[0],
        "mixed": mixed,
        "filters": filters,
        "taps": taps,
        "hidden": state[core[1]].shape[0] if 1 in core else 50,
        "latents": latents,
        "identity": identity,
        "core_layers": 1 + len([layer for layer in core if layer > 0]),
        "readout_layers": len(readout[min(readout)]),
    }
