"""``rtface learn train``: an engine of one's own labels."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from rtface.cli.facecrop import crop_in, frames_of_labels
from rtface.cli.learn.options import (
    HoldOutOption,
    HoldOutShareOption,
    KeypointsOption,
    LabelsArgument,
    RenameOption,
    RunOption,
    parse_hold_out,
    parse_names,
    parse_renames,
)
from rtface.cli.learn.tables import errors_table, reliability_table
from rtface.cli.options import CropOption, JsonOption
from rtface.cli.terminal.screen import OUT, print_json, print_line, print_note
from rtface.cli.terminal.signals import ending_on_signals
from rtface.cli.terminal.training import interrupted, print_engine, training_bar, training_packages
from rtface.track.store import user_folder

if TYPE_CHECKING:
    from rtface.learn.labels.labelset import LabelSet
    from rtface.learn.tracker.from_labels import Trained

Family = Literal["small", "fast", "tiny", "facemap"]
RecipeName = Literal["rig", "general"]


def train(
    labels: LabelsArgument,
    name: Annotated[str, typer.Option("--name", help="Name of the new engine.")],
    recipe: Annotated[
        RecipeName,
        typer.Option(
            help="rig: hundreds of frames of one rig. general: thousands of many rigs, with the public sets of `learn fetch`; "
            "held out are whole recordings."
        ),
    ] = "rig",
    family: Annotated[
        Family | None,
        typer.Option(
            help="small for most rigs, fast for three quarters of its time, tiny for the weakest computers, facemap to compare; "
            "else the recipe's."
        ),
    ] = None,
    keypoints: KeypointsOption = None,
    rename: RenameOption = None,
    crop: CropOption = None,
    hold_out: HoldOutOption = None,
    hold_out_share: HoldOutShareOption = None,
    simulated: Annotated[
        int | None,
        typer.Option(
            min=0, help="Simulated mice to train on besides; else the recipe's. They have Facemap's names."
        ),
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Batches; else the recipe's.")] = None,
    batch: Annotated[int | None, typer.Option(min=2, help="Samples in a batch; else the recipe's.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of everything random.")] = 0,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of the training.")] = None,
    device: Annotated[
        str,
        typer.Option(
            help="What trains, as torch names it: cpu, cuda; auto: for general the first GPU if there is one."
        ),
    ] = "auto",
    run: RunOption = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an engine of that name.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Train a network on labelled frames, and state its errors on frames that it was not trained on.

    Ctrl-C ends it early and leaves a checkpoint; the same command goes on from there.
    """
    renames, names = parse_renames(rename), parse_names(keypoints)
    with training_packages(threads):
        from rtface.learn.labels.reading import read_labels
        from rtface.learn.recipes import named_recipe
        from rtface.learn.tracker.from_labels import TrainRequest, train_engine
    begun = named_recipe(recipe)
    plan = replace(
        begun.recipe, seed=seed, steps=steps or begun.recipe.steps, batch=batch or begun.recipe.batch
    )
    folder = user_folder()
    order = TrainRequest(
        labels=tuple(labels),
        engine=folder / name,
        run=run or folder.parent / "runs" / name,
        family=family or begun.family,
        keypoints=names,
        renames=renames,
        crop=crop_in(crop, lambda: frames_of_labels(read_labels(*labels))),
        held_out=parse_hold_out(hold_out, hold_out_share, begun.share),
        simulated=begun.simulated if simulated is None else simulated,
        recipe=plan,
        overwrite=overwrite,
        whole_recordings=begun.whole_recordings,
        recipe_name="" if recipe == "rig" else recipe,
        device=_device(device, recipe),
    )

    def announce(labels: LabelSet, licence: str) -> None:
        if as_json:
            return
        for each in labels.origins:
            print_note(f"{each.name}: {each.licence}. Cite: {each.citation or each.title}")
        print_note(
            f"{labels.labels} labels on {len(labels)} frames of {len(labels.videos)} recordings; the engine's licence will be: "
            f"{licence}"
        )

    with ending_on_signals() as ending, training_bar(plan.steps, name, quiet=as_json) as progress:
        trained = train_engine(order, progress=progress, stop=ending.is_set, announce=announce)
    if trained is None:
        raise interrupted(order.run)
    if as_json:
        print_json(
            {
                "engine": name,
                "folder": trained.engine.folder,
                "run": order.run,
                "untrained": trained.untrained,
                "metrics": trained.metrics,
                "licence": trained.engine.manifest.licence,
            }
        )
        return
    _show(trained)
    print_engine(name, trained.engine.folder, order.run)


def _device(name: str, recipe: RecipeName) -> str:
    """Return what trains; for ``auto`` the CPU, and with the recipe general the first GPU where torch has one."""
    if name != "auto":
        return name
    import torch

    return "cuda" if recipe == "general" and torch.cuda.is_available() else "cpu"


def _show(trained: Trained) -> None:
    metrics, manifest = trained.metrics, trained.engine.manifest
    if not metrics:
        print_note("no label was held out: the engine's errors are not known, and its scores not calibrated")
    else:
        OUT.print(errors_table(metrics))
        if not manifest.training["held_out"]["of_recordings_not_trained_on"]:
            print_note(
                "these frames are of recordings that the network was trained on; of a new recording expect larger "
                "errors: --hold-out VIDEO measures them"
            )
        if "score_reliability" in metrics:
            print_line(f"score: {manifest.score.definition}")
            OUT.print(reliability_table(metrics["score_reliability"]))
        else:
            print_note(
                "the scores are not calibrated: too few held-out labels, or a family whose scores cannot be"
            )
    if trained.untrained:
        print_note(f"no label to train on, so never found: {', '.join(trained.untrained)}")
