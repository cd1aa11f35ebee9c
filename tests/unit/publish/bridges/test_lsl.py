"""The outlets of LSL: what a real inlet receives from a bridge's process, and every call of a library that is none."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import msgpack
import numpy as np
import pytest
from support.publishing import FEATURES, LOSSES, STATUS, make_pose
from support.waits import LONG_S, wait_until

from rtface.config import LslBridgeSettings
from rtface.core.clock import NS_PER_S
from rtface.core.errors import UsageError
from rtface.publish.bridges.lsl import SETTINGS_VARIABLE, STREAMS, LslBridge, lsl_settings
from rtface.publish.bridges.processes import BridgeProcesses
from rtface.publish.events import EventMessage
from rtface.publish.keypoints import Keypoints, decode_keypoints, encode_keypoints
from rtface.publish.publisher import Publisher
from rtface.publish.sockets import Context
from rtface.publish.status import StatusMessage

NAMES = tuple(f"p({k})" for k in range(15))
EVENT = EventMessage("a", 0, 7 * NS_PER_S, "decision", {"rule": "blink", "action": "trial"})


def keypoints(frame_id: int = 5, exposure_ns: int = 1_000) -> Keypoints:
    pose = make_pose(frame_id, exposure_ns=exposure_ns)
    return decode_keypoints(encode_keypoints(msgpack.Packer(), "a", 0, pose, LOSSES, 9))


class FakeInfo:
    def __init__(self, *described: Any, source_id: str = "") -> None:
        self.described, self.children = described, list[tuple[str, str]]()

    def desc(self) -> FakeInfo:
        return self

    def append_child(self, name: str) -> FakeInfo:
        return self

    def append_child_value(self, name: str, value: str) -> FakeInfo:
        self.children.append((name, value))
        return self


class FakeOutlet:
    made: ClassVar[list[FakeOutlet]] = []
    wanted = True

    def __init__(self, info: FakeInfo, max_buffered: int) -> None:
        self.info, self.pushed = info, list[tuple[list[Any], float]]()
        type(self).made.append(self)

    def have_consumers(self) -> bool:
        return type(self).wanted

    def push_sample(self, sample: list[Any], timestamp: float) -> None:
        if sample == ["mark//broken"]:
            raise RuntimeError("an unknown error has occurred")
        self.pushed.append((list(sample), timestamp))


@pytest.fixture
def outlets(monkeypatch: pytest.MonkeyPatch) -> list[FakeOutlet]:
    """Put a library that records its calls in place of LSL's, and return its outlets."""
    module = ModuleType("pylsl")
    for name, value in {
        "cf_double64": "double64",
        "cf_string": "string",
        "StreamInfo": FakeInfo,
        "StreamOutlet": FakeOutlet,
    }.items():
        setattr(module, name, value)
    monkeypatch.setitem(sys.modules, "pylsl", module)
    monkeypatch.delenv(SETTINGS_VARIABLE, raising=False)
    monkeypatch.setattr(FakeOutlet, "made", [])
    monkeypatch.setattr(FakeOutlet, "wanted", True)
    return FakeOutlet.made


def test_keypoints_and_markers_go_out_with_the_times_that_they_have(outlets: list[FakeOutlet]) -> None:
    bridge = LslBridge(NAMES, "machine", "rig")
    assert bridge.open() == ""
    message = keypoints(5, exposure_ns=123_456_789_012_345)
    for each in (message, EVENT, StatusMessage("a", 0, 7, STATUS)):
        bridge.take(each)
    points, markers = outlets
    ((sample, time_s),) = points.pushed
    assert time_s == message.stamps.exposure_ns / NS_PER_S
    assert sample[0] == 5
    expected = np.column_stack([message.xy, message.score]).ravel()
    np.testing.assert_array_equal(np.array(sample[1:]), expected.astype(float))
    assert markers.pushed == [(["decision/blink/trial"], 7.0)]
    assert bridge.counts.sent == 2
    labels = [value for name, value in points.info.children if name == "label"]
    assert len(labels) == len(sample) == points.info.described[2]
    assert labels[:4] == ["frame_id", "p(0).x", "p(0).y", "p(0).score"]


def test_features_get_an_outlet_when_their_names_come_and_another_when_they_change(
    outlets: list[FakeOutlet],
) -> None:
    bridge = LslBridge(NAMES, "machine", "rig")
    bridge.open()
    assert bridge.takes_features(), "their names are not known before"
    bridge.take(FEATURES)
    bridge.take(replace(FEATURES, names=("other", "view.ok")))
    _, _, first, second = outlets
    assert first.info.children == [("label", "eye_open"), ("unit", "px"), ("label", "view.ok"), ("unit", "1")]
    assert [time_s for _, time_s in first.pushed] == [FEATURES.exposure_ns / NS_PER_S]
    assert second.info.children[0] == ("label", "other")
    FakeOutlet.wanted = False
    assert not bridge.takes_features()


def test_nothing_is_made_for_nobody(outlets: list[FakeOutlet]) -> None:
    FakeOutlet.wanted = False
    bridge = LslBridge(NAMES, "machine", "rig")
    bridge.open()
    bridge.take(keypoints())
    assert outlets[0].pushed == []
    assert bridge.counts.sent == 0


def test_what_the_library_refuses_is_counted(outlets: list[FakeOutlet]) -> None:
    bridge = LslBridge(NAMES, "machine", "rig")
    bridge.open()
    bridge.take(EventMessage("a", 0, 7, "mark", {"text": "broken"}))
    assert (bridge.counts.sent, bridge.counts.failed) == (0, 1)
    assert "unknown error" in bridge.counts.error


def test_a_missing_package_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pylsl", None)
    with pytest.raises(UsageError, match=r"pylsl.*pip install '\.\[lsl\]'"):
        LslBridge(NAMES, "machine", "rig").open()


def test_a_missing_library_is_a_clear_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "pylsl.py").write_text(
        "raise RuntimeError('LSL binary library file was not found. Please')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "pylsl", raising=False)
    with pytest.raises(UsageError, match=r"liblsl, cannot be loaded: LSL binary.*\[lsl\]"):
        LslBridge(NAMES, "machine", "rig").open()


def test_streams_are_found_on_this_computer_alone_unless_asked_otherwise() -> None:
    assert "ResolveScope = machine" in lsl_settings("machine")
    assert "ListenAddress = 127.0.0.1" in lsl_settings("machine")
    assert "ListenAddress" not in lsl_settings("link")


def test_settings_of_the_users_own_are_left_as_they_are(
    outlets: list[FakeOutlet], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SETTINGS_VARIABLE, "/my/lsl_api.cfg")
    LslBridge(NAMES, "machine", "rig").open()
    assert os.environ[SETTINGS_VARIABLE] == "/my/lsl_api.cfg"


@pytest.fixture
def publisher(context: Context) -> Iterator[Publisher]:
    found = Publisher("tcp://127.0.0.1:*", "session", context)
    found.open()
    yield found
    found.close()


def test_a_real_inlet_receives_what_was_published(
    publisher: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over the machine's loopback, out of the process of a bridge."""
    settings = tmp_path / "lsl_api.cfg"
    settings.write_text(lsl_settings("machine"))
    monkeypatch.setenv(SETTINGS_VARIABLE, str(settings))
    pylsl = pytest.importorskip("pylsl", reason="pylsl and its library are not on this machine")
    bridges = BridgeProcesses((LslBridgeSettings(kind="lsl"),))
    bridges.open(publisher.address, NAMES)
    inlets: dict[str, Any] = {}
    try:
        source = f"rtface {publisher.address} "
        for stream in ("keypoints", "markers"):
            (found, *_) = pylsl.resolve_byprop("source_id", source + stream, timeout=LONG_S)
            assert found.name() == STREAMS[stream]
            inlet = pylsl.StreamInlet(found)
            inlet.open_stream(timeout=LONG_S)
            inlets[stream] = inlet

        def sample_of(frame: int) -> tuple[list[float], float] | None:
            publisher.publish(make_pose(frame, exposure_ns=1_000_000_007 * frame), LOSSES)
            publisher.publish_event("mark", 7 * NS_PER_S, {"who": "Ada", "text": "food"})
            values, time_s = inlets["keypoints"].pull_sample(timeout=0.1)
            return None if values is None else (values, time_s)

        received: list[tuple[list[float], float]] = []
        frames = iter(range(1, 1 << 30))
        wait_until(lambda: (got := sample_of(next(frames))) is not None and received.append(got) is None)
        ((values, time_s),) = received
        frame = int(values[0])
        pose = make_pose(frame)
        assert time_s == 1_000_000_007 * frame / NS_PER_S
        expected = np.column_stack([pose.xy, pose.score]).ravel().astype(float)
        np.testing.assert_array_equal(np.array(values[1:]), expected)
        assert inlets["markers"].pull_sample(timeout=LONG_S) == (["mark/Ada/food"], 7.0)
        for stream in ("keypoints", "markers"):
            inlets[stream].close_stream()
    finally:
        bridges.close()
