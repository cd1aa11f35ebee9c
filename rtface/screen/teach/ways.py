"""The guided ways of the workspace: what was begun, how far each is, and what its trainings gave."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rtface.config import BackendSettings
from rtface.core.errors import DataError, RtfaceError, UsageError
from rtface.core.files import read_fields
from rtface.learn.guided.start import START_FILE, GuidedStart, kept_start
from rtface.learn.guided.way import ATTEMPT_FILE, Attempt, GuidedWay
from rtface.learn.labels.how_many import FRAMES_TO_LABEL, HOW_MANY
from rtface.learn.labels.labelling_folder import HowChosen, how_chosen
from rtface.learn.run_folder import PLAN_FILE, RunFolder
from rtface.screen.desk import Desk
from rtface.screen.folderwalk import files_below

_POINTS = 400
"""Of a curve: more are not seen on a page."""


def ways_of(desk: Desk) -> list[dict[str, Any]]:
    """Return the guided ways of the workspace, those last worked on first, with the engines that they made."""
    found = []
    for file in files_below(desk.folder, lambda path: path.name == START_FILE):
        try:
            if "videos" not in read_fields(file):
                continue  # another program's
            start = kept_start(file.parent)
        except DataError as error:
            found.append({"folder": desk.name(file.parent), "fault": str(error), "at": file.stat().st_mtime})
            continue
        assert start is not None
        way = GuidedWay(file.parent, start, BackendSettings())
        attempts = way.attempts()
        found.append(
            {
                "folder": desk.name(file.parent),
                "fault": "",
                "at": max(each.stat().st_mtime for each in (file, *(attempt.folder for attempt in attempts))),
                "engine": start.engine,
                "videos": [_named(desk, video) for video in start.videos],
                "made": [attempt.engine for attempt in attempts if _made(attempt)],
            }
        )
    return sorted(found, key=lambda each: -float(each["at"]))


def way_at(desk: Desk, name: str) -> GuidedWay:
    """Return the guided way of a folder that a page names.

    Raises
    ------
    UsageError
        None was begun there.
    DataError
        Its file is damaged.
    """
    folder = desk.path(name)
    start = kept_start(folder) if folder.is_dir() else None
    if start is None:
        raise UsageError(f"{name}: no way from a recording to an engine was begun here")
    return GuidedWay(folder, start, BackendSettings())


def way_in_full(desk: Desk, name: str) -> dict[str, Any]:
    """Return how far a way is, what is asked of a person, and all attempts, the newest first.

    It reads all labels with their images: for a page that opens, not for one that follows.
    """
    way = way_at(desk, name)
    start = way.start
    at = way.where()
    undecided: Sequence[str] = ()
    fault = None if at.fault is None else str(at.fault)
    known: Sequence[str] = ()
    try:
        known = way.engine().manifest.names
        undecided = () if at.labels is None else way.undecided(at.labels)
    except RtfaceError as error:
        fault = fault or str(error)
    return {
        "folder": name,
        "next": str(at.step),
        "fault": fault,
        "labels": labels_name(desk, way),
        "sets": [_named(desk, each) for each in way.start.labels or way.label_folders()],
        "chosen": chosen_in_words(way.label_folders()),
        "frames": None if at.labels is None else len(at.labels),
        "counts": {}
        if at.labels is None
        else {point: at.labels.arranged([point]).labels for point in at.labels.keypoints},
        "undecided": list(undecided),
        "known": list(known),
        "start": _start(desk, start),
        "now": None if at.attempt is None else at.attempt.folder.name,
        "attempts": [attempt_in_full(attempt) for attempt in way.attempts()],
        "advice": way.advice(at.labels, at.attempt)
        if at.labels is not None and at.attempt is not None and at.step == "done"
        else [],
    }


def frames_there(folder: Path) -> list[Path]:
    """Return the folders of frames to label of a way's folder, whether or not a way was begun there."""
    return GuidedWay(folder, GuidedStart(()), BackendSettings()).label_folders()


def chosen_in_words(folders: Sequence[Path]) -> str:
    """Return how many frames folders have to be labelled, of what kind, and how many of them to label; empty where none."""
    each = [how_chosen(folder) for folder in folders]
    chosen = HowChosen(
        sum(one.asked for one in each), sum(one.frames for one in each), sum(one.spread for one in each)
    )
    if not chosen.frames:
        return ""
    label = HOW_MANY if chosen.frames == FRAMES_TO_LABEL else "Label all of them."
    return f"{chosen.frames} frames are chosen: {chosen}. {label}"


def attempt_in_full(attempt: Attempt) -> dict[str, Any]:
    """Return what one training was of, and what came of it."""
    kept = read_fields(attempt.folder / ATTEMPT_FILE)
    return {
        "attempt": attempt.folder.name,
        "engine": attempt.engine,
        "made": _made(attempt),
        "check": kept.get("check"),
        "begun": attempt.run.exists(),
        "report": attempt.report,
        "evaluation": attempt.evaluation,
    }


def curves_of(desk: Desk, name: str, attempt: str) -> dict[str, Any]:
    """Return the curves of a training, as far as it is: losses by step, and the error on the held-out frames.

    Returns
    -------
    dict
        ``losses`` by part, each a list of step and loss, and ``trials``, the error on held-out frames in pixels of the network's
        input: the best blend of each check, as a list of step and error; ``minutes``, the longest that it was to take as told
        before it began, and ``finishing``, whether somebody asked for the engine of the best so far.
    """
    way = way_at(desk, name)
    run = next((each.run for each in way.attempts() if each.folder.name == attempt), None)
    if run is None:
        raise UsageError(f"{name} has no {attempt}")
    losses = {}
    for part in ("search", "final"):
        points = [[int(row["step"]), float(row["loss"])] for row in _rows(run / f"{part}.losses.csv")]
        losses[part] = points[:: max(1, -(-len(points) // _POINTS))]
    best: dict[int, float] = {}
    for row in _rows(run / "search.trials.csv"):
        step, error = int(row["steps"]), float(row["error_px"])
        best[step] = min(error, best.get(step, error))
    plan = run / PLAN_FILE
    return {
        "losses": losses,
        "trials": [[step, error] for step, error in sorted(best.items())],
        "minutes": read_fields(plan).get("minutes") if plan.exists() else None,
        "finishing": RunFolder(run).finish_asked,
    }


def labels_name(desk: Desk, way: GuidedWay) -> str | None:
    """Return where the labels of a way are, as a page names a label set; None where they are outside the workspace."""
    return _named(desk, way.start.labels[0] if way.start.labels else way.to_label)


def _start(desk: Desk, start: GuidedStart) -> dict[str, Any]:
    return {
        "videos": [_named(desk, video) for video in start.videos],
        "engine": start.engine,
        "crop": None if start.crop is None else start.crop.as_option,
        "name": start.name,
        "count": start.count,
        "labels": [_named(desk, each) for each in start.labels],
        "changes": asdict(start.changes),
        "steps": start.steps,
    }


def _named(desk: Desk, path: Path) -> str | None:
    try:
        return desk.name(path if path.is_absolute() else desk.folder / path)
    except ValueError:
        return None


def _made(attempt: Attempt) -> bool:
    return attempt.report is not None and attempt.own_engine_is_there


def _rows(file: Path) -> Sequence[Mapping[str, str]]:
    try:
        with file.open(encoding="utf-8", newline="") as opened:
            return list(csv.DictReader(opened))
    except FileNotFoundError:
        return []
