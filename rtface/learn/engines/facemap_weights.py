"""Facemap's weight files: where they come from, and how they are read without trusting them.

Weights are loaded as tensors only (`torch.load(weights_only=True)`), so code pickled into a file never runs.
The widths of the network are not written in the weights' file name or in Facemap's code: they stand in its
parameter file and, redundantly, in the shapes of the tensors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from rtface.core.errors import EngineError
from rtface.core.records import FACEMAP_KEYPOINTS
from rtface.learn.labels.formats.facemap import OLD_NAMES
from rtface.networks.facemap import BLOCKS, FacemapNetwork, fold_batch_norm
from rtface.networks.graph import FacemapDecode, NetworkWithDecode

_LARGEST_WIDTH = 4096


class FacemapWeights(NamedTuple):
    """What a weight file holds.

    Attributes
    ----------
    state_dict : dict of str to Tensor
        Parameters and statistics, float32 but for the counters, under Facemap's names.
    channels : tuple of 5 int
        Widths of the encoder's blocks.
    bodyparts : tuple of str
        Names of the keypoints in the order of the outputs.
    """

    state_dict: dict[str, Tensor]
    channels: tuple[int, ...]
    bodyparts: tuple[str, ...]


def load_facemap_weights(path: Path, params: Path | None = None) -> FacemapWeights:
    """Read a weight file of Facemap, the published one or a user's own.

    Parameters
    ----------
    path : Path
        The state file (``facemap_model_state.pt`` or a refined model's ``.pt``).
    params : Path, optional
        Facemap's parameter file (``facemap_model_params.pth``). Its widths must agree with the tensors; its
        names of keypoints are used. Without it the widths are inferred, and 15 keypoints are Facemap's.

    Returns
    -------
    FacemapWeights

    Raises
    ------
    EngineError
        A file is missing, damaged, holds code, or is not of a Facemap network; the message names the file.
    """
    state = _check_names(load_tensors(path, "weight"), path)
    channels, keypoints = _infer_widths(state, path)
    _check_tensors(state, channels, keypoints, path)
    bodyparts: tuple[str, ...] | None = None
    if params is not None:
        stated, bodyparts = _read_params(params)
        if stated is not None and stated != channels:
            raise EngineError(
                f"{params} states the widths {list(stated)}, but the tensors of {path} have "
                f"{list(channels)}: the two files do not belong together"
            )
    if bodyparts is None:
        if keypoints != len(FACEMAP_KEYPOINTS):
            raise EngineError(
                f"{path} has {keypoints} keypoints and not Facemap's {len(FACEMAP_KEYPOINTS)}: give the "
                "parameter file that names them"
            )
        bodyparts = FACEMAP_KEYPOINTS
    if len(bodyparts) != keypoints:
        raise EngineError(f"{params} names {len(bodyparts)} keypoints, but {path} has {keypoints}")
    state = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    return FacemapWeights(state, channels, bodyparts)


def network_from_weights(weights: FacemapWeights) -> NetworkWithDecode:
    """Return the network with its decode, folded and in evaluation mode, ready for `export_onnx`."""
    network = FacemapNetwork(weights.channels, len(weights.bodyparts))
    network.load_state_dict(weights.state_dict, strict=True)
    return NetworkWithDecode(fold_batch_norm(network), FacemapDecode()).eval()


def load_tensors(path: Path, kind: str) -> object:
    """Read tensors and plain containers from a file of torch; anything else in it is refused."""
    if not path.is_file():
        raise EngineError(f"the {kind} file {path} does not exist")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    # A damaged file makes torch raise nearly anything, and what it raises differs between its releases.
    except Exception as error:
        if "weights_only" in str(error) or "Unsupported" in str(error):
            reason = "it holds pickled objects other than tensors and plain containers, which are never run"
        else:
            reason = "it is truncated, or not a file saved by torch"
        detail = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise EngineError(f"cannot read the {kind} file {path}: {reason} ({detail})") from error


def _check_names(content: object, path: Path) -> dict[str, Tensor]:
    """Return the content if it is a mapping with the names of a Facemap network's tensors."""
    if not isinstance(content, Mapping):
        raise EngineError(f"{path} holds a {type(content).__name__}, not the state_dict of a network")
    with torch.device("meta"):
        expected = list(FacemapNetwork([1] * BLOCKS, 1).state_dict())
    missing = [name for name in expected if not isinstance(content.get(name), Tensor)]
    unexpected = [str(name) for name in content if name not in set(expected)]
    if missing or unexpected:
        faults = [f"lacks {_some(missing)}"] if missing else []
        faults += [f"has the unknown {_some(unexpected)}"] if unexpected else []
        raise EngineError(f"{path} is not of a Facemap tracker network: it {' and '.join(faults)}")
    return {name: content[name] for name in expected}


def _some(names: Sequence[str]) -> str:
    rest = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + rest


def _infer_widths(state: Mapping[str, Tensor], path: Path) -> tuple[tuple[int, ...], int]:
    """Return the encoder's widths and the number of keypoints, from the first convolution of each block."""
    heads = state["Conv2_1x1.conv0.bias"]
    convolutions = [state[f"Conv.conv{k}.conv.conv_0.{1 if k == 0 else 2}.weight"] for k in range(BLOCKS)]
    sizes = [tensor.shape[0] if tensor.ndim else 0 for tensor in (*convolutions, heads)]
    if not all(0 < size <= _LARGEST_WIDTH for size in sizes):
        raise EngineError(f"{path} states impossible widths {sizes[:-1]} or number of keypoints {sizes[-1]}")
    return tuple(sizes[:-1]), sizes[-1]


def _check_tensors(state: Mapping[str, Tensor], channels: Sequence[int], keypoints: int, path: Path) -> None:
    """Refuse tensors whose shape, kind or values cannot be those of a trained network."""
    with torch.device("meta"):
        expected = FacemapNetwork(channels, keypoints).state_dict()
    for name, tensor in state.items():
        if tensor.shape != expected[name].shape:
            raise EngineError(
                f"{path}: {name} has the shape {tuple(tensor.shape)}, but {tuple(expected[name].shape)} would "
                f"fit the widths {list(channels)}"
            )
        counter = name.endswith("num_batches_tracked")
        if tensor.layout != torch.strided or tensor.is_floating_point() == counter or tensor.is_complex():
            raise EngineError(f"{path}: {name} has the kind {tensor.dtype}, {tensor.layout}")
        if not counter and not bool(torch.isfinite(tensor).all()):
            raise EngineError(f"{path}: {name} has values that are not finite numbers")
        if name.endswith("running_var") and bool((tensor < 0).any()):
            raise EngineError(f"{path}: {name} has negative variances")


def _read_params(path: Path) -> tuple[tuple[int, ...] | None, tuple[str, ...] | None]:
    """Return widths and names of keypoints of a parameter file, each None where it states none."""
    content = load_tensors(path, "parameter")
    params = content.get("params") if isinstance(content, Mapping) else None
    if not isinstance(params, Mapping):
        raise EngineError(f'{path} is not a parameter file of Facemap: it has no "params"')
    channels, names = params.get("channels"), params.get("bodyparts")
    widths: tuple[int, ...] | None = None
    if channels is not None:
        if not isinstance(channels, Sequence | Tensor) or not all(_whole(width) for width in channels):
            raise EngineError(f'{path}: "channels" is not a list of whole numbers')
        widths = tuple(int(width) for width in channels)
    if names is None:
        return widths, None
    if (
        isinstance(names, str)
        or not isinstance(names, Sequence)
        or not all(isinstance(name, str) for name in names)
        or len(set(names)) != len(names)
    ):
        raise EngineError(f'{path}: "bodyparts" is not a list of different names')
    return widths, tuple(OLD_NAMES.get(str(name), str(name)) for name in names)


def _whole(value: object) -> bool:
    if isinstance(value, Tensor):
        return value.ndim == 0 and not value.is_floating_point()
    return isinstance(value, int) and not isinstance(value, bool)
