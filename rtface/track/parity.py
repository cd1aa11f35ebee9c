"""Parity: the proof, kept on this machine, that a back end agrees with an engine's reference network.

`rtface engines verify` measures and stores; arming requires the record by `require_parity`, which needs neither torch
nor a video. Records lie with the user's engines, in ``_parity/<engine's hash>/``, because the folder of a shipped
engine may be read-only. No engine can be called that: names begin with a letter or a digit.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError, model_validator

from rtface.core.errors import EngineError
from rtface.core.files import write_json
from rtface.core.manifest import ManifestPart
from rtface.core.records import Crop
from rtface.track.backends.base import BackendInfo
from rtface.track.sample import ParitySample, forget_others, read_sample, write_sample
from rtface.track.shifts import SURE
from rtface.track.store import Engine, installed_engines, user_folder


class ShiftSummary(ManifestPart):
    """Of n shifts: the median, the 99th percentile (linear between ranks) and the largest; never NaN."""

    n: int = Field(ge=1)
    p50: float = Field(ge=0)
    p99: float = Field(ge=0)
    max: float = Field(ge=0)

    @classmethod
    def of(cls, shifts: NDArray[np.float64]) -> ShiftSummary:
        """Return the summary of all values of an array; `ValueError` where one is NaN."""
        p50, p99 = np.percentile(shifts, [50, 99])
        return cls(n=shifts.size, p50=p50, p99=p99, max=shifts.max()).scaled(1.0)

    @classmethod
    def of_any(cls, shifts: NDArray[np.float64]) -> ShiftSummary | None:
        """Return the summary of all values of an array; None of an empty one."""
        return cls.of(shifts) if shifts.size else None

    def scaled(self, factor: float) -> ShiftSummary:
        """Return the summary of the shifts in another unit, to five decimals."""
        values = {name: round(getattr(self, name) * factor, 5) for name in ("p50", "p99", "max")}
        return ShiftSummary(n=self.n, **values)


class ParityLimits(ManifestPart):
    """What the shifts must stay below: in pixels of the network's input, and in units of the score.

    `sure_px` is for each point that either network is sure of: a percentile of all would let one of them leap, and a
    score that is always 1 would not tell. None in records of before there was such a limit.
    """

    p50_px: float = 0.1
    p99_px: float = 1.0
    score_p99: float = 0.1
    sure_px: float | None = None

    def allow(
        self, shift_px: ShiftSummary, score_shift: ShiftSummary, sure_shift_px: ShiftSummary | None
    ) -> bool:
        """Tell whether shifts stay below the limits; where no point is sure, none leaps."""
        return self.strain(shift_px, score_shift, sure_shift_px) < 1

    def strain(
        self, shift_px: ShiftSummary, score_shift: ShiftSummary, sure_shift_px: ShiftSummary | None
    ) -> float:
        """Return the largest share of a limit that shifts take up: 1 and more breaks it."""
        leap = 0.0 if self.sure_px is None or sure_shift_px is None else sure_shift_px.max / self.sure_px
        return max(
            shift_px.p50 / self.p50_px, shift_px.p99 / self.p99_px, score_shift.p99 / self.score_p99, leap
        )

    def in_words(self) -> str:
        """Return the limits as one line."""
        leap = (
            "" if self.sure_px is None else f", any point with a score of {SURE:g} or more {self.sure_px:g}"
        )
        return (
            f"median {self.p50_px:g}, p99 {self.p99_px:g}{leap} px of the network's input, p99 of the score "
            f"{self.score_p99:g}"
        )


LIMITS = ParityLimits(sure_px=4.0)
"""4 pixels: what a calibrated score states is that the point lies so near."""


class ParityBackend(ManifestPart):
    """What ran a network, as of `rtface.track.backends.base.BackendInfo`; a GPU's driver is in `device`."""

    name: str
    version: str
    device: str
    precision: str
    threads: int | None = None
    plan: str | None = None

    @classmethod
    def of(cls, info: BackendInfo) -> ParityBackend:
        """Return what ran a network, less why it was chosen."""
        return cls.model_validate({name: getattr(info, name) for name in cls.model_fields})

    @property
    def identity(self) -> dict[str, str]:
        """What must be the same for a record to hold."""
        return {name: getattr(self, name) for name in _IDENTITY}

    def __str__(self) -> str:
        return f"{self.name} {self.version} ({self.precision}) on {self.device}"


_IDENTITY = ("name", "version", "device", "precision")


class ParityReference(ManifestPart):
    """The float network that was compared with, and what ran it."""

    engine: str
    engine_sha256: str
    ran: ParityBackend


class ParityFrames(ManifestPart):
    """The frames that both were run on.

    `sha256` is of the gray levels, frame after frame in the order of their numbers: it is the same for a video and for
    its frames as images.
    """

    source: str
    sha256: str
    width: int
    height: int
    count: int = Field(ge=1)
    crop: tuple[int, int, int, int]
    """x, y, width, height."""


class ParityRecord(ManifestPart):
    """How an engine on a back end agreed with its reference.

    Shifts are over all frames and trained keypoints: `shift_px` in pixels of the network's input, `shift_camera_px` in
    those of the camera. `sure` is the share of them that the reference itself gave a score of 0.5 or more: little
    agreement is proven by frames where it is low.
    """

    schema_version: Literal["rtface.parity/1"] = "rtface.parity/1"
    engine: str
    engine_sha256: str
    preprocessing_sha256: str
    ran: ParityBackend
    reference: ParityReference
    frames: ParityFrames
    shift_px: ShiftSummary
    shift_camera_px: ShiftSummary
    score_shift: ShiftSummary
    sure: float = Field(ge=0, le=1)
    limits: ParityLimits
    agrees: bool
    date: str
    """UTC, ISO 8601."""
    rtface: str
    """Version of rtface."""
    sample: str | None = None
    """Hash of the frames that are kept beside it; None in records of before there were any, and where it disagrees."""
    sure_shift_px: ShiftSummary | None = None
    """Of the points that either of the two gave a score of 0.5 or more; None where there was none, or in older records."""

    @model_validator(mode="after")
    def _verdict_follows(self) -> ParityRecord:
        if self.agrees != self.limits.allow(self.shift_px, self.score_shift, self.sure_shift_px):
            raise ValueError(f"agrees is {self.agrees}, which its figures and limits contradict")
        return self

    def read_sample(self) -> ParitySample:
        """Return the frames that are kept beside the record; `EngineError` if they are damaged, gone, or never were."""
        if self.sample is None:
            raise EngineError(f"the parity record of {self.engine} has no frames")
        return read_sample(_file_of(self.engine_sha256, self.ran), self.sample)

    def in_words(self) -> str:
        """Return figures and limits as one line."""
        shift, camera, score, limits = self.shift_px, self.shift_camera_px, self.score_shift, self.limits
        leap = self.sure_shift_px
        sure = (
            ""
            if leap is None
            else f"largest of those found {leap.max:.2f} (limit {limits.sure_px or inf:g}), "
        )
        return (
            f"median {shift.p50:.3f} (limit {limits.p50_px:g}), p99 {shift.p99:.3f} (limit {limits.p99_px:g}), {sure}largest "
            f"{shift.max:.2f} px of the network's input ({camera.p99:.3f} and {camera.max:.2f} px of the camera); score "
            f"p99 {score.p99:.3f} (limit {limits.score_p99:g}); n = {shift.n} on {self.frames.count} frames of "
            f"{self.frames.source}"
        )


@dataclass(frozen=True, slots=True)
class ParityLookup:
    """The record that holds for an engine and what runs it; else why there is none.

    A record of two that disagree is returned too: `why_none` is then empty, and `record.agrees` False.
    """

    record: ParityRecord | None
    why_none: str = ""


def parity_folder() -> Path:
    """Return the folder of all records; it may not exist yet."""
    return user_folder() / "_parity"


def store_parity(record: ParityRecord, sample: ParitySample | None = None) -> Path:
    """Keep a record, in place of an earlier one of the same engine and what ran it, and return its file.

    Parameters
    ----------
    record : ParityRecord
        What was found.
    sample : ParitySample or None
        Some of its frames, which each start is held against; kept with a record that agrees.

    Raises
    ------
    EngineError
        It cannot be written; the earlier one stays.
    """
    path = _file_of(record.engine_sha256, record.ran)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sha256 = None if sample is None or not record.agrees else write_sample(sample, path)
        write_json(path, record.model_copy(update={"sample": sha256}).model_dump(mode="json"))
        forget_others(path, sha256)
    except OSError as error:
        raise EngineError(
            f"the parity record {path} cannot be written: {error.strerror}; RTFACE_ENGINES names another folder"
        ) from error
    return path


def find_parity(engine: Engine, info: BackendInfo) -> ParityLookup:
    """Find the record of an engine on what runs it now.

    Engine, back end, its version, device with driver, and precision must be those of the record, to the letter. The
    plan's hash and the threads are for people: a plan that was built anew from the same is no other engine.

    Parameters
    ----------
    engine : Engine
        A checked engine.
    info : BackendInfo
        What runs it, as read back from the open back end.
    """
    ran = ParityBackend.of(info)
    path = _file_of(engine.sha256, ran)
    if not path.exists():
        return ParityLookup(None, _why_none(engine, ran))
    try:
        record = _read(path)
    except EngineError as error:
        return ParityLookup(None, str(error))
    of_this = (engine.sha256, engine.manifest.preprocessing_sha256, ran.identity)
    if (record.engine_sha256, record.preprocessing_sha256, record.ran.identity) != of_this:
        return ParityLookup(None, f"{path} is the record of something else: it was moved or edited")
    if record.limits != LIMITS:
        return ParityLookup(
            None, f"{engine.manifest.name} was judged by other limits than today's, on {record.date}"
        )
    return ParityLookup(record)


def require_parity(engine: Engine, info: BackendInfo) -> ParityRecord:
    """Return the record that allows an engine to be armed on what runs it now.

    Parameters
    ----------
    engine, info
        As of `find_parity`.

    Raises
    ------
    EngineError
        There is no record that holds, or the two disagree. The message ends with the command to run.
    """
    found = find_parity(engine, info)
    if found.record is None:
        raise EngineError(f"{found.why_none}; run: {verify_command(engine, info)}")
    if not found.record.agrees:
        reference = found.record.reference
        raise EngineError(
            f"{engine.manifest.name} on {ParityBackend.of(info)} does not agree with {reference.engine}, verified on "
            f"{found.record.date}: {found.record.in_words()}; run another engine, precision or back end, or, on other "
            f"frames: {verify_command(engine, info)}"
        )
    return found.record


def records_of(engine_sha256: str) -> list[ParityRecord]:
    """Return all readable records of an engine, by the order of their files' names."""
    found = []
    for path in sorted((parity_folder() / engine_sha256).glob("*.json")):
        try:
            found.append(_read(path))
        except EngineError:
            continue
    return found


def verify_command(engine: Engine, info: BackendInfo, crop: Crop | None = None) -> str:
    """Return the command that makes the record of an engine on what runs it, at a crop if there is one."""
    name = engine.manifest.name
    reference = name if installed_engines().get(name) == engine.folder else str(engine.folder)
    parts = ["rtface engines verify", reference, "--backend", info.name]
    if info.precision != "int8":
        parts += ["--precision", info.precision]
    if (gpu := re.match(r"cuda:\d+", info.device)) is not None:
        parts += ["--device", gpu.group()]
    if crop is not None:
        parts += ["--crop", crop.as_option]
    return " ".join([*parts, "--frames VIDEO"])


def _why_none(engine: Engine, ran: ParityBackend) -> str:
    """Return what differs from the nearest record that there is, or that there is none."""
    name = engine.manifest.name
    others = records_of(engine.sha256)
    if not others:
        return f"{name} was never held against its reference network on {ran}"
    wanted = ran.identity
    nearest = max(others, key=lambda each: sum(wanted[k] == v for k, v in each.ran.identity.items()))
    theirs = nearest.ran.identity
    differing = "; ".join(
        f"{what} was {theirs[what]} and is {wanted[what]}"
        for what in _IDENTITY
        if theirs[what] != wanted[what]
    )
    return f"{name} was verified on {nearest.date}, but {differing.replace('name was', 'the back end was')}"


def _file_of(engine_sha256: str, ran: ParityBackend) -> Path:
    digest = hashlib.sha256(json.dumps(ran.identity, sort_keys=True).encode()).hexdigest()
    return parity_folder() / engine_sha256 / f"{ran.name}-{ran.precision}-{digest[:16]}.json"


def _read(path: Path) -> ParityRecord:
    try:
        return ParityRecord.model_validate_json(path.read_bytes())
    except OSError as error:
        raise EngineError(f"the parity record {path} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        first: Any = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "record"
        raise EngineError(f"the parity record {path} is damaged: {field}: {first['msg']}") from error
