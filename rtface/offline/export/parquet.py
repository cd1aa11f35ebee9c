"""All series of a recording as Parquet files: what pandas, R and MATLAB read as flat tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from rtface.core.clock import NS_PER_S
from rtface.core.errors import DataError
from rtface.core.extras import require
from rtface.core.files import written_whole
from rtface.offline.export.events import EventTable, event_tables, plain_column, session_facts
from rtface.offline.export.rows import FRAME_NUMBERS, FRAME_VALUES, in_blocks
from rtface.offline.export.source import MEASURED, ExportEndedError, ExportSource, Progress
from rtface.record.formats.base import check_target
from rtface.record.session.rows import Rows

ROW_FILES = {"poses": "poses", "features": "features", MEASURED: "features_unsmoothed"}
"""By batches: the name of the file."""
_BLOCK = 16384

Columns = Iterator[tuple[str, Any]]


def parquet_files(recording: ExportSource, folder: Path) -> dict[str, Path]:
    """Return a file in a folder for each table that a recording has, by the name of the table."""
    wanted = ["poses"]
    wanted += ["features"] if recording.values.names else []
    wanted += [MEASURED] if recording.values.measured else []
    names = [ROW_FILES[each] for each in wanted] + [each.name for each in event_tables(recording)]
    return {name: folder / f"{name}.parquet" for name in names}


def check_parquet(files: Mapping[str, Path], *, overwrite: bool) -> None:
    """Fail now as `write_parquet` would fail later: `UsageError` or `DataError`."""
    require("nwb", "pyarrow", error=DataError)
    for path in files.values():
        check_target(path, overwrite=overwrite)


def write_parquet(
    recording: ExportSource,
    files: Mapping[str, Path],
    *,
    overwrite: bool = False,
    progress: Progress = lambda done, total: True,
) -> bool:
    """Write a recording as Parquet files, one a table.

    Parameters
    ----------
    recording : ExportSource
    files : mapping of str to Path
        By the name of the table, as of `parquet_files`; ``poses`` is among them, and what is not is left out.
    overwrite : bool
        Replace files that are there.
    progress : callable

    Returns
    -------
    bool
        False where `progress` ended it, and nothing is written.

    Raises
    ------
    UsageError
        A file is there.
    DataError
        One cannot be written.
    """
    check_parquet(files, overwrite=overwrite)
    try:
        with ExitStack() as stack:
            fresh = {
                name: stack.enter_context(written_whole(path, durable=True)) for name, path in files.items()
            }
            if not _write_rows(recording, fresh, progress):
                raise ExportEndedError
            for table in event_tables(recording):
                if table.name in fresh:
                    _write_events(recording, table, fresh[table.name])
    except ExportEndedError:
        return False
    except OSError as error:
        folder = files["poses"].parent
        raise DataError(f"{folder}: a file cannot be written: {error.strerror or error}") from error
    return True


def _write_rows(recording: ExportSource, files: dict[str, Path], progress: Progress) -> bool:
    import pyarrow as pa
    from pyarrow import parquet

    facts = {f"rtface.{name}": text for name, text in session_facts(recording).items()}
    columns: dict[str, Callable[[Rows, int], Columns]] = {
        "poses": lambda rows, first: _poses(recording, rows, first),
        "features": lambda rows, first: _features(recording, rows),
        MEASURED: lambda rows, first: _measured(recording, rows),
    }
    done = dict.fromkeys(columns, 0)
    with ExitStack() as stack:
        writers: dict[str, Any] = {}

        def write(name: str, rows: Rows) -> None:
            table = pa.table(dict(columns[name](rows, done[name])))
            if name not in writers:
                schema = table.schema.with_metadata(facts)
                writers[name] = stack.enter_context(parquet.ParquetWriter(files[ROW_FILES[name]], schema))
            writers[name].write_table(table.cast(writers[name].schema))
            done[name] += len(rows)

        for batch in in_blocks(recording.batches(), _BLOCK):
            if batch.name in columns and ROW_FILES[batch.name] in files:
                write(batch.name, batch.rows)
                if batch.name == "poses" and not progress(done["poses"], recording.count):
                    return False
        if "poses" not in writers:
            write("poses", np.empty(0, recording.dtype))
    return True


def _poses(recording: ExportSource, rows: Rows, first: int) -> Columns:
    yield "t_s", recording.axis(rows, first)
    for name in (*FRAME_NUMBERS, *FRAME_VALUES):
        yield name, np.ascontiguousarray(rows[name])
    more = ("likelihood",) if "likelihood" in (rows.dtype.names or ()) else ()
    for at, point in enumerate(recording.names):
        yield f"{point}.x", np.ascontiguousarray(rows["xy"][:, at, 0])
        yield f"{point}.y", np.ascontiguousarray(rows["xy"][:, at, 1])
        for name in ("score", "outside", *more):
            yield f"{point}.{name}", np.ascontiguousarray(rows[name][:, at])


def _features(recording: ExportSource, rows: Rows) -> Columns:
    yield "t_s", recording.seconds(rows["now_ns"])
    for name in ("frame_id", "now_ns"):
        yield name, np.ascontiguousarray(rows[name])
    for at, value in enumerate(recording.values.names):
        yield value, np.ascontiguousarray(rows["values"][:, at])
        yield f"{value}:score", np.ascontiguousarray(rows["scores"][:, at])
        yield f"{value}:exposure_ns", np.ascontiguousarray(rows["exposure_ns"][:, at])


def _measured(recording: ExportSource, rows: Rows) -> Columns:
    yield "t_s", recording.seconds(rows["now_ns"])
    yield "frame_id", np.ascontiguousarray(rows["frame_id"])
    for at, value in enumerate(recording.values.measured):
        yield value, np.ascontiguousarray(rows["values"][:, at])


def _write_events(recording: ExportSource, table: EventTable, path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    times = np.asarray(table.times_ns, np.int64)
    columns: dict[str, Any] = {"t_s": recording.seconds(times), "t_ns": times}
    if table.ends_ns is not None:
        columns["duration_s"] = np.subtract(table.ends_ns, table.times_ns) / NS_PER_S
    columns |= {each.name: plain_column(each) for each in table.columns}
    about = {f"rtface.{each.name}": each.about for each in table.columns}
    parquet.write_table(
        pa.table(columns).replace_schema_metadata({"rtface.table": table.about} | about), path
    )
