"""Options that several commands share, and what they become."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import wraps
from typing import Annotated, Any, Literal, get_type_hints

import typer

from rtface.cli.terminal.documents import json_asked
from rtface.config import BackendSettings
from rtface.core.errors import UsageError
from rtface.core.records import MINIMUM_CROP, Crop

EngineOption = Annotated[
    str, typer.Option("--engine", help="Name of an engine (`rtface engines list`) or its folder.")
]
CropOption = Annotated[
    str | None,
    typer.Option(
        "--crop",
        metavar="X,Y,WIDTH,HEIGHT",
        help="The face in the frame, in pixels, a fifth part `mirrored` if it is to be seen so; "
        "auto: find it; else all.",
    ),
]
AUTO = "auto"
"""A crop that is to be found."""
CameraOption = Annotated[
    str | None, typer.Option("--camera", help="Which camera of a rig that has several, by its name.")
]
JsonOption = Annotated[
    bool,
    typer.Option(
        "--json",
        callback=json_asked,
        help="Print JSON for machines, and nothing else; its form: `rtface schema COMMAND`.",
    ),
]
NamesOption = Annotated[
    bool, typer.Option("--names/--no-names", help="Write names and scores beside the points of a video.")
]
ScreenOption = Annotated[
    bool, typer.Option("--screen", help="Also start `rtface screen` for it, and print its link.")
]
SecondsOption = Annotated[float | None, typer.Option("--seconds", min=0.1, help="End after this long.")]
BackendName = Literal["auto", "tensorrt", "openvino", "torch"]
Precision = Literal["engine", "f32", "bf16", "f16"]


@dataclass(frozen=True)
class BackendOptions:
    """What runs the network of an engine in its own arithmetic."""

    backend: Annotated[BackendName, typer.Option("--backend", help="What runs the network.")] = "auto"
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="Threads of the network.")] = None
    device: Annotated[
        str | None, typer.Option("--device", help="CPU or cuda:0; else CPU, or the first GPU.")
    ] = None

    def settings(self) -> BackendSettings:
        """Return them as settings."""
        return BackendSettings(name=self.backend, threads=self.threads, device=self.device)


@dataclass(frozen=True)
class PrecisionOptions(BackendOptions):
    """What runs the network, and in which arithmetic."""

    precision: Annotated[
        Precision,
        typer.Option("--precision", help="Arithmetic of the network; engine: as its manifest says."),
    ] = "engine"

    def settings(self) -> BackendSettings:
        """Return them as settings."""
        return BackendSettings(
            name=self.backend, precision=self.precision, threads=self.threads, device=self.device
        )


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command take records of options: each field of such a parameter is an option of its own."""
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, type[Any]] = {
        name: kind for name, kind in hints.items() if isinstance(kind, type) and is_dataclass(kind)
    }
    parameters = []
    for name, parameter in inspect.signature(command).parameters.items():
        taken = {name: parameter.default}
        of = hints
        if name in groups:
            taken = {
                field.name: parameter.empty if field.default is MISSING else field.default
                for field in fields(groups[name])
            }
            of = get_type_hints(groups[name], include_extras=True)
        parameters += [
            inspect.Parameter(each, parameter.KEYWORD_ONLY, default=default, annotation=of[each])
            for each, default in taken.items()
        ]

    @wraps(command)
    def expanded(**given: Any) -> None:
        for name, kind in groups.items():
            given[name] = kind(**{field.name: given.pop(field.name) for field in fields(kind)})
        command(**given)

    expanded.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    expanded.__annotations__ = {each.name: each.annotation for each in parameters}
    return expanded


UnblindOption = Annotated[
    bool,
    typer.Option("--unblind", help="Tell light and sham of blinded trials apart; else both are `trial`."),
]


def parse_crop(text: str | None) -> Crop | None:
    """Return the crop that ``X,Y,WIDTH,HEIGHT`` or ``X,Y,WIDTH,HEIGHT,mirrored`` stands for; `UsageError` for others."""
    if text is None:
        return None
    if text == AUTO:
        raise UsageError("this command takes no --crop auto: `rtface cameras crop` prints the numbers")
    numbers, mirrored = text.removesuffix(",mirrored"), text.endswith(",mirrored")
    try:
        x, y, width, height = (int(part) for part in numbers.split(","))
    except ValueError:
        raise UsageError(f"--crop takes four whole numbers X,Y,WIDTH,HEIGHT, not {text!r}") from None
    if min(x, y) < 0 or min(width, height) < MINIMUM_CROP:
        raise UsageError(f"--crop {text}: X and Y are 0 or more, WIDTH and HEIGHT {MINIMUM_CROP} or more")
    return Crop(x, y, width, height, mirrored)
