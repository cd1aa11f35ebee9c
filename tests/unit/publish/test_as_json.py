"""One JSON for everybody: what is decoded, with the keys of the wire, in values that every reader of JSON takes."""

from __future__ import annotations

import base64
import json
import math
import re
from dataclasses import replace
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.paths import DOCS
from support.publishing import FEATURES, LOSSES, PICTURE, PREDICTION, STATUS, make_pose

from rtface.publish.as_json import MOST_NESTED, TOO_DEEP, Published, as_json, status_as_json
from rtface.publish.events import decode_event, encode_event
from rtface.publish.features import decode_features, encode_features
from rtface.publish.keypoints import decode_keypoints, encode_keypoints
from rtface.publish.neural import decode_neural, encode_neural
from rtface.publish.pictures.message import decode_picture, encode_picture
from rtface.publish.status import decode_status, encode_status

PACKER = msgpack.Packer()
EVENT = {"rule": "r", "inputs": [["ear", 0.5, 1.0, 7]], "pulse": None}

KEYPOINTS = encode_keypoints(PACKER, "a", 3, make_pose(5), LOSSES, 9_000)
LOOP = {"state": "armed", "seen": {"r": {"when": "ear > 1", "withheld": None, "values": {"ear": math.nan}}}}
STATE = encode_status(PACKER, "a", 3, 9_000, replace(STATUS, loop=LOOP, rate_hz=math.inf))
HAPPENED = encode_event(PACKER, "a", 3, 9_000, "decision", EVENT)
PICTURED = encode_picture(PACKER, PICTURE)

SENT: dict[str, tuple[bytes, Published]] = {
    "keypoints": (KEYPOINTS, decode_keypoints(KEYPOINTS)),
    "status": (STATE, decode_status(STATE)),
    "events": (HAPPENED, decode_event(HAPPENED)),
    "neural": (encode_neural(PACKER, PREDICTION), decode_neural(encode_neural(PACKER, PREDICTION))),
    "features": (encode_features(PACKER, FEATURES), decode_features(encode_features(PACKER, FEATURES))),
    "picture": (PICTURED[1], decode_picture(PICTURED)),
}
NUMBERS = {
    "xy": "<f4",
    "score": "<f4",
    "outside": "?",
    "outputs": "<f4",
    "uncertainty": "<f4",
    "neurons": "<f4",
    "chosen": "<i4",
    "probability": "<f4",
    "values": "<f8",
    "scores": "<f8",
    "histogram": "<u4",
}


ABSENT: dict[str, Any] = {
    "view_ok": None,
    "pictures": {},
    "trigger_id": None,
    "camera_status": {},
    "gap": {},
    "bridges": [],
}


def expected(value: Any, name: str = "") -> Any:
    """Return a value of the wire as JSON should have it, read from the page and not from rtface."""
    if isinstance(value, bytes):
        value = np.frombuffer(value, NUMBERS[name]).tolist()
        value = [value[at : at + 2] for at in range(0, len(value), 2)] if name == "xy" else value
    if isinstance(value, dict):
        return {key: expected(each, key) for key, each in value.items()}
    if isinstance(value, list):
        return [expected(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@pytest.mark.parametrize("topic", SENT)
def test_the_keys_are_those_of_the_wire_and_the_values_are_what_was_sent(topic: str) -> None:
    body, message = SENT[topic]
    found = json.loads(json.dumps(as_json(message), allow_nan=False))
    assert found.pop("topic") == topic
    found.pop("received", None)
    wire = msgpack.unpackb(body)
    absent = {key: each for key, each in ABSENT.items() if key in found and key not in wire}
    assert found == expected(wire) | absent


@pytest.mark.parametrize("topic", SENT)
def test_every_key_stands_on_the_page(topic: str) -> None:
    page = (DOCS / "wire.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(\w+)`", page))
    assert set(as_json(SENT[topic][1])) <= named


def test_what_is_not_known_is_null_and_never_left_out() -> None:
    _, message = SENT["keypoints"]
    found = as_json(message)
    assert found["xy"][-1] == [None, None]
    assert found["view_ok"] is None
    assert as_json(replace(SENT["status"][1], status=STATUS))["view_ok"] is None
    assert status_as_json(replace(STATUS, view_ok=0.75))["view_ok"] == 0.75
    assert as_json(SENT["status"][1])["rate_hz"] is None
    assert as_json(SENT["status"][1])["loop"]["seen"]["r"]["values"] == {"ear": None}


def test_what_the_receiver_found_lies_apart() -> None:
    message = replace(decode_keypoints(KEYPOINTS), received_ns=11, age_ns=None, missed=2, skipped=1)
    found = as_json(message)["received"]
    assert found == {"t_ns": 11, "age_ns": None, "missed": 2, "skipped": 1, "restarted": False}
    picture = replace(decode_picture(PICTURED), received_ns=11, age_ns=5, skipped=4)
    assert as_json(picture)["received"]["skipped"] == 4
    assert "jpeg" not in as_json(picture)


def test_what_a_client_puts_into_a_mark_becomes_json_whatever_it_is() -> None:
    deep: Any = "end"
    for _ in range(200):
        deep = [deep]
    details = {"raw": b"\x00\xff", "when": msgpack.Timestamp(1), "nan": math.nan, "deep": deep}
    body = encode_event(PACKER, "a", 0, 1, "mark", {"who": "x", "text": "y", "details": details})
    found = json.loads(json.dumps(as_json(decode_event(body)), allow_nan=False))["details"]["details"]
    assert base64.b64decode(found["raw"]) == b"\x00\xff"
    assert found["nan"] is None
    assert isinstance(found["when"], str)
    level = 0
    while isinstance(found["deep"], list):
        (found["deep"],), level = found["deep"], level + 1
    assert (found["deep"], level < MOST_NESTED) == (TOO_DEEP, True)


_ANY = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats()
    | st.text()
    | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.binary(), inner),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), _ANY))
def test_details_of_any_kind_are_valid_json(details: dict[str, Any]) -> None:
    body = encode_event(PACKER, "a", 0, 1, "mark", details)
    json.loads(json.dumps(as_json(decode_event(body)), allow_nan=False))
