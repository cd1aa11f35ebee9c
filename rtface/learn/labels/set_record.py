"""What is kept beside a public label set: what it is, where it came from, and the licence that it is under.

`rtface learn fetch` writes it. Whatever reads labels of the set carries it on, so that an engine that learns from them
states their licence.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from rtface.core.errors import DataError
from rtface.core.files import visible, write_json

DATA_FOLDER, FILE_STEM = "labeled-data", "CollectedData"
"""Of DeepLabCut and Lightning Pose: the folder of images, and the beginning of the tables' names."""

RECORD_FILE = "rtface-set.json"
"""In a set's folder: what it is, where it came from, and under which licence."""


ORIGINS_FILE = "rtface-origins.json"
"""Beside labels that were copied from public sets (`learn labels --out`): the records of these."""


@dataclass(frozen=True, slots=True)
class SetRecord:
    """What is known of a label set that was fetched.

    Attributes
    ----------
    name, title, licence, licence_url, citation, layout
        As in the catalogue.
    pages : tuple of str
    url : str
        Where it came from; a path where it was there already.
    sha256 : str or None
        Of the file that came; None for a folder that was there already.
    licence_accepted, rtface : str
        When, and with which version.
    frames, labels : int
    keypoints : tuple of str
        After renaming.
    renames : dict of str to str
        The set's names of keypoints to ours, as far as it has them.
    """

    name: str
    title: str
    licence: str
    licence_url: str
    citation: str
    layout: str
    pages: tuple[str, ...]
    url: str
    sha256: str | None
    licence_accepted: str
    rtface: str
    frames: int
    labels: int
    keypoints: tuple[str, ...]
    renames: dict[str, str]

    @property
    def non_commercial(self) -> bool:
        """Whether its licence forbids commercial use."""
        return is_non_commercial(self.licence)

    def origin(self) -> dict[str, Any]:
        """Return what an engine's manifest keeps of it."""
        kept = ("name", "title", "licence", "licence_url", "citation", "url", "sha256")
        return {name: value for name, value in asdict(self).items() if name in kept}


def is_non_commercial(licence: str) -> bool:
    """Return whether a licence, by its name, forbids commercial use."""
    words = licence.upper().replace("-", " ").split()
    return "NC" in words or "NONCOMMERCIAL" in "".join(words)


def licence_in_words(origins: Sequence[SetRecord], own: str) -> str:
    """Return the licence of what learns from public sets, beside one's own labels' or another engine's.

    Parameters
    ----------
    origins : sequence of SetRecord
    own : str
        The licence without them.
    """
    if not origins:
        return own
    sets = ", ".join(f"{each.name} ({each.licence})" for each in origins)
    limits = "; not for commercial use" if any(each.non_commercial for each in origins) else ""
    return f"{own}; learnt from {sets}{limits}"


def write_origins(folder: Path, origins: Sequence[SetRecord]) -> None:
    """Write which public sets a label set's frames are of; no file where they are of none."""
    if origins:
        write_json(folder / ORIGINS_FILE, [asdict(each) for each in origins])


def read_origins(folder: Path) -> tuple[SetRecord, ...]:
    """Return which public sets a label set's frames are of, as `write_origins` wrote it; `DataError` where it is damaged."""
    file = folder / ORIGINS_FILE
    if not file.is_file():
        return ()
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
        return tuple(_record_of(each) for each in kept)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{file} is damaged: {error!r}") from error


def read_record(folder: Path) -> SetRecord | None:
    """Return what is known of a set by its folder, or by a folder above; None of labels of somebody's own.

    Raises
    ------
    DataError
        The record is damaged; the field is named.
    """
    file = next(
        (
            each / RECORD_FILE
            for each in (folder, *folder.absolute().parents)
            if (each / RECORD_FILE).is_file()
        ),
        None,
    )
    if file is None:
        return None
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
        return _record_of(kept)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{file} is damaged: {error!r}") from error


def _record_of(kept: dict[str, Any]) -> SetRecord:
    """Return a record of its fields; those that a newer rtface adds are left out."""
    values = {field.name: kept[field.name] for field in fields(SetRecord)}
    return SetRecord(**values | {"pages": tuple(values["pages"]), "keypoints": tuple(values["keypoints"])})


def set_sources(folder: Path, layout: str) -> tuple[Path, ...]:
    """Return what labels are read from in an unpacked set, wherever in it that lies.

    Raises
    ------
    DataError
        There is nothing of the layout.
    """
    found: list[Path] = []
    if layout in ("lightning-pose", "any"):
        found = sorted(
            {
                data.parent
                for data in _folders(folder, DATA_FOLDER)
                if any(data.parent.glob(f"{FILE_STEM}*.csv"))
            }
        )
    if not found and layout in ("facemap", "any"):
        found = sorted(visible(folder.rglob("*_Facemap_refined_data.npy")))
    if not found and layout == "any":
        found = sorted(visible(folder.rglob("labels.csv"))) or sorted(
            {data.parent for data in _folders(folder, DATA_FOLDER)} | set(visible(folder.rglob("*.slp")))
        )
    if not found:
        what = {
            "lightning-pose": f"no folder with {FILE_STEM}*.csv beside {DATA_FOLDER}",
            "facemap": "no *_Facemap_refined_data.npy",
        }.get(layout, "no labels of a format that rtface reads")
        raise DataError(f"{folder} is not laid out as a set of {layout} is: {what}")
    return tuple(found)


def _folders(folder: Path, name: str) -> list[Path]:
    return [each for each in visible(folder.rglob(name)) if each.is_dir()]
