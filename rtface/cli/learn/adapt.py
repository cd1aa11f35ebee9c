"""``rtface learn adapt``: an engine made better for one's own rig by a few labelled frames."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rtface.cli.facecrop import crop_in, frames_of_labels
from rtface.cli.learn.options import (
    DistanceOption,
    RenameOption,
    RunOption,
    parse_names,
    parse_renames,
    with_distances,
)
from rtface.cli.learn.tables import distances_table, errors_table
from rtface.cli.options import CropOption, EngineOption, JsonOption
from rtface.cli.terminal.screen import OUT, print_json, print_line, print_note
from rtface.cli.terminal.signals import ending_on_signals
from rtface.cli.terminal.training import interrupted, print_engine, training_bars, training_packages
from rtface.track.store import load_engine, user_folder

if TYPE_CHECKING:
    from rtface.learn.tracker.adapt import Adapted
    from rtface.learn.tracker.adapt_request import AdaptPlan

OF_LABELS = "labels"


def adapt(
    labels: Annotated[
        list[Path],
        typer.Option(help="Labelled frames of the rig, 1 to 100, in any format of `labels`; repeatable."),
    ],
    engine: EngineOption = "default",
    name: Annotated[
        str | None, typer.Option("--name", help="Name of the new engine; else ENGINE-adapted.")
    ] = None,
    rename: RenameOption = None,
    keypoints: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,...",
            help=f"All that is to be found, in this order; '{OF_LABELS}': what the labels have.",
        ),
    ] = None,
    add: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A keypoint of the labels to find besides; repeatable."),
    ] = None,
    drop: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A keypoint not to find any more; repeatable.")
    ] = None,
    crop: CropOption = None,
    distance: DistanceOption = None,
    minutes: Annotated[
        float | None, typer.Option(hidden=True, help="Of earlier versions, without effect: --steps.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of everything random.")] = 0,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of the training.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Most batches; else the recipe's.")] = None,
    run: RunOption = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an engine of that name.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Fine-tune an engine on a few frames of a rig; the number of steps is found on held-out frames.

    Keypoints that are not labelled stay as they are. --rename OLD=NEW applies to the engine's, the labels' or both.
    Ctrl-C ends it early and leaves a checkpoint; the same command goes on from there.
    """
    from rtface.learn.labels.keypoint_changes import KeypointChanges

    by_labels = keypoints == OF_LABELS
    changes = KeypointChanges(
        renames=parse_renames(rename),
        only=() if by_labels else parse_names(keypoints),
        only_labels=by_labels,
        add=tuple(add or ()),
        drop=tuple(drop or ()),
    )
    with training_packages(threads):
        from rtface.learn.labels.reading import read_labels
        from rtface.learn.tracker.adapt import adapt as adapt_engine
        from rtface.learn.tracker.adapt_request import AdaptRequest
        from rtface.learn.tracker.fine_tune import TUNING
    begun = load_engine(engine)
    called = name or f"{begun.manifest.name}-adapted"
    folder = user_folder()
    labelled = with_distances(read_labels(*labels), distance)
    order = AdaptRequest(
        engine=begun,
        labels=labelled,
        folder=folder / called,
        run=run or folder.parent / "runs" / called,
        changes=changes,
        crop=crop_in(crop, lambda: frames_of_labels(labelled), engine),
        recipe=replace(TUNING, seed=seed, steps=steps or TUNING.steps),
        overwrite=overwrite,
    )
    if minutes is not None:
        print_note("--minutes has no effect any more: adapting counts steps, which --steps bounds")

    def announce(plan: AdaptPlan) -> None:
        if not as_json:
            print_note(
                f"at most {plan.steps} steps: about {plan.minutes:.1f} minutes on this machine as it is now"
            )

    with ending_on_signals() as ending, training_bars(quiet=as_json) as progress:
        adapted = adapt_engine(order, progress=progress, stop=ending.is_set, announce=announce)
    if adapted is None:
        raise interrupted(order.run)
    if as_json:
        print_json({"engine": called, "folder": adapted.engine.folder, "run": order.run, **adapted.report})
        return
    show_adapted(adapted)
    print_engine(called, adapted.engine.folder, order.run)


def show_adapted(adapted: Adapted) -> None:
    """Print what adapting gained, and what to think of it."""
    report: dict[str, Any] = adapted.report
    if names := report["untouched_guesses"]:
        print_note(
            f"most labels of {', '.join(names)} are exactly what the engine itself finds: guesses that nobody moved "
            "add nothing; move or delete them in the labelling tool and adapt again"
        )
    if "after" in report:
        for what in ("before", "after"):
            if report[what]["n"]:
                print_line(what)
                OUT.print(errors_table(report[what]))
        print_note(
            f"on {len(report['held_out_frames'])} frames that were held out to find the number of steps and then "
            "trained on too"
        )
    else:
        print_note("too few frames to hold any out: how good the engine has become is not known")
    for what, where in (("held_out", "held-out frames"), ("learnt", "all frames, learnt from")):
        if followed := report.get("distances", {}).get(what):
            OUT.print(distances_table(followed, where))
    if report["kept_weights"]:
        print_note(
            "only the new keypoints were learnt: no step made the others better on the held-out frames"
        )
    if names := report["taught_by_parent"]:
        print_note(f"not in the labels, so kept as they were: {', '.join(names)}")
    print_line(
        f"{report['frames']} frames, {report['steps']} steps, {report['blend']:g} of the way from the old weights, "
        f"{report['minutes']:.1f} minutes"
    )
