"""What is commanded: requests, replies and what the service is. No socket, no clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgpack

from rtface import __version__
from rtface.core.errors import ControlError
from rtface.core.records import MINIMUM_CROP, Crop, Keypoint
from rtface.publish.authors import author
from rtface.publish.wire import MAX_SESSION, MAX_TEXT, PROTOCOL, Fields, pack, read

MAX_ID = (1 << 63) - 1
MAX_NAME = 64
MAX_REMARK = 1_000
"""Characters of a reason or a mark."""

UNKNOWN_OP = "unknown_op"
BAD_REQUEST = "bad_request"
INTERNAL = "internal"
BUSY = "busy"
REVOKED = "revoked"
NO_LOOP = "no_loop"

_MAX_PIXEL = 1 << 20


@dataclass(frozen=True, slots=True)
class Request:
    """A command: `op` with `args`; the reply repeats `id`."""

    id: int
    op: str
    args: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Hello:
    """What a service is.

    Attributes
    ----------
    session : str
        The session that the published messages carry.
    skeleton : tuple of Keypoint
        Names in the order of the rows of ``xy``, and whether each was trained.
    width, height : int
        Pixels of the camera frame.
    crop : Crop or None
        The part that the network is given; None for the whole frame.
    engine : str
        Name of the network.
    engine_hash : str
        Hash of the engine bundle.
    score_definition : str
        What a score is the probability of.
    keypoints_address, control_address : str
        Where the service is bound, with the ports that were taken.
    camera : dict
        What the camera is, with its settings; see `rtface.publish.status.camera_map`.
    version : str
        Version of rtface that the service runs.
    pictures_address : str
        Where it publishes pictures; empty where it publishes none.
    bridges : dict
        Where its bridges publish, by kind: ``json``, ``osc``.
    """

    session: str
    skeleton: tuple[Keypoint, ...]
    width: int
    height: int
    crop: Crop | None
    engine: str
    engine_hash: str
    score_definition: str
    keypoints_address: str
    control_address: str
    camera: dict[str, Any]
    version: str = __version__
    pictures_address: str = ""
    bridges: Mapping[str, str] = field(default_factory=dict)

    def as_map(self) -> dict[str, Any]:
        """Return the record as a map for the wire."""
        return {
            "protocol": PROTOCOL,
            "session": self.session,
            "rtface": self.version,
            "skeleton": [{"name": point.name, "trained": point.trained} for point in self.skeleton],
            "frame": {"width": self.width, "height": self.height},
            "crop": None if self.crop is None else crop_map(self.crop),
            "engine": {"id": self.engine, "hash": self.engine_hash},
            "score": self.score_definition,
            "addresses": {"keypoints": self.keypoints_address, "control": self.control_address}
            | ({"pictures": self.pictures_address} if self.pictures_address else {})
            | dict(self.bridges),
            "camera": self.camera,
        }


def parse_hello(values: Mapping[str, Any]) -> Hello:
    """Return the record in the result of ``hello``; `WireError` names a field that is wrong."""
    fields = Fields(values)
    frame, engine, addresses = fields.nested("frame"), fields.nested("engine"), fields.nested("addresses")
    return Hello(
        session=fields.text("session", MAX_SESSION),
        skeleton=tuple(
            Keypoint(point.text("name"), point.boolean("trained")) for point in fields.each("skeleton")
        ),
        width=frame.integer("width", low=1),
        height=frame.integer("height", low=1),
        crop=None if fields.is_nil("crop") else crop_in(fields.nested("crop"), smallest=1),
        engine=engine.text("id"),
        engine_hash=engine.text("hash"),
        score_definition=fields.text("score"),
        keypoints_address=addresses.text("keypoints"),
        control_address=addresses.text("control"),
        camera=fields.mapping("camera"),
        version=fields.text("rtface"),
        pictures_address=addresses.text("pictures") if addresses.has("pictures") else "",
        bridges={kind: addresses.text(kind) for kind in ("json", "osc") if addresses.has(kind)},
    )


def crop_map(crop: Crop) -> dict[str, int | bool]:
    """Return a crop as a map for the wire; `mirrored` is there where it is true, so that other messages stay as they were."""
    box: dict[str, int | bool] = {"x": crop.x, "y": crop.y, "width": crop.width, "height": crop.height}
    return box | {"mirrored": True} if crop.mirrored else box


def parse_crop(args: Mapping[str, Any]) -> Crop | None:
    """Return the crop in the arguments of ``set_crop``: its four numbers, or a nil ``crop`` for the whole frame.

    Raises
    ------
    WireError
        A field is missing or of a wrong type; the text names it.
    ControlError
        ``bad_request``: the crop is smaller than `MINIMUM_CROP` either way.
    """
    fields = Fields(args, "args.")
    if "crop" in args:
        if fields.is_nil("crop"):
            return None
        fields = fields.nested("crop")
    crop = crop_in(fields, smallest=0)
    if min(crop.width, crop.height) < MINIMUM_CROP:
        raise ControlError(
            BAD_REQUEST,
            f"a crop of {crop.width} x {crop.height} pixels is too small; it has at least {MINIMUM_CROP} x "
            f"{MINIMUM_CROP}",
        )
    return crop


def crop_in(fields: Fields, smallest: int) -> Crop:
    """Return the crop in such a map, of at least `smallest` pixels either way."""
    return Crop(
        x=fields.integer("x", 0, _MAX_PIXEL),
        y=fields.integer("y", 0, _MAX_PIXEL),
        width=fields.integer("width", smallest, _MAX_PIXEL),
        height=fields.integer("height", smallest, _MAX_PIXEL),
        mirrored=fields.boolean("mirrored") if fields.has("mirrored") else False,
    )


def encode_request(request: Request) -> bytes:
    """Return the body of a request."""
    values = {"v": PROTOCOL, "id": request.id, "op": request.op, "args": request.args}
    return pack(msgpack.Packer(), values)


def id_in(values: Mapping[str, Any]) -> int | None:
    """Return the id of a request that may be wrong in all else; None when it has none."""
    value = values.get("id")
    return value if type(value) is int and 0 <= value <= MAX_ID else None


def parse_request(values: Mapping[str, Any]) -> Request:
    """Return the request in a map that was received; `WireError` names a field that is wrong."""
    fields = Fields(values)
    fields.check_version()
    return Request(fields.integer("id", 0, MAX_ID), fields.text("op", MAX_NAME), fields.mapping("args"))


def encode_result(request_id: int, result: Mapping[str, Any]) -> bytes:
    """Return the body of the reply to a request that was carried out."""
    return pack(msgpack.Packer(), result_reply(request_id, result))


def encode_refusal(request_id: int | None, code: str, message: str) -> bytes:
    """Return the body of the reply to a request that was not carried out; a long message is cut."""
    return pack(msgpack.Packer(), refusal_reply(request_id, code, message))


def result_reply(request_id: int, result: Mapping[str, Any]) -> dict[str, Any]:
    """Return the reply to a request that was carried out."""
    return {"v": PROTOCOL, "id": request_id, "ok": True, "result": result}


def refusal_reply(request_id: int | None, code: str, message: str) -> dict[str, Any]:
    """Return the reply to a request that was not carried out; a long message is cut."""
    error = {"code": code[:MAX_NAME], "message": message[:MAX_TEXT]}
    return {"v": PROTOCOL, "id": request_id, "ok": False, "error": error}


def decode_reply(body: bytes) -> tuple[int | None, Mapping[str, Any] | ControlError]:
    """Return the id that a reply repeats, and the result or the error that it carries.

    Raises
    ------
    WireError
        `body` is no reply; the text names the field.
    """
    fields = read(body)
    request_id = None if fields.is_nil("id") else fields.integer("id", 0, MAX_ID)
    if fields.boolean("ok"):
        return request_id, fields.mapping("result")
    error = fields.nested("error")
    return request_id, ControlError(error.text("code", MAX_NAME), error.text("message"))


def nonce_in(args: Mapping[str, Any]) -> int:
    """Return the number that the answer to ``ping`` repeats."""
    return Fields(args, "args.").integer("nonce", 0, MAX_ID)


def who_may_be_in(args: Mapping[str, Any], key: str = "") -> str:
    """Return the same of a command that older clients give without a name; empty where nothing names them."""
    return who_in(args, key) if "who" in args else author(key) if key else ""


def who_in(args: Mapping[str, Any], key: str = "") -> str:
    """Return who gives a command, for the record: the name of their key, else as they call themselves (see `author`)."""
    who = Fields(args, "args.").text("who", MAX_NAME)
    if not who.strip():
        raise ControlError(BAD_REQUEST, "args.who is empty; a command that is recorded needs a name")
    return author(key or who)


def why_in(args: Mapping[str, Any]) -> str:
    """Return the reason that ``disarm`` was given."""
    return Fields(args, "args.").text("why", MAX_REMARK)


def mark_in(args: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the text and the further details of ``mark``."""
    fields = Fields(args, "args.")
    return fields.text("text", MAX_REMARK), fields.mapping("details")
