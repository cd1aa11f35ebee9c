"""Which recordings an engine was trained on, as far as its manifest states them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from rtface.acquire.recording import VIDEO_SUFFIXES
from rtface.track.manifest import Manifest

TrainedOn = Literal["trained on", "not trained on", "not known"]

_FILE_ENDINGS = (*sorted(VIDEO_SUFFIXES), ".tif", ".tiff")


def training_on(manifest: Manifest, video: str) -> TrainedOn:
    """Return whether an engine was trained on frames of a recording.

    Recordings are told apart by name alone; a video file's ending does not count. One of which some frames were
    held out counts as trained on. An engine that began with another's weights depends on what that one was trained on,
    which its manifest does not state: a recording that it does not name is then not known.

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
    """Return what a manifest states of the training, for people; empty if nothing."""
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
    """Return whether weights or labels came from where the manifest does not state the recordings."""
    return any(training.get(key) for key in ("parent", "started_from", "labelled_frames"))


def _trained_on_all(manifest: Manifest) -> set[str]:
    """Return the recordings that an engine of `bench.make.engine` was trained on, each of which was left out once to test on."""
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
