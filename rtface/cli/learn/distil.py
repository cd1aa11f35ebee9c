"""``rtface learn distil``: a fast engine that finds on a rig's recordings what another engine finds there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.markup import escape
from rich.table import Table

from rtface.cli.facecrop import crop_in, frames_of_all
from rtface.cli.learn.options import RenameOption, RunOption, parse_renames
from rtface.cli.options import BackendOptions, CropOption, JsonOption, grouped
from rtface.cli.terminal.screen import OUT, plain_table, print_json, print_line, print_note
from rtface.cli.terminal.signals import ending_on_signals
from rtface.cli.terminal.training import interrupted, print_engine, training_bar, training_packages
from rtface.track.store import load_engine, user_folder

if TYPE_CHECKING:
    from rtface.learn.tracker.distil import Distilled
    from rtface.track.store import Engine

Family = Literal["small", "fast", "tiny"]
SCRATCH = "scratch"


@grouped
def distil(
    *,
    teacher: Annotated[str, typer.Option(help="The engine to distil: its name or its folder.")],
    video: Annotated[
        list[Path], typer.Option(help="A video or folder of images of the rig, without labels; repeatable.")
    ],
    name: Annotated[str, typer.Option(help="Name of the new engine.")],
    family: Annotated[
        Family | None,
        typer.Option(
            help="small for most rigs, fast for three quarters of its time, tiny for the weakest computers; else as --start."
        ),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            metavar="ENGINE",
            help="Engine whose weights the student starts from, or scratch; else the shipped one of its family if it fits.",
        ),
    ] = None,
    labels: Annotated[
        list[Path] | None,
        typer.Option(help="Human labels to train on as well, not of the recordings' ends; repeatable."),
    ] = None,
    rename: RenameOption = None,
    frames: Annotated[int, typer.Option(min=1, help="Most frames that the teacher labels.")] = 400,
    average: Annotated[
        bool,
        typer.Option(
            help="Average the teacher's points over small shifts of the frame: 5 times as slow, steadier."
        ),
    ] = True,
    crop: CropOption = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Batches; else the recipe's.")] = None,
    batch: Annotated[int | None, typer.Option(min=2, help="Samples in a batch; else the recipe's.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of everything random.")] = 0,
    backend: BackendOptions,
    run: RunOption = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an engine of that name.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Train a small network to find what a larger one finds in your recordings, and measure how far the two lie apart.

    The last 18 % of each recording are held out for that. Ctrl-C ends the training early and leaves a
    checkpoint; the same command goes on from there.
    """
    renames = parse_renames(rename)
    with training_packages(backend.threads):
        from rtface.learn.labels.reading import read_labels
        from rtface.learn.tracker.distil import distil as distil_engine
        from rtface.learn.tracker.distil_request import SPECIALIST, DistilRequest
    recipe = replace(SPECIALIST, seed=seed, steps=steps or SPECIALIST.steps, batch=batch or SPECIALIST.batch)
    teacher_engine = load_engine(teacher)
    begun = _start(teacher_engine, start, family)
    request = DistilRequest(
        teacher=teacher_engine,
        videos=tuple(video),
        crop=crop_in(crop, lambda: frames_of_all(video), teacher, backend.settings()),
        frames=frames,
        family=family,
        start=begun,
        labels=read_labels(*labels).renamed(renames) if labels else None,
        average=average,
        recipe=recipe,
    )
    folder = user_folder()
    run_folder = run or folder.parent / "runs" / name
    with ending_on_signals() as ending, training_bar(recipe.steps, name, quiet=as_json) as progress:
        done = distil_engine(
            request,
            folder / name,
            run_folder,
            settings=backend.settings(),
            overwrite=overwrite,
            stage=print_note,
            progress=progress,
            stop=ending.is_set,
        )
    if done is None:
        raise interrupted(run_folder)
    if as_json:
        print_json({"folder": done.engine.folder, "run": run_folder, **done.report})
        return
    _show(done, teacher_engine)
    print_engine(name, done.engine.folder, run_folder)


def _start(teacher: Engine, start: str | None, family: Family | None) -> Engine | None:
    from rtface.learn.tracker.initial_network import shipped_start
    from rtface.track.store import trainable_source

    if start == SCRATCH:
        return None
    return (
        shipped_start(teacher, family or "small") if start is None else trainable_source(load_engine(start))
    )


def _show(done: Distilled, teacher: Engine) -> None:
    figures = done.report["agreement"]
    print_line(
        f"distance from {teacher.manifest.name} on {figures['frames']} held-out frames, where it is sure (pixels of the "
        "network's input)"
    )
    OUT.print(_distances(figures))
    noise = done.report["from_teachers_average"]
    print_line(
        f"from the teacher's average over small shifts (median px): teacher {_number(noise['teacher']['median'])}, "
        f"student {_number(noise['student']['median'])}; n = {noise['student']['n']}"
    )
    for what, unit in (("jitter", "px of the network's input, still stretches"), ("speed", "ms a frame")):
        pair = figures[what]
        key = "median" if what == "jitter" else "median_ms"
        print_line(
            f"{what} (median, {unit}): teacher {_number(pair['teacher'][key], 3)}, student "
            f"{_number(pair['student'][key], 3)}; n = {pair['student']['n']}"
        )
    for line in _by_labels(done.report.get("on_labels")):
        print_line(line)
    print_line(f"score: {done.engine.manifest.score.definition}")
    if unknown := [entry.name for entry in done.engine.manifest.keypoints if not entry.trained]:
        print_note(f"no label to train on, so never found: {', '.join(unknown)}")


def _by_labels(compared: Mapping[str, Any] | None) -> Iterator[str]:
    """Yield how far all lie from a person's labels, and whether the teacher was worse than its pupil."""
    from rtface.learn.engines.teacher_check import doubts

    if compared is None:
        return
    begun, done = compared["before"], compared["after"]
    lines = [
        f"{what} {each[who]['name']} {each[who]['median_px']:g}"
        for what, each, who in (
            ("teacher", done, "teacher"),
            ("start", begun, "start"),
            ("student, which learnt from them,", done, "student"),
        )
        if each is not None and who in each and each[who]["n"]
    ]
    if lines:
        yield f"from your labels (median px of the camera): {', '.join(lines)}"
    for each, who, because in (
        (begun, "start", "which the student started from: adapt that one instead"),
        (
            done,
            "student",
            "which learnt from the same labels; label frames that it did not learn from, and evaluate both",
        ),
    ):
        if doubt := doubts(each, who, because):
            yield doubt


def _distances(figures: Mapping[str, Any]) -> Table:
    errors = ("mean", "median", "p90", "p99")
    table = plain_table(
        "keypoint", right=("n", *errors, "camera median", "teacher unsure", "correlation x, y")
    )
    for keypoint, each in figures["by_keypoint"].items():
        both = each["correlation"]
        table.add_row(
            escape(keypoint), *_cells(each), "-" if both is None else f"{both['x']:.2f}, {both['y']:.2f}"
        )
    table.add_row("all", *_cells(figures), "", style="bold")
    return table


def _cells(part: Mapping[str, Any]) -> list[str]:
    ours = part["input_px"]
    return [
        str(ours["n"]),
        *(_number(ours[key]) for key in ("mean", "median", "p90", "p99")),
        _number(part["camera_px"]["median"]),
        f"{100 * part['unsure']:.0f} %",
    ]


def _number(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
