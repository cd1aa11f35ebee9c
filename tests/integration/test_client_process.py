"""A client in another process gets every message, in order, with its age."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.paths import DOCS
from support.publishing import LOSSES, Handler, make_pose, wait_for_subscribers, zmq_context

from rtface.core.clock import monotonic_ns
from rtface.publish.control import ControlServer
from rtface.publish.keys import Guard, load_server_keys, make_keys
from rtface.publish.publisher import Publisher

MESSAGES = 1_000

CLIENT = """
import json, sys
import rtface
address, control, keys, count = sys.argv[1:]
with rtface.Client(address, control, keys=keys or None, timeout_s=20) as client:
    names = client.hello().skeleton
    for _, keypoints in zip(range(int(count)), client):
        print(json.dumps({
            "frame_id": keypoints.frame_id, "seq": keypoints.seq, "missed": keypoints.missed,
            "nose": keypoints.xy[0].tolist(), "age_ns": keypoints.age_ns,
            "transit_ns": keypoints.received_ns - keypoints.published_ns,
        }))
    print(json.dumps(client.stop()))
"""


@pytest.fixture(params=["plain", "keys"])
def keys(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Path, Path] | None]:
    if request.param == "plain":
        yield None
    else:
        (handed_over,) = make_keys(tmp_path / "keys", ["rig"])
        yield tmp_path / "keys", handed_over


def test_every_message_arrives_in_order_with_its_age(keys: tuple[Path, Path] | None) -> None:
    with zmq_context() as context:
        guard = None if keys is None else Guard(context, load_server_keys(keys[0]))
        if guard is not None:
            guard.open()
        handler = Handler()
        publisher = Publisher("tcp://127.0.0.1:*", "session", context, queue=2 * MESSAGES, guard=guard)
        control = ControlServer("tcp://127.0.0.1:*", handler, context, guard=guard)
        publisher.open()
        control.open()
        arguments = [publisher.address, control.address, "" if keys is None else str(keys[1]), str(MESSAGES)]
        with subprocess.Popen(
            [sys.executable, "-c", CLIENT, *arguments], stdout=subprocess.PIPE, text=True
        ) as process:
            try:
                wait_for_subscribers(publisher, 1)
                began_ns = monotonic_ns()
                for frame_id in range(MESSAGES):
                    publisher.publish(make_pose(frame_id, exposure_ns=monotonic_ns()), LOSSES)
                output, _ = process.communicate(timeout=60)
                ended_ns = monotonic_ns()
            finally:
                process.kill()
        control.close()
        publisher.close()
        if guard is not None:
            guard.close()

    *lines, last = [json.loads(line) for line in output.splitlines()]
    assert process.returncode == 0
    assert [line["frame_id"] for line in lines] == list(range(MESSAGES))
    assert [line["seq"] for line in lines] == list(range(MESSAGES))
    assert {line["missed"] for line in lines} == {0}
    assert [line["nose"] for line in lines] == [[frame_id, frame_id + 1] for frame_id in range(MESSAGES)]
    for line in lines:
        assert 0 < line["transit_ns"] <= line["age_ns"] <= ended_ns - began_ns
    assert last == {"done": True}
    assert [op for op, _ in handler.calls] == ["hello", "stop"]


def test_the_example_of_the_documentation_works() -> None:
    page = (DOCS / "wire.md").read_text()
    example = page.split("```python\n")[1].split("```")[0]
    with zmq_context() as context:
        publisher = Publisher("tcp://127.0.0.1:*", "session", context)
        publisher.open()
        example = example.replace("tcp://127.0.0.1:5570", publisher.address)
        with subprocess.Popen(
            [sys.executable, "-u", "-c", example], stdout=subprocess.PIPE, text=True
        ) as process:
            try:
                wait_for_subscribers(publisher, 1)
                publisher.publish(make_pose(41, keypoints=2), LOSSES)
                assert process.stdout is not None
                shown = process.stdout.readline() + process.stdout.readline()
            finally:
                process.kill()
        publisher.close()
    assert shown.split() == ["41", "[[41.", "42.]", "[nan", "nan]]"]
