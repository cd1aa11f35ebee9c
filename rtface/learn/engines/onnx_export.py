"""From a network in torch to the `model.onnx` of an engine."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path

import onnx
import torch
from torch import nn

from rtface.core.errors import EngineError, UsageError
from rtface.networks.graph import EngineGraph

OPSET = 17
SCHEMA = "rtface.engine/1"
"""Value of the ONNX property `rtface.schema`: the inputs, the output and their meaning, as in `EngineGraph`."""

COLUMNS = {"facemap": ("x", "y", "score", "likelihood")}
"""Columns of the output by family; families that are not named here have x, y, score."""

_TRACED_SHAPE = (96, 72)


def columns(family: str) -> tuple[str, ...]:
    """Return the names of the output's columns for a family of engines."""
    return COLUMNS.get(family, ("x", "y", "score"))


def export_onnx(
    network_with_decode: nn.Module,
    path: Path,
    *,
    family: str,
    input_size: int = 256,
    square: bool = True,
    properties: Mapping[str, str] | None = None,
) -> Path:
    """Write an engine's `model.onnx`: preprocessing, network and decode in one graph, in float32.

    Inputs are ``image``, uint8 of shape (1, 1, H, W) with H and W free, and ``levels``, float32 of shape (2,);
    the output is ``keypoints``, float32 of shape (1, K, C). See `EngineGraph` for their meaning.

    Parameters
    ----------
    network_with_decode : Module
        As `EngineGraph` takes it. It is put into evaluation mode and moved to the CPU.
    path : Path
        The file to write; its folder must exist.
    family : str
        The engine's family, e.g. ``facemap``: it sets the columns of the output.
    input_size : int
        Longer side of the network's input in pixels.
    square : bool
        Whether that input is square; see `PadResize`.
    properties : mapping of str to str, optional
        Further ONNX metadata.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    UsageError
        The module's output is not (1, K, C) float32 with the family's columns.
    EngineError
        The file cannot be written.
    """
    graph = EngineGraph(network_with_decode, input_size, square).to("cpu", torch.float32).eval()
    image = torch.randint(0, 256, (1, 1, *_TRACED_SHAPE), dtype=torch.uint8)
    levels = torch.tensor([16.0, 235.0])
    names = columns(family)
    with torch.no_grad():
        keypoints = graph(image, levels)
    if keypoints.ndim != 3 or keypoints.shape[0] != 1 or keypoints.shape[2] != len(names):
        raise UsageError(
            f"an engine of the family {family!r} must give keypoints of shape (1, K, {len(names)}) "
            f"({', '.join(names)}), not {tuple(keypoints.shape)}"
        )
    try:
        _trace(graph, image, levels, path)
        _annotate(path, {"rtface.schema": SCHEMA, "rtface.family": family, **(properties or {})})
    except OSError as error:
        raise EngineError(f"cannot write the engine to {path}: {error}") from error
    return path


def _trace(graph: EngineGraph, image: torch.Tensor, levels: torch.Tensor, path: Path) -> None:
    """Export by tracing: the same in all releases from 2.6 on, and it needs no package beyond onnx."""
    with warnings.catch_warnings():
        for message in (
            "You are using the legacy TorchScript-based ONNX export",
            "The feature will be removed",
        ):
            warnings.filterwarnings("ignore", message, DeprecationWarning)
        torch.onnx.export(
            graph,
            (image, levels),
            str(path),
            dynamo=False,
            opset_version=OPSET,
            input_names=["image", "levels"],
            output_names=["keypoints"],
            dynamic_axes={"image": {2: "height", 3: "width"}},
        )


def _annotate(path: Path, properties: Mapping[str, str]) -> None:
    """Check the written file and add its metadata."""
    model = onnx.load(str(path))
    onnx.helper.set_model_props(model, dict(properties))
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))
