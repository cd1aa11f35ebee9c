"""What is published of several cameras: each numbered by itself, told apart, and nothing new of one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import msgpack
import pytest
import zmq
from support.publishing import FEATURES, HELLO, LOSSES, STATUS, make_pose, received, wait_for_subscribers

from rtface.core.records import Crop, Keypoint, Pose
from rtface.publish.as_json import as_json
from rtface.publish.commands import CameraHello, camera_in, parse_hello
from rtface.publish.features import decode_features, encode_features
from rtface.publish.keypoints import decode_keypoints, encode_keypoints, keypoints_topic
from rtface.publish.publisher import Publisher
from rtface.publish.receiver import Receiver
from rtface.publish.sockets import Context
from rtface.publish.status import decode_status, encode_status

PACKER = msgpack.Packer()


def pose_of(camera: str, frame_id: int) -> Pose:
    pose = make_pose(frame_id, keypoints=3 if camera == "left" else 5)
    return replace(pose, frame=replace(pose.frame, camera=camera))


@pytest.fixture
def publisher(context: Context) -> Iterator[Publisher]:
    sink = Publisher("tcp://127.0.0.1:*", "session", context, cameras=("left", "left2"))
    sink.open()
    yield sink
    sink.close()


def test_each_camera_has_a_topic_and_numbers_of_its_own(context: Context, publisher: Publisher) -> None:
    with context.socket(zmq.SUB) as socket:
        socket.subscribe(b"keypoints")
        socket.connect(publisher.address)
        wait_for_subscribers(publisher, 1)
        for camera, frame_id in (("left", 10), ("left2", 90), ("left", 11)):
            publisher.publish(pose_of(camera, frame_id), LOSSES)
        found = [received(socket) for _ in range(3)]
    assert [topic for topic, _ in found] == [b"keypoints.left", b"keypoints.left2", b"keypoints.left"]
    messages = [decode_keypoints(body) for _, body in found]
    assert [(each.camera, each.seq, each.frame_id) for each in messages] == [
        ("left", 0, 10),
        ("left2", 0, 90),
        ("left", 1, 11),
    ]


def test_who_takes_one_camera_is_counted(context: Context, publisher: Publisher) -> None:
    with context.socket(zmq.SUB) as socket:
        socket.subscribe(keypoints_topic("left2"))
        socket.connect(publisher.address)
        wait_for_subscribers(publisher, 1)


def message(camera: str, seq: int, topic: bytes | None = None) -> list[bytes]:
    body = encode_keypoints(PACKER, "a", seq, pose_of(camera, seq), LOSSES, 2_000)
    return [keypoints_topic(camera) if topic is None else topic, body]


def test_gaps_are_found_in_each_camera_by_itself() -> None:
    receiver = Receiver(0)
    missed = []
    for camera, seq in (("left", 5), ("right", 100), ("left", 6), ("right", 103), ("left", 9)):
        found = receiver.take(message(camera, seq), 9_000)
        assert found is not None
        missed.append((camera, found.missed, found.restarted))
    assert missed == [
        ("left", 0, False),
        ("right", 0, False),
        ("left", 0, False),
        ("right", 2, False),
        ("left", 2, False),
    ]


def test_a_camera_whose_name_only_begins_alike_is_passed_over() -> None:
    receiver = Receiver(0, ("left",))
    assert receiver.take(message("left2", 0), 9_000) is None
    assert receiver.take(message("left", 0), 9_000) is not None
    assert receiver.malformed == 0


def test_keypoints_under_another_cameras_topic_are_malformed() -> None:
    receiver = Receiver(0)
    for topic in (b"keypoints", b"keypoints.right", b"keypoints."):
        assert receiver.take(message("left", 0, topic), 9_000) is None
    assert receiver.malformed == 3


def test_hello_names_each_camera() -> None:
    right = CameraHello((Keypoint("paw"),), 320, 200, None, "quick", "00", "px", {"kind": "simulated"})
    left = replace(
        right, skeleton=(Keypoint("nose"), Keypoint("ear", trained=False)), crop=Crop(1, 2, 30, 40)
    )
    hello = replace(HELLO, cameras={"left": left, "right": right})
    assert parse_hello(msgpack.unpackb(msgpack.packb(hello.as_map()))) == hello
    assert "cameras" not in HELLO.as_map()


def test_status_and_features_say_what_is_of_each_camera() -> None:
    status = replace(STATUS, cameras={"left": {"state": "running", "losses": {"ring": 1}}})
    assert decode_status(encode_status(PACKER, "a", 1, 2, status)).status == status
    features = replace(FEATURES, camera="left")
    assert decode_features(encode_features(PACKER, features)).camera == "left"
    assert as_json(decode_features(encode_features(PACKER, features)))["camera"] == "left"


def test_of_the_only_camera_nothing_is_said_that_was_not_before() -> None:
    pose = make_pose(1)
    for body in (
        encode_keypoints(PACKER, "a", 1, pose, LOSSES, 2),
        encode_status(PACKER, "a", 1, 2, STATUS),
        encode_features(PACKER, FEATURES),
    ):
        assert not {"camera", "cameras"} & (set(msgpack.unpackb(body)) - set(STATUS.as_map()))
    assert keypoints_topic() == b"keypoints"
    assert "camera" not in as_json(decode_keypoints(encode_keypoints(PACKER, "a", 1, pose, LOSSES, 2)))


def test_a_crop_may_name_its_camera() -> None:
    assert camera_in({"crop": None, "camera": "left"}) == "left"
    assert camera_in({"crop": None}) == ""
