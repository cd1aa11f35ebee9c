"""From a trained encoder to ONNX, and proof that both give the same."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx.reference import ReferenceEvaluator

from rtface.core.errors import EngineError
from rtface.networks.encoder import EncoderNetwork

OPSET = 17
SCHEMA = "rtface.encoder/1"
TOLERANCE = 1e-4

_TRACED_FRAMES = 300
_CHECKED_FRAMES = 317


def export_encoder(network: EncoderNetwork, columns: int, path: Path) -> float:
    """Write an encoder as ONNX: ``inputs`` (T, D) to ``outputs`` (T, C) and ``latents`` (T, L), float32, T free.

    Parameters
    ----------
    network : EncoderNetwork
        Put into evaluation mode.
    columns : int
        D.
    path : Path

    Returns
    -------
    float
        Largest difference between ONNX's reference implementation and torch on random inputs of another length.

    Raises
    ------
    EngineError
        The file cannot be written, or what it computes differs.
    """
    network.eval()
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        torch.manual_seed(0)
        traced, checked = torch.randn(_TRACED_FRAMES, columns), torch.randn(_CHECKED_FRAMES, columns)
        for message in (
            "You are using the legacy TorchScript-based ONNX export",
            "The feature will be removed",
        ):
            warnings.filterwarnings("ignore", message, DeprecationWarning)
        warnings.filterwarnings("ignore", "Constant folding", UserWarning)
        try:
            torch.onnx.export(
                network,
                (traced,),
                str(path),
                dynamo=False,
                opset_version=OPSET,
                input_names=["inputs"],
                output_names=["outputs", "latents"],
                dynamic_axes={name: {0: "frames"} for name in ("inputs", "outputs", "latents")},
            )
            model = onnx.load(str(path))
            onnx.helper.set_model_props(
                model,
                {
                    "rtface.schema": SCHEMA,
                    "past": str(network.past),
                    "look_ahead": str(network.look_ahead),
                },
            )
            onnx.checker.check_model(model, full_check=True)
            onnx.save(model, str(path))
        except OSError as error:
            raise EngineError(f"cannot write the encoder to {path}: {error}") from error
    with torch.no_grad():
        expected = [part.numpy() for part in network(checked)]
    found = ReferenceEvaluator(model).run(["outputs", "latents"], {"inputs": checked.numpy()})
    off = max(
        float(np.abs(here - there).max() / max(1.0, np.abs(there).max()))
        for here, there in zip(found, expected, strict=True)
    )
    if not off <= TOLERANCE:
        raise EngineError(f"{path}: ONNX's outputs differ from torch's by {off:.2g}")
    return off
