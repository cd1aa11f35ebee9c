"""The engines that can be named on this machine, as a page shows them."""

from __future__ import annotations

from typing import Any

from rtface.core.errors import EngineError
from rtface.core.files import file_hash
from rtface.track.parity import records_of
from rtface.track.store import (
    DEFAULT_ENGINE,
    MANIFEST_FILE,
    installed_engines,
    load_engine,
    read_manifest,
    user_folder,
)
from rtface.track.view import read_view, view_in_words


def engines_here() -> list[dict[str, Any]]:
    """Return all engines in a few words each: the user's own first, then those that come with rtface."""
    found = []
    for name, folder in installed_engines().items():
        try:
            manifest = read_manifest(folder / MANIFEST_FILE)
        except EngineError:
            continue
        found.append(
            {
                "engine": name,
                "own": folder.parent == user_folder(),
                "default": name == DEFAULT_ENGINE,
                "precision": manifest.precision,
                "what": manifest.description,
                "points": [entry.name for entry in manifest.keypoints if entry.trained],
            }
        )
    return sorted(found, key=lambda each: (not each["own"], not each["default"], each["engine"]))


def exported_from(name: str) -> str | None:
    """Return the name of the engine that another was exported from (int8, half precision); None of one that was not."""
    folder = installed_engines().get(name)
    try:
        source = (
            None if folder is None else read_manifest(folder / MANIFEST_FILE).training.get("exported_from")
        )
    except EngineError:
        return None
    return source if isinstance(source, str) else None


def engine_in_full(name: str) -> dict[str, Any]:
    """Return what is known of an engine: where it is from, its view, and on what it was verified here.

    Raises
    ------
    EngineError
        There is none of that name, or its files are damaged.
    """
    engine = load_engine(name)
    manifest = engine.manifest
    view = read_view(engine)
    records = records_of(file_hash(engine.folder / MANIFEST_FILE))
    return {
        "engine": manifest.name,
        "precision": manifest.precision,
        "licence": manifest.licence,
        "what": manifest.description,
        "points": [entry.name for entry in manifest.keypoints if entry.trained],
        "view": view is not None,
        "view_words": view_in_words(view),
        "view_limit": None if view is None else view.limit,
        "view_usual": None if view is None else view.usual,
        "view_made_from": {} if view is None else view.made_from,
        "parity": [
            {
                "ran": str(each.ran),
                "frames": each.frames.source,
                "count": each.frames.count,
                "agrees": each.agrees,
                "words": each.in_words(),
                "date": each.date,
            }
            for each in records
        ],
    }
