"""``rtface cameras``: what can be opened on this machine, and what it shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import typer

from rtface.acquire.discovery import FoundCamera, find_cameras, survey_cameras
from rtface.acquire.genicam.survey import CameraFeatures
from rtface.acquire.picturefile import write_pictures
from rtface.acquire.recording import source_settings
from rtface.acquire.sampling import rig_frames
from rtface.cli.options import EngineOption, JsonOption
from rtface.cli.terminal.screen import OUT, plain_table, print_json, print_line, print_note
from rtface.config import BackendSettings, CameraSettings
from rtface.config.rigfile import load_rig
from rtface.core.errors import DataError
from rtface.core.records import Crop, Image
from rtface.track.backends.factory import engine_for
from rtface.track.rigcrop import seek_face

app = typer.Typer(help="List the cameras that can be opened; find the face in what one shows.")


@app.callback(invoke_without_command=True)
def cameras(
    context: typer.Context,
    producer: Annotated[
        Path | None,
        typer.Option(
            help="A GenTL producer (.cti); else all in GENICAM_GENTL64_PATH. viky: the simulated one."
        ),
    ] = None,
    aravis: Annotated[
        bool, typer.Option("--aravis", help="Look through Aravis, too, on all network interfaces and USB.")
    ] = False,
    names: Annotated[bool, typer.Option("--names", help="Only list the cameras; open none.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List the cameras that can be opened, how those of GenICam are set and can be set, and what to write in the rig's file.

    Each GenICam camera is opened for a moment, in a process that is ended where its driver does not answer.
    """
    if context.invoked_subcommand is not None:
        return
    found = find_cameras(producer, aravis=aravis)
    surveyed = {} if names else survey_cameras(found, producer)
    if as_json:
        print_json([_as_map(each, surveyed.get(each.label)) for each in found.cameras])
        return
    table = plain_table("kind", "camera", "camera: in the rig's file")
    for each in found.cameras:
        table.add_row(each.kind, each.label, _in_a_rig(each.settings))
    OUT.print(table)
    for label, survey in surveyed.items():
        _print_survey(next(each for each in found.cameras if each.label == label), survey)
    for remark in found.remarks:
        print_note(remark)


def _as_map(camera: FoundCamera, survey: CameraFeatures | None) -> dict[str, Any]:
    found: dict[str, Any] = {"kind": camera.kind, "label": camera.label, "settings": camera.settings}
    if survey is not None:
        found |= {
            "features": [asdict(each) for each in survey.features],
            "in_rig": survey.rig_settings(),
            "why_none": survey.why_none,
        }
    return found


def _print_survey(camera: FoundCamera, survey: CameraFeatures) -> None:
    print_line("")
    if survey.why_none:
        print_line(f"{camera.label}: {survey.why_none}")
        return
    table = plain_table(camera.label, "now", last="possible")
    for each in survey.features:
        value = f"{each.value:.10g}" if isinstance(each.value, float) else str(each.value)
        table.add_row(each.name, value, each.possible)
    OUT.print(table)
    print_line(f"camera: {_in_a_rig(camera.settings | survey.rig_settings())}")


def _in_a_rig(settings: Mapping[str, Any]) -> str:
    return f"{{{', '.join(f'{name}: {value}' for name, value in settings.items())}}}"


@app.command("crop")
def crop(
    source: Annotated[Path, typer.Argument(help="A rig's YAML file, a video or a folder of images.")],
    picture: Annotated[
        Path | None, typer.Option("--picture", help="Draw the crop into this picture (.png).")
    ] = None,
    engine: EngineOption = "default",
    as_json: JsonOption = False,
) -> None:
    """Find the face and print the crop to paste into a rig's file; exit code 8 where there is none, or more than one.

    A place that may be a face is drawn, and with --json printed, all the same, as doubtful: for a person to look at.
    """
    settings: CameraSettings
    backend = BackendSettings()
    if _is_rig(source):
        rig = load_rig(source)
        settings, backend = rig.camera, rig.backend
        engine = rig.engine if engine == "default" else engine
    else:
        settings = source_settings(source)
    frames, found, doubt = seek_face(settings, engine_for(engine, backend), backend)
    if picture is not None and not cv2.imwrite(str(picture), _drawn(frames[0], found.crop)):
        raise DataError(f"{picture} cannot be written")
    if as_json:
        print_json(asdict(found) | {"doubtful": "" if doubt is None else str(doubt)})
    if doubt is not None:
        raise doubt
    if as_json:
        return
    box = found.crop
    mirrored = ", mirrored: true" if box.mirrored else ""
    print_line(f"crop: {{x: {box.x}, y: {box.y}, width: {box.width}, height: {box.height}{mirrored}}}")
    print_note(found.in_words())


@app.command("pictures")
def pictures(
    source: Annotated[Path, typer.Argument(help="A rig's YAML file, a video or a folder of images.")],
    out: Annotated[Path, typer.Option("--out", help="A folder for the pictures (.png).")],
    count: Annotated[int, typer.Option(min=1, help="Pictures, at most; evenly spaced.")] = 1,
    seconds: Annotated[
        float, typer.Option(min=0.1, help="For how long to watch a camera that does not end.")
    ] = 10.0,
    as_json: JsonOption = False,
) -> None:
    """Save pictures of what a rig's camera shows: to look at, or as a folder of images to choose frames from for labelling."""
    settings = load_rig(source).camera if _is_rig(source) else source_settings(source)
    frames = rig_frames(settings, count, seconds)
    written = write_pictures(out, frames)
    if as_json:
        rows = [
            {
                "frame": number,
                "picture": str(path),
                "width": frames[number].shape[1],
                "height": frames[number].shape[0],
            }
            for number, path in written.items()
        ]
        print_json({"pictures": rows})
        return
    print_line(f"{out}: {len(written)} pictures")


def _is_rig(source: Path) -> bool:
    return source.suffix in (".yaml", ".yml")


def _drawn(frame: Image, box: Crop) -> Image:
    drawn = np.repeat(frame[:, :, None], 3, axis=2)
    ends = (box.x, box.y), (box.x + box.width - 1, box.y + box.height - 1)
    cv2.rectangle(drawn, *ends, (0, 255, 255), max(1, min(frame.shape) // 200))
    return drawn
