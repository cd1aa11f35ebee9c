"""``rtface engines verify``: an engine's files, its live network, and the parity gate."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from rtface.acquire.recording import source_settings
from rtface.acquire.sampling import evenly_spaced, rig_frames
from rtface.cli.engines.export import CountOption, show_comparison
from rtface.cli.options import CameraOption, CropOption, JsonOption, PrecisionOptions, grouped, parse_crop
from rtface.cli.terminal.progress import named_part, progress_bars
from rtface.cli.terminal.screen import print_json, print_line, print_note
from rtface.config import BackendSettings
from rtface.config.rigfile import load_rig
from rtface.core.errors import EngineError, UsageError
from rtface.core.records import Crop, Image
from rtface.live.served import describe_backend
from rtface.track.backends.factory import engine_for, make_backend
from rtface.track.parity import store_parity
from rtface.track.rigcrop import with_crop
from rtface.track.store import Engine

if TYPE_CHECKING:
    from rtface.track.parity import ParityRecord
    from rtface.track.verify import ReferenceName

_SURE_ENOUGH = 0.5
_READING = "reading the frames"


@grouped
def verify(
    *,
    engine: Annotated[str, typer.Argument(help="Name of an engine, or its folder.")] = "default",
    frames: Annotated[
        Path | None,
        typer.Option(
            help="A video or a folder of images of your rig: compare with the float reference on it."
        ),
    ] = None,
    rig: Annotated[
        Path | None,
        typer.Option(
            help="A rig's YAML file, whose camera, crop, engine and back end are taken: what arming that rig requires."
        ),
    ] = None,
    camera: CameraOption = None,
    crop: CropOption = None,
    count: CountOption = 200,
    backend: PrecisionOptions,
    reference: Annotated[
        Literal["auto", "torch", "openvino"],
        typer.Option(help="What runs the float reference on the CPU; auto: torch, or else OpenVINO."),
    ] = "auto",
    as_json: JsonOption = False,
) -> None:
    """Check an engine's files and live network; with --frames, that its keypoints are those of its float reference.

    The result is stored with your engines, whatever it is. Stimulation is armed only on the engine, back end, version,
    device, driver and precision that agreed. Exit code 5 when they do not.
    """
    if rig is not None:
        if frames is not None:
            raise UsageError("--rig and --frames are two sources of frames: give one")
        whole = load_rig(rig, camera)
        loaded = engine_for(whole.engine, whole.backend)
        with named_part(_READING, quiet=as_json):
            seen, seen_of = rig_frames(whole.camera, count), f"the camera of {rig.name}"
        whole, _ = with_crop(whole, loaded)
        rectangle = whole.fixed_crop
        _compare(loaded, whole.backend, seen, seen_of, rectangle, reference, as_json)
        return
    settings = backend.settings()
    loaded = engine_for(engine, settings)
    if frames is None:
        _check(loaded, settings, as_json)
        return
    with named_part(_READING, quiet=as_json):
        seen = evenly_spaced(source_settings(frames), count)
    _compare(loaded, settings, seen, frames.name, parse_crop(crop), reference, as_json)


def _check(engine: Engine, settings: BackendSettings, as_json: bool) -> None:
    """Open an engine, which checks its live network."""
    opened = make_backend(engine, settings)
    try:
        info = opened.open()
    finally:
        opened.close()
    if as_json:
        print_json({"engine": engine.manifest.name, "sha256": engine.sha256, "backend": info.as_dict()})
        return
    print_line(f"{engine.manifest.name}: files and network agree with the manifest")
    print_line(describe_backend(info))


def _compare(
    engine: Engine,
    settings: BackendSettings,
    seen: Mapping[int, Image],
    seen_of: str,
    crop: Crop | None,
    reference: ReferenceName,
    as_json: bool,
) -> None:
    from rtface.track.verify import verify as compare

    with progress_bars(quiet=as_json) as progress:
        comparison, record = compare(
            engine, settings, seen, seen_of, crop=crop, reference=reference, progress=progress
        )
    path = store_parity(record, comparison.sample)
    if as_json:
        print_json(json.loads(path.read_text("utf-8")) | {"path": str(path)})
    else:
        print_line(f"{record.engine}: {record.ran}")
        print_line(f"reference: {record.reference.engine}: {record.reference.ran}")
        show_comparison(comparison)
        if record.agrees:
            print_line(f"agrees; limits: {record.limits.in_words()}")
        print_line(f"stored: {path}")
    _warn(record)
    if not record.agrees:
        raise EngineError(
            f"{record.engine} does not agree with {record.reference.engine} and will not be armed: {record.in_words()}"
        )


def _warn(record: ParityRecord) -> None:
    if record.sure < _SURE_ENOUGH:
        print_note(
            f"the reference itself was sure of {record.sure:.0%} of the points alone: is the face in the frames, and in "
            "the crop?"
        )
