"""``rtface track``: keypoints of recorded videos, through the live path."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from rtface.acquire.recording import source_settings
from rtface.cli.facecrop import crop_in, frames_of
from rtface.cli.options import (
    AUTO,
    CropOption,
    EngineOption,
    JsonOption,
    NamesOption,
    PrecisionOptions,
    grouped,
    parse_crop,
)
from rtface.cli.terminal.progress import progress_bar, until
from rtface.cli.terminal.screen import print_error, print_json, print_line
from rtface.cli.terminal.signals import INTERRUPTED, ending_on_signals
from rtface.core.errors import RtfaceError
from rtface.core.records import KNOWN_VIEW
from rtface.offline.trackedfilm import plan_films, write_tracked_film
from rtface.offline.tracking import Progress as TrackingProgress
from rtface.offline.tracking import Tracked, partial_path, plan_outputs, track_recording
from rtface.record import formats
from rtface.record.table import PoseTable
from rtface.track.backends.factory import engine_for


@grouped
def track(
    *,
    inputs: Annotated[list[Path], typer.Argument(help="Video files and folders of images.")],
    out: Annotated[
        Path,
        typer.Option(
            help="File to write: .csv or .h5 (DeepLabCut), _FacemapPose.h5 (Facemap), .rtface.h5 (all there is). "
            "A name without an ending is a folder."
        ),
    ],
    form: Annotated[
        str | None,
        typer.Option("--format", help=f"One of: {formats.NAMES}; else by the file's ending."),
    ] = None,
    engine: EngineOption = "default",
    backend: PrecisionOptions,
    crop: CropOption = None,
    film: Annotated[
        Path | None,
        typer.Option(
            "--video-out",
            help="Also write the recording with its points: an .mp4, or a folder for them.",
        ),
    ] = None,
    names: NamesOption = True,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that are there.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Find the keypoints of every frame of recordings, as fast as the machine allows.

    A recording that is damaged in the middle, or an interruption, loses nothing: what was tracked is written to
    NAME.partial.ENDING. One bad recording does not end a batch; the exit code is that of the first failure.
    """
    for source in inputs:
        source_settings(source)
    outputs = plan_outputs(inputs, out, form)
    for output in outputs:
        formats.check(output.path, output.form, overwrite=overwrite)
    films = [None] * len(inputs) if film is None else plan_films(inputs, film, overwrite=overwrite)
    settings = backend.settings()
    chosen = engine_for(engine, settings)
    rectangle = None if crop == AUTO else parse_crop(crop)
    code = 0
    with ending_on_signals() as ending:
        for source, output, shown in zip(inputs, outputs, films, strict=True):
            try:
                if crop == AUTO:
                    rectangle = crop_in(crop, partial(frames_of, source), engine, settings)
                with recording_bar(source.name, ending, quiet=as_json) as progress:
                    tracked = track_recording(source, chosen, settings, crop=rectangle, progress=progress)
                written = output.path if tracked.complete else partial_path(output.path)
                formats.write(
                    tracked.table, written, output.form, overwrite=overwrite or not tracked.complete
                )
            except RtfaceError as error:
                print_error(error)
                code = code or error.exit_code
                continue
            if tracked.error is not None:
                print_error(tracked.error)
                code = code or tracked.error.exit_code
            _report(source, written, tracked, as_json)
            if shown is not None and len(tracked.table) and not ending.is_set():
                filmed = _film(source, tracked, shown, names, overwrite, ending, quiet=as_json)
                code = code or filmed
            if ending.is_set():
                code = INTERRUPTED
                break
    if code:
        raise typer.Exit(code)


def _film(
    source: Path,
    tracked: Tracked,
    path: Path,
    names: bool,
    overwrite: bool,
    ending: threading.Event,
    *,
    quiet: bool,
) -> int:
    """Write the film of a recording; return the exit code."""
    shown = path if tracked.complete else partial_path(path)
    try:
        with progress_bar(shown.name, unit="frames", quiet=quiet) as bar:
            written = write_tracked_film(
                source,
                tracked.table,
                shown,
                names=names,
                overwrite=overwrite or not tracked.complete,
                progress=until(ending, bar),
            )
    except RtfaceError as error:
        print_error(error)
        return error.exit_code
    if written is not None and not quiet:
        print_line(f"{shown}: {written} frames")
    return 0 if written is not None else INTERRUPTED


@contextmanager
def recording_bar(
    name: str, ending: threading.Event, *, quiet: bool
) -> Iterator[Callable[[TrackingProgress], bool]]:
    """Show how far a recording has been tracked; what it yields returns False once `ending` is set."""
    with progress_bar(name, unit="frames", quiet=quiet) as bar:

        def update(progress: TrackingProgress) -> bool:
            bar(progress.frames, progress.total)
            return not ending.is_set()

        yield update


def known_view(table: PoseTable) -> float | None:
    """Return the part of the frames that show a view that the engine knows; None where it cannot say."""
    if table.view_ok is None or not len(table):
        return None
    return float(np.mean(table.view_ok >= KNOWN_VIEW))


def _report(source: Path, written: Path, tracked: Tracked, as_json: bool) -> None:
    network = tracked.status.latency["network"]
    if as_json:
        print_json(
            {
                "source": str(source),
                "written": str(written),
                "frames": len(tracked.table),
                "frames_per_second": tracked.frames_per_second,
                "complete": tracked.complete,
                "error": None if tracked.error is None else str(tracked.error),
                "network_ms": network.as_dict(),
                "known_view": known_view(tracked.table),
            }
        )
        return
    untrained = [
        name for name, known in zip(tracked.table.names, tracked.table.trained, strict=True) if not known
    ]
    print_line(
        f"{written}: {len(tracked.table)} frames at {tracked.frames_per_second:.0f} frames per second "
        f"(network {network.p50_ms:.2f} ms median)"
    )
    if (known := known_view(tracked.table)) is not None:
        print_line(f"a view that the engine knows in {known:.1%} of the frames")
    if untrained:
        print_line(f"not in this engine (NaN): {', '.join(untrained)}")
