"""``rtface engines export``: an engine in another precision, refused unless its keypoints stay where they are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from rtface.acquire.recording import source_settings
from rtface.acquire.sampling import evenly_spaced
from rtface.cli.options import BackendOptions, CropOption, JsonOption, grouped, parse_crop
from rtface.cli.terminal.progress import named_part, progress_bars
from rtface.cli.terminal.screen import OUT, plain_table, print_json, print_line
from rtface.core.errors import DataError, UsageError
from rtface.core.extras import needing
from rtface.core.files import write_json
from rtface.track.store import load_engine, user_folder

if TYPE_CHECKING:
    from rtface.track.comparison import EngineComparison

ExportPrecision = Literal["f32", "bf16", "f16", "int8"]
FramesOption = Annotated[Path, typer.Option(help="A video or a folder of images of the rig it is for.")]
CountOption = Annotated[int, typer.Option(min=1, help="Frames to compare, at most; evenly spaced.")]


@grouped
def export(
    *,
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
        typer.Option("--for", help="What will run an int8 engine: each needs other integers."),
    ] = "cpu",
    report: Annotated[
        Path | None, typer.Option(help="Write the parity report to this file, as JSON.")
    ] = None,
    backend: BackendOptions,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an engine of that name.")] = False,
    as_json: JsonOption = False,
) -> None:
    r"""Make an engine of another precision from a float engine, and compare the two on your own frames.

    An engine whose keypoints move by 0.1 pixels of the network's input in the median, or by 1 pixel at the 99th
    percentile, is refused. Needs the extra train: pip install '.\[train]'.
    """
    if for_ != "cpu" and precision != "int8":
        raise UsageError("--for is for int8 alone: TensorRT takes float engines as they are")
    with needing("train"):
        from rtface.learn.engines.precision import export_engine
        from rtface.learn.engines.quantise import Scheme
    source = load_engine(engine)
    kind = precision if for_ == "cpu" else f"{precision}-{for_}"
    folder = user_folder() / (name or f"{source.manifest.name}-{kind}")
    with named_part("reading the frames", quiet=as_json):
        seen = evenly_spaced(source_settings(frames), count)
    with needing("train"), progress_bars(quiet=as_json) as progress:
        made = export_engine(
            source,
            folder,
            precision,
            seen,
            crop=parse_crop(crop),
            settings=backend.settings(),
            scheme=Scheme.CPU if for_ == "cpu" else Scheme.TENSORRT,
            overwrite=overwrite,
            progress=progress,
        )
    facts = made.engine.manifest.metrics["parity"]
    if report is not None:
        _write_report(report, facts)
    if as_json:
        print_json({"engine": made.engine.manifest.name, "folder": str(made.engine.folder), "parity": facts})
        return
    print_line(f"{made.engine.manifest.name}: {made.engine.folder}")
    show_comparison(made.comparison)


def show_comparison(comparison: EngineComparison) -> None:
    """Print how two engines compare: in a line, and by keypoint."""
    print_line(f"against {comparison.reference}: {comparison.in_words()}")
    table = plain_table("shift (px of the network's input)", right=("p50", "p99", "max"))
    for keypoint, shift in comparison.by_keypoint.items():
        table.add_row(keypoint, *(f"{value:.3f}" for value in (shift.p50, shift.p99, shift.max)))
    OUT.print(table)


def _write_report(path: Path, facts: object) -> None:
    try:
        write_json(path, facts)
    except OSError as error:
        raise DataError(f"the report {path} cannot be written: {error.strerror}") from error
