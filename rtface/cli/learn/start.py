"""``rtface learn start``: from a recording to an engine of its rig, led from step to step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rtface.cli.facecrop import crop_in, frames_of_all
from rtface.cli.learn.adapt import OF_LABELS, show_adapted
from rtface.cli.learn.asking import Asking, Left
from rtface.cli.learn.options import RenameOption, parse_names, parse_renames
from rtface.cli.learn.start_shown import show_check, show_end
from rtface.cli.learn.suggest import note_few, survey_bars
from rtface.cli.options import AUTO, BackendOptions, JsonOption, grouped
from rtface.cli.terminal.progress import named_part
from rtface.cli.terminal.screen import print_error, print_json, print_note
from rtface.cli.terminal.signals import INTERRUPTED, ending_on_signals
from rtface.cli.terminal.training import interrupted, training_bars, training_packages
from rtface.config import BackendSettings
from rtface.core.errors import UsageError
from rtface.core.extras import require
from rtface.learn.labels.how_many import FRAMES_TO_LABEL, HOW_MANY

if TYPE_CHECKING:
    from rtface.learn.guided.start import GuidedStart
    from rtface.learn.guided.way import GuidedWay, Whereabouts
    from rtface.learn.labels.keypoint_changes import KeypointChanges
    from rtface.learn.tracker.adapt_request import AdaptPlan

WAITS_FOR = {"suggest": 20, "label": 21, "check": 22, "adapt": 23, "evaluate": 24}
"""Exit codes that say which step is next, where nobody is there to be asked."""


@grouped
def start(
    *,
    videos: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="VIDEO...", help="Videos and folders of images of one rig; not needed to go on."
        ),
    ] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Where all of it lies; else VIDEO-learn in this folder.")
    ] = None,
    engine: Annotated[
        str | None, typer.Option("--engine", help="The engine to begin with; else the shipped default.")
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="Name of the new engine; else the video's.")
    ] = None,
    crop: Annotated[
        str | None,
        typer.Option(
            "--crop", metavar="X,Y,WIDTH,HEIGHT", help="The face in the frame, or auto: find it; else all."
        ),
    ] = None,
    count: Annotated[
        int | None, typer.Option(min=1, help=f"Frames to label; else {FRAMES_TO_LABEL}. {HOW_MANY}")
    ] = None,
    more: Annotated[
        int | None, typer.Option(min=1, help="Choose so many frames besides those chosen here before.")
    ] = None,
    guesses: Annotated[
        bool, typer.Option("--guesses", help="Also a folder for DeepLabCut's and napari's labelling.")
    ] = False,
    labels: Annotated[
        list[Path] | None,
        typer.Option(
            help="Labels that are there already, of any format; then none are suggested. Repeatable."
        ),
    ] = None,
    rename: RenameOption = None,
    keypoints: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,...", help=f"All that is to be found; '{OF_LABELS}': what the labels have."
        ),
    ] = None,
    add: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A keypoint of the labels to find besides; repeatable."),
    ] = None,
    drop: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A keypoint not to find any more; repeatable.")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Most batches of the training.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of everything random; else 0.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing: go on until somebody must label.")] = False,
    stop_if_wrong: Annotated[
        bool,
        typer.Option(
            "--stop-if-wrong", help="With --yes: stop after a check that lets one doubt the labels."
        ),
    ] = False,
    backend: BackendOptions,
    as_json: JsonOption = False,
) -> None:
    """Lead from a recording to an engine of its rig: suggest frames, label them, check, adapt, evaluate.

    Before each step it says what it will do, how long that takes and what it writes. Leave at any point: the same command
    goes on from what is in the folder. Labels are never overwritten. Where nobody can be asked it says what is next and
    ends with a code of its own: 20 suggest, 21 label, 22 check, 23 adapt, 24 evaluate; --yes goes on by itself, and with
    --stop-if-wrong stops once after a check that lets one doubt the labels (code 23).
    """
    from rtface.learn.guided.start import default_folder, kept_start
    from rtface.learn.guided.way import Step, Whereabouts, open_way

    if guesses:
        require("lab", "pandas", "tables")
    if not videos and folder is None:
        raise UsageError("name a video, or with --folder a way that was begun")
    place = folder or default_folder((videos or [Path()])[0])
    asked = _asked(
        kept_start(place),
        crop,
        videos or (),
        backend.settings(),
        engine=engine,
        name=name,
        count=count,
        guesses=guesses or None,
        labels=tuple(labels or ()) or None,
        changes=_changes(rename, keypoints, add, drop),
        steps=steps,
        seed=seed,
    )
    way = open_way(place, asked, backend.settings())
    ask = Asking(yes=yes, quiet=as_json, stop_if_wrong=stop_if_wrong)
    if more is not None:
        _choose(way, ask, more)
        at = Whereabouts(Step.LABEL)
        if as_json:
            print_json(_as_dict(way, at))
        _leave(way, at)
    try:
        at = way.where()
        while at.step is not Step.DONE:
            _STEPS[at.step](way, at, ask)
            at = way.where()
    except Left:
        at = way.where()
    if as_json:
        print_json(_as_dict(way, at))
    elif at.step is Step.DONE:
        show_end(way, at)
    if at.step is not Step.DONE:
        _leave(way, at)


def _suggest(way: GuidedWay, at: Whereabouts, ask: Asking) -> None:
    start = way.start
    if not start.videos:
        raise UsageError("there is no video to suggest frames of, and no --labels: name one of the two")
    seconds = way.seconds_to_suggest()
    took = "a time that the recording's unknown length decides" if seconds is None else _duration(seconds)
    ask.say(
        f"1 of 5, suggest: reads {', '.join(map(str, start.videos))} and chooses {start.count} frames that are worth labelling. "
        f"It takes {took}, and writes {way.to_label}."
    )
    ask.go_on()
    _choose(way, ask, None)


def _choose(way: GuidedWay, ask: Asking, more: int | None) -> None:
    """Choose the frames to label, or more of them."""
    from rtface.learn.labels.labelling_folder import how_chosen

    with ending_on_signals() as ending, survey_bars(quiet=ask.quiet) as progress:
        done = way.suggest(more=more, progress=progress, stop=ending.is_set)
    if done is None:
        raise typer.Exit(INTERRUPTED)
    for damage in done.damages:
        print_error(f"{damage}; the frames before that are used")
    if not ask.quiet:
        note_few(len(done.frames), more or way.start.count, filled=True)
    written = way.label_folders()[-1]
    ask.say(
        f"written: {written} with {len(done.frames)} frames ({how_chosen(written)}); "
        "sheet.png shows what the engine finds in them"
    )


def _label(way: GuidedWay, at: Whereabouts, ask: Asking) -> None:
    if at.fault is not None:
        print_error(at.fault)
    ask.say(f"2 of 5, label: {_how_to_label(way)}")
    if at.fault is not None and not ask.somebody:
        raise typer.Exit(at.fault.exit_code)
    ask.line("Enter when they are saved, q to leave")


def _how_to_label(way: GuidedWay) -> str:
    if way.start.labels:
        return f"correct {', '.join(map(str, way.start.labels))}"
    places = f"{way.to_label / 'labels.csv'} (pixels of the frame; leave a cell empty where a point cannot be seen)"
    if way.start.guesses:
        places += f", or drag the points in {way.to_label / 'deeplabcut'} with DeepLabCut or napari"
    return f"fill in {places}. It takes a minute or two a frame; any first few of the frames serve. rtface only reads them"


def _check(way: GuidedWay, at: Whereabouts, ask: Asking) -> None:
    assert at.labels is not None
    ask.say(
        f"3 of 5, check: runs {way.start.engine} on {len(at.labels)} labelled frames and looks for what may be wrong. "
        "It takes seconds, and writes what it found beside the labels."
    )
    if not ask.quiet:
        for name in way.undecided(at.labels) if ask.somebody else ():
            way.decide(_decided(way, name, ask))
    ask.go_on()
    with training_packages():
        from rtface.learn.guided.adapting import check_attempt

        with named_part("checking the labels", quiet=ask.quiet):
            found = check_attempt(way, at.labels)
    if not ask.quiet:
        show_check(found)
    ask.heed(found.serious)


def _decided(way: GuidedWay, name: str, ask: Asking) -> KeypointChanges:
    """Return what is to become of the keypoints when somebody has said it of one more."""
    changes, known = way.start.changes, way.engine().manifest.names
    while True:
        answer = ask.line(
            f"the engine has no keypoint {name!r}: a to add it, d to drop it, or the engine's name for it "
            f"({', '.join(known)}); q to leave"
        )
        if answer == "a":
            return replace(changes, add=(*changes.add, name))
        if answer == "d":
            return replace(changes, drop=(*changes.drop, name))
        if answer in known:
            return replace(changes, renames={**changes.renames, name: answer})


def _adapt(way: GuidedWay, at: Whereabouts, ask: Asking) -> None:
    assert at.labels is not None
    assert at.attempt is not None
    attempt = at.attempt

    def announce(plan: AdaptPlan) -> None:
        ask.say(
            f"4 of 5, adapt: trains on {len(at.labels or ())} frames, at most {plan.steps} steps: "
            f"{_duration(60 * plan.minutes)} or less on this machine as it is now. It writes the engine {attempt.engine}, "
            f"and {attempt.run}. Ctrl-C stops it; the same command goes on from there."
        )
        ask.go_on()

    with (
        training_packages(way.settings.threads),
        ending_on_signals() as ending,
        training_bars(quiet=ask.quiet) as progress,
    ):
        from rtface.learn.guided.adapting import adapt_attempt

        if not ask.somebody:  # a bar would stand in the way of the question that follows
            progress("timing a few steps", 0)
        adapted = adapt_attempt(
            way, at.labels, attempt, progress=progress, stop=ending.is_set, announce=announce
        )
    if adapted is None:
        raise interrupted(attempt.run)
    if not ask.quiet:
        show_adapted(adapted)
    ask.say(f"written: the engine {adapted.engine.manifest.name} in {adapted.engine.folder}")


def _evaluate(way: GuidedWay, at: Whereabouts, ask: Asking) -> None:
    assert at.labels is not None
    assert at.attempt is not None
    ask.say(
        f"5 of 5, evaluate: runs {way.start.engine} and {at.attempt.engine} on the labelled frames, as they run live. It "
        f"takes seconds, and writes {at.attempt.folder / 'evaluation.json'}."
    )
    ask.go_on()
    with named_part("evaluating it on the labelled frames", quiet=ask.quiet):
        way.evaluate(at.labels, at.attempt)


_STEPS: dict[str, Callable[[GuidedWay, Whereabouts, Asking], None]] = {
    "suggest": _suggest,
    "label": _label,
    "check": _check,
    "adapt": _adapt,
    "evaluate": _evaluate,
}


def _leave(way: GuidedWay, at: Whereabouts) -> None:
    """Say which step is next, and end with its code."""
    print_note(
        f"next: {at.step}, in {way.folder}; the same command goes on from there (--yes: without asking)"
    )
    raise typer.Exit(WAITS_FOR[at.step])


def _as_dict(way: GuidedWay, at: Whereabouts) -> dict[str, Any]:
    attempt = at.attempt
    return {
        "folder": way.folder,
        "next": at.step,
        "fault": None if at.fault is None else str(at.fault),
        "labelled_frames": None if at.labels is None else len(at.labels),
        "engine": None if attempt is None else attempt.engine,
        "report": None if attempt is None else attempt.report,
        "evaluation": None if attempt is None else attempt.evaluation,
        "advice": way.advice(at.labels, attempt) if at.step == "done" and at.labels and attempt else [],
    }


def _duration(seconds: float) -> str:
    return f"about {max(1, round(seconds))} s" if seconds < 90 else f"about {seconds / 60:.0f} minutes"


def _changes(
    rename: list[str] | None, keypoints: str | None, add: list[str] | None, drop: list[str] | None
) -> KeypointChanges | None:
    """Return what options say of keypoints; None where they say nothing."""
    from rtface.learn.labels.keypoint_changes import KeypointChanges

    if not (rename or keypoints or add or drop):
        return None
    by_labels = keypoints == OF_LABELS
    return KeypointChanges(
        renames=parse_renames(rename),
        only=() if by_labels else parse_names(keypoints),
        only_labels=by_labels,
        add=tuple(add or ()),
        drop=tuple(drop or ()),
    )


def _asked(
    kept: GuidedStart | None,
    crop: str | None,
    videos: Sequence[Path],
    settings: BackendSettings,
    **given: Any,
) -> GuidedStart:
    """Return what is asked for: what was kept, with the options that were given now."""
    from rtface.learn.guided.start import GuidedStart, engine_name

    options = {name: value for name, value in given.items() if value is not None}
    if videos:
        options["videos"] = tuple(videos)
    asked = replace(kept or GuidedStart(videos=tuple(videos), name=engine_name(videos)), **options)
    if crop is None or (crop == AUTO and kept is not None and kept.crop is not None):
        return asked
    return replace(asked, crop=crop_in(crop, lambda: frames_of_all(asked.videos), asked.engine, settings))
