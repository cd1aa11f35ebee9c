"""Published messages and commands as plain JSON: the one form for screens, bridges and clients. No socket, no clock.

The keys are those of the wire, as `docs/wire.md` has them; this module knows how each becomes a value that every reader
of JSON takes, and takes requests in the same form.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import numpy as np

from rtface.core.errors import WireError
from rtface.publish.commands import crop_map
from rtface.publish.events import TOPIC_EVENTS, EventMessage
from rtface.publish.features import TOPIC_FEATURES, FeaturesMessage
from rtface.publish.keypoints import TOPIC_KEYPOINTS, Keypoints, stamps_map
from rtface.publish.neural import TOPIC_NEURAL, NeuralMessage
from rtface.publish.pictures.message import PictureMessage
from rtface.publish.status import TOPIC_STATUS, ServiceStatus, StatusMessage
from rtface.publish.wire import MAX_BODY, PROTOCOL, losses_map

Published = Keypoints | StatusMessage | EventMessage | NeuralMessage | FeaturesMessage | PictureMessage

Json = dict[str, Any]

TOPIC_PICTURE = b"picture"
"""Of pictures of either topic; ``shows`` says which."""

MOST_NESTED = 64
"""Maps and arrays within one another; what lies deeper is left out, with a text in its place."""

TOO_DEEP = "(nested too deeply)"

MAX_JSON = 1 << 20
"""Largest body in bytes that is sent."""

_STATUS_WITHOUT = {"view_ok": math.nan, "pictures": {}, "camera_status": {}, "gap": {}, "bridges": []}
"""Fields of a status that are absent where there is nothing to say."""


def as_json(message: Published) -> Json:
    """Return a message as a map that `json.dumps` takes with ``allow_nan=False``.

    Parameters
    ----------
    message : Keypoints, StatusMessage, EventMessage, NeuralMessage, FeaturesMessage or PictureMessage
        As received. Of a picture it is all but the picture itself, ``jpeg``.

    Returns
    -------
    dict
        ``topic``, and the keys of that topic on the wire. Arrays of numbers are lists (``xy`` of pairs), a number that is
        not known (NaN, infinite or absent) is None, and binary data that a client sent is base64. ``received`` has what
        the receiver found: ``t_ns``, ``age_ns``, and by topic ``missed``, ``skipped``, ``restarted``.
    """
    match message:
        case Keypoints():
            values = _keypoints(message)
        case StatusMessage():
            values = _head(TOPIC_STATUS, message) | {"t_ns": message.t_ns} | status_as_json(message.status)
        case EventMessage():
            values = _head(TOPIC_EVENTS, message)
            values |= {"t_ns": message.t_ns, "kind": message.kind, "details": message.details}
        case NeuralMessage():
            values = _neural(message)
        case FeaturesMessage():
            values = _features(message)
        case PictureMessage():
            values = _picture(message)
    plain: Json = _plain(values, MOST_NESTED)
    return plain


def status_as_json(status: ServiceStatus) -> Json:
    """Return a status, as command ``status`` answers it too, in the same form."""
    return result_as_json("status", status.as_map())


def result_as_json(op: str, result: Mapping[str, Any]) -> Json:
    """Return the result of a command, as it goes out on the wire, in the same form."""
    plain: Json = _plain(_STATUS_WITHOUT | dict(result) if op == "status" else result, MOST_NESTED)
    return plain


def json_body(values: Mapping[str, Any]) -> bytes:
    """Return a map in that form as bytes: ASCII, without spaces.

    Raises
    ------
    WireError
        They would be more than `MAX_JSON`.
    """
    body = json.dumps(values, allow_nan=False, separators=(",", ":")).encode()
    if len(body) > MAX_JSON:
        raise WireError(f"a message would have {len(body)} bytes as JSON; at most {MAX_JSON} are sent")
    return body


def is_json(body: bytes) -> bool:
    """Return whether a body is meant as JSON: one that begins so is no map in MessagePack."""
    return body[:1] == b"{" or body.lstrip(b" \t\r\n")[:1] == b"{"


def json_in(body: bytes) -> Json:
    """Return the object in a body that a client sent as JSON, with nothing in it that MessagePack has no form for.

    Raises
    ------
    WireError
        It is longer than `MAX_BODY`, no JSON, has a key twice, NaN, an integer of more than 64 bits, half a character, or is
        nested more than `MOST_NESTED` deep.
    """
    if len(body) > MAX_BODY:
        raise WireError(f"message of {len(body)} bytes; at most {MAX_BODY} are allowed")
    try:
        values = json.loads(
            body.decode(), object_pairs_hook=_once, parse_constant=_no_number, parse_int=_integer
        )
        _check_text(values, MOST_NESTED)
    except RecursionError:
        raise WireError(f"message is nested more than {MOST_NESTED} deep") from None
    except ValueError as error:
        raise WireError(f"message is no JSON that can be taken: {error}") from error
    if not isinstance(values, dict):
        raise WireError("message is no JSON object")
    return values


def _once(pairs: list[tuple[str, Any]]) -> Json:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError("a key stands twice in one object")
    return values


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number in JSON")


def _integer(text: str) -> int:
    if len(text) > len("-9223372036854775808") or not -(1 << 63) <= int(text) < 1 << 64:
        raise ValueError(f"the integer {text[:40]} has more than 64 bits")
    return int(text)


def _check_text(value: Any, depth: int) -> None:
    """Refuse what is nested too deeply, and text with half a character, which UTF-8 has no form for."""
    if isinstance(value, str):
        value.encode()
    elif isinstance(value, dict | list):
        if depth == 0:
            raise RecursionError
        for each in value:
            _check_text(each, depth - 1)
        if isinstance(value, dict):
            for each in value.values():
                _check_text(each, depth - 1)


def _keypoints(message: Keypoints) -> Json:
    return _head(TOPIC_KEYPOINTS, message) | {
        "frame_id": message.frame_id,
        "camera_ns": message.camera_ns,
        "t": stamps_map(message.stamps) | {"published": message.published_ns},
        "xy": message.xy,
        "score": message.score,
        "outside": message.outside,
        "lost": losses_map(message.lost),
        "view_ok": message.view_ok,
        "trigger_id": message.trigger_id,
        "received": _received(message),
    }


def _neural(message: NeuralMessage) -> Json:
    return _head(TOPIC_NEURAL, message) | {
        "frame_id": message.frame_id,
        "t": {"exposure": message.exposure_ns, "published": message.published_ns},
        "encoder": message.encoder,
        "model": message.model,
        "simulated": message.simulated,
        "kind": message.kind,
        "outputs": message.outputs,
        "uncertainty": message.uncertainty,
        "neurons": message.neurons,
        "chosen": message.chosen,
        "state": message.state,
        "probability": message.probability,
        "look_ahead_ns": message.look_ahead_ns,
        "delay_ns": message.delay_ns,
        "warm": message.warm,
        "strange": message.strange,
        "unusual": message.unusual,
        "score": message.score,
        "received": {"t_ns": message.received_ns, "age_ns": message.age_ns},
    }


def _features(message: FeaturesMessage) -> Json:
    return _head(TOPIC_FEATURES, message) | {
        "frame_id": message.frame_id,
        "t": {"exposure": message.exposure_ns, "published": message.published_ns},
        "names": message.names,
        "units": message.units,
        "values": message.values,
        "scores": message.scores,
        "rules": message.rules,
        "received": {"t_ns": message.received_ns, "age_ns": message.age_ns},
    }


def _picture(message: PictureMessage) -> Json:
    times = stamps_map(message.stamps) | {"copied": message.copied_ns, "published": message.published_ns}
    return _head(TOPIC_PICTURE, message) | {
        "frame_id": message.frame_id,
        "camera_ns": message.camera_ns,
        "t": times,
        "shows": message.shows,
        "width": message.width,
        "height": message.height,
        "area": crop_map(message.area),
        "frame": {"width": message.frame_width, "height": message.frame_height},
        "crop": crop_map(message.crop),
        "xy": message.xy,
        "score": message.score,
        "outside": message.outside,
        "view_ok": message.view_ok,
        "saturated": message.saturated,
        "histogram": message.histogram,
        "focus": message.focus,
        "received": _received(message),
    }


def _head(topic: bytes, message: Published) -> Json:
    return {"topic": topic.decode(), "v": PROTOCOL, "session": message.session, "seq": message.seq}


def _received(message: Keypoints | PictureMessage) -> Json:
    return {
        "t_ns": message.received_ns,
        "age_ns": message.age_ns,
        "missed": message.missed,
        "skipped": message.skipped,
        "restarted": message.restarted,
    }


def _plain(value: Any, depth: int) -> Any:
    """Return a value of a message as what JSON has."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if not isinstance(value, Mapping | Sequence):
        return str(value)
    if depth == 0:
        return TOO_DEEP
    if isinstance(value, Mapping):
        return {
            key if isinstance(key, str) else str(_plain(key, 0)): _plain(each, depth - 1)
            for key, each in value.items()
        }
    return [_plain(each, depth - 1) for each in value]
