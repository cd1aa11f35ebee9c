"""``rtface encoder fit``: from a recording of face and neurons to an encoder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from rtface.cli.encoder.recording import RecordingOptions, ThreadsOption
from rtface.cli.encoder.show import encoder_card
from rtface.cli.options import JsonOption, grouped
from rtface.cli.terminal.screen import OUT, print_json, print_line, print_note
from rtface.cli.terminal.signals import ending_on_signals
from rtface.cli.terminal.training import interrupted, training_bars, training_packages

Family = Literal["causal", "facemap"]
Splitting = Literal["strict", "published"]


@grouped
def fit(
    *,
    recording: RecordingOptions,
    out: Annotated[Path, typer.Option(help="Folder of the new encoder; its name is the encoder's.")],
    family: Annotated[
        Family, typer.Option(help="causal: ours, from past frames alone. facemap: Facemap's, for comparison.")
    ] = "causal",
    look_ahead: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Future frames that it may use; its predictions come so much later. Else the family's.",
        ),
    ] = None,
    delay: Annotated[
        float,
        typer.Option(help="Seconds by which the newest frame is older than the neural sample."),
    ] = 0.0,
    components: Annotated[int, typer.Option(min=1, help="Principal components to predict.")] = 128,
    split: Annotated[
        Splitting,
        typer.Option(help="strict: gaps of the encoder's window, nothing fitted on test samples. published."),
    ] = "strict",
    memory: Annotated[
        float,
        typer.Option(
            min=0, help="Seconds that the running z-score of the inputs remembers; 0: it is frozen."
        ),
    ] = 1800.0,
    epochs: Annotated[int | None, typer.Option(min=1, help="At most; else the recipe's.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of everything random.")] = 0,
    rate: Annotated[
        float | None,
        typer.Option(
            min=1, help="Rows a second of the encoder, for a camera that is faster; else the camera's rate."
        ),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A keypoint not to use; repeatable. paw, if none is named."),
    ] = None,
    run: Annotated[
        Path | None, typer.Option(help="Folder of checkpoint and report; else OUT with -run behind it.")
    ] = None,
    explainable: Annotated[bool, typer.Option(help="Say what is explainable by the other neurons.")] = True,
    licence: Annotated[str, typer.Option(help="Of the encoder.")] = "that of the recording",
    threads: ThreadsOption = 1,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an encoder that is there.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Fit an encoder to a recording, and state what it explains of samples that it was not trained on.

    Ctrl-C ends it early and leaves a checkpoint; the same command goes on from there.
    """
    with training_packages(threads):
        from rtface.encode.normalise import NormaliseRules
        from rtface.learn.encoder.from_recording import EncoderRequest, fit_encoder
        from rtface.learn.encoder.optimise import RECIPES
    recipe = replace(RECIPES[family], seed=seed)
    architecture: dict[str, Any] = {"name": family}
    if look_ahead is not None:
        architecture["look_ahead"] = look_ahead
    order = EncoderRequest(
        files=replace(recording.files(exclude), rate=rate),
        encoder=out,
        run=run or out.with_name(f"{out.name}-run"),
        architecture=architecture,
        components=components,
        delay_s=delay,
        rules=NormaliseRules(memory_s=memory or None),
        split=split,
        recipe=replace(recipe, epochs=epochs) if epochs else recipe,
        explainable=explainable,
        licence=licence,
        overwrite=overwrite,
    )
    with ending_on_signals() as ending, training_bars(quiet=as_json, measure="unexplained") as progress:
        fitted = fit_encoder(order, progress=progress, stop=ending.is_set)
    if fitted is None:
        raise interrupted(order.run)
    if as_json:
        print_json({"folder": fitted.bundle.folder, "run": order.run, **fitted.report})
        return
    for remark in fitted.bundle.manifest.training["remarks"]:
        print_note(remark)
    OUT.print(encoder_card(fitted.bundle.manifest))
    print_line(f"curves and report: {order.run}")
    print_line(f"{fitted.bundle.manifest.name}: {fitted.bundle.folder}")
