"""Options that several commands share, and what they become."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from rtface.config import BackendSettings
from rtface.core.errors import UsageError
from rtface.core.records import MINIMUM_CROP, Crop

EngineOption = Annotated[
    str, typer.Option("--engine", help="Name of an engine (`rtface engines list`) or its folder.")
]
BackendName = Literal["auto", "tensorrt", "openvino", "torch"]
BackendOption = Annotated[BackendName, typer.Option("--backend", help="What runs the network.")]
Precision = Literal["engine", "f32", "bf16", "f16"]
PrecisionOption = Annotated[
    Precision, typer.Option("--precision", help="Arithmetic of the network; engine: as its manifest says.")
]
ThreadsOption = Annotated[int | None, typer.Option("--threads", min=1, help="Threads of the network.")]
DeviceOption = Annotated[
    str | None, typer.Option("--device", help="CPU or cuda:0; else CPU, or the first GPU.")
]
CropOption = Annotated[
    str | None,
    typer.Option("--crop", metavar="X,Y,WIDTH,HEIGHT", help="The face in the frame, in pixels; else all."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for machines, and nothing else.")]
SecondsOption = Annotated[float | None, typer.Option("--seconds", min=0.1, help="End after this long.")]
UnblindOption = Annotated[
    bool,
    typer.Option("--unblind", help="Tell light and sham of blinded trials apart; else both are `trial`."),
]


def parse_crop(text: str | None) -> Crop | None:
    """Return the crop that ``X,Y,WIDTH,HEIGHT`` stands for; `UsageError` for anything else."""
    if text is None:
        return None
    try:
        x, y, width, height = (int(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"--crop takes four whole numbers X,Y,WIDTH,HEIGHT, not {text!r}") from None
    if min(x, y) < 0 or min(width, height) < MINIMUM_CROP:
        raise UsageError(f"--crop {text}: X and Y are 0 or more, WIDTH and HEIGHT {MINIMUM_CROP} or more")
    return Crop(x, y, width, height)


def backend_settings(
    name: BackendName, precision: Precision, threads: int | None, device: str | None = None
) -> BackendSettings:
    """Return the options as settings."""
    return BackendSettings(name=name, precision=precision, threads=threads, device=device)
