"""One frame of a session: its keypoints, the values that the rules saw of it, what was decided then, and its picture."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np

from rtface.core.clock import NS_PER_S
from rtface.core.errors import DataError, UsageError
from rtface.core.records import Image
from rtface.offline.sessions.certificate import is_blinded
from rtface.offline.sessions.lights import light_spans, lit_at
from rtface.offline.sessions.outline import Outline
from rtface.record.session.entries import VideoEntry
from rtface.record.session.rows import Rows
from rtface.screen.sessions.timeline import decisions

JPEG_QUALITY = 90
_AROUND_S = 1e-6


def moment(
    found: Outline, *, unblind: bool, t_s: float | None = None, frame: int | None = None, step: int = 0
) -> dict[str, Any]:
    """Return what is known of a frame.

    Parameters
    ----------
    found : Outline
    unblind : bool
        Tell light and sham apart.
    t_s : float or None
        Seconds since the session began: the frame that the rules saw last by then.
    frame : int or None
        Or a frame's number.
    step : int
        And so many frames on, or back.

    Raises
    ------
    UsageError
        Neither time nor frame is given, or the session has no poses.
    DataError
        The log was changed after it was read.
    """
    pose = _pose(found, t_s, frame, step)
    if pose is None:
        raise UsageError("no pose is recorded in this session")
    frame_id = int(pose["frame_id"][0])
    said, video = found.session.configuration, found.session.last(VideoEntry)
    seen = found.index["features"].row_of(found.log, frame_id)
    has_picture = _is_of(found.index["frames"].row_of(found.log, frame_id), frame_id)
    exposure_ns, decided_ns = (int(pose[f"{name}_ns"][0]) for name in ("exposure", "decided"))
    now_ns = int(seen["now_ns"][0]) if _is_of(seen, frame_id) and seen is not None else decided_ns
    at_s = (now_ns - found.began_ns) / NS_PER_S
    near = decisions(found, unblind=unblind, begin_s=at_s - _AROUND_S, end_s=at_s + _AROUND_S, limit=20)
    return {
        "frame": frame_id,
        "t": round(at_s, 6),
        "exposure": round((exposure_ns - found.began_ns) / NS_PER_S, 6),
        "latency_ms": _latency_ms(found, frame_id, exposure_ns),
        "keypoints": [] if said is None else list(said.keypoints),
        "points": [
            [_number(x), _number(y), _number(score)]
            for (x, y), score in zip(pose["xy"][0].tolist(), pose["score"][0].tolist(), strict=True)
        ],
        "values": _values(found, seen, frame_id),
        "decisions": near["decisions"],
        "light": _light(found, exposure_ns, unblind=unblind),
        "picture": has_picture,
        "size": None if video is None else [video.width, video.height],
    }


def encoded(image: Image, form: str) -> bytes:
    """Return a picture as JPEG or PNG.

    Raises
    ------
    UsageError
        The form is neither ``jpeg`` nor ``png``.
    DataError
        It cannot be encoded.
    """
    options = {"jpeg": (".jpg", [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]), "png": (".png", [])}
    if form not in options:
        raise UsageError(f"a picture's form is jpeg or png, not {form!r}")
    ending, quality = options[form]
    done, data = cv2.imencode(ending, image, quality)
    if not done:
        raise DataError("the picture cannot be encoded")
    return data.tobytes()


def _pose(found: Outline, t_s: float | None, frame: int | None, step: int) -> Rows | None:
    poses = found.index["poses"]
    if frame is not None:
        return poses.step(found.log, frame, step)
    if t_s is None or not math.isfinite(t_s):
        raise UsageError("which frame? give its number, or a time")
    t_ns = found.began_ns + round(t_s * NS_PER_S)
    seen = found.index["features"].row_at(found.log, t_ns)
    if seen is None:
        return poses.row_at(found.log, t_ns)
    return poses.step(found.log, int(seen["frame_id"][0]), step)


def _is_of(row: Rows | None, frame_id: int) -> bool:
    return row is not None and int(row["frame_id"][0]) == frame_id


def _values(found: Outline, seen: Rows | None, frame_id: int) -> list[dict[str, Any]]:
    said = found.session.configuration
    if seen is None or said is None or not _is_of(seen, frame_id):
        return []
    limits = found.thresholds.all_at(int(seen["now_ns"][0]))
    return [
        {"name": name, "unit": unit, "value": _number(value), "score": _number(score), "thresholds": limits.get(name, [])}
        for name, unit, value, score in zip(
            said.features,
            [*said.units, *[""] * len(said.features)],
            seen["values"][0].tolist(),
            seen["scores"][0].tolist(),
            strict=False,
        )
    ]  # fmt: skip


def _latency_ms(found: Outline, frame_id: int, exposure_ns: int) -> float | None:
    published = found.index["published"].row_of(found.log, frame_id)
    if published is None or not _is_of(published, frame_id):
        return None
    return round((int(published["published_ns"][0]) - exposure_ns) / 1e6, 3)


def _light(found: Outline, exposure_ns: int, *, unblind: bool) -> bool | None:
    if is_blinded(found.session, unblind=unblind):
        return None
    rate = found.rows.rate_hz
    period_ns = round(NS_PER_S / rate) if rate else 10_000_000
    spans = light_spans(found.session, blinded=False)
    return lit_at(spans, exposure_ns, exposure_ns + period_ns)


def _number(value: float) -> float | None:
    return float(np.float64(f"{value:.6g}")) if math.isfinite(value) else None
