from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from support.publishing import LOSSES, STATUS, make_pose

from rtface.core.errors import WireError
from rtface.core.records import CameraInfo, FrameMeta, Losses, Pose, Stamps
from rtface.core.status import CameraStatus, PipelineState, PipelineStatus, PtpStatus
from rtface.publish.keypoints import MAX_KEYPOINTS, decode_keypoints, encode_keypoints
from rtface.publish.status import camera_map, camera_status_map, decode_status, encode_status
from rtface.publish.wire import MAX_BODY

PACKER = msgpack.Packer()

NS = st.integers(-(1 << 63), (1 << 63) - 1)
COUNT = st.integers(0, (1 << 63) - 1)
JSON_LIKE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats()
    | st.text()
    | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def keypoints_body() -> bytes:
    return encode_keypoints(PACKER, "session", 3, make_pose(9), LOSSES, 5_000)


def status_body() -> bytes:
    return encode_status(PACKER, "session", 4, 6_000, STATUS)


@st.composite
def poses(draw: st.DrawFn) -> Pose:
    count = draw(st.integers(0, 32))
    floats = st.floats(width=32)
    return Pose(
        FrameMeta(draw(NS), draw(NS), draw(NS), draw(st.none() | NS)),
        Stamps(*(draw(NS) for _ in range(6))),
        draw(arrays.arrays(np.float32, (count, 2), elements=floats)),
        draw(arrays.arrays(np.float32, (count,), elements=floats)),
        draw(arrays.arrays(np.bool_, (count,))),
        view_ok=draw(st.just(math.nan) | st.floats(0, 1, width=32)),
    )


@given(poses(), COUNT, NS, st.builds(Losses, COUNT, COUNT, COUNT, COUNT, st.booleans()))
def test_keypoints_arrive_as_they_were_sent(pose: Pose, seq: int, published_ns: int, losses: Losses) -> None:
    message = decode_keypoints(encode_keypoints(PACKER, "the session", seq, pose, losses, published_ns))
    assert (message.session, message.seq, message.published_ns) == ("the session", seq, published_ns)
    assert (message.frame_id, message.camera_ns) == (pose.frame.frame_id, pose.frame.camera_ns)
    assert message.stamps == pose.stamps
    assert message.lost == losses
    assert message.view_ok == pytest.approx(pose.view_ok, abs=0, nan_ok=True)
    for got, sent in ((message.xy, pose.xy), (message.score, pose.score), (message.outside, pose.outside)):
        assert got.dtype == sent.dtype
        np.testing.assert_array_equal(got, sent)


def test_a_count_that_is_known_is_sent_as_it_was_before_there_could_be_another() -> None:
    for known, fields in ((True, set()), (False, {"transport_known"})):
        losses = replace(LOSSES, transport_known=known)
        body = msgpack.unpackb(encode_keypoints(PACKER, "s", 0, make_pose(5), losses, 0))
        assert set(body["lost"]) == {"camera", "transport", "ring", "publish"} | fields


def test_a_trigger_and_those_that_were_missed_are_sent_where_the_camera_counts_them() -> None:
    pose = make_pose(5)
    counted = replace(pose, frame=replace(pose.frame, trigger_id=81))
    losses = replace(LOSSES, missed_triggers=3)
    found = decode_keypoints(encode_keypoints(PACKER, "s", 0, counted, losses, 0))
    assert (found.trigger_id, found.lost.missed_triggers) == (81, 3)
    found = decode_keypoints(encode_keypoints(PACKER, "s", 0, pose, LOSSES, 0))
    assert (found.trigger_id, found.lost.missed_triggers) == (None, None)


def test_how_a_camera_does_is_sent_where_there_is_something_to_say() -> None:
    camera = CameraStatus(("A is not B",), "it goes +1%", 2, PtpStatus("Slave", -7))
    given = replace(STATUS, camera_status=camera_status_map(_pipeline_status(camera, waits_s=4.5)))
    found = decode_status(encode_status(PACKER, "s", 0, 0, given)).status.camera_status
    assert found == {
        "problems": ["A is not B"],
        "clock": "it goes +1%",
        "clock_steps": 2,
        "ptp": {"state": "Slave", "offset_ns": -7},
        "waits_s": 4.5,
    }
    assert camera_status_map(_pipeline_status(CameraStatus(), waits_s=0.0)) == {}
    assert "camera_status" not in msgpack.unpackb(status_body())


def _pipeline_status(camera: CameraStatus, waits_s: float) -> PipelineStatus:
    return PipelineStatus(PipelineState.RUNNING, 0.0, 0, Losses(), {}, None, camera=camera, waits_s=waits_s)


def test_the_numbers_on_the_wire_are_little_endian_whatever_the_array() -> None:
    pose = make_pose(keypoints=2)
    swapped = replace(pose, xy=pose.xy.astype(">f4"), score=pose.score.astype(np.float64))
    fields = msgpack.unpackb(encode_keypoints(PACKER, "s", 0, swapped, LOSSES, 0))
    assert fields["xy"] == pose.xy.astype("<f4").tobytes()
    assert fields["score"] == pose.score.astype("<f4").tobytes()
    assert fields["outside"] == b"\x00\x01"


def test_status_arrives_as_it_was_sent() -> None:
    failed = replace(STATUS, state=PipelineState.FAILED, error="the camera is gone")
    for status in (STATUS, failed):
        message = decode_status(encode_status(PACKER, "the session", 8, 99, status))
        assert (message.session, message.seq, message.t_ns) == ("the session", 8, 99)
        assert message.status == status


@pytest.mark.parametrize(
    ("decode", "body"), [(decode_keypoints, keypoints_body()), (decode_status, status_body())]
)
class TestBothMessages:
    def test_a_field_of_a_later_version_is_ignored(self, decode: Callable[[bytes], Any], body: bytes) -> None:
        fields = msgpack.unpackb(body) | {"added": [1, {"later": b""}]}
        assert repr(decode(msgpack.packb(fields))) == repr(decode(body))

    def test_another_protocol_version_is_refused(self, decode: Callable[[bytes], Any], body: bytes) -> None:
        fields = msgpack.unpackb(body) | {"v": 2}
        with pytest.raises(WireError, match="v: message of protocol version 2"):
            decode(msgpack.packb(fields))

    def test_every_field_is_missed_by_its_name(self, decode: Callable[[bytes], Any], body: bytes) -> None:
        for path in _paths(msgpack.unpackb(body)):
            fields = msgpack.unpackb(body)
            inner = fields
            for name in path[:-1]:
                inner = inner[name]
            del inner[path[-1]]
            with pytest.raises(WireError, match=rf"^{'[.]'.join(path)} is missing$"):
                decode(msgpack.packb(fields))

    def test_every_field_of_a_wrong_type_is_named(self, decode: Callable[[bytes], Any], body: bytes) -> None:
        for path in _paths(msgpack.unpackb(body)):
            fields = msgpack.unpackb(body)
            inner = fields
            for name in path[:-1]:
                inner = inner[name]
            inner[path[-1]] = [1.5]
            with pytest.raises(WireError, match=rf"^{'[.]'.join(path)} must be .*, not list$"):
                decode(msgpack.packb(fields))

    def test_a_truncated_message_is_refused(self, decode: Callable[[bytes], Any], body: bytes) -> None:
        for end in range(len(body)):
            with pytest.raises(WireError):
                decode(body[:end])
        with pytest.raises(WireError):
            decode(body + b"\x00")


def _paths(fields: dict[str, Any]) -> list[tuple[str, ...]]:
    """Paths of all fields that rtface reads; those of the camera and the loop are passed on as they are."""
    paths: list[tuple[str, ...]] = []
    for name, value in fields.items():
        paths.append((name,))
        if isinstance(value, dict) and name not in ("camera", "latency", "loop"):
            paths += [(name, *path) for path in _paths(value)]
    return paths


@given(st.binary(max_size=300))
def test_arbitrary_bytes_raise_nothing_but_a_wire_error(body: bytes) -> None:
    for decode in (decode_keypoints, decode_status):
        with pytest.raises(WireError):
            decode(body)


@given(st.data())
def test_damaged_messages_raise_nothing_but_a_wire_error(data: st.DataObject) -> None:
    for decode, body in ((decode_keypoints, keypoints_body()), (decode_status, status_body())):
        damaged = bytearray(body)
        for _ in range(data.draw(st.integers(1, 4))):
            damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
        with suppress(WireError):
            decode(bytes(damaged))


@given(st.data())
def test_arbitrary_fields_raise_nothing_but_a_wire_error(data: st.DataObject) -> None:
    for decode, body in ((decode_keypoints, keypoints_body()), (decode_status, status_body())):
        fields = msgpack.unpackb(body)
        for path in data.draw(st.lists(st.sampled_from(_paths(fields)), max_size=3)):
            inner = fields
            for name in path[:-1]:
                inner = inner.get(name) if isinstance(inner, dict) else None
            if isinstance(inner, dict):
                inner[path[-1]] = data.draw(JSON_LIKE)
        with suppress(WireError):
            decode(msgpack.packb(fields))


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("xy", b"\x00" * 119, "xy has 119 bytes; 15 scores go with 120"),
        ("score", b"\x00" * 61, "score has 61 bytes"),
        ("score", b"\x00" * 4 * (MAX_KEYPOINTS + 1), "score has 4100 bytes"),
        ("outside", b"\x00" * 14, "outside has 14 bytes; 15 scores go with 15"),
        ("outside", b"\x02" * 15, "outside holds a byte"),
        ("seq", -1, "seq must be between 0"),
        ("seq", True, "seq must be an integer, not bool"),
        ("session", "s" * 65, "session has 65 characters"),
    ],
)
def test_lengths_and_ranges_are_checked(field: str, value: object, text: str) -> None:
    fields = msgpack.unpackb(keypoints_body()) | {field: value}
    with pytest.raises(WireError, match=text):
        decode_keypoints(msgpack.packb(fields))


def test_an_unknown_state_is_refused() -> None:
    fields = msgpack.unpackb(status_body()) | {"state": "asleep"}
    with pytest.raises(
        WireError, match="state must be one of starting, running, stopped, ended, failed, not 'asleep'"
    ):
        decode_status(msgpack.packb(fields))


def test_a_message_that_is_no_map_is_refused() -> None:
    for value in (None, 1, "keypoints", [1, 2], {b"v": 1}):
        with pytest.raises(WireError, match="not a map"):
            decode_keypoints(msgpack.packb(value))


def test_a_message_that_is_too_large_is_not_even_unpacked() -> None:
    body = msgpack.packb(msgpack.unpackb(keypoints_body()) | {"added": b"\x00" * MAX_BODY})
    with pytest.raises(WireError, match=f"at most {MAX_BODY}"):
        decode_keypoints(body)


def test_what_cannot_be_sent_is_refused_and_the_packer_goes_on() -> None:
    pose = make_pose()
    with pytest.raises(WireError, match="make no message"):
        encode_keypoints(PACKER, "session", 0, replace(pose, score=pose.score[:-1]), LOSSES, 0)
    with pytest.raises(WireError, match="cannot be put into a message"):
        encode_status(PACKER, "session", 0, 0, replace(STATUS, camera={"device": object()}))
    with pytest.raises(WireError, match="at most"):
        encode_status(PACKER, "session", 0, 0, replace(STATUS, camera={"text": "x" * MAX_BODY}))
    assert decode_keypoints(encode_keypoints(PACKER, "session", 7, pose, LOSSES, 0)).seq == 7


def test_received_arrays_cannot_be_written() -> None:
    message = decode_keypoints(keypoints_body())
    with pytest.raises(ValueError, match="read-only"):
        message.xy[0] = 0


def test_a_camera_goes_out_with_settings_of_foreign_types_as_text() -> None:
    info = CameraInfo("genicam", "cam", 64, 48, 10.0, None, True, "camera", {"Gain": 1.5, "Mode": {1}})
    fields = camera_map(info)
    assert fields["settings"] == {"Gain": 1.5, "Mode": "{1}"}
    assert fields["width"] == 64
    msgpack.packb(fields)
