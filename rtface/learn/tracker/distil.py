"""A fast specialist from any teacher on a lab's unlabelled video.

The teacher labels frames of the recordings' beginnings; a small network is trained on these labels, each counted as far as
the teacher's score goes; on the end of each recording it is measured how far the two lie apart. The student's scores are
calibrated to its distance from the teacher, the only truth there is here.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from rtface.config import BackendSettings
from rtface.core.errors import DataError, UsageError
from rtface.core.files import written_whole
from rtface.core.records import Crop, FloatArray, Image
from rtface.learn.engines.bundle import ModelCard, save_engine
from rtface.learn.engines.teacher_check import TEACHER, doubts, on_labels
from rtface.learn.labels.set_record import licence_in_words
from rtface.learn.plots import draw_agreement
from rtface.learn.resumable import Progress, run_in_folder
from rtface.learn.run_folder import RunFolder, open_run
from rtface.learn.tracker.agreement import ComparedFrames, against_average, agreement, compare_networks
from rtface.learn.tracker.card import model_card
from rtface.learn.tracker.distil_request import DistilRequest, check_names, configuration, labelled_pictures
from rtface.learn.tracker.evaluation import Evaluation, evaluate, predict
from rtface.learn.tracker.initial_network import student_network
from rtface.learn.tracker.optimise import Training
from rtface.learn.tracker.pseudo_labels import (
    PLAIN,
    SHIFTS,
    UNSURE,
    PseudoLabels,
    full_score,
    pseudo_label,
    weights,
)
from rtface.learn.tracker.recording_split import RecordingSplit, split_recording
from rtface.learn.tracker.samples import Picture, prepare
from rtface.networks.graph import NetworkWithDecode
from rtface.track.manifest import KeypointEntry
from rtface.track.store import Engine, check_new

COMPARED_FRAMES = 1200
"""Frames of the end that both networks are run on, of all recordings together."""

PICTURE_FILE = "agreement.png"
_TRAINING = "student"
_EVERY = 50


@dataclass(frozen=True, slots=True)
class Distilled:
    """A new engine, and how it compares with its teacher on the held-out frames."""

    engine: Engine
    report: dict[str, Any]


def distil(
    request: DistilRequest,
    folder: Path,
    run_folder: Path,
    *,
    settings: BackendSettings | None = None,
    overwrite: bool = False,
    stage: Callable[[str], None] = lambda what: None,
    progress: Progress = lambda step, loss: None,
    stop: Callable[[], bool] = lambda: False,
) -> Distilled | None:
    """Train a student, compare it with its teacher, and write it as an engine.

    Parameters
    ----------
    request : DistilRequest
    folder : Path
        The new engine's folder; its name is the engine's name.
    run_folder : Path
        Of the run: new, or one of the same request to go on with. The report and its picture are written there.
    settings : BackendSettings or None
        What runs teacher and student; the first back end that is there when None.
    overwrite : bool
        Replace an engine that is there.
    stage : callable
        Called with what is being done.
    progress : callable
        Called with the steps of the training that are done and the loss.
    stop : callable
        Called after each step; True ends the training early.

    Returns
    -------
    Distilled or None
        None when the training was ended early; the same call goes on from there.

    Raises
    ------
    RtfaceError
        A recording or an engine cannot be opened, or the run or the engine cannot be written.
    DataError
        The recordings are too short, or the teacher is sure of no point in them.
    EngineError
        An engine of that name is there already.
    UsageError
        The start is not of the family, or the labels have no keypoint of the teacher's.
    """
    check_new(folder, overwrite=overwrite)
    if folder.resolve() == request.teacher.folder.resolve():
        raise UsageError(f"{folder} is the teacher: choose another name")
    check_names(request.videos)
    chosen = settings or BackendSettings()
    student, built_of = student_network(
        request.keypoints, family=request.family, start=request.start, seed=request.recipe.seed
    )
    labelled = labelled_pictures(request)
    run = open_run(run_folder, configuration(request, built_of))
    before = _on_labels(request, chosen, start=request.start)
    if doubt := doubts(
        before, "start", "which the student starts from: it learns to be worse. Adapt that one instead"
    ):
        stage(doubt)
    stage("reading the recordings")
    count = -(-request.frames // len(request.videos))
    splits = [split_recording(video, count, request.crop) for video in request.videos]
    stage(f"{request.teacher.manifest.name} labels {sum(len(each.training) for each in splits)} frames")
    pseudo = [_pseudo_labels(run, index, request, each.training, chosen) for index, each in enumerate(splits)]
    full = full_score(request.teacher, np.concatenate([each.score for each in pseudo]))
    pictures = _pictures(splits, pseudo, full, request.crop)
    if not pictures:
        raise DataError(
            f"{request.teacher.manifest.name} is sure of no point in these recordings: check its own tracking "
            "first, name the face with a crop, or choose another teacher"
        )
    training = Training(student.network, "small", pictures + labelled, [], request.recipe)
    stage(f"training on {len(pictures)} of the teacher's frames and {len(labelled)} labelled ones")
    student.network = run_in_folder(run, _TRAINING, training, progress=progress, every=_EVERY, stop=stop)
    if not training.finished:
        return None
    stage("comparing the student with its teacher")
    evaluation, noise = _evaluate(student, request, splits, full, chosen)
    entries = _trained(request, pictures + labelled)
    facts = _facts(request, splits, len(labelled))
    card = _card(request, built_of, entries, evaluation, facts)
    with tempfile.TemporaryDirectory() as made:
        candidate = save_engine(student, Path(made) / folder.name, card)
        compared = tuple(_compare(request, candidate, each, full, chosen, len(splits)) for each in splits)
    figures = agreement(compared, request.keypoints)
    card = replace(card, metrics={**card.metrics, "distance_to_teacher": _headline(figures)})
    engine = save_engine(student, folder, card, views=pictures + labelled, overwrite=overwrite)
    draw_agreement(run.folder / PICTURE_FILE, compared, request.keypoints, figures)
    report = {
        "engine": engine.manifest.name,
        "engine_sha256": engine.sha256,
        **facts,
        "agreement": figures,
        "from_teachers_average": noise,
        "scores": evaluation.metrics.get("score_reliability"),
    }
    if request.labels is not None:
        report["on_labels"] = {"before": before, "after": _on_labels(request, chosen, student=engine)}
    run.write_report(report)
    return Distilled(engine, report)


def _on_labels(
    request: DistilRequest, settings: BackendSettings, **pupils: Engine | None
) -> dict[str, Any] | None:
    """Compare the teacher with pupils by a person's labels, where there are some (see `on_labels`)."""
    engines = {who: engine for who, engine in pupils.items() if engine is not None}
    if request.labels is None:
        return None
    return on_labels({TEACHER: request.teacher, **engines}, request.labels, request.crop, settings)


def _compare(
    request: DistilRequest,
    student: Engine,
    split: RecordingSplit,
    full: float,
    settings: BackendSettings,
    parts: int,
) -> ComparedFrames:
    return compare_networks(
        request.teacher,
        student,
        split.recording,
        split.name,
        first=split.first,
        limit=COMPARED_FRAMES // parts,
        crop=request.crop,
        full=full,
        settings=settings,
    )


def _pseudo_labels(
    run: RunFolder, index: int, request: DistilRequest, frames: dict[int, Image], settings: BackendSettings
) -> PseudoLabels:
    """Run the teacher, or read what it found when this run was started before."""
    path = run.folder / f"teacher-{index}.npz"
    if path.exists():
        try:
            with np.load(path) as kept:
                return PseudoLabels(kept["xy"], kept["score"], kept["spread"], kept["plain"])
        except (OSError, ValueError, KeyError, BadZipFile) as error:
            raise DataError(
                f"{path} is damaged ({error}): delete it, and the teacher is run again"
            ) from error
    shifts = SHIFTS if request.average else PLAIN
    labels = pseudo_label(request.teacher, frames, settings, request.crop, shifts=shifts)
    with written_whole(path) as fresh, fresh.open("wb") as file:
        np.savez(file, xy=labels.xy, score=labels.score, spread=labels.spread, plain=labels.plain)
    return labels


def _pictures(
    splits: Sequence[RecordingSplit], pseudo: Sequence[PseudoLabels], full: float, crop: Crop | None
) -> list[Picture]:
    """Return the frames to train on; those that the teacher is sure of nothing in are left out."""
    return [
        prepare(image, xy, crop=crop, weight=weight)
        for each, labels in zip(splits, pseudo, strict=True)
        for image, xy, weight in zip(each.training.values(), labels.xy, weights(labels, full), strict=True)
        if weight.any()
    ]


def _evaluate(
    student: NetworkWithDecode,
    request: DistilRequest,
    splits: Sequence[RecordingSplit],
    full: float,
    settings: BackendSettings,
) -> tuple[Evaluation, dict[str, Any]]:
    """Calibrate the student's scores to its distance from the teacher's own points, also those it is unsure of.

    Returns besides how far both lie from the teacher's average over shifts, where it is sure.
    """
    size = request.recipe.size
    pseudo = [pseudo_label(request.teacher, each.test, settings, request.crop) for each in splits]

    def pictures(points: Sequence[FloatArray]) -> list[Picture]:
        return [
            prepare(image, xy, crop=request.crop)
            for each, found in zip(splits, points, strict=True)
            for image, xy in zip(each.test.values(), found, strict=True)
        ]

    evaluation = evaluate(student, pictures([each.plain for each in pseudo]), request.keypoints, size)
    averages = predict(student, pictures([each.xy for each in pseudo]), size)
    plain, average, score = (
        np.concatenate([getattr(each, name) for each in pseudo]) for name in ("plain", "xy", "score")
    )
    scale = averages.scale[:, None, None]
    points, means = ((part / scale).astype(np.float32) for part in (plain, average))
    sure = (score >= UNSURE * full) & ~np.isnan(plain).any(axis=2)
    return evaluation, against_average(points, means, averages.distance, sure, request.keypoints)


def _trained(request: DistilRequest, pictures: Sequence[Picture]) -> list[KeypointEntry]:
    """Return the keypoints, each with whether any frame that was trained on has a label that counts."""
    seen = np.any([(each.weight > 0) & ~np.isnan(each.xy).any(axis=1) for each in pictures], axis=0)
    return [
        KeypointEntry(name=name, trained=bool(here))
        for name, here in zip(request.keypoints, seen, strict=True)
    ]


def _facts(request: DistilRequest, splits: Sequence[RecordingSplit], labelled: int) -> dict[str, Any]:
    """Return how the student was trained, for the record."""
    return {
        "distilled_from": request.teacher.manifest.name,
        "distilled_from_sha256": request.teacher.sha256,
        "recordings": {
            each.name: {"frames": len(each.training), "held_out_from_frame": each.first} for each in splits
        },
        "labels_averaged_over_shifts": request.average,
        "labelled_frames": labelled,
        "started_from": None if request.start is None else request.start.manifest.name,
        "crop": None if request.crop is None else asdict(request.crop),
        "seed": request.recipe.seed,
        "steps": request.recipe.steps,
        "batch": request.recipe.batch,
    }


def _card(
    request: DistilRequest,
    built_of: dict[str, Any],
    entries: list[KeypointEntry],
    evaluation: Evaluation,
    facts: dict[str, Any],
) -> ModelCard:
    teacher = request.teacher.manifest
    origins = request.labels.origins if request.labels is not None else ()
    card = model_card(
        built_of,
        entries,
        size=request.recipe.size,
        square=False,
        calibrated=evaluation.calibrated,
        description=f"distilled from {teacher.name} on {', '.join(facts['recordings'])}",
        licence=licence_in_words(origins, teacher.licence),
        training=facts | ({"label_sets": [each.origin() for each in origins]} if origins else {}),
        metrics={key: value for key, value in evaluation.metrics.items() if key == "score_reliability"},
    )
    if not evaluation.calibrated:
        return card
    definition = f"{card.score.definition} of the point that the teacher {teacher.name} finds"
    return replace(card, score=card.score.model_copy(update={"definition": definition}))


def _headline(figures: dict[str, Any]) -> dict[str, Any]:
    """Return what of the figures goes into the manifest."""
    return {
        "frames": figures["frames"],
        "camera_px": figures["camera_px"],
        "input_px": figures["input_px"],
        "unsure": figures["unsure"],
        "by_keypoint_median_input_px": {
            name: each["input_px"]["median"] for name, each in figures["by_keypoint"].items()
        },
    }
