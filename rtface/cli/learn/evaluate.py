"""``rtface learn evaluate``: an engine's errors on labelled frames."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from rtface.cli.facecrop import crop_in, frames_of_labels
from rtface.cli.learn.options import (
    DistanceOption,
    LabelsArgument,
    RenameOption,
    parse_renames,
    with_distances,
)
from rtface.cli.learn.tables import distances_table, errors_table, reliability_table
from rtface.cli.options import BackendOptions, CropOption, EngineOption, JsonOption, grouped
from rtface.cli.terminal.screen import OUT, plain_table, print_json, print_line, print_note
from rtface.track.backends.factory import engine_for

if TYPE_CHECKING:
    from rtface.learn.engines.accuracy import EngineErrors


@grouped
def evaluate(
    *,
    labels: LabelsArgument,
    engine: EngineOption = "default",
    rename: RenameOption = None,
    crop: CropOption = None,
    distance: DistanceOption = None,
    backend: BackendOptions,
    as_json: JsonOption = False,
) -> None:
    """Measure how far an engine's keypoints lie from labels, on all frames, exactly as it runs live.

    Keypoints are brought together by name; --rename changes the labels' names. Works for every engine, int8 too, and
    needs no torch.
    """
    from rtface.learn.engines.accuracy import measure
    from rtface.learn.labels.reading import read_labels
    from rtface.track.pictures import PictureTracker

    renames = parse_renames(rename)
    settings = backend.settings()
    loaded = engine_for(engine, settings)
    labelled = with_distances(read_labels(*labels).renamed(renames), distance)
    rectangle = crop_in(crop, lambda: frames_of_labels(labelled), engine, settings)
    with PictureTracker(loaded, settings, rectangle) as tracker:
        measured = measure(tracker, labelled)
    report = measured.as_dict()
    if as_json:
        print_json(report)
        return
    _show(measured, report)


def _show(measured: EngineErrors, report: Mapping[str, Any]) -> None:
    from rtface.learn.engines.accuracy import near_names

    OUT.print(errors_table(report))
    OUT.print(_videos_table(report["by_video"]))
    if report["distances"]:
        OUT.print(distances_table(report["distances"], "found on labelled: slope 1 follows"))
    if "score_reliability" in report:
        reliability = report["score_reliability"]
        print_line(f"score: {reliability['definition']}")
        OUT.print(reliability_table(reliability))
    else:
        print_note("its scores are not calibrated: they order points by certainty and are no probabilities")
    if missed := report["not_found"]:
        print_note(f"{missed} labels count in no error: the engine gave no place for them")
    if names := measured.only_labels:
        near = near_names(names, measured.only_engine)
        hint = f" (is {next(iter(near))} the same as {next(iter(near.values()))}?)" if near else ""
        print_note(f"labelled, but not found by the engine, so not evaluated: {', '.join(names)}{hint}")
    if names := measured.only_engine:
        print_note(f"found by the engine, but not labelled, so not evaluated: {', '.join(names)}")
    print_note(_in_words(measured, report["by_video"]))
    print_line(f"{report['engine']}: {report['n']} labels on {report['frames']} frames")


def _videos_table(by_video: Mapping[str, Any]) -> Table:
    table = plain_table("recording", right=("frames", "labels", "mean", "median", "p90", "the engine was"))
    for video, each in by_video.items():
        figures = (f"{each[key]:.2f}" if key in each else "-" for key in ("mean_px", "median_px", "p90_px"))
        words = "not known" if each["training"] == "not known" else f"{each['training']} it"
        table.add_row(escape(video), str(each["frames"]), str(each["n"]), *figures, words)
    return table


def _in_words(measured: EngineErrors, by_video: Mapping[str, Any]) -> str:
    """Return what the errors mean for a new recording, by what the manifest states of the training."""
    from rtface.learn.engines.provenance import origin_in_words

    manifest = measured.engine.manifest
    training = {each["training"] for each in by_video.values()}
    if "trained on" in training:
        known = ", ".join(video for video, each in by_video.items() if each["training"] == "trained on")
        return f"{manifest.name} was trained on frames of {known}: expect larger errors on a new recording than these"
    if training == {"not trained on"}:
        return (
            f"{manifest.name} was trained on none of these recordings: the errors are those of new recordings"
        )
    origin = origin_in_words(manifest)
    return (
        f"the manifest of {manifest.name} does not state whether it was trained on these recordings"
        + (f" ({origin})" if origin else "")
        + "; if it was, expect larger errors on a new one"
    )
