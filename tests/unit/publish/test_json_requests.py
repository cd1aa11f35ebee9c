"""Commands as JSON: the same answers as in MessagePack, typed errors, and nothing that MessagePack would not take."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgpack
import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st
from support.publishing import HELLO, STATUS, Handler, received

from rtface.core.clock import ManualClock
from rtface.core.errors import ControlError, WireError
from rtface.publish.as_json import MAX_JSON, MOST_NESTED, is_json, json_body, json_in, status_as_json
from rtface.publish.control import ControlServer
from rtface.publish.sockets import Context
from rtface.publish.wire import MAX_BODY


@pytest.fixture
def handler() -> Handler:
    return Handler()


@pytest.fixture
def dealer(context: Context, handler: Handler) -> Iterator[zmq.Socket[bytes]]:
    server = ControlServer("tcp://127.0.0.1:*", handler, context, clock=ManualClock(4_000))
    server.open()
    with context.socket(zmq.DEALER) as socket:
        socket.connect(server.address)
        yield socket
    server.close()


def asked(dealer: zmq.Socket[bytes], body: bytes) -> Any:
    dealer.send(body)
    (reply,) = received(dealer)
    return json.loads(reply)


def request(op: str, args: dict[str, Any] | None = None, **fields: Any) -> bytes:
    return json.dumps({"v": 1, "id": 5, "op": op, "args": args or {}} | fields).encode()


@pytest.mark.parametrize(
    ("op", "args", "call"),
    [
        ("mark", {"who": "Ada", "text": "food", "details": {"n": 1}}, ("mark", ("Ada", "food", {"n": 1}))),
        ("arm", {"who": "Ada"}, ("arm", "Ada")),
        ("disarm", {"who": "Ada", "why": ""}, ("disarm", ("Ada", ""))),
        ("emergency_stop", {"who": "Ada"}, ("emergency_stop", "Ada")),
    ],
)
def test_a_json_client_marks_arms_and_stops(
    dealer: zmq.Socket[bytes], handler: Handler, op: str, args: dict[str, Any], call: tuple[str, object]
) -> None:
    assert asked(dealer, request(op, args)) == {"v": 1, "id": 5, "ok": True, "result": {"done": True}}
    assert handler.calls == [call]


def test_hello_status_and_ping_are_those_of_the_wire(dealer: zmq.Socket[bytes]) -> None:
    assert asked(dealer, request("hello"))["result"] == HELLO.as_map()
    assert asked(dealer, request("status"))["result"] == status_as_json(STATUS)
    found = asked(dealer, request("ping", {"nonce": 3}))["result"]
    assert (found["nonce"], found["t_ns"]) == (3, 4_000)


def test_each_request_is_answered_in_its_own_form(dealer: zmq.Socket[bytes]) -> None:
    dealer.send(msgpack.packb({"v": 1, "id": 6, "op": "start", "args": {}}))
    assert msgpack.unpackb(received(dealer)[0]) == {"v": 1, "id": 6, "ok": True, "result": {"done": True}}
    assert asked(dealer, b" \n" + request("start"))["ok"]


@pytest.mark.parametrize(
    ("body", "code", "text", "request_id"),
    [
        (request("hello", v=2), "wire_error", "version 2", 5),
        (request("dance"), "unknown_op", "dance", 5),
        (request("arm"), "wire_error", "args.who is missing", 5),
        (request("arm", {"who": " "}), "bad_request", "empty", 5),
        (b"{", "wire_error", "no JSON", None),
        (b'{"v": 1, "v": 1}', "wire_error", "twice", None),
        (
            request("mark", {"who": "a", "text": "b", "details": {"n": float("nan")}}),
            "wire_error",
            "NaN",
            None,
        ),
        (
            request("mark", {"who": "a", "text": "b", "details": {"n": 1 << 64}}),
            "wire_error",
            "64 bits",
            None,
        ),
        (request("mark", {"who": "a", "text": "b", "details": {"\ud800": 1}}), "wire_error", "no JSON", None),
        (b'{"a": ' + b"[" * 30_000, "wire_error", f"more than {MOST_NESTED} deep", None),
        (b'{"a": ' + b"9" * 30_000 + b"}", "wire_error", "64 bits", None),
        (b'{"a": "\xff"}', "wire_error", "no JSON", None),
    ],
)
def test_what_is_wrong_gets_a_typed_error_in_json(
    dealer: zmq.Socket[bytes], handler: Handler, body: bytes, code: str, text: str, request_id: int | None
) -> None:
    reply = asked(dealer, body)
    assert (reply["v"], reply["id"], reply["ok"]) == (1, request_id, False)
    assert reply["error"]["code"] == code
    assert text in reply["error"]["message"]
    assert handler.calls == []


def test_what_the_service_refuses_and_what_fails_in_it_is_said_in_json(
    dealer: zmq.Socket[bytes], handler: Handler
) -> None:
    handler.failure = ControlError("not_ready", "frames: none")
    assert asked(dealer, request("arm", {"who": "Ada"}))["error"] == {
        "code": "not_ready",
        "message": "frames: none",
    }
    handler.failure = ZeroDivisionError()
    assert asked(dealer, request("arm", {"who": "Ada"}))["error"]["code"] == "internal"
    handler.failure, handler.result = None, {"much": "x" * (MAX_JSON + 1)}
    assert asked(dealer, request("start"))["error"]["code"] == "internal"


@given(st.binary(max_size=60))
def test_no_map_of_messagepack_is_taken_for_json(tail: bytes) -> None:
    for head in (0x80, 0x8F, 0xDE, 0xDF):
        assert not is_json(bytes([head]) + tail)


@given(st.binary(max_size=200))
def test_whatever_comes_is_read_or_refused(body: bytes) -> None:
    for each in (body, b"{" + body, b'{"a":' + body + b"}"):
        try:
            assert isinstance(json_in(each), dict)
        except WireError:
            continue


def nested(deep: int) -> Any:
    value: Any = 1
    for _ in range(deep):
        value = {"a": value}
    return value


def test_nesting_is_allowed_as_deep_as_it_is_sent() -> None:
    assert json_in(json_body(nested(MOST_NESTED))) == nested(MOST_NESTED)
    with pytest.raises(WireError, match="nested"):
        json_in(json_body(nested(MOST_NESTED + 1)))
    with pytest.raises(WireError, match="are allowed"):
        json_in(b'{"a": "' + b"9" * MAX_BODY + b'"}')
    with pytest.raises(WireError, match="no JSON object"):
        json_in(b"[1]")
