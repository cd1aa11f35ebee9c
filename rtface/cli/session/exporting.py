"""Files for other programs, as `rtface session export` and `rtface convert` write them: checked first, with a bar."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from rtface.cli.terminal.progress import progress_bar
from rtface.cli.terminal.screen import print_error, print_line
from rtface.cli.terminal.signals import INTERRUPTED, ending_on_signals
from rtface.core.errors import UsageError
from rtface.offline.export.metadata import Metadata, read_metadata
from rtface.offline.export.nwb.writing import check_nwb, write_nwb
from rtface.offline.export.parquet import check_parquet, write_parquet
from rtface.offline.export.slp import check_slp, write_slp
from rtface.offline.export.source import ExportSource, Progress

MetadataOption = Annotated[
    Path | None,
    typer.Option(
        "--metadata",
        metavar="FILE.yaml",
        help="Of NWB: animal, experiment and optogenetics; `rtface session metadata` writes one to fill in.",
    ),
]


@dataclass(frozen=True)
class Exports:
    """What is to be written of a recording, and where; None for what is not.

    Attributes
    ----------
    nwb, slp : Path or None
    parquet : mapping of str to Path, or None
        As of `rtface.offline.export.parquet.write_parquet`.
    """

    nwb: Path | None = None
    slp: Path | None = None
    parquet: dict[str, Path] | None = None


def write_exports(
    recording: ExportSource, exports: Exports, metadata: Path | None, *, overwrite: bool
) -> None:
    """Write the files of a recording and print their names; ends with the exit code of an interruption.

    Raises
    ------
    UsageError
        A file is there, or there is metadata and no NWB file.
    ConfigError
        The metadata is wrong, or contradicts the session.
    DataError
        A package is missing, or a file cannot be written.
    """
    if metadata is not None and exports.nwb is None:
        raise UsageError("--metadata is for NWB alone: it has no place in other files")
    session = None if recording.session is None else recording.session.session
    said = Metadata() if metadata is None else read_metadata(metadata, session)
    if exports.nwb is not None:
        check_nwb(recording, exports.nwb, said, overwrite=overwrite)
    if exports.slp is not None:
        check_slp(exports.slp, overwrite=overwrite)
    if exports.parquet is not None:
        check_parquet(exports.parquet, overwrite=overwrite)
    if exports.nwb is not None:
        with _bar("NWB") as progress:
            _ended(write_nwb(recording, exports.nwb, said, overwrite=overwrite, progress=progress))
        print_line(str(exports.nwb))
    if exports.slp is not None:
        with _bar("SLEAP") as progress:
            left_out = write_slp(recording, exports.slp, overwrite=overwrite, progress=progress)
        _ended(left_out is not None)
        print_line(str(exports.slp))
        if left_out:
            print_error(
                f"{exports.slp.name} lacks {left_out} poses whose frames the recorded video does not have"
            )
    if exports.parquet is not None:
        with _bar("Parquet") as progress:
            _ended(write_parquet(recording, exports.parquet, overwrite=overwrite, progress=progress))
        for path in exports.parquet.values():
            print_line(str(path))
    for text in recording.notes:
        print_error(text)


@contextmanager
def _bar(what: str) -> Iterator[Progress]:
    with ending_on_signals() as ending, progress_bar(what, None, unit="frames") as bar:

        def progress(done: int, total: int) -> bool:
            bar(done, total)
            return not ending.is_set()

        yield progress


def _ended(complete: bool) -> None:
    if not complete:
        raise typer.Exit(INTERRUPTED)
