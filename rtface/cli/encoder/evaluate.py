"""``rtface encoder evaluate``: what an encoder explains of samples that it was not trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from rtface.cli.encoder.recording import RecordingOptions, ThreadsOption
from rtface.cli.options import JsonOption, grouped
from rtface.cli.terminal.screen import OUT, plain_table, print_json, print_line, print_note
from rtface.cli.terminal.signals import INTERRUPTED, ending_on_signals
from rtface.cli.terminal.training import training_bars, training_packages
from rtface.encode.bundle import load_encoder


@grouped
def evaluate(
    *,
    encoder: Annotated[Path, typer.Argument(help="Folder of an encoder.")],
    recording: RecordingOptions,
    baselines: Annotated[
        bool, typer.Option(help="Fit linear regressions on the same samples, to compare with.")
    ] = True,
    video: Annotated[
        Path | None, typer.Option(help="The video: its motion energy is one of the baselines.")
    ] = None,
    threads: ThreadsOption = 1,
    as_json: JsonOption = False,
) -> None:
    """Measure what an encoder explains of the test part of a recording: its own, or another of the same neurons.

    The recording is split as that which the encoder was trained on; what is fitted for comparison is fitted to the
    training part.
    """
    bundle = load_encoder(encoder)
    with training_packages(threads):
        from rtface.learn.encoder.compare import evaluate_encoder
    files = recording.files((), bundle.manifest.extras)
    with ending_on_signals() as ending, training_bars(quiet=as_json, measure="unexplained") as progress:
        report = evaluate_encoder(
            bundle, files, baselines=baselines, video=video, progress=progress, stop=ending.is_set
        )
    if report is None:
        raise typer.Exit(INTERRUPTED)
    if as_json:
        print_json(report)
        return
    for remark in report["remarks"]:
        print_note(remark)
    OUT.print(_compared(report["results"]))
    if "explainable_mean" in report:
        print_line(
            f"explainable by other neurons: {report['explainable_mean']:.3f} of a neuron's variance on average"
        )


def _compared(results: Sequence[Mapping[str, Any]]) -> Table:
    table = plain_table(
        "explained variance on test samples",
        right=("all outputs", "first", "10th", "neurons", "normalised"),
    )
    for each in results:
        outputs = each["by_output"]
        cells = [each["variance_explained"], outputs[0], outputs[9] if len(outputs) > 9 else None]
        cells += [each["neurons_mean"], each.get("neurons_normalised")]
        table.add_row(escape(each["name"]), *("-" if value is None else f"{value:.3f}" for value in cells))
    return table
