"""An engine in another precision, with proof on real frames that it still finds the same."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from rtface.config import BackendSettings
from rtface.core.errors import DataError, EngineError
from rtface.core.records import Crop, Image
from rtface.learn.engines.bundle import today
from rtface.learn.engines.halve import halve
from rtface.learn.engines.quantise import Scheme, convolutions_of, plan_in_words, quantise
from rtface.learn.engines.sureness import check_not_sure
from rtface.learn.engines.viewmaking import view_of_engine
from rtface.track.comparison import FEWEST_FRAMES, EngineComparison, compare
from rtface.track.manifest import MODEL_FILE, WEIGHTS_FILE
from rtface.track.parity import LIMITS
from rtface.track.pictures import PartProgress, no_part_progress
from rtface.track.store import Engine, write_engine
from rtface.track.view import ViewModel, read_view, write_view

_log = logging.getLogger(__name__)

Precision = Literal["f32", "bf16", "f16", "int8"]

CALIBRATION_FRAMES = 50
"""With 20, 50 and 197 frames of one rig the median shift of the engine face-1 was 0.081, 0.080 and 0.084 px."""

TRIAL_FRAMES = 16
"""Frames on which it is found what each convolution alone costs in eight bits."""

_ADVICE = (
    "; it is calibrated on every fourth of the frames given: give more frames that look like the worst, or label "
    "them and adapt the float engine, whose map has two places equally likely there"
)
_DESCRIPTION = {
    "f32": "in float32",
    "bf16": "in bfloat16",
    "f16": "with weights kept in float16",
    "int8": "in int8",
}


@dataclass(frozen=True, slots=True)
class Exported:
    """A new engine, and how it compares with the one that it was made from."""

    engine: Engine
    comparison: EngineComparison


@dataclass(frozen=True, slots=True)
class _Candidate:
    files: dict[str, Path]
    changes: dict[str, Any]
    calibration: dict[str, Any]


def export_engine(
    source: Engine,
    folder: Path,
    precision: Precision,
    frames: Mapping[int, Image],
    *,
    crop: Crop | None = None,
    settings: BackendSettings | None = None,
    scheme: Scheme = Scheme.CPU,
    overwrite: bool = False,
    progress: PartProgress = no_part_progress,
) -> Exported:
    """Make an engine of another precision, which is kept only if it agrees with its source.

    - ``f32``: a copy, run in float32.
    - ``bf16``: the same file, run in bfloat16 where the processor has it.
    - ``f16``: the weights are kept in float16; the arithmetic is float32.
    - ``int8``: convolutions in int8, calibrated on every fourth of the frames, at most `CALIBRATION_FRAMES`, and
      tested on the others. When that shifts too far, the convolutions that alone shift most stay in floating point:
      one, two, four, ... up to half of them, until it agrees.

    Parameters
    ----------
    source : Engine
        A checked engine in float32, which is the reference.
    folder : Path
        The new engine's folder; its name is the engine's name.
    precision : str
        What to make.
    frames : mapping of int to ndarray, shape (height, width), uint8
        Whole camera frames of the rig that the engine is for, by number; at least `FEWEST_FRAMES`.
    crop : Crop or None
        The face in the frame; the whole frame when None.
    settings : BackendSettings or None
        What runs both; the first back end that is there when None.
    scheme : Scheme
        What an int8 engine is for.
    overwrite : bool
        Replace an engine that is there.
    progress : callable
        As of `rtface.track.pictures.PartProgress`: of frames, and where convolutions are tried one by one, of these trials.

    Raises
    ------
    EngineError
        The new engine shifts too far or is sure where there is no face (nothing is written then), the source is
        not in float32, or the folder cannot be written.
    BackendError
        The back end cannot run the new engine in its precision on this machine.
    DataError
        There are too few frames, or they differ in size.
    UsageError
        The crop reaches beyond the frames.
    """
    if source.manifest.weights != "f32" or source.manifest.precision != "f32":
        raise EngineError(
            f"{source.manifest.name} is not in float32 (precision {source.manifest.precision}, weights "
            f"{source.manifest.weights}): export from the engine that it was made from"
        )
    if len(frames) < FEWEST_FRAMES:
        raise DataError(f"{len(frames)} frames are too few to test an engine on: {FEWEST_FRAMES} or more")
    if folder.resolve() == source.folder.resolve():
        raise EngineError(f"{folder} is the engine to be exported: choose another name")
    if folder.exists() and not overwrite:
        raise EngineError(f"{folder} exists already; choose another name, or replace it by --overwrite")
    calibrating, testing = _split(frames) if precision == "int8" else ({}, dict(frames))
    refused: list[str] = []
    with tempfile.TemporaryDirectory() as made:

        def tried(
            in_float: Collection[str], frames: Mapping[int, Image], progress: PartProgress = no_part_progress
        ) -> tuple[_Candidate, Engine, EngineComparison]:
            calibrated = partial(progress, "calibration")
            candidate = _make(source, precision, Path(made), calibrating, crop, in_float, scheme, calibrated)
            trial = _write(source, Path(made) / "trial" / folder.name, candidate, precision, {})
            return (
                candidate,
                trial,
                compare(source, trial, frames, crop=crop, settings=settings, progress=progress),
            )

        def shift_of(in_float: Collection[str]) -> float:
            return tried(in_float, dict(list(testing.items())[:: -(-len(testing) // TRIAL_FRAMES)]))[2].strain

        convolutions = convolutions_of(source.file(MODEL_FILE)) if precision == "int8" else []
        for in_float in _plans(
            convolutions, shift_of, partial(progress, "which convolutions stay in float", unit="trials")
        ):
            candidate, trial, comparison = tried(in_float, testing, progress)
            if comparison.agrees:
                progress("pictures without a face, and the view", 0, 0)
                proof = {
                    "parity": comparison.as_dict() | candidate.calibration,
                    "no_face": check_not_sure(trial, settings),
                }
                view = _view(source, trial, testing, crop, settings)
                return Exported(
                    _write(source, folder, candidate, precision, proof, view, overwrite=overwrite), comparison
                )
            refused.append(
                f"{plan_in_words(in_float)}: {comparison.in_words()}"
                if convolutions
                else comparison.in_words()
            )
    raise EngineError(
        f"{source.manifest.name} in {precision} shifts too far and is refused (limits: {LIMITS.in_words()}): "
        f"{'; '.join(refused)}; {comparison.worst_in_words()}"
        f"{_ADVICE if convolutions else ''}"
    )


def _plans(
    convolutions: Sequence[str],
    shift_of: Callable[[Collection[str]], float],
    progress: Callable[[int, int], None],
) -> Iterator[tuple[str, ...]]:
    """Yield which convolutions stay in floating point: none, then those that suffer most in eight bits, more each time."""
    yield ()
    if not convolutions:
        return
    alone: dict[str, float] = {}
    for name in convolutions:
        progress(len(alone), len(convolutions))
        alone[name] = shift_of([other for other in convolutions if other != name])
    progress(len(alone), len(convolutions))
    by_shift = sorted(convolutions, key=lambda name: -alone[name])
    count = 1
    while count <= len(convolutions) // 2:
        yield tuple(by_shift[:count])
        count *= 2


def _split(frames: Mapping[int, Image]) -> tuple[dict[int, Image], dict[int, Image]]:
    """Return the frames to calibrate on, evenly spaced, and all others."""
    numbers = list(frames)
    step = max(4, -(-len(numbers) // CALIBRATION_FRAMES))
    calibrating = set(numbers[::step])
    return (
        {number: frames[number] for number in numbers if number in calibrating},
        {number: frames[number] for number in numbers if number not in calibrating},
    )


def _make(
    source: Engine,
    precision: Precision,
    folder: Path,
    calibrating: Mapping[int, Image],
    crop: Crop | None,
    in_float: Collection[str],
    scheme: Scheme,
    progress: Callable[[int, int], None],
) -> _Candidate:
    model, made = source.file(MODEL_FILE), folder / MODEL_FILE
    if precision == "f16":
        halve(model, made)
        return _Candidate({MODEL_FILE: made}, {"precision": "f32", "weights": "f16"}, {})
    if precision == "int8":
        normalise = source.manifest.normalise
        count = quantise(
            model,
            made,
            calibrating,
            normalise,
            crop=crop,
            in_float=in_float,
            scheme=scheme,
            progress=progress,
        )
        facts = {
            "frames": len(calibrating),
            "convolutions": count,
            "plan": plan_in_words(in_float),
            "method": "MinMax",
            "scheme": scheme.value,
        }
        return _Candidate(
            {MODEL_FILE: made}, {"precision": "int8", "weights": "int8"}, {"calibration": facts}
        )
    files = {name: source.file(name) for name in (MODEL_FILE, WEIGHTS_FILE) if name in source.manifest.files}
    return _Candidate(files, {"precision": precision}, {})


def _write(
    source: Engine,
    folder: Path,
    candidate: _Candidate,
    precision: Precision,
    proof: Mapping[str, Any],
    view: ViewModel | None = None,
    *,
    overwrite: bool = True,
) -> Engine:
    kept = source.manifest.model_dump(exclude={"name", "files", "preprocessing_sha256", "rtface_engine"})
    fields = kept | candidate.changes
    fields["description"] = f"{source.manifest.description}, {_DESCRIPTION[precision]}"
    fields["created"] = today()
    fields["training"] = kept["training"] | {
        "exported_from": source.manifest.name,
        "exported_from_sha256": source.sha256,
    }
    fields["metrics"] = kept["metrics"] | dict(proof)
    return write_engine(
        folder, candidate.files, fields, more=partial(write_view, view=view), overwrite=overwrite
    )


def _view(
    source: Engine,
    trial: Engine,
    frames: Mapping[int, Image],
    crop: Crop | None,
    settings: BackendSettings | None,
) -> ViewModel | None:
    """Return the view of the source, whose keypoints and scores the new engine's are; else one made from the frames."""
    if (kept := read_view(source)) is not None:
        return kept
    try:
        return view_of_engine(trial, list(frames.values()), crop=crop, settings=settings)
    except DataError as error:
        _log.warning("%s keeps no view: %s", trial.manifest.name, error)
        return None
