"""What a manifest tells of the recordings that an engine learnt from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from rtface.track.manifest import Manifest

Training = Literal["trained on", "not trained on", "not known"]

_FILE_ENDINGS = (".mp4", ".avi", ".mkv", ".mov", ".mj2", ".wmv", ".m4v", ".mpg", ".mpeg", ".tif", ".tiff")


def training_on(manifest: Manifest, video: str) -> Training:
    """Tell whether an engine learnt from frames of a recording.

    Recordings are told apart by name alone; a video file's ending does not count. One of which some frames were
    held out counts as trained on. An engine that began with another's weights may know what that one learnt from,
    which its manifest does not tell: a recording that it does not name is then not known.

    Parameters
    ----------
    manifest : Manifest
    video : str
        The recording's name, as label sets have it.
    """
    training, name = manifest.training, _plain(video)
    named = _names(training.get("recordings"))
    if name in named or name in _trained_on_all(manifest):
        return "trained on"
    held_out = training.get("held_out")
    apart = {_plain(held_out)} if isinstance(held_out, str) else set[str]()
    if isinstance(held_out, Mapping):
        apart = _names(held_out.get("recordings"))
    if name in apart or (named and not _began_elsewhere(training)):
        return "not trained on"
    return "not known"


def origin_in_words(manifest: Manifest) -> str:
    """Return what a manifest says of the training, for a person who has to judge by it; empty if nothing."""
    training = manifest.training
    words = [
        f"{what} {training[key]}"
        for key, what in (
            ("data", "trained on"),
            ("parent", "adapted from"),
            ("distilled_from", "distilled from"),
            ("started_from", "begun with the weights of"),
            ("imported_from", "imported from"),
        )
        if isinstance(training.get(key), str)
    ]
    return ", ".join(words)


def _began_elsewhere(training: Mapping[str, Any]) -> bool:
    """Whether weights or labels came from where the manifest does not tell the recordings."""
    return any(training.get(key) for key in ("parent", "started_from", "labelled_frames"))


def _trained_on_all(manifest: Manifest) -> set[str]:
    """Return the recordings that an engine of `rtface.learn.ship` was trained on, judged by one left out at a time."""
    by_video = manifest.metrics.get("held_out")
    if (
        "data" not in manifest.training
        or "held_out" in manifest.training
        or not isinstance(by_video, Mapping)
    ):
        return set()
    return _names(name for name, figures in by_video.items() if isinstance(figures, Mapping))


def _names(names: object) -> set[str]:
    return {_plain(str(name)) for name in names} if isinstance(names, Iterable) else set()


def _plain(name: str) -> str:
    ending = next((ending for ending in _FILE_ENDINGS if name.lower().endswith(ending)), "")
    return name[: len(name) - len(ending)]
