"""From a trained network to an engine's folder: the one place that gathers a manifest's fields."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from rtface.core.clock import utc
from rtface.learn.engines.onnx_export import columns, export_onnx
from rtface.learn.engines.sureness import folded_alike, held_back
from rtface.learn.engines.viewmaking import view_of_network
from rtface.learn.tracker.samples import Picture
from rtface.networks.graph import NetworkWithDecode
from rtface.track.manifest import (
    MODEL_FILE,
    WEIGHTS_FILE,
    DecodeSpec,
    InputSpec,
    KeypointEntry,
    LevelsSpec,
    ResampleSpec,
    ScoreSpec,
)
from rtface.track.store import Engine, write_engine
from rtface.track.view import write_view


def today() -> str:
    """Return the date in UTC, ISO 8601."""
    return utc().date().isoformat()


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What is stated of a network beyond its weights; becomes the fields of its `Manifest`.

    Attributes
    ----------
    architecture : mapping
        As of `build_network`; its ``name`` is the engine's family, which sets the columns of the decode.
    keypoints : sequence of KeypointEntry
        In the order of the network's outputs.
    description, licence : str
        For people.
    decode : str
        How a keypoint is found in the maps, in words.
    score : ScoreSpec
        What the score means.
    input_size : int
        Longer side of the network's input in pixels.
    resample : ResampleSpec
        How the crop becomes the network's input.
    normalise : LevelsSpec
        How gray levels are scaled.
    training, metrics : mapping
        For the record.
    created : str
        Date, ISO 8601.
    """

    architecture: Mapping[str, Any]
    keypoints: Sequence[KeypointEntry]
    description: str
    licence: str
    decode: str
    score: ScoreSpec
    input_size: int = 256
    resample: ResampleSpec = ResampleSpec(half_pixel=True)  # noqa: RUF009  (frozen)
    normalise: LevelsSpec = LevelsSpec()  # noqa: RUF009  (frozen)
    training: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    created: str = field(default_factory=today)

    @property
    def family(self) -> str:
        """The architecture's name."""
        return str(self.architecture["name"])


def save_engine(
    network: NetworkWithDecode,
    folder: Path,
    card: ModelCard,
    *,
    folded: nn.Module | None = None,
    views: Sequence[Picture] = (),
    overwrite: bool = False,
) -> Engine:
    """Make an engine's folder of a network: its graph, its weights and its manifest.

    First it is run on pictures without a face (`rtface.learn.engines.sureness`): scores that are sure there are
    lowered, which the manifest's ``metrics.no_face`` records.

    Parameters
    ----------
    network : NetworkWithDecode
        What ``card.architecture`` builds, trained; its ``state_dict`` is the engine's weights.
    folder : Path
        The engine's folder; its name is the engine's name.
    card : ModelCard
        What is stated of it.
    folded : Module or None
        An equal network that is faster, to be exported in the place of `network`.
    views : sequence of Picture
        Frames that it was trained on: what a proper view looks like is made from them (`rtface.learn.engines.viewmaking`) and
        kept beside the manifest. Without any, or where views cannot be told, the engine keeps none.
    overwrite : bool
        Replace an engine that is there.

    Raises
    ------
    UsageError
        The network's output is not what its family's decode gives.
    EngineError
        The folder exists, cannot be written, or the card makes no manifest.
    """
    held, no_face = held_back(
        network,
        card.keypoints,
        input_size=card.input_size,
        square=card.resample.square,
        normalise=card.normalise,
    )
    if isinstance(folded, NetworkWithDecode) and held is not network:
        folded = folded_alike(folded, held)
    view = view_of_network(
        held,
        card.keypoints,
        views,
        input_size=card.input_size,
        square=card.resample.square,
        normalise=card.normalise,
    )
    with tempfile.TemporaryDirectory() as made:
        model, weights = Path(made) / MODEL_FILE, Path(made) / WEIGHTS_FILE
        export_onnx(
            (folded or held).eval(),
            model,
            family=card.family,
            input_size=card.input_size,
            square=card.resample.square,
        )
        torch.save(held.state_dict(), weights)
        fields = {
            "description": card.description,
            "created": card.created,
            "licence": card.licence,
            "architecture": dict(card.architecture),
            "keypoints": tuple(card.keypoints),
            "input": InputSpec(size=card.input_size),
            "normalise": card.normalise,
            "resample": card.resample,
            "decode": DecodeSpec(method=card.decode, columns=columns(card.family)),
            "score": card.score,
            "training": dict(card.training),
            "metrics": {**card.metrics, "no_face": no_face},
        }
        return write_engine(
            folder,
            {MODEL_FILE: model, WEIGHTS_FILE: weights},
            fields,
            more=partial(write_view, view=view),
            overwrite=overwrite,
        )
