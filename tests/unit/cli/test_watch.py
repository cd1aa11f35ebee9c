from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import cast

import msgpack
import pytest
from rich.console import Console
from support.publishing import HELLO, LOSSES, STATUS, make_pose

from rtface.cli.watch import _Follower
from rtface.client import Client, Keypoints
from rtface.core.clock import NS_PER_MS, NS_PER_S, ManualClock
from rtface.core.errors import AddressError, ControlError, WireError
from rtface.publish.commands import Hello
from rtface.publish.keypoints import TOPIC_KEYPOINTS, encode_keypoints, keypoints_topic
from rtface.publish.neural import NeuralMessage
from rtface.publish.receiver import Receiver
from rtface.publish.status import StatusMessage


class Scripted:
    """A client whose messages come when the test says so."""

    def __init__(self) -> None:
        self.queued: list[Keypoints] = []
        self.latest_status: StatusMessage | None = None
        self.failure: Exception | None = None
        self.predicted: list[NeuralMessage] = []

    def neural(self) -> list[NeuralMessage]:
        predicted, self.predicted = self.predicted, []
        return predicted

    def next(self, timeout_s: float) -> Keypoints | None:
        return self.queued.pop(0) if self.queued else None

    def hello(self) -> Hello:
        if self.failure is not None:
            raise self.failure
        return HELLO


class Watched:
    """A watch with its client and a clock that stands still."""

    def __init__(self, *, as_json: bool = False) -> None:
        self.client, self.clock = Scripted(), ManualClock(50 * NS_PER_S)
        self.watch = _Follower(cast(Client, self.client), as_json=as_json, clock=self.clock)

    def hear(self, keypoints: Keypoints | None = None) -> None:
        if keypoints is not None:
            self.client.queued.append(keypoints)
        self.watch._receive()

    def pass_by(self, seconds: float) -> None:
        self.clock.sleep_until_ns(self.clock.now_ns() + round(seconds * NS_PER_S))
        self.hear()

    def shown(self) -> str:
        console = Console(width=300)
        with console.capture() as capture:
            console.print(self.watch._view())
        return capture.get()


def keypoints_aged(age_ns: int | None, view_ok: float = math.nan) -> Keypoints:
    pose = replace(make_pose(keypoints=2), view_ok=view_ok)
    receiver = Receiver(None if age_ns is None else 0)
    body = encode_keypoints(msgpack.Packer(), HELLO.session, 0, pose, LOSSES, 0)
    keypoints = receiver.take([TOPIC_KEYPOINTS, body], pose.stamps.exposure_ns + (age_ns or 0))
    assert keypoints is not None
    assert keypoints.age_ns == age_ns
    return keypoints


def test_an_age_that_is_unknown_is_not_taken_for_none() -> None:
    watched = Watched()
    watched.hear(keypoints_aged(None))
    assert "age unknown" in watched.shown()
    watched.hear(keypoints_aged(8 * NS_PER_MS))
    assert "age p50 8.00, p99 8.00, max 8.00 ms" in watched.shown()
    watched.hear(keypoints_aged(None))
    assert "age unknown" in watched.shown()


def test_a_service_that_was_killed_does_not_look_alive() -> None:
    watched = Watched()
    watched.hear(keypoints_aged(1))
    assert "last message 0.0 s ago" in watched.shown()
    watched.pass_by(2.5)
    assert "last message 2.5 s ago" in watched.shown()
    watched.pass_by(2)
    assert "no heartbeat for 4 s" in watched.shown()
    watched.hear(keypoints_aged(1))
    assert "no heartbeat" not in watched.shown()


def test_a_status_is_a_heartbeat_though_no_keypoints_come() -> None:
    watched = Watched()
    for seq in range(5):
        watched.client.latest_status = StatusMessage("a session", seq, 0, STATUS)
        watched.pass_by(2)
        assert "waiting for keypoints; last message 0.0 s ago" in watched.shown()
    watched.pass_by(10)
    assert "waiting for keypoints; no heartbeat for 10 s" in watched.shown()


@pytest.mark.parametrize(
    "failure",
    [AddressError("no answer"), ControlError("busy", "not now"), WireError("hello: skeleton is missing")],
)
def test_without_names_the_keypoints_have_numbers(failure: Exception) -> None:
    watched = Watched()
    watched.client.failure = failure
    watched.hear(keypoints_aged(1))
    assert watched.watch._cameras[""].names == ("0", "1")


def test_json_has_null_for_an_unknown_age(capsys: pytest.CaptureFixture[str]) -> None:
    watched = Watched(as_json=True)
    watched.hear(keypoints_aged(None))
    watched.hear(keypoints_aged(2 * NS_PER_MS))
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["age_ms"] for line in lines] == [None, 2.0]
    assert set(lines[0]["keypoints"]) == {"nose(tip)", "paw"}


@pytest.mark.parametrize(
    ("view_ok", "text"),
    [(0.75, "view known (0.75)"), (0.25, "UNKNOWN VIEW (0.25)"), (math.nan, "view not checked")],
)
def test_it_says_whether_the_engine_knows_the_view(
    view_ok: float, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    watched = Watched()
    watched.hear(keypoints_aged(1, view_ok))
    assert text in watched.shown()
    Watched(as_json=True).hear(keypoints_aged(1, view_ok))
    said = json.loads(capsys.readouterr().out)["view_ok"]
    assert said == (None if math.isnan(view_ok) else view_ok)


def keypoints_of(camera: str, seq: int) -> Keypoints:
    pose = make_pose(seq, keypoints=2)
    pose = replace(pose, frame=replace(pose.frame, camera=camera))
    body = encode_keypoints(msgpack.Packer(), HELLO.session, seq, pose, LOSSES, 0)
    keypoints = Receiver(0).take([keypoints_topic(camera), body], 5_000)
    assert keypoints is not None
    return keypoints


def test_several_cameras_are_shown_each_with_its_own_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    watched = Watched()
    for camera, seq in (("left", 7), ("right", 900), ("left", 8)):
        watched.hear(keypoints_of(camera, seq))
    watched.client.latest_status = StatusMessage(
        "a", 1, 2, replace(STATUS, cameras={"right": {"state": "stopped", "gap": {"why": "unplugged"}}})
    )
    shown = watched.shown()
    assert "left: frame 8: 2 received" in shown
    assert "right: frame 900: 1 received" in shown
    assert "stopped: unplugged" in shown
    watched = Watched(as_json=True)
    watched.hear(keypoints_of("right", 3))
    assert json.loads(capsys.readouterr().out)["camera"] == "right"
