"""Keypoint files of other tools and our own, one module a format, chosen by name or by the file's ending.

pandas and h5py are imported when a file is written or read, not before.
"""

from __future__ import annotations

from pathlib import Path

from rtface.core.errors import DataError, UsageError
from rtface.core.extras import require
from rtface.record.formats.base import KeypointFormat, check_target
from rtface.record.formats.deeplabcut import DeepLabCutCsv, DeepLabCutHdf5
from rtface.record.formats.facemap import GROUP, Facemap
from rtface.record.formats.native import Native
from rtface.record.table import PoseTable

FORMATS: dict[str, KeypointFormat] = {
    each.name: each for each in (Native(), DeepLabCutCsv(), DeepLabCutHdf5(), Facemap())
}
"""Every format by its name."""

NAMES = ", ".join(FORMATS)
"""Their names, as shown to a person."""


def choose(path: Path, name: str | None = None) -> KeypointFormat:
    """Return the format of that name, or the one with the longest ending that the file has (upper or lower case).

    Raises
    ------
    UsageError
        No such format, or an ending that stands for none; the message lists the choices.
    """
    if name is None:
        name = _by_ending(path)
        wrong = f"{path}: the ending stands for no keypoint format"
    else:
        wrong = f"no keypoint format is called {name!r}"
    if name in FORMATS:
        return FORMATS[name]
    choices = (
        f"{each.name} ({', '.join(f'*{ending}' for ending in each.endings)})" for each in FORMATS.values()
    )
    raise UsageError(f"{wrong}; choose one of: {'; '.join(choices)}")


def has_ending(path: Path) -> bool:
    """Return whether a file has the ending of a keypoint format."""
    return _by_ending(path) is not None


def _by_ending(path: Path) -> str | None:
    file = path.name.lower()
    found = [
        (len(ending), each.name)
        for each in FORMATS.values()
        for ending in each.endings
        if file.endswith(ending.lower())
    ]
    return max(found)[1] if found else None


def check(path: Path, name: str | None = None, *, overwrite: bool = False) -> None:
    """Fail now as `write` would fail later, before the work of filling a table is done.

    Raises
    ------
    UsageError
        As `choose`, or the file exists and `overwrite` is False.
    DataError
        A package is missing that the format needs, or the folder is, or cannot be written.
    """
    require("lab", *choose(path, name).packages, error=DataError)
    check_target(path, overwrite=overwrite)


def write(table: PoseTable, path: Path, name: str | None = None, *, overwrite: bool = False) -> None:
    """Write a table in the format of that name, or of the file's ending.

    Raises
    ------
    UsageError
        As `choose`, or the file exists and `overwrite` is False.
    DataError
        As `KeypointFormat.write`.
    """
    choose(path, name).write(table, path, overwrite=overwrite)


def read(path: Path, name: str | None = None) -> PoseTable:
    """Read a file in the format of that name, of what an HDF5 file holds, or of its ending.

    ``_FacemapPose.h5`` is a pandas table in Facemap's public data, and groups as newer Facemap writes it.

    Raises
    ------
    UsageError
        As `choose`.
    DataError
        As `KeypointFormat.read`.
    """
    return choose(path, name or _by_content(path)).read(path)


def _by_content(path: Path) -> str | None:
    """Return the format of a pandas table or of Facemap's groups, None of any other file."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            tables = [name for name, node in file.items() if "pandas_type" in node.attrs]
            grouped = isinstance(file.get(GROUP), h5py.Group)
    except (OSError, AttributeError, KeyError):
        return None
    return DeepLabCutHdf5.name if tables else Facemap.name if grouped else None
