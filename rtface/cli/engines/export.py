"""``rtface engines export``: an engine in another precision, refused unless it still says the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.table import Table

from rtface.acquire.recording import source_settings
from rtface.cli.options import (
    BackendOption,
    CropOption,
    DeviceOption,
    JsonOption,
    ThreadsOption,
    backend_settings,
    parse_crop,
)
from rtface.cli.terminal.screen import OUT, print_json
from rtface.core.errors import BackendError, DataError, UsageError
from rtface.track.store import load_engine, user_folder

if TYPE_CHECKING:
    from rtface.track.comparison import EngineComparison

ExportPrecision = Literal["f32", "bf16", "f16", "int8"]
FramesOption = Annotated[Path, typer.Option(help="A video or a folder of images of the rig it is for.")]
CountOption = Annotated[int, typer.Option(min=1, help="Most frames to look at, evenly spaced.")]


def export(
    engine: Annotated[str, typer.Argument(help="Name of a float engine, or its folder.")],
    precision: Annotated[
        ExportPrecision,
        typer.Option(help="f32, bf16 (same file, faster arithmetic), f16 (half the file) or int8."),
    ],
    frames: FramesOption,
    crop: CropOption = None,
    name: Annotated[str | None, typer.Option(help="Name of the new engine; else from what it is.")] = None,
    count: CountOption = 200,
    for_: Annotated[
        Literal["cpu", "tensorrt"],
        typer.Option("--for", help="What shall run an int8 engine: each wants other integers."),
    ] = "cpu",
    report: Annotated[
        Path | None, typer.Option(help="Write the parity report to this file, as JSON.")
    ] = None,
    backend: BackendOption = "auto",
    threads: ThreadsOption = None,
    device: DeviceOption = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an engine of that name.")] = False,
    as_json: JsonOption = False,
) -> None:
    r"""Make an engine of another precision from a float engine, and compare the two on your own frames.

    An engine whose keypoints move by 0.1 pixels of the network's input in the median, or by 1 pixel at the 99th
    percentile, is refused. Needs pip install 'rtface\[train]'.
    """
    if for_ != "cpu" and precision != "int8":
        raise UsageError("--for is for int8 alone: TensorRT takes float engines as they are")
    try:
        from rtface.acquire.sampling import evenly_spaced
        from rtface.learn.engines.precision import export_engine
        from rtface.learn.engines.quantise import Scheme
    except ModuleNotFoundError as error:
        raise BackendError(f"{error.name} is not installed: pip install 'rtface[train]'") from error
    source = load_engine(engine)
    kind = precision if for_ == "cpu" else f"{precision}-{for_}"
    folder = user_folder() / (name or f"{source.manifest.name}-{kind}")
    seen = evenly_spaced(source_settings(frames), count)
    try:
        made = export_engine(
            source,
            folder,
            precision,
            seen,
            crop=parse_crop(crop),
            settings=backend_settings(backend, "engine", threads, device),
            scheme=Scheme.CPU if for_ == "cpu" else Scheme.TENSORRT,
            overwrite=overwrite,
        )
    except ModuleNotFoundError as error:
        raise BackendError(f"{error.name} is not installed: pip install 'rtface[train]'") from error
    facts = made.engine.manifest.metrics["parity"]
    if report is not None:
        _write_report(report, facts)
    if as_json:
        print_json({"engine": made.engine.manifest.name, "folder": str(made.engine.folder), "parity": facts})
        return
    OUT.print(f"{made.engine.manifest.name}: {made.engine.folder}", markup=False, soft_wrap=True)
    show_comparison(made.comparison)


def show_comparison(comparison: EngineComparison) -> None:
    """Print how two engines compare: in a line, and by keypoint."""
    OUT.print(f"against {comparison.reference}: {comparison.in_words()}", markup=False, soft_wrap=True)
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("shift (px of the network's input)")
    for column in ("p50", "p99", "max"):
        table.add_column(column, justify="right")
    for keypoint, shift in comparison.by_keypoint.items():
        table.add_row(keypoint, *(f"{value:.3f}" for value in (shift.p50, shift.p99, shift.max)))
    OUT.print(table)


def _write_report(path: Path, facts: object) -> None:
    try:
        path.write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise DataError(f"the report {path} cannot be written: {error.strerror}") from error
