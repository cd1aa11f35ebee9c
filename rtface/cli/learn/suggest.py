"""``rtface learn suggest``: which frames of recordings to label."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from rtface.cli.facecrop import crop_in, frames_of_all
from rtface.cli.options import CropOption, EngineOption, JsonOption, PrecisionOptions, grouped
from rtface.cli.terminal.progress import progress_bar
from rtface.cli.terminal.screen import OUT, plain_table, print_error, print_json, print_line, print_note
from rtface.cli.terminal.signals import INTERRUPTED, ending_on_signals
from rtface.core.errors import DataError
from rtface.core.extras import require
from rtface.learn.labels.how_many import FRAMES_TO_LABEL, HOW_MANY
from rtface.track.backends.factory import engine_for

if TYPE_CHECKING:
    from rtface.learn.labels.labelling_folder import SuggestedFrame


@grouped
def suggest(
    *,
    videos: Annotated[list[Path], typer.Argument(help="Video files and folders of images.")],
    out: Annotated[Path, typer.Option(help="New folder for the frames and the table to fill in.")],
    engine: EngineOption = "default",
    count: Annotated[
        int, typer.Option(min=1, help=f"Frames to suggest, of all recordings together. {HOW_MANY}")
    ] = FRAMES_TO_LABEL,
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
    fill: Annotated[
        bool, typer.Option("--fill", help="Where too few frames differ: fill up with others, spread in time.")
    ] = False,
    backend: PrecisionOptions,
    crop: CropOption = None,
    as_json: JsonOption = False,
) -> None:
    """Suggest the frames that are worth labelling: unlike each other, and such that the engine is unsure of.

    Black, white and blurred frames and near-duplicates are passed over; the same recordings give the same frames.
    """
    if guesses:
        require("lab", "pandas", "tables", error=DataError)
    from rtface.learn.labels.labelling_folder import check_folder
    from rtface.learn.labels.suggestion import SuggestRequest, suggest_frames

    check_folder(out)
    settings = backend.settings()
    rectangle = crop_in(crop, lambda: frames_of_all(videos), engine, settings)
    request = SuggestRequest(
        videos=tuple(videos),
        folder=out,
        engine=engine_for(engine, settings),
        settings=settings,
        crop=rectangle,
        count=count,
        candidates=candidates,
        min_gap_s=min_gap,
        guesses_above=guesses_above if guesses else None,
        fill=fill,
    )
    with ending_on_signals() as ending, survey_bars(quiet=as_json) as progress:
        suggested = suggest_frames(request, progress=progress, stop=ending.is_set)
    if suggested is None:
        raise typer.Exit(INTERRUPTED)
    frames, about = suggested.frames, suggested.about
    for damage in suggested.damages:
        print_error(f"{damage}; the frames before that are used")
    if as_json:
        print_json({**about, "written": str(out), "frames": [_row(each) for each in frames]})
        return
    OUT.print(_table(frames))
    note_few(len(frames), count, filled=fill)
    for line in _next_steps(out, engine, guesses):
        print_line(line)


@contextmanager
def survey_bars(*, quiet: bool = False) -> Iterator[Callable[[str], Callable[[int, int | None], None]]]:
    """Give what starts a bar for a recording that is read, ending the one before."""
    with ExitStack() as last:

        def begin(name: str) -> Callable[[int, int | None], None]:
            last.close()
            return last.enter_context(progress_bar(name, unit="frames", quiet=quiet))

        yield begin


def note_few(found: int, count: int, *, filled: bool = False) -> None:
    """Print why there are fewer frames than asked for, if there are."""
    if found < count:
        lacks = "are sharp" if filled else "are sharp and differ enough from these"
        print_note(
            f"only {found} of {count} frames: no others {lacks}; a longer recording, more --candidates or a --crop of the "
            f"face may find more{'' if filled else ', and --fill takes others, spread in time'}"
        )


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
