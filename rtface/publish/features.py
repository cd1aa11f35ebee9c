"""Features and rules on a frame, as they are published for whoever looks on. No socket, no clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgpack
import numpy as np
from numpy.typing import NDArray

from rtface.core.errors import WireError
from rtface.publish.keypoints import MAX_CAMERA
from rtface.publish.wire import MAX_SESSION, PROTOCOL, Fields, as_bytes, check_length, pack, read

TOPIC_FEATURES = b"features"

MAX_FEATURES = 1_024
"""Values of one message."""

_FLOAT = np.dtype("<f8")


@dataclass(frozen=True, slots=True, eq=False)
class FeaturesMessage:
    """The values that rules decide on, and how each rule stands, on one frame.

    Attributes
    ----------
    frame_id : int
        The frame.
    exposure_ns : int
        Its exposure: nanoseconds of the monotonic clock of the service's host.
    names, units : tuple of str
        Of the values: features, and ``picture.same`` and ``view.ok`` where rules are given them. Those of an encoder are
        in `rtface.publish.neural.NeuralMessage`.
    values : ndarray, shape (F,), float64
        In `units`; NaN where it cannot be known.
    scores : ndarray, shape (F,), float64
        In [0, 1]: how well the value is known; see `rtface.core.features.Features`.
    rules : mapping
        Of each rule with a pulse, by name: ``state``, ``when``, ``withheld`` and ``values``, as `docs/wire.md` says. Empty
        while a blinded schedule hides it.
    session : str
        Names one life of the service.
    seq : int
        Number of the message in its session and topic, from 0; a jump is a loss between service and reader.
    published_ns : int
        When it began to be made; same clock as `exposure_ns`.
    received_ns : int
        When it was received, by the reader's monotonic clock; 0 before.
    age_ns : int or None
        From exposure to reception; None where the offset of the clocks is not known.
    camera : str
        Which of several cameras the frame is of; `names` and `values` are of all, and begin with the camera's.
    """

    frame_id: int
    exposure_ns: int
    names: tuple[str, ...]
    units: tuple[str, ...]
    values: NDArray[np.float64]
    scores: NDArray[np.float64]
    rules: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    session: str = ""
    seq: int = 0
    published_ns: int = 0
    received_ns: int = 0
    age_ns: int | None = None
    camera: str = ""


def encode_features(packer: msgpack.Packer, message: FeaturesMessage) -> bytes:
    """Return the body of a message.

    Raises
    ------
    WireError
        Its arrays do not belong together, or it is too large.
    """
    count = len(message.names)
    if len(message.units) != count or message.values.shape != (count,) or message.scores.shape != (count,):
        raise WireError(
            f"{count} names with {len(message.units)} units, values of shape {message.values.shape} and scores of "
            f"shape {message.scores.shape} make no message"
        )
    check_length("values", count, MAX_FEATURES)
    return pack(
        packer,
        {
            "v": PROTOCOL,
            "session": message.session,
            "seq": message.seq,
            "frame_id": message.frame_id,
            "t": {"exposure": message.exposure_ns, "published": message.published_ns},
            "names": message.names,
            "units": message.units,
            "values": as_bytes(message.values, _FLOAT),
            "scores": as_bytes(message.scores, _FLOAT),
            "rules": message.rules,
        }
        | ({"camera": message.camera} if message.camera else {}),
    )


def decode_features(body: bytes) -> FeaturesMessage:
    """Return the message in `body`; its arrays are views of it and cannot be written.

    Raises
    ------
    WireError
        `body` is no such message; the text names the field.
    """
    fields = read(body)
    names, units = fields.texts("names", MAX_FEATURES), fields.texts("units", MAX_FEATURES)
    values, scores = (fields.numbers(name, _FLOAT, MAX_FEATURES) for name in ("values", "scores"))
    for name, each in (("units", units), ("values", values), ("scores", scores)):
        if len(each) != len(names):
            raise WireError(f"{name} has {len(each)} entries for {len(names)} names")
    times, rules = fields.nested("t"), fields.nested("rules")
    return FeaturesMessage(
        frame_id=fields.integer("frame_id"),
        exposure_ns=times.integer("exposure"),
        names=names,
        units=units,
        values=values,
        scores=scores,
        rules={name: _rule(rules.nested(name)) for name in fields.mapping("rules")},
        session=fields.text("session", MAX_SESSION),
        seq=fields.integer("seq", low=0),
        published_ns=times.integer("published"),
        camera=fields.text("camera", MAX_CAMERA) if fields.has("camera") else "",
    )


def _rule(fields: Fields) -> dict[str, Any]:
    values = fields.nested("values")
    return {
        "state": fields.text("state"),
        "when": fields.text("when", longest=1 << 16),
        "withheld": None if fields.is_nil("withheld") else fields.text("withheld"),
        "values": {
            name: None if values.is_nil(name) else values.number(name) for name in fields.mapping("values")
        },
    }
