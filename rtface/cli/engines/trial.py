"""``rtface engines try``: an engine on a few frames of a rig, before anybody trusts it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rtface.acquire.picturefile import write_pictures
from rtface.acquire.recording import source_settings
from rtface.acquire.sampling import evenly_spaced, rig_frames
from rtface.cli.facecrop import crop_in
from rtface.cli.options import CameraOption, CropOption, JsonOption, PrecisionOptions, grouped
from rtface.cli.terminal.screen import OUT, plain_table, print_json, print_line, view_in_words
from rtface.config.rigfile import load_rig
from rtface.core.errors import UsageError
from rtface.track.backends.factory import engine_for
from rtface.track.rigcrop import with_crop
from rtface.track.trial import EngineTrial, try_engine


@grouped
def try_(
    *,
    engine: Annotated[
        str | None, typer.Argument(help="Name of an engine, or its folder; else the rig's, or the default.")
    ] = None,
    frames: Annotated[Path | None, typer.Option(help="A video or a folder of images.")] = None,
    rig: Annotated[
        Path | None, typer.Option(help="A rig's YAML file, whose camera, crop and back end are taken.")
    ] = None,
    camera: CameraOption = None,
    crop: CropOption = None,
    count: Annotated[int, typer.Option(min=1, help="Frames to look at, at most; evenly spaced.")] = 6,
    out: Annotated[
        Path | None, typer.Option("--out", help="Also write the frames into this folder, as .png.")
    ] = None,
    backend: PrecisionOptions,
    as_json: JsonOption = False,
) -> None:
    """Try an engine on a few frames: whether it is sure of its points, and whether it knows the view.

    It says what speaks against the engine. Whether the points are right only a person can tell: look at them.
    """
    if (rig is None) == (frames is None):
        raise UsageError("give --frames or --rig: what is it to be tried on?")
    if rig is not None:
        whole = load_rig(rig, camera)
        settings = whole.backend
        chosen = engine_for(engine or whole.engine, settings)
        seen = rig_frames(whole.camera, count)
        whole, _ = with_crop(whole, chosen)
        rectangle = whole.fixed_crop if crop is None else crop_in(crop, seen.values, engine or whole.engine)
    else:
        assert frames is not None
        settings = backend.settings()
        chosen = engine_for(engine or "default", settings)
        seen = evenly_spaced(source_settings(frames), count)
        rectangle = crop_in(crop, seen.values, engine or "default", settings)
    trial = try_engine(chosen, seen, settings, rectangle)
    written = {} if out is None else write_pictures(out, seen)
    if as_json:
        report = trial.as_dict()
        for each in report["frames"]:
            each["picture"] = str(written[each["frame"]]) if written else None
        print_json(report)
        return
    _show(trial)


def _show(trial: EngineTrial) -> None:
    table = plain_table(right=("frame", "median score"), last="view")
    for number, pose in trial.poses.items():
        table.add_row(str(number), f"{trial.score(pose):.2f}", view_in_words(pose.view_ok))
    OUT.print(table)
    print_line(trial.in_words())
