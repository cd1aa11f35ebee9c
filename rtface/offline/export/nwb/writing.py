"""A recording as an NWB file: poses as ndx-pose has them, features, events, light, and what it was run with.

pynwb writes the file with empty datasets; the rows go into them in one pass, a record of the log at a time.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rtface.core.errors import DataError
from rtface.core.extras import require
from rtface.core.files import written_whole
from rtface.offline.export.metadata import Metadata
from rtface.offline.export.nwb.parts import BLOCK, FilledDataset, nwb_file, start_of
from rtface.offline.export.rows import in_blocks
from rtface.offline.export.source import MEASURED, ExportEndedError, ExportSource, Progress
from rtface.offline.export.sparingfile import SparingFile, growing_hdf5
from rtface.record.formats.base import check_target
from rtface.record.session.rows import Rows

PACKAGES = ("pynwb", "ndx_pose", "ndx_optogenetics")


def check_nwb(recording: ExportSource, path: Path, metadata: Metadata, *, overwrite: bool) -> None:
    """Fail now as `write_nwb` would fail later: `UsageError` or `DataError`."""
    start_of(recording, metadata)
    require("nwb", *PACKAGES, error=DataError)
    check_target(path, overwrite=overwrite)


def write_nwb(
    recording: ExportSource,
    path: Path,
    metadata: Metadata,
    *,
    overwrite: bool = False,
    progress: Progress = lambda done, total: True,
) -> bool:
    """Write a recording as an NWB file.

    Parameters
    ----------
    recording : ExportSource
    path : Path
        The file to make: whole, or not at all.
    metadata : Metadata
    overwrite : bool
        Replace a file that is there.
    progress : callable

    Returns
    -------
    bool
        False where `progress` ended it.

    Raises
    ------
    UsageError
        The file is there.
    DataError
        It cannot be written, or the log was changed meanwhile.
    """
    check_nwb(recording, path, metadata, overwrite=overwrite)
    try:
        with written_whole(path, durable=True) as fresh:
            if not _write(recording, path, metadata, fresh, progress):
                raise ExportEndedError
    except ExportEndedError:
        return False
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror or error}") from error
    return True


def _write(recording: ExportSource, path: Path, metadata: Metadata, fresh: Path, progress: Progress) -> bool:
    from pynwb import NWBHDF5IO

    made, filled = nwb_file(recording, path, metadata)
    with growing_hdf5(fresh) as (file, below):
        NWBHDF5IO(file=file, mode="w").write(made)
        return _fill(recording, filled, file, below, progress)


def _fill(
    recording: ExportSource, filled: list[FilledDataset], file: Any, below: SparingFile, progress: Progress
) -> bool:
    """Write the rows into the empty datasets; return False where `progress` ended it."""
    counts = row_counts(recording)
    done = dict.fromkeys(counts, 0)
    places = [(each, file[each.place]) for each in filled]
    for each, dataset in places:
        dataset.resize(counts[each.rows], axis=0)
    for batch in in_blocks(recording.batches(), BLOCK):
        first = done[batch.name]
        rows: Rows = batch.rows[: counts[batch.name] - first]
        done[batch.name] = last = first + len(rows)
        for each, dataset in places:
            if each.rows == batch.name and len(rows):
                dataset[first:last] = each.values(rows, first)
        below.check()
        if batch.name == "poses" and not progress(last, recording.count):
            return False
    if done != counts:
        raise DataError(f"{recording.name} was changed while it was exported")
    return True


def row_counts(recording: ExportSource) -> dict[str, int]:
    """Return how many rows the batches of a recording have, by their names."""
    found, values = recording.session, recording.values
    return {
        "poses": recording.count,
        MEASURED: recording.count if values.measured else 0,
        "features": 0 if found is None else found.rows.features,
        "frames": 0 if found is None else found.rows.frames,
    }
