"""``rtface learn guess``: what an engine finds on the frames of a label set, for the label page to show."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rtface.cli.facecrop import crop_in, of_one_size
from rtface.cli.options import BackendOptions, CropOption, EngineOption, JsonOption, grouped
from rtface.cli.terminal.progress import progress_bar
from rtface.cli.terminal.screen import print_json, print_line
from rtface.cli.terminal.signals import INTERRUPTED, ending_on_signals
from rtface.track.backends.factory import engine_for


@grouped
def guess(
    *,
    folder: Annotated[Path, typer.Argument(help="A label set that was opened on the label page.")],
    engine: EngineOption = "default",
    crop: CropOption = None,
    backend: BackendOptions,
    as_json: JsonOption = False,
) -> None:
    """Find the keypoints of a label set's frames, as guesses that the label page shows hollow; they are no labels.

    They stand in labelling/guesses.json in the set's folder. Frames that have guesses of this engine already are not
    looked at again.
    """
    from rtface.learn.labels.formats.checks import read_image
    from rtface.screen.label import guesses
    from rtface.screen.label.opening import OpenSets

    project = OpenSets().get(folder)
    settings = backend.settings()
    frames = project.frames(skipped=False)
    rectangle = crop_in(
        crop,
        lambda: of_one_size([read_image(project.image(each.frame), each.file) for each in frames[:12]]),
        engine,
        settings,
    )
    with ending_on_signals() as ending, progress_bar("guesses", unit="frames", quiet=as_json) as update:
        found = guesses.guess(
            project, engine_for(engine, settings), settings, rectangle, progress=update, stop=ending.is_set
        )
    number = sum(map(len, found.points.values()))
    if as_json:
        print_json({"engine": found.engine, "frames": len(found.points), "guesses": number})
    else:
        print_line(f"{found.engine}: {number} guesses on {len(found.points)} frames; none of them is a label")
    if ending.is_set():
        raise typer.Exit(INTERRUPTED)
