"""A rig that is followed: what pages are told while there is no service, and when following fails."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from support.fake_service import FakeService
from support.waits import LONG_S, wait_until

from rtface.screen import riglink
from rtface.screen.feed import PageFeed
from rtface.screen.riglink import RigLink
from rtface.screen.rigs import ShownRig


class Heard(PageFeed):
    """Keeps what pages would be sent."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[dict[str, Any]] = []

    def put(self, topic: str, rig: str, text: str, *, newest: bool) -> None:
        if topic == "link":
            self.links.append(json.loads(text)["data"])

    def last(self) -> str:
        return str(self.links[-1]["state"]) if self.links else ""


@pytest.fixture
def service() -> Iterator[FakeService]:
    made = FakeService()
    yield made
    made.close()


@pytest.fixture
def heard(service: FakeService) -> Iterator[Heard]:
    feed = Heard()
    link = RigLink(ShownRig("a", "left", service.address), feed)
    link.open()
    yield feed
    link.end()
    link.join(LONG_S)
    assert not link._thread.is_alive()


def test_a_service_that_does_not_answer_or_says_what_is_no_hello_is_waited_for(
    heard: Heard, service: FakeService
) -> None:
    wait_until(lambda: heard.last() == "waiting")
    service.answer = lambda request: b"\xc1"
    before = len(heard.links)
    wait_until(lambda: len(heard.links) > before + 1)
    assert heard.last() == "waiting"
    assert {each.op for each in service.asked} == {"hello"}


def test_what_nobody_thought_of_is_said_and_the_rig_is_asked_again(
    heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    def odd(*_: object) -> Any:
        raise RuntimeError("odd")

    with monkeypatch.context() as patched:
        patched.setattr(riglink, "parse_hello", odd)
        wait_until(lambda: heard.last() == "failed")
        assert heard.links[-1]["text"] == "odd"
    wait_until(lambda: heard.last() == "waiting")
