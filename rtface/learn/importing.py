"""Facemap weights into an engine."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from rtface.clock import NS_PER_S, wall_ns
from rtface.learn.export import columns, export_onnx
from rtface.learn.facemap_weights import FacemapWeights, load_facemap_weights, network_from_weights
from rtface.track.manifest import (
    MODEL_FILE,
    WEIGHTS_FILE,
    DecodeSpec,
    InputSpec,
    KeypointEntry,
    ResampleSpec,
    ScoreSpec,
)
from rtface.track.store import Engine, file_hash, write_engine

INPUT_SIZE = 256
FAMILY = "facemap"


def import_facemap(weights: Path, params: Path | None, folder: Path, *, overwrite: bool = False) -> Engine:
    """Make an engine of a Facemap weights file.

    Parameters
    ----------
    weights : Path
        Facemap's published or a user's refined ``state_dict``.
    params : Path or None
        Facemap's parameter file; without it widths come from the tensors and names are Facemap's.
    folder : Path
        The engine's folder; its name is the engine's name.
    overwrite : bool
        Replace an engine that is there.

    Raises
    ------
    EngineError
        The file is missing, truncated, foreign or unsafe, or the folder cannot be written.
    """
    loaded = load_facemap_weights(weights, params)
    with tempfile.TemporaryDirectory() as made:
        model, plain = Path(made) / MODEL_FILE, Path(made) / WEIGHTS_FILE
        export_onnx(network_from_weights(loaded), model, family=FAMILY, input_size=INPUT_SIZE)
        torch.save({f"network.{name}": tensor for name, tensor in loaded.state_dict.items()}, plain)
        files = {MODEL_FILE: model, WEIGHTS_FILE: plain}
        return write_engine(folder, files, _fields(loaded, weights), overwrite=overwrite)


def _fields(loaded: FacemapWeights, weights: Path) -> dict[str, Any]:
    today = datetime.fromtimestamp(wall_ns() / NS_PER_S, UTC).date().isoformat()
    return {
        "description": f"Facemap's tracker network, widths {', '.join(map(str, loaded.channels))}",
        "created": today,
        "licence": "that of the imported weights",
        "architecture": {
            "name": FAMILY,
            "channels": list(loaded.channels),
            "keypoints": len(loaded.bodyparts),
        },
        "keypoints": tuple(KeypointEntry(name=name) for name in loaded.bodyparts),
        "input": InputSpec(size=INPUT_SIZE),
        "resample": ResampleSpec(half_pixel=False),
        "decode": DecodeSpec(method="argmax of the heatmap, plus offsets there", columns=columns(FAMILY)),
        "score": ScoreSpec(
            definition="share of the heatmap's mass within 3 cells (12 network pixels) of its peak",
            calibrated=False,
        ),
        "training": {"imported_from": weights.name, "sha256": file_hash(weights)},
    }
