"""``rtface learn suggest``: which frames of recordings to label."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from rich.markup import escape
from rich.table import Table

from rtface import __version__
from rtface.acquire.recording import source_settings
from rtface.cli.facecrop import crop_in, frames_of_all
from rtface.cli.options import CropOption, EngineOption, JsonOption, PrecisionOptions, grouped
from rtface.cli.terminal.progress import Update, progress_bar
from rtface.cli.terminal.screen import OUT, plain_table, print_error, print_json, print_line, print_note
from rtface.cli.terminal.signals import INTERRUPTED, ending_on_signals
from rtface.config import ImagesCameraSettings
from rtface.core.errors import DataError, UsageError
from rtface.core.extras import require
from rtface.track.backends.factory import engine_for

if TYPE_CHECKING:
    from rtface.learn.labels.labelling_folder import SuggestedFrame

_VIDEO_GAP_S = 0.5


@grouped
def suggest(
    *,
    videos: Annotated[list[Path], typer.Argument(help="Video files and folders of images.")],
    out: Annotated[Path, typer.Option(help="New folder for the frames and the table to fill in.")],
    engine: EngineOption = "default",
    count: Annotated[int, typer.Option(min=1, help="Frames to suggest, of all recordings together.")] = 10,
    candidates: Annotated[
        int, typer.Option(min=2, help="Candidate frames in each recording, at most.")
    ] = 600,
    min_gap: Annotated[
        float | None,
        typer.Option(
            min=0, help="Seconds between two frames of a recording; else 0.5, in folders of images 0."
        ),
    ] = None,
    guesses: Annotated[
        bool,
        typer.Option(
            "--guesses",
            help="Also a folder for DeepLabCut's and napari's labelling, with the engine's points.",
        ),
    ] = False,
    guesses_above: Annotated[
        float, typer.Option(min=0, max=1, help="Lowest score of a point given as a guess; others stay empty.")
    ] = 0.5,
    backend: PrecisionOptions,
    crop: CropOption = None,
    as_json: JsonOption = False,
) -> None:
    """Suggest the frames that are worth labelling: unlike each other, and such that the engine is unsure of.

    Black, white and blurred frames and near-duplicates are passed over; the same recordings give the same frames.
    """
    if guesses:
        require("lab", "pandas", "tables", error=DataError)
    from rtface.learn.labels.labelling_folder import check_folder, collect, write_labelling_folder
    from rtface.learn.labels.suggest import choose, frame_features
    from rtface.learn.labels.survey import survey

    check_folder(out)
    recordings = [source_settings(video) for video in videos]
    settings = backend.settings()
    rectangle = crop_in(crop, lambda: frames_of_all(videos), engine, settings)
    chosen = engine_for(engine, settings)
    names = [video.name if video.is_dir() else video.stem for video in videos]
    for video, name in zip(videos, names, strict=True):
        if names.count(name) > 1:
            raise UsageError(f"{video}: another recording has the same name, {name}; rename one")
    surveys = []
    with ending_on_signals() as ending:
        for recording, name in zip(recordings, names, strict=True):
            with progress_bar(name, unit="frames", quiet=as_json) as bar:

                def progress(frames: int, total: int | None, bar: Update = bar) -> None:
                    if ending.is_set():
                        raise typer.Exit(INTERRUPTED)
                    bar(frames, total)

                surveys.append(
                    survey(recording, chosen, settings, crop=rectangle, limit=candidates, progress=progress)
                )
            if surveys[-1].damage is not None:
                print_error(f"{surveys[-1].damage}; the frames before that are used")
    if min_gap is None:
        min_gap = 0.0 if all(isinstance(each, ImagesCameraSettings) for each in recordings) else _VIDEO_GAP_S
    skeleton = chosen.manifest.skeleton
    features = frame_features(surveys, np.array([point.trained for point in skeleton]))
    frames = collect(surveys, features, choose(features, count, min_gap_s=min_gap))
    about = {
        "rtface": __version__,
        "engine": chosen.manifest.name,
        "engine_sha256": chosen.sha256,
        "recordings": [str(video) for video in videos],
        "candidates": sum(map(len, surveys)),
        "unusable": int((~features.usable).sum()),
        "min_gap_s": min_gap,
    }
    write_labelling_folder(
        out,
        frames,
        [point.name for point in skeleton],
        about,
        guesses_above=guesses_above if guesses else None,
    )
    if as_json:
        print_json({**about, "written": str(out), "frames": [_row(each) for each in frames]})
        return
    OUT.print(_table(frames))
    if len(frames) < count:
        print_note(
            f"only {len(frames)} of {count} frames: no others are sharp and differ enough from these; "
            "a longer recording, more --candidates or a --crop of the face may find more"
        )
    for line in _next_steps(out, engine, guesses):
        print_line(line)


def _table(frames: Sequence[SuggestedFrame]) -> Table:
    table = plain_table()
    for column in ("", "recording", "frame", "time (s)", "why", "doubt", "distance", "stands for"):
        table.add_column(column, justify="left" if column in ("recording", "why") else "right")
    for rank, each in enumerate(frames, 1):
        choice = each.choice
        table.add_row(
            str(rank),
            escape(each.video),
            str(each.frame),
            f"{each.time_s:.2f}",
            choice.why,
            f"{choice.doubt:.2f}",
            "-" if rank == 1 else f"{choice.distance:.2f}",
            str(choice.stands_for),
        )
    return table


def _row(each: SuggestedFrame) -> dict[str, object]:
    choice = each.choice
    return {
        "video": each.video,
        "frame": each.frame,
        "time_s": each.time_s,
        "why": choice.why,
        "doubt": choice.doubt,
        "distance": choice.distance,
        "stands_for": choice.stands_for,
    }


def _next_steps(out: Path, engine: str, guesses: bool) -> Iterator[str]:
    yield f"{out}: frames, labels.csv, chosen.json; sheet.png shows what the engine finds in them"
    yield "next: fill in labels.csv (pixels of the frame; leave a cell empty where a point cannot be seen), then"
    yield f"  rtface learn adapt --engine {engine} --labels {out}"
    if guesses:
        yield (
            f"or label {out / 'deeplabcut'} in DeepLabCut or napari: every point there is the engine's guess, "
            "drag it to where it belongs or delete it; then"
        )
        yield f"  rtface learn adapt --engine {engine} --labels {out / 'deeplabcut'}"
