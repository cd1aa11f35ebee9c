"""A fast specialist from any teacher on a lab's unlabelled video.

The teacher labels frames of the recordings' beginnings; a small network learns from these labels, each counted as much
as the teacher was sure of it; the end of each recording judges how far the two lie apart. The student's scores are
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
from rtface.learn.engines.bundle import Card, save_engine
from rtface.learn.run_folder import RunFolder, open_run
from rtface.learn.tracker.agreement import Watched, against_average, agreement, watch
from rtface.learn.tracker.agreement_picture import draw_agreement
from rtface.learn.tracker.calibration import RADIUS_PX
from rtface.learn.tracker.distil_request import DistilRequest, check_names, configuration, labelled_pictures
from rtface.learn.tracker.initial_network import student_network
from rtface.learn.tracker.labelled_frames import DECODE, Judgement, judge, score_spec
from rtface.learn.tracker.optimise import Progress, Training, train
from rtface.learn.tracker.predictions import answer
from rtface.learn.tracker.pseudo_labels import PLAIN, SHIFTS, UNSURE, Taught, full_score, teach, weights
from rtface.learn.tracker.recording_split import Footage, split_recording
from rtface.learn.tracker.samples import ROW_STEP, Picture, prepare
from rtface.networks.graph import NetworkWithDecode
from rtface.track.manifest import KeypointEntry, LevelsSpec, ResampleSpec
from rtface.track.store import Engine, check_new

WATCHED = 1200
"""Frames of the end that both networks are run on, of all recordings together."""

PICTURE_FILE = "agreement.png"
_TRAINING = "student"
_EVERY = 50


@dataclass(frozen=True, slots=True)
class Distilled:
    """A new engine, what is known of it, and what it and its teacher found on the held-out frames."""

    engine: Engine
    report: dict[str, Any]
    watched: tuple[Watched, ...]


def distil(
    lesson: DistilRequest,
    folder: Path,
    run_folder: Path,
    *,
    settings: BackendSettings | None = None,
    overwrite: bool = False,
    stage: Callable[[str], None] = lambda what: None,
    progress: Progress = lambda step, loss: None,
    stop: Callable[[], bool] = lambda: False,
) -> Distilled | None:
    """Train a student, hold it against its teacher, and write it as an engine.

    Parameters
    ----------
    lesson : Lesson
    folder : Path
        The new engine's folder; its name is the engine's name.
    run_folder : Path
        Of the run: new, or one of the same lesson to go on with. The report and its picture are written there.
    settings : BackendSettings or None
        What runs teacher and student; the first back end that is there when None.
    overwrite : bool
        Replace an engine that is there.
    stage : callable
        Told what is being done.
    progress : callable
        Told the steps of the training that are done and the loss.
    stop : callable
        Asked after each step whether to end early.

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
    if folder.resolve() == lesson.teacher.folder.resolve():
        raise UsageError(f"{folder} is the teacher: choose another name")
    check_names(lesson.videos)
    chosen = settings or BackendSettings()
    student, built_of = student_network(
        lesson.keypoints, family=lesson.family, start=lesson.start, seed=lesson.recipe.seed
    )
    labelled = labelled_pictures(lesson)
    run = open_run(run_folder, configuration(lesson, built_of))
    stage("reading the recordings")
    count = -(-lesson.frames // len(lesson.videos))
    footage = [split_recording(video, count, lesson.crop) for video in lesson.videos]
    stage(f"{lesson.teacher.manifest.name} labels {sum(len(each.learning) for each in footage)} frames")
    taught = [_taught(run, index, lesson, each.learning, chosen) for index, each in enumerate(footage)]
    full = full_score(lesson.teacher, np.concatenate([each.score for each in taught]))
    pictures = _pictures(footage, taught, full, lesson.crop)
    if not pictures:
        raise DataError(
            f"{lesson.teacher.manifest.name} is sure of no point in these recordings: look at its own tracking "
            "first, name the face with a crop, or choose another teacher"
        )
    training = Training(student.network, "small", pictures + labelled, [], lesson.recipe)
    stage(f"training on {len(pictures)} of the teacher's frames and {len(labelled)} labelled ones")
    checkpoint = run.checkpoint(_TRAINING)
    student.network = train(
        training, progress=progress, checkpoint=checkpoint, every=_EVERY, stop=lambda _: stop()
    )
    run.write_losses(_TRAINING, training.losses)
    if not training.finished:
        return None
    stage("holding the student against its teacher")
    judgement, noise = _judge(student, lesson, footage, full, chosen)
    entries = _trained(lesson, pictures + labelled)
    facts = _facts(lesson, footage, len(labelled))
    card = _card(lesson, built_of, entries, judgement, facts)
    with tempfile.TemporaryDirectory() as made:
        candidate = save_engine(student, Path(made) / folder.name, card)
        watched = tuple(_watch(lesson, candidate, each, full, chosen, len(footage)) for each in footage)
    figures = agreement(watched, lesson.keypoints)
    card = replace(card, metrics={**card.metrics, "distance_to_teacher": _headline(figures)})
    engine = save_engine(student, folder, card, overwrite=overwrite)
    draw_agreement(run.folder / PICTURE_FILE, watched, lesson.keypoints, figures)
    report = {
        "engine": engine.manifest.name,
        "engine_sha256": engine.sha256,
        **facts,
        "agreement": figures,
        "from_teachers_average": noise,
        "scores": judgement.metrics.get("score_reliability"),
    }
    run.write_report(report)
    return Distilled(engine, report, watched)


def _watch(
    lesson: DistilRequest,
    student: Engine,
    footage: Footage,
    full: float,
    settings: BackendSettings,
    parts: int,
) -> Watched:
    return watch(
        lesson.teacher,
        student,
        footage.recording,
        footage.name,
        first=footage.first,
        limit=WATCHED // parts,
        crop=lesson.crop,
        full=full,
        settings=settings,
    )


def _taught(
    run: RunFolder, index: int, lesson: DistilRequest, frames: dict[int, Image], settings: BackendSettings
) -> Taught:
    """Ask the teacher, or read what it said when this run was started before."""
    path = run.folder / f"teacher-{index}.npz"
    if path.exists():
        try:
            with np.load(path) as kept:
                return Taught(kept["xy"], kept["score"], kept["spread"], kept["plain"])
        except (OSError, ValueError, KeyError, BadZipFile) as error:
            raise DataError(
                f"{path} is damaged ({error}): delete it, and the teacher is asked again"
            ) from error
    shifts = SHIFTS if lesson.average else PLAIN
    taught = teach(lesson.teacher, frames, settings, lesson.crop, shifts=shifts)
    with written_whole(path) as fresh, fresh.open("wb") as file:
        np.savez(file, xy=taught.xy, score=taught.score, spread=taught.spread, plain=taught.plain)
    return taught


def _pictures(
    footage: Sequence[Footage], taught: Sequence[Taught], full: float, crop: Crop | None
) -> list[Picture]:
    """Return the frames to learn from; those that the teacher is sure of nothing in are left out."""
    return [
        prepare(image, xy, crop=crop, weight=weight)
        for each, labels in zip(footage, taught, strict=True)
        for image, xy, weight in zip(each.learning.values(), labels.xy, weights(labels, full), strict=True)
        if weight.any()
    ]


def _judge(
    student: NetworkWithDecode,
    lesson: DistilRequest,
    footage: Sequence[Footage],
    full: float,
    settings: BackendSettings,
) -> tuple[Judgement, dict[str, Any]]:
    """Calibrate the student's scores to its distance from the teacher's own points, also those it is unsure of.

    Returns besides how far both lie from the teacher's average over shifts, where it is sure.
    """
    size = lesson.recipe.size
    taught = [teach(lesson.teacher, each.judging, settings, lesson.crop) for each in footage]

    def pictures(points: Sequence[FloatArray]) -> list[Picture]:
        return [
            prepare(image, xy, crop=lesson.crop)
            for each, found in zip(footage, points, strict=True)
            for image, xy in zip(each.judging.values(), found, strict=True)
        ]

    judgement = judge(student, pictures([each.plain for each in taught]), lesson.keypoints, size)
    averages = answer(student, pictures([each.xy for each in taught]), size)
    plain, average, score = (
        np.concatenate([getattr(each, name) for each in taught]) for name in ("plain", "xy", "score")
    )
    scale = averages.scale[:, None, None]
    points, means = ((part / scale).astype(np.float32) for part in (plain, average))
    sure = (score >= UNSURE * full) & ~np.isnan(plain).any(axis=2)
    return judgement, against_average(points, means, averages.distance, sure, lesson.keypoints)


def _trained(lesson: DistilRequest, pictures: Sequence[Picture]) -> list[KeypointEntry]:
    """Return the keypoints, each with whether any frame that was learnt from has a label that counts."""
    seen = np.any([(each.weight > 0) & ~np.isnan(each.xy).any(axis=1) for each in pictures], axis=0)
    return [
        KeypointEntry(name=name, trained=bool(here))
        for name, here in zip(lesson.keypoints, seen, strict=True)
    ]


def _facts(lesson: DistilRequest, footage: Sequence[Footage], labelled: int) -> dict[str, Any]:
    """Return how the student was trained, for the record."""
    return {
        "distilled_from": lesson.teacher.manifest.name,
        "distilled_from_sha256": lesson.teacher.sha256,
        "recordings": {
            each.name: {"frames": len(each.learning), "held_out_from_frame": each.first} for each in footage
        },
        "labels_averaged_over_shifts": lesson.average,
        "labelled_frames": labelled,
        "started_from": None if lesson.start is None else lesson.start.manifest.name,
        "crop": None if lesson.crop is None else asdict(lesson.crop),
        "seed": lesson.recipe.seed,
        "steps": lesson.recipe.steps,
        "batch": lesson.recipe.batch,
    }


def _card(
    lesson: DistilRequest,
    built_of: dict[str, Any],
    entries: list[KeypointEntry],
    judgement: Judgement,
    facts: dict[str, Any],
) -> Card:
    teacher, name = lesson.teacher.manifest, str(built_of["name"])
    score = score_spec(name, judgement.calibrated)
    if judgement.calibrated:
        definition = (
            f"probability that the point is within {RADIUS_PX:g} pixels of the network's input of the point that "
            f"the teacher {teacher.name} finds"
        )
        score = score.model_copy(update={"definition": definition})
    metrics = {key: value for key, value in judgement.metrics.items() if key == "score_reliability"}
    return Card(
        architecture=built_of,
        keypoints=entries,
        description=f"distilled from {teacher.name} on {', '.join(facts['recordings'])}",
        licence=teacher.licence,
        decode=DECODE[name],
        score=score,
        input_size=lesson.recipe.size,
        resample=ResampleSpec(half_pixel=True, fit="pad_shorter"),
        normalise=LevelsSpec(row_step=ROW_STEP),
        training=facts,
        metrics=metrics,
    )


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
