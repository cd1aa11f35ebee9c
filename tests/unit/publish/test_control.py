from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import msgpack
import pytest
import zmq
from support.publishing import HELLO, STATUS, Handler, received
from support.waits import LONG_S

from rtface.core.clock import ManualClock, clock_domain
from rtface.core.errors import AddressError, CameraSettingError, ControlError, UsageError
from rtface.core.records import Crop
from rtface.publish.control import ControlServer
from rtface.publish.sockets import Context
from rtface.publish.wire import MAX_BODY


@pytest.fixture
def handler() -> Handler:
    return Handler()


@pytest.fixture
def server(context: Context, handler: Handler) -> Iterator[ControlServer]:
    control = ControlServer("tcp://127.0.0.1:*", handler, context, clock=ManualClock(4_000))
    control.open()
    yield control
    control.close()


@pytest.fixture
def dealer(context: Context, server: ControlServer) -> Iterator[zmq.Socket[bytes]]:
    with context.socket(zmq.DEALER) as socket:
        socket.connect(server.address)
        yield socket


def asked(dealer: zmq.Socket[bytes], body: bytes) -> dict[str, Any]:
    dealer.send(body)
    (reply,) = received(dealer)
    fields: dict[str, Any] = msgpack.unpackb(reply)
    assert fields["v"] == 1
    return fields


def request(op: str, args: Mapping[str, Any] | None = None, **fields: Any) -> bytes:
    body: bytes = msgpack.packb({"v": 1, "id": 5, "op": op, "args": args or {}} | fields)
    return body


@pytest.mark.parametrize(
    ("op", "args", "call", "result"),
    [
        ("hello", {}, ("hello", None), HELLO.as_map()),
        ("status", {}, ("status", None), STATUS.as_map()),
        ("start", {}, ("start", None), {"done": True}),
        ("stop", {"later": 1}, ("stop", ""), {"done": True}),
        ("stop", {"who": "Ada"}, ("stop", "Ada"), {"done": True}),
        ("stop", {"who": "operator"}, ("stop", "client:operator"), {"done": True}),
        ("set_crop", {"crop": None}, ("set_crop", None), {"done": True}),
        (
            "set_crop",
            {"x": 1, "y": 2, "width": 30, "height": 40},
            ("set_crop", Crop(1, 2, 30, 40)),
            {"done": True},
        ),
        ("self_test", {}, ("self_test", None), {"done": True}),
        ("arm", {"who": "Ada"}, ("arm", "Ada"), {"done": True}),
        ("disarm", {"who": "Ada", "why": "lunch"}, ("disarm", ("Ada", "lunch")), {"done": True}),
        ("emergency_stop", {"who": "Ada"}, ("emergency_stop", "Ada"), {"done": True}),
        ("clear", {"who": "Ada"}, ("clear", "Ada"), {"done": True}),
        ("baseline", {"who": "Ada"}, ("baseline", "Ada"), {"done": True}),
        (
            "mark",
            {"who": "Ada", "text": "food", "details": {"n": 1}},
            ("mark", ("Ada", "food", {"n": 1})),
            {"done": True},
        ),
    ],
)
def test_commands_reach_the_handler_and_results_the_client(
    dealer: zmq.Socket[bytes], handler: Handler, op: str, args: dict[str, Any], call: object, result: object
) -> None:
    assert asked(dealer, request(op, args)) == {"v": 1, "id": 5, "ok": True, "result": result}
    assert handler.calls == [call]


def test_ping_tells_the_time_and_whose_it_is(dealer: zmq.Socket[bytes], handler: Handler) -> None:
    reply = asked(dealer, request("ping", {"nonce": 321}))
    assert reply["result"] == {"nonce": 321, "t_ns": 4_000, "clock": clock_domain()}
    assert not handler.calls


@pytest.mark.parametrize(
    ("body", "request_id", "code", "text"),
    [
        (b"", None, "wire_error", "MessagePack"),
        (b"\xc1" * 100, None, "wire_error", "MessagePack"),
        (b"start", None, "wire_error", "MessagePack"),
        (msgpack.packb([1, 2]), None, "wire_error", "not a map"),
        (msgpack.packb({}), None, "wire_error", "v is missing"),
        (request("start", v=2), 5, "wire_error", "protocol version 2"),
        (request("start", id=None), None, "wire_error", "id must be an integer"),
        (request("start", id=-1), None, "wire_error", "id must be between 0"),
        (request("start", id="five"), None, "wire_error", "id must be an integer"),
        (msgpack.packb({"v": 1, "id": 5, "op": "start", "args": [1]}), 5, "wire_error", "args must be a map"),
        (request("explode"), 5, "unknown_op", "ping, hello, status, start, stop, set_crop"),
        (request("_carried_out"), 5, "unknown_op", "none of"),
        (request("set_crop"), 5, "wire_error", "args.x is missing"),
        (request("set_crop", {"x": 0, "y": 0, "width": 1, "height": 1}), 5, "bad_request", "at least 16"),
        (request("ping"), 5, "wire_error", "args.nonce is missing"),
        (request("arm"), 5, "wire_error", "args.who is missing"),
        (request("arm", {"who": " "}), 5, "bad_request", "args.who is empty"),
        (request("disarm", {"who": "Ada", "why": "x" * 1001}), 5, "wire_error", "args.why has 1001"),
        (request("mark", {"who": "Ada", "text": "x"}), 5, "wire_error", "args.details is missing"),
    ],
)
def test_what_cannot_be_done_gets_an_error_and_the_server_goes_on(
    dealer: zmq.Socket[bytes], handler: Handler, body: bytes, request_id: int | None, code: str, text: str
) -> None:
    reply = asked(dealer, body)
    assert reply["ok"] is False
    assert reply["error"]["code"] == code
    assert text in reply["error"]["message"]
    assert reply["id"] == request_id
    assert not handler.calls
    assert asked(dealer, request("status"))["ok"]


@pytest.mark.parametrize("parts", [[b"a", b"b"], [b"", b"a", b"b"], [b"a", request("start")], [b""] * 50])
def test_a_message_of_too_many_parts_gets_an_error(
    dealer: zmq.Socket[bytes], handler: Handler, parts: list[bytes]
) -> None:
    dealer.send_multipart(parts)
    reply = msgpack.unpackb(received(dealer)[-1])
    assert "one part" in reply["error"]["message"]
    assert not handler.calls


def test_a_huge_message_cuts_its_sender_off_alone(
    context: Context, server: ControlServer, dealer: zmq.Socket[bytes], handler: Handler
) -> None:
    with context.socket(zmq.DEALER) as rude:
        rude.setsockopt(zmq.LINGER, 0)
        with rude.get_monitor_socket(zmq.EVENT_DISCONNECTED) as monitor:
            rude.connect(server.address)
            rude.send(b"\x00" * (MAX_BODY + 1))
            assert monitor.poll(int(LONG_S * 1000))
            rude.disable_monitor()
        assert asked(dealer, request("status"))["ok"]
        rude.send(request("stop"))  # it has connected again
        assert msgpack.unpackb(received(rude)[0])["ok"]
    assert [op for op, _ in handler.calls] == ["status", "stop"]


def test_req_sockets_are_answered_in_their_envelope(context: Context, server: ControlServer) -> None:
    with context.socket(zmq.REQ) as req:
        req.connect(server.address)
        for body in (request("start"), b"", b"garbage"):
            req.send(body)
            assert msgpack.unpackb(received(req)[0])["ok"] is (body == request("start"))


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (ControlError("not_ready", "why"), "not_ready"),
        (CameraSettingError("why"), "camera_setting_error"),
        (UsageError("why"), "usage_error"),
    ],
)
def test_a_refusal_of_the_handler_reaches_the_client(
    dealer: zmq.Socket[bytes], handler: Handler, failure: Exception, code: str
) -> None:
    handler.failure = failure
    reply = asked(dealer, request("start"))
    assert reply == {"v": 1, "id": 5, "ok": False, "error": {"code": code, "message": "why"}}
    handler.failure = None
    assert asked(dealer, request("start"))["ok"]


@pytest.mark.parametrize("case", ["raises", "unsendable", "too large"])
def test_a_fault_of_the_handler_is_logged_and_told_without_its_details(
    dealer: zmq.Socket[bytes], handler: Handler, caplog: pytest.LogCaptureFixture, case: str
) -> None:
    if case == "raises":
        handler.failure = ZeroDivisionError("a secret")
    else:
        handler.result = {"value": object() if case == "unsendable" else b"\x00" * MAX_BODY}
    with caplog.at_level(logging.ERROR):
        reply = asked(dealer, request("start"))
    assert (reply["id"], reply["ok"], reply["error"]["code"]) == (5, False, "internal")
    assert "secret" not in reply["error"]["message"]
    assert len(caplog.records) == 1
    assert caplog.records[0].exc_info is not None
    handler.failure, handler.result = None, {}
    assert asked(dealer, request("start"))["ok"]


def test_close_joins_the_thread_and_frees_the_address(context: Context, handler: Handler) -> None:
    first = ControlServer("tcp://127.0.0.1:*", handler, context)
    first.close()
    first.open()
    with pytest.raises(UsageError, match="already"):
        first.open()
    second = ControlServer(first.address, handler, context)
    with pytest.raises(AddressError, match=r"publish\.control: .* in use"):
        second.open()
    first.close()
    first.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "rtface-control"]
    first.open()
    first.close()


def test_close_gives_up_on_a_command_that_does_not_end(context: Context) -> None:
    entered, released = threading.Event(), threading.Event()

    class Slow(Handler):
        def start(self) -> Mapping[str, Any]:
            entered.set()
            assert released.wait(LONG_S)
            return {}

    server = ControlServer("inproc://control", Slow(), context)
    server.open()
    with context.socket(zmq.DEALER) as dealer:
        dealer.connect("inproc://control")
        dealer.send(request("start"))
        assert entered.wait(LONG_S)
        with pytest.raises(UsageError, match="a command has been running"):
            server.close(timeout_s=0.01)
        released.set()
        server.close()
        assert not [thread for thread in threading.enumerate() if thread.name == "rtface-control"]


def test_the_emergency_stop_waits_for_no_other_command(context: Context) -> None:
    entered, released = threading.Event(), threading.Event()

    class Slow(Handler):
        def arm(self, who: str) -> Mapping[str, Any]:
            entered.set()
            assert released.wait(LONG_S)
            return {"armed": True}

    server = ControlServer("tcp://127.0.0.1:*", Slow(), context)
    server.open()
    with context.socket(zmq.DEALER) as slow, context.socket(zmq.DEALER) as quick:
        slow.connect(server.address)
        quick.connect(server.address)
        slow.send(request("arm", {"who": "Ada"}))
        assert entered.wait(LONG_S)
        for op, args in (
            ("emergency_stop", {"who": "Eve"}),
            ("disarm", {"who": "Eve", "why": ""}),
            ("status", {}),
        ):
            assert asked(quick, request(op, args))["ok"]
        slow.send(request("emergency_stop", {"who": "Ada"}))
        assert msgpack.unpackb(received(slow)[0])["result"] == {"done": True}
        released.set()
        assert msgpack.unpackb(received(slow)[0])["result"] == {"armed": True}
    server.close()


def test_more_commands_than_can_wait_are_refused(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    entered, released = threading.Event(), threading.Event()

    class Slow(Handler):
        def start(self) -> Mapping[str, Any]:
            entered.set()
            assert released.wait(LONG_S)
            return {}

    monkeypatch.setattr("rtface.publish.control._QUEUE", 2)
    server = ControlServer("tcp://127.0.0.1:*", Slow(), context)
    server.open()
    with context.socket(zmq.DEALER) as dealer:
        dealer.connect(server.address)
        dealer.send(request("start"))
        assert entered.wait(LONG_S)
        codes = []
        while "busy" not in codes:
            dealer.send(request("start"))
            if dealer.poll(100):
                codes.append(msgpack.unpackb(received(dealer)[0])["error"]["code"])
        released.set()
    server.close()


def test_an_address_beyond_loopback_needs_keys(context: Context, handler: Handler) -> None:
    with pytest.raises(AddressError, match=r"publish\.control: .*rtface keys new"):
        ControlServer("tcp://*:*", handler, context).open()


def test_the_end_of_the_context_ends_the_server(handler: Handler) -> None:
    context: Context = zmq.Context()
    server = ControlServer("tcp://127.0.0.1:*", handler, context)
    server.open()
    ending = threading.Thread(target=context.term)
    ending.start()
    server.close()
    ending.join(LONG_S)
    assert not ending.is_alive()
