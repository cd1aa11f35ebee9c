"""Running a network or an engine on the frames that it was trained on, and on foreign ones, to find what a proper view is."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import torch

from rtface.config import BackendSettings
from rtface.core.errors import DataError
from rtface.core.geometry import seen_mirrored, whole_frame
from rtface.core.records import Crop, FloatArray, Image
from rtface.learn.engines.no_face import no_face_pictures
from rtface.learn.engines.viewfit import fit_view
from rtface.learn.tracker.samples import Picture, plain_sample
from rtface.networks.graph import EngineGraph, NetworkWithDecode
from rtface.track.gray_levels import levels
from rtface.track.manifest import KeypointEntry, LevelsSpec
from rtface.track.pictures import PictureTracker
from rtface.track.store import Engine
from rtface.track.view import ViewModel

MOST_FRAMES = 200
"""Frames that a view is made from, at most, evenly spaced over what there is."""

_MOST_TURNED = 40
_BANK = (192, 256)
_Item = TypeVar("_Item")
_log = logging.getLogger(__name__)


@torch.no_grad()
def view_of_network(
    network: NetworkWithDecode,
    keypoints: Sequence[KeypointEntry],
    pictures: Sequence[Picture],
    *,
    input_size: int,
    square: bool,
    normalise: LevelsSpec,
) -> ViewModel | None:
    """Return what a proper view looks like to a network that was trained here.

    Foreign are the pictures of `no_face_pictures`, and the frames themselves upside down.

    Parameters
    ----------
    network : NetworkWithDecode
        As it will be written.
    keypoints : sequence of KeypointEntry
        Of its outputs.
    pictures : sequence of Picture
        What it was trained on.
    input_size, square, normalise
        As of the engine.

    Returns
    -------
    ViewModel or None
        None, with a warning that says why, where views cannot be told by this network, or there are no pictures.
    """
    if not pictures:
        return None
    network.eval()
    rows = [row for row, entry in enumerate(keypoints) if entry.trained]
    chosen = _spaced(pictures, MOST_FRAMES)
    prepared = [plain_sample(each, input_size, square=square)[0] for each in chosen]

    def find(images: Sequence[FloatArray]) -> FloatArray:
        found = [
            network(torch.from_numpy(np.ascontiguousarray(each))[None, None])[0].numpy() for each in images
        ]
        return np.array(found, np.float32)[:, rows]

    graph = EngineGraph(network, input_size, square).eval()
    bank = [
        graph(
            torch.from_numpy(image)[None, None],
            torch.from_numpy(levels(image, normalise.low, normalise.high, normalise.row_step)),
        )[0].numpy()[rows]
        for image in no_face_pictures(*_BANK).values()
    ]
    few = _spaced(prepared, _MOST_TURNED)
    try:
        return fit_view(
            [keypoints[row].name for row in rows],
            find(prepared),
            np.array(bank, np.float32),
            turned=find([each[::-1] for each in few]),
            mirrored=find([each[:, ::-1] for each in few]),
        )
    except DataError as error:
        _log.warning("the engine keeps no view: %s", error)
        return None


def view_of_engine(
    engine: Engine,
    images: Sequence[Image],
    *,
    crop: Crop | None = None,
    settings: BackendSettings | None = None,
    made_from: Mapping[str, Any] | None = None,
) -> ViewModel:
    """Return what a proper view looks like to an engine, from frames of its rig; foreign are those of `view_of_network`.

    Parameters
    ----------
    engine : Engine
        As written, in any precision.
    images : sequence of ndarray, shape (height, width), uint8
        Whole camera frames with the face in its usual place; of any sizes where there is no crop.
    crop : Crop or None
        The face in the frames; the whole frames when None.
    settings : BackendSettings or None
        What runs it.
    made_from : mapping, optional
        For the record.

    Raises
    ------
    DataError
        Views cannot be told by this engine; as of `fit_view`.
    """
    manifest = engine.manifest
    rows = [row for row, entry in enumerate(manifest.keypoints) if entry.trained]

    def find(shown: Sequence[Image], placed: Callable[[Crop, int, int], Crop] | None = None) -> FloatArray:
        return np.array([each[rows] for each in _outputs(engine, shown, crop, placed, settings)], np.float32)

    few = _spaced(images, _MOST_TURNED)
    bank = np.array(
        [
            each[rows]
            for each in _outputs(engine, list(no_face_pictures(*_BANK).values()), None, None, settings)
        ],
        np.float32,
    )
    return fit_view(
        [manifest.names[row] for row in rows],
        find(_spaced(images, MOST_FRAMES)),
        bank,
        turned=find([each[::-1] for each in few], _upside_down),
        mirrored=find([each[:, ::-1] for each in few], _mirrored),
        made_from=made_from,
    )


def _outputs(
    engine: Engine,
    images: Sequence[Image],
    crop: Crop | None,
    placed: Callable[[Crop, int, int], Crop] | None,
    settings: BackendSettings | None,
) -> list[FloatArray]:
    """Return x and y in pixels of the network's input and score for each keypoint, by image."""
    found: list[FloatArray] = [np.empty(0, np.float32)] * len(images)
    by_shape: dict[tuple[int, int], list[int]] = {}
    for index, image in enumerate(images):
        by_shape.setdefault((image.shape[0], image.shape[1]), []).append(index)
    for (height, width), indices in by_shape.items():
        seen = crop if crop is None or placed is None else placed(crop, width, height)
        frame = engine.manifest.network_frame(seen or whole_frame(width, height))
        with PictureTracker(engine, settings, seen) as tracker:
            for index in indices:
                pose = tracker.track(images[index])
                found[index] = np.column_stack([frame.to_network(pose.xy), pose.score]).astype(np.float32)
    return found


def _mirrored(crop: Crop, width: int, height: int) -> Crop:
    moved = seen_mirrored(crop, width)
    return Crop(moved.x, moved.y, moved.width, moved.height, crop.mirrored)


def _upside_down(crop: Crop, width: int, height: int) -> Crop:
    return Crop(crop.x, height - crop.y - crop.height, crop.width, crop.height, crop.mirrored)


def _spaced(items: Sequence[_Item], most: int) -> Sequence[_Item]:
    if len(items) <= most:
        return items
    return [items[index] for index in np.linspace(0, len(items) - 1, most).round().astype(int).tolist()]
