"""What a proper view looks like to an engine: kept beside its manifest, in a file bound to it by its hash.

The file is not one of the manifest's, so an engine that was made, verified and recorded before can be given one and stays the
engine that it is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field, model_validator

from rtface.core.errors import EngineError
from rtface.core.files import file_hash, write_json
from rtface.core.manifest import ManifestPart, read_manifest
from rtface.track.store import MANIFEST_FILE, Engine

VIEW_FILE = "view.json"
FEWEST_POINTS = 4
"""Keypoints below which their places to each other say nothing: two lie as they should in any view."""


class ViewModel(ManifestPart):
    """Where keypoints lie to each other in the views that an engine was trained on, and how far others may differ."""

    model_config = ConfigDict(allow_inf_nan=False)

    rtface_view: Literal[1] = 1
    """Version of this schema."""
    keypoints: tuple[str, ...] = Field(min_length=FEWEST_POINTS)
    """Those that are looked at: the engine's trained ones."""
    shape: tuple[tuple[float, float], ...]
    """Their mean places after alignment, about their mean, with a root mean square distance of 1 from it."""
    reach: tuple[float, ...]
    """For each the distance from its place, in units of `shape`, that makes it count as 0.61 in its place."""
    size_px: tuple[float, float]
    """Smallest and largest root mean square distance of the keypoints from their mean, in pixels of the network's input."""
    turn_deg: tuple[float, float]
    """Least and greatest turn against `shape`."""
    both_ways: bool
    """Whether a mirrored face is one that the engine knows."""
    limit: float = Field(gt=0, lt=1)
    """Support below which a view is not known."""
    usual: float = Field(gt=0, le=1)
    """Median support of the frames that this was made from."""
    made_from: dict[str, Any] = Field(default_factory=dict)
    """How many frames and what else, for the record."""

    @model_validator(mode="after")
    def _consistent(self) -> ViewModel:
        if not len(self.keypoints) == len(self.shape) == len(self.reach):
            raise ValueError("keypoints, shape and reach are of different lengths")
        if len(set(self.keypoints)) < len(self.keypoints):
            raise ValueError("a keypoint is named twice")
        if min(self.reach) <= 0 or not 0 < self.size_px[0] <= self.size_px[1]:
            raise ValueError("reach and size_px are above 0, the smaller size first")
        if self.turn_deg[0] > self.turn_deg[1]:
            raise ValueError("turn_deg has the least turn first")
        if self.limit >= self.usual:
            raise ValueError("limit is not below usual")
        return self


class _ViewFile(ManifestPart):
    """A view model, and whose it is."""

    engine_sha256: str
    """Hash of the engine's manifest."""
    view: ViewModel


def read_view(engine: Engine) -> ViewModel | None:
    """Return the view model of an engine; None where it keeps none.

    Raises
    ------
    EngineError
        It is damaged, of another engine, or does not fit the engine's keypoints.
    """
    path = engine.folder / VIEW_FILE
    if not path.exists():
        return None
    kept = read_manifest(path, _ViewFile)
    if kept.engine_sha256 != engine.sha256:
        raise EngineError(
            f"{path} belongs to another engine, or {engine.manifest.name} was changed since: delete it, or make it again"
        )
    known = {entry.name for entry in engine.manifest.keypoints if entry.trained}
    if unknown := [name for name in kept.view.keypoints if name not in known]:
        raise EngineError(f"{path}: {engine.manifest.name} does not find {unknown[0]!r}")
    return kept.view


def write_view(folder: Path, view: ViewModel | None) -> None:
    """Put a view model, if there is one, beside an engine's manifest in place of one that is there; errors are `OSError`."""
    if view is None:
        return
    kept = _ViewFile(engine_sha256=file_hash(folder / MANIFEST_FILE), view=view)
    write_json(folder / VIEW_FILE, kept.model_dump(mode="json"))


def view_hash(engine: Engine) -> str | None:
    """Return the SHA-256 of an engine's view file, for the record; None where it keeps none."""
    path = engine.folder / VIEW_FILE
    return file_hash(path) if path.exists() else None


def view_in_words(view: ViewModel | None) -> str:
    """Return in words whether an engine can say that a view is one that it knows."""
    if view is None:
        return "it keeps no view: whether the face is in the picture cannot be told"
    frames = view.made_from.get("frames", "some")
    return f"its view was made from {frames} frames; less than {view.limit:.2f} of support is unknown to it"
