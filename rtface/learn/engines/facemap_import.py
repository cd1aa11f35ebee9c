"""Facemap weights into an engine."""

from __future__ import annotations

from pathlib import Path

from rtface.core.files import file_hash
from rtface.learn.engines.bundle import ModelCard, save_engine
from rtface.learn.engines.facemap_weights import load_facemap_weights, network_from_weights
from rtface.networks.build import build_network
from rtface.track.manifest import KeypointEntry, ResampleSpec, ScoreSpec
from rtface.track.store import Engine


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
    card = ModelCard(
        architecture={
            "name": "facemap",
            "channels": list(loaded.channels),
            "keypoints": len(loaded.bodyparts),
        },
        keypoints=[KeypointEntry(name=name) for name in loaded.bodyparts],
        description=f"Facemap's tracker network, widths {', '.join(map(str, loaded.channels))}",
        licence="that of the imported weights",
        decode="argmax of the heatmap, plus offsets there",
        score=ScoreSpec(
            definition="share of the heatmap's mass within 3 cells (12 network pixels) of its peak",
            calibrated=False,
        ),
        resample=ResampleSpec(half_pixel=False),
        training={"imported_from": weights.name, "sha256": file_hash(weights)},
    )
    network = build_network(card.architecture)
    network.network.load_state_dict(loaded.state_dict, strict=True)
    return save_engine(network, folder, card, folded=network_from_weights(loaded), overwrite=overwrite)
