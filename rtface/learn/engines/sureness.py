"""No engine may be sure where there is no face: its scores are pulled down until it is not, or it is refused."""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import torch

from rtface.config import BackendSettings
from rtface.core.errors import EngineError
from rtface.core.records import FloatArray, Image
from rtface.learn.engines.no_face import no_face_pictures
from rtface.networks.graph import EngineGraph, NetworkWithDecode
from rtface.networks.small import SmallDecode
from rtface.track.gray_levels import levels
from rtface.track.manifest import KeypointEntry, LevelsSpec
from rtface.track.pictures import track_pictures
from rtface.track.store import Engine

SUREST = 0.5
"""Highest score where nothing looks like any part of a face: what rules ask for unless they say otherwise."""

SUREST_OF_BLOBS = 0.9
"""Highest score on blobs, which to a network of eyes and nostrils look like some."""

_SHAPE = (192, 256)
_log = logging.getLogger(__name__)
_MARGIN = 0.25
"""In log odds: how far below a limit a score is pulled, so that an export in int8, which shifts it a little, stays below."""
_LITTLE = 1e-3
_SHIFT = 0.01
"""What other arithmetic than that of the training may add to a score."""


@cache
def _bank() -> Mapping[str, Image]:
    return no_face_pictures(*_SHAPE)


def limits() -> FloatArray:
    """Return the highest score that is allowed on each picture of the bank, shape (P,)."""
    return np.array([SUREST_OF_BLOBS if "blobs" in name else SUREST for name in _bank()], np.float32)


@torch.no_grad()
def held_back(
    network: NetworkWithDecode,
    keypoints: Sequence[KeypointEntry],
    *,
    input_size: int,
    square: bool,
    normalise: LevelsSpec,
) -> tuple[NetworkWithDecode, dict[str, Any]]:
    """Return a network that is not sure of any trained point where there is no face, and what was found.

    Parameters
    ----------
    network : NetworkWithDecode
        Left as it is; the same object comes back where nothing is to be changed.
    keypoints : sequence of KeypointEntry
        Of its outputs.
    input_size, square, normalise
        As of the engine.

    Returns
    -------
    network : NetworkWithDecode
        With lower intercepts of its scores, where they had to be.
    record : dict
        For the manifest: ``pictures``, ``surest`` by keypoint (before), and ``lowered`` by keypoint, in log odds.

    Notes
    -----
    A network of a kind without calibration (Facemap's) comes back as it is, with a warning where it is sure.
    """
    shown = [
        (image, levels(image, normalise.low, normalise.high, normalise.row_step))
        for image in _bank().values()
    ]
    names = [entry.name for entry in keypoints]
    trained = np.array([entry.trained for entry in keypoints])
    calibrated = isinstance(network.decode, SmallDecode)

    def excess(of: NetworkWithDecode) -> tuple[FloatArray, FloatArray]:
        graph = EngineGraph(of, input_size, square).eval()
        found = [
            graph(torch.from_numpy(image)[None, None], torch.from_numpy(level))[0, :, 2].numpy()
            for image, level in shown
        ]
        score = np.stack(found)
        aim = _log_odds(limits()) - (_MARGIN if calibrated else 0)
        above = np.maximum(_log_odds(score) - aim[:, None], 0).max(axis=0)
        return score, np.where(trained, above, 0).astype(np.float32)

    score, above = excess(network)
    record = _record(score, names, trained)
    if not above.any():
        return network, record
    if not calibrated:
        _log.warning(
            "%s", _sure(record, "its kind has no calibration to lower; let no rule rest on its scores")
        )
        return network, record
    held, lowered = copy.deepcopy(network), np.zeros(len(names), np.float32)
    # A score that rounds to 1 hides how far beyond it lies: so more than once.
    while above.any():
        step = np.where(above > 0, above + _LITTLE, 0).astype(np.float32)
        held.decode.intercept -= torch.from_numpy(step)  # type: ignore[operator]
        lowered += step
        _, above = excess(held)
    return held, record | {
        "lowered": {name: round(float(by), 3) for name, by in zip(names, lowered, strict=True) if by}
    }


def check_not_sure(engine: Engine, settings: BackendSettings | None = None) -> dict[str, Any]:
    """Run an engine that cannot be changed any more, and refuse one that is sure where there is no face.

    Parameters
    ----------
    engine : Engine
        As written, in any precision.
    settings : BackendSettings or None
        What runs it.

    Returns
    -------
    dict
        The record for the manifest, as of `held_back`.

    Raises
    ------
    EngineError
        It is sure.
    """
    bank = dict(enumerate(_bank().values()))
    score = track_pictures(engine, bank, settings or BackendSettings(), None).score
    trained = np.array([entry.trained for entry in engine.manifest.keypoints])
    record = _record(score, engine.manifest.names, trained)
    above = np.where(trained, score - limits()[:, None] - _SHIFT, -1)
    if (above > 0).any():
        picture, keypoint = np.unravel_index(above.argmax(), above.shape)
        raise EngineError(
            f"not written: it is sure of {engine.manifest.names[keypoint]} ({score[picture, keypoint]:.2f}) in a picture "
            f"without a face ({list(_bank())[picture]}; at most {limits()[picture]:g} is allowed there): adapt, distil or train "
            "it again, which lowers its scores, and export that"
        )
    return record


def folded_alike(folded: NetworkWithDecode, held: NetworkWithDecode) -> NetworkWithDecode:
    """Return the network that is exported in another's place with that one's calibration."""
    result = copy.deepcopy(folded)
    result.decode.load_state_dict(held.decode.state_dict())
    return result


def _record(score: FloatArray, names: Sequence[str], trained: np.ndarray) -> dict[str, Any]:
    pictures = list(_bank())
    surest = {
        name: {"score": round(float(score[:, k].max()), 3), "picture": pictures[int(score[:, k].argmax())]}
        for k, name in enumerate(names)
        if trained[k]
    }
    return {"pictures": len(pictures), "limit": SUREST, "limit_of_blobs": SUREST_OF_BLOBS, "surest": surest}


def _sure(record: Mapping[str, Any], rest: str) -> str:
    name, worst = max(record["surest"].items(), key=lambda item: item[1]["score"])
    return (
        f"it is sure of {name} ({worst['score']:.2f}) in a picture without a face "
        f"({worst['picture']}; at most {SUREST:g} is allowed, {SUREST_OF_BLOBS:g} on blobs): {rest}"
    )


def _log_odds(score: FloatArray) -> FloatArray:
    share = np.clip(score.astype(np.float64), 1e-9, 1 - 1e-7)
    return np.asarray(np.log(share / (1 - share)), np.float64)
