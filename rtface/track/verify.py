"""An engine, on the back end that is to run it, compared with its float reference: the record that arming requires."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

from rtface import __version__
from rtface.config import BackendSettings
from rtface.core.clock import utc
from rtface.core.errors import DataError, UsageError
from rtface.core.extras import how_to_install
from rtface.core.records import Crop, Image
from rtface.track.backends.factory import choose
from rtface.track.comparison import FEWEST_FRAMES, EngineComparison, compare
from rtface.track.manifest import WEIGHTS_FILE
from rtface.track.parity import LIMITS, ParityBackend, ParityFrames, ParityRecord, ParityReference
from rtface.track.pictures import PartProgress, no_part_progress
from rtface.track.store import Engine, exported_from

ReferenceName = Literal["auto", "torch", "openvino"]


@dataclass(frozen=True, slots=True)
class FloatReference:
    """The float network that an engine is compared with: the engine that has it, and what runs it."""

    engine: Engine
    settings: BackendSettings


def choose_reference(
    engine: Engine, settings: BackendSettings, wanted: ReferenceName = "auto", has_torch: bool | None = None
) -> FloatReference:
    """Choose the reference of an engine.

    The network is the engine's own if that is in float32, else that of the engine it was exported from. torch runs it
    on the CPU, in the arithmetic that it was trained in, from its weights; where torch or the weights are missing,
    OpenVINO in float32.

    Parameters
    ----------
    engine : Engine
        The engine to be verified.
    settings : BackendSettings
        What is to run it.
    wanted : str
        What shall run the reference; ``auto`` chooses as above, but never what is being verified.
    has_torch : bool or None
        Whether torch is installed; found out when None.

    Raises
    ------
    EngineError
        The engine it was exported from is gone or was changed.
    UsageError
        Reference and engine would be the same network run by the same: that could only agree.
    BackendError
        As of `choose`.
    """
    manifest = engine.manifest
    floating = manifest.precision == "f32" and manifest.weights == "f32"
    source = engine if floating else exported_from(engine)
    torch_there = find_spec("torch") is not None if has_torch is None else has_torch
    able = ["torch"] if torch_there and WEIGHTS_FILE in source.manifest.files else []
    names = [*able, "openvino"] if wanted == "auto" else [wanted]
    same = _same_as(source, engine, settings)
    for name in names:
        if name != same:
            return FloatReference(source, BackendSettings.model_validate({"name": name, "precision": "f32"}))
    raise UsageError(
        f"{manifest.name} in f32 with {same} would be held against itself: name another reference "
        f"(--reference), or {how_to_install('train')} for torch"
    )


def _same_as(source: Engine, engine: Engine, settings: BackendSettings) -> str | None:
    """Return the reference that would be the very thing that is verified, if there is one."""
    chosen = choose(settings, engine=engine)
    precision = engine.manifest.precision if settings.precision == "engine" else settings.precision
    if chosen.on_gpu or precision != "f32" or source.sha256 != engine.sha256:
        return None
    return "torch" if chosen.kind.attribute == "TorchBackend" else "openvino"


def verify(
    engine: Engine,
    settings: BackendSettings,
    frames: Mapping[int, Image],
    source: str,
    *,
    crop: Crop | None = None,
    reference: ReferenceName = "auto",
    progress: PartProgress = no_part_progress,
) -> tuple[EngineComparison, ParityRecord]:
    """Compare an engine on a back end with its reference; nothing is stored.

    Parameters
    ----------
    engine : Engine
        A checked engine.
    settings : BackendSettings
        What runs it.
    frames : mapping of int to ndarray, shape (height, width), uint8
        Whole camera frames of one size, by number; at least `FEWEST_FRAMES`.
    source : str
        Name of the recording that they are from.
    crop : Crop or None
        The face in the frame; the whole frame when None.
    reference : str
        As of `choose_reference`.
    progress : callable
        As of `rtface.track.comparison.compare`.

    Raises
    ------
    DataError
        There are too few frames, or they differ in size.
    EngineError, BackendError, UsageError
        As of `choose_reference` and `rtface.track.comparison.compare`.
    """
    if len(frames) < FEWEST_FRAMES:
        raise DataError(
            f"{source}: {len(frames)} frames are too few to verify an engine on: {FEWEST_FRAMES} or more"
        )
    chosen = choose_reference(engine, settings, reference)
    comparison = compare(
        chosen.engine,
        engine,
        frames,
        crop=crop,
        settings=settings,
        reference_settings=chosen.settings,
        progress=progress,
    )
    height, width = next(iter(frames.values())).shape
    record = ParityRecord(
        engine=engine.manifest.name,
        engine_sha256=engine.sha256,
        preprocessing_sha256=engine.manifest.preprocessing_sha256,
        ran=ParityBackend.of(comparison.backend),
        reference=ParityReference(
            engine=chosen.engine.manifest.name,
            engine_sha256=chosen.engine.sha256,
            ran=ParityBackend.of(comparison.reference_backend),
        ),
        frames=ParityFrames(
            source=source,
            sha256=_hash(frames),
            width=width,
            height=height,
            count=len(frames),
            crop=comparison.crop,
        ),
        shift_px=comparison.shift_px,
        shift_camera_px=comparison.shift_px.scaled(comparison.scale),
        score_shift=comparison.score_shift,
        sure_shift_px=comparison.sure_shift_px,
        sure=comparison.sure,
        limits=LIMITS,
        agrees=comparison.agrees,
        date=utc().isoformat(timespec="seconds"),
        rtface=__version__,
    )
    return comparison, record


def _hash(frames: Mapping[int, Image]) -> str:
    digest = hashlib.sha256()
    for number in sorted(frames):
        digest.update(frames[number].tobytes())
    return digest.hexdigest()
