"""The websocket of the emergency stop: acknowledgements by number and rig, and whatever else a page may send."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import pytest
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from rtface.screen.access import Visitor
from rtface.screen.middleware import VISITOR
from rtface.screen.stopline import StopAnswer
from rtface.screen.stopsocket import stop_app

Page = Any


class Line:
    """A stop line that answers when the test says so."""

    def __init__(self) -> None:
        self.ready = True
        self.asked: list[str] = []
        self.held: list[Future[StopAnswer]] = []
        self.hold = False

    def stop(self, who: str) -> Future[StopAnswer]:
        self.asked.append(who)
        answer: Future[StopAnswer] = Future()
        if self.hold:
            self.held.append(answer)
        else:
            answer.set_result(StopAnswer(True, "", 3.25))
        return answer


@pytest.fixture
def lines() -> dict[str, Line]:
    return {"a": Line(), "b": Line()}


def client_of(lines: dict[str, Line], visitor: Visitor | None) -> TestClient:
    app = stop_app(lambda: lines)  # type: ignore[arg-type,return-value]

    async def entered(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, VISITOR: visitor}, receive, send)

    return TestClient(entered)


@pytest.fixture
def page(lines: dict[str, Line]) -> Iterator[Page]:
    with client_of(lines, Visitor(False, 1e12)).websocket_connect("/") as socket:
        yield socket


def said(page: Page) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(page.receive_text())
    return found


def test_a_stop_is_acknowledged_for_each_rig_by_its_number(page: Page, lines: dict[str, Line]) -> None:
    page.send_json({"n": 7, "stop": ["a", "b"], "who": "ann"})
    answers = [said(page), said(page)]
    assert {each["rig"] for each in answers} == {"a", "b"}
    assert all((each["n"], each["ok"], each["ms"]) == (7, True, 3.2) for each in answers)
    assert lines["a"].asked == lines["b"].asked == ["ann"]


def test_a_rig_that_does_not_answer_keeps_no_other_waiting_nor_another_press(
    page: Page, lines: dict[str, Line]
) -> None:
    lines["a"].hold = True
    page.send_json({"n": 1, "stop": ["a", "b"], "who": "ann"})
    assert said(page)["rig"] == "b"
    page.send_json({"n": 2, "stop": ["b"], "who": "ann"})
    assert (said(page)["n"], lines["b"].asked) == (2, ["ann", "ann"])
    page.send_json({"n": 3})
    assert said(page)["ready"] == {"a": True, "b": True}
    lines["a"].held[0].set_result(StopAnswer(False, "no answer", 450.0))
    assert said(page) == {"n": 1, "rig": "a", "ok": False, "text": "no answer", "ms": 450.0}


def test_whether_a_stop_would_arrive_is_answered_for_each_rig(page: Page, lines: dict[str, Line]) -> None:
    lines["b"].ready = False
    page.send_json({"n": 1})
    assert said(page) == {"n": 1, "ready": {"a": True, "b": False}}


def test_a_rig_that_is_not_shown_any_more_is_not_taken_for_stopped(page: Page) -> None:
    page.send_json({"n": 1, "stop": ["gone"], "who": "ann"})
    answer = said(page)
    assert not answer["ok"]
    assert "no such rig" in answer["text"]


@pytest.mark.parametrize(
    ("who", "recorded"),
    [
        ("ann", "ann"),
        ("", "the screen"),
        (None, "the screen"),
        ("   ", "the screen"),
        ("\ud800", "the screen"),
        ("a\x00\n\tb", "ab"),
        ("x" * 500, "x" * 64),
        (5, "5"),
        (["a"], "['a']"),
    ],
)
def test_no_name_keeps_a_stop_from_being_carried_out(
    page: Page, lines: dict[str, Line], who: object, recorded: str
) -> None:
    page.send_text(json.dumps({"n": 1, "stop": ["a"], "who": who}))
    assert said(page)["ok"]
    assert lines["a"].asked == [recorded]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "stop",
        "[]",
        "1",
        "null",
        "{}",
        '{"n": "1"}',
        '{"n": true}',
        '{"n": 1e999}',
        '{"n": NaN}',
        '{"n": 1, "stop": "a"}',
        '{"n": 1, "stop": [1]}',
        '{"n": 1, "stop": null}',
        '{"n": 1, "stop": {"a": 1}}',
        "[" * 4_000,
        "x" * 5_000,
    ],
)
def test_what_no_page_says_ends_its_socket_and_stops_nothing(
    page: Page, lines: dict[str, Line], text: str
) -> None:
    page.send_text(text)
    with pytest.raises(WebSocketDisconnect) as ended:
        page.receive_text()
    assert ended.value.code == 1003
    assert lines["a"].asked == []


def test_bytes_end_the_socket(page: Page) -> None:
    page.send_bytes(b'{"n": 1}')
    with pytest.raises(WebSocketDisconnect) as ended:
        page.receive_text()
    assert ended.value.code == 1003


def test_a_page_that_goes_while_its_stop_is_under_way_is_let_go(lines: dict[str, Line]) -> None:
    lines["a"].hold = True
    with client_of(lines, Visitor(False, 1e12)).websocket_connect("/") as socket:
        socket.send_json({"n": 1, "stop": ["a"]})
        socket.send_json({"n": 2})
        assert said(socket)["n"] == 2
    assert lines["a"].asked == ["the screen"]
    assert lines["a"].held[0].cancelled()


@pytest.mark.parametrize("visitor", [None, Visitor(True, 1e12)])
def test_guests_and_strangers_get_no_socket(lines: dict[str, Line], visitor: Visitor | None) -> None:
    with (
        pytest.raises(WebSocketDisconnect) as refused,
        client_of(lines, visitor).websocket_connect("/"),
    ):
        raise AssertionError("it was let in")
    assert refused.value.code == 1008


def test_what_is_no_websocket_is_answered_in_words(lines: dict[str, Line]) -> None:
    answer = client_of(lines, Visitor(False, 1e12)).get("/")
    assert answer.status_code == 404
    assert "websocket" in answer.text
