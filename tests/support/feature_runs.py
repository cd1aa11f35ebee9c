"""Poses and features for tests of `rtface.decide`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from rtface.core.features import Features
from rtface.core.records import FrameMeta, Pose, Stamps
from rtface.decide.features.bank import FeatureBank
from rtface.decide.features.specs import FeatureSpec
from rtface.decide.rulebank import RuleBank
from rtface.decide.rules import RuleSpec

MS = 1_000_000
SPEC: TypeAdapter[FeatureSpec] = TypeAdapter(FeatureSpec)


def spec(**settings: Any) -> FeatureSpec:
    return SPEC.validate_python(settings)


def bank(
    keypoints: Sequence[str], rate_hz: float | None = None, **features: Mapping[str, Any]
) -> FeatureBank:
    return FeatureBank(
        {name: spec(**settings) for name, settings in features.items()}, tuple(keypoints), rate_hz
    )


def pose(xy: Any, exposure_ns: int, *, frame_id: int = 0, score: float | Sequence[float] | Any = 1.0) -> Pose:
    points = np.asarray(xy, np.float32).reshape(-1, 2)
    scores = np.broadcast_to(np.asarray(score, np.float32), len(points)).copy()
    stamps = Stamps(exposure_ns, *[exposure_ns] * 5)
    return Pose(
        FrameMeta(frame_id, exposure_ns, exposure_ns), stamps, points, scores, np.zeros(len(points), np.bool_)
    )


def run(
    made: FeatureBank, xy: Any, times_ns: Any, score: Any = 1.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return values, scores and exposures, shape (frames, values), of a bank over points of shape (frames, K, 2)."""
    points = np.asarray(xy, float)
    scores = np.broadcast_to(np.asarray(score, float), points.shape[:2])
    rows = []
    for index, (each, now_ns) in enumerate(zip(points, times_ns, strict=True)):
        found = made.update(pose(each, int(now_ns), frame_id=index, score=scores[index]))
        rows.append((found.values.copy(), found.scores.copy(), found.exposure_ns.copy()))
    values, told, exposures = zip(*rows, strict=True)
    return np.array(values), np.array(told), np.array(exposures)


def every(rate_hz: float, frames: int, start_ns: int = 0) -> np.ndarray:
    """Return the exposures of frames at a rate."""
    return start_ns + np.round(np.arange(frames) * 1e9 / rate_hz).astype(np.int64)


def column(made: FeatureBank, name: str) -> int:
    return made.names.index(name)


def measured(
    values: Sequence[float],
    exposure_ns: int | Sequence[int],
    scores: float | Sequence[float] = 1.0,
) -> Features:
    shape = len(values)
    return Features(
        np.array(values, float),
        np.broadcast_to(np.asarray(scores, float), shape).copy(),
        np.broadcast_to(np.asarray(exposure_ns, np.int64), shape).copy(),
    )


def rule(**settings: Any) -> RuleSpec:
    given = {"when": "x > 5", "pulse": {"width_ms": 10}, "refractory_ms": 0, **settings}
    return RuleSpec.model_validate({key: value for key, value in given.items() if value is not ...})


def rule_bank(names: Sequence[str] = ("x",), extra: Sequence[str] = (), **rules: RuleSpec) -> RuleBank:
    return RuleBank(rules, names, extra_names=extra)
