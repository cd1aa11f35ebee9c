"""``rtface convert``: a keypoint file as another one, or as NWB, SLEAP's or Parquet."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rtface.cli.session.exporting import Exports, MetadataOption, write_exports
from rtface.cli.terminal.screen import print_line
from rtface.core.errors import UsageError
from rtface.offline.export.source import table_recording
from rtface.record import formats

EXPORTED = (".nwb", ".slp", ".parquet")
"""Endings of files that rtface writes and does not read."""


def convert(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="A keypoint file.")],
    out: Annotated[
        Path,
        typer.Argument(
            metavar="OUT",
            help="File to write: .nwb, .slp (SLEAP), .parquet, or the ending of a keypoint file.",
        ),
    ],
    form: Annotated[
        str | None,
        typer.Option("--from", help=f"Format of FILE, one of: {formats.NAMES}; else by its ending."),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option("--rate", min=0.001, help="Frames per second of a file that holds no times."),
    ] = None,
    metadata: MetadataOption = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there.")] = False,
) -> None:
    """Write a keypoint file as another: for NWB, SLEAP, Parquet, DeepLabCut or Facemap."""
    ending = out.suffix.lower()
    if ending not in EXPORTED:
        if rate is not None or metadata is not None:
            raise UsageError("--rate and --metadata are for .nwb, .slp and .parquet")
        formats.check(out, overwrite=overwrite)
        formats.write(formats.read(source, form), out, overwrite=overwrite)
        print_line(str(out))
        return
    recording = table_recording(formats.read(source, form), source.name, rate_hz=rate, timed=ending != ".slp")
    exports = {
        ".nwb": Exports(nwb=out),
        ".slp": Exports(slp=out),
        ".parquet": Exports(parquet={"poses": out}),
    }[ending]
    write_exports(recording, exports, metadata, overwrite=overwrite)
