from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgpack
import pytest
import zmq
from support.publishing import HELLO, LOSSES, STATUS, Handler, make_pose, wait_for_subscribers, zmq_context
from support.waits import LONG_S

import rtface
from rtface.client import Client, ClockOffset
from rtface.core.clock import ManualClock, monotonic_ns
from rtface.core.errors import AddressError, ControlError, UsageError, WireError
from rtface.core.records import Crop
from rtface.publish.commands import encode_result, parse_request
from rtface.publish.control import ControlServer
from rtface.publish.keypoints import TOPIC_KEYPOINTS, encode_keypoints
from rtface.publish.keys import Guard, load_server_keys, make_keys
from rtface.publish.publisher import Publisher
from rtface.publish.sockets import Context
from rtface.publish.wire import unpack


@dataclass
class Service:
    publisher: Publisher
    control: ControlServer
    handler: Handler
    clock: ManualClock

    def publish(self, frame_ids: Sequence[int], exposure_ns: int = 1_000) -> None:
        wait_for_subscribers(self.publisher, 1)
        for frame_id in frame_ids:
            self.publisher.publish(make_pose(frame_id, exposure_ns=exposure_ns), LOSSES)


@pytest.fixture
def context() -> Iterator[Context]:
    with zmq_context() as lent:
        yield lent


@pytest.fixture
def service(context: Context) -> Iterator[Service]:
    handler, clock = Handler(), ManualClock(1_000_000)
    publisher = Publisher("tcp://127.0.0.1:*", HELLO.session, context)
    control = ControlServer("tcp://127.0.0.1:*", handler, context, clock=clock)
    publisher.open()
    control.open()
    yield Service(publisher, control, handler, clock)
    control.close()
    publisher.close()


@pytest.fixture
def client(service: Service) -> Iterator[Client]:
    with Client(service.publisher.address, service.control.address, timeout_s=LONG_S) as opened:
        yield opened


def test_the_package_offers_the_client() -> None:
    assert rtface.Client is Client


def test_iterating_yields_what_is_published(service: Service, client: Client) -> None:
    before_ns = monotonic_ns()
    service.publish([5, 6, 8], exposure_ns=before_ns)
    got = [keypoints for _, keypoints in zip(range(3), client, strict=False)]
    assert [keypoints.frame_id for keypoints in got] == [5, 6, 8]
    assert [keypoints.seq for keypoints in got] == [0, 1, 2]
    for keypoints in got:
        assert keypoints.session == HELLO.session
        assert keypoints.xy.shape == (15, 2)
        assert keypoints.lost == LOSSES
        assert (keypoints.missed, keypoints.skipped, keypoints.restarted) == (0, 0, False)
        assert before_ns <= keypoints.published_ns or keypoints.published_ns == service.clock.now_ns()
        assert before_ns <= keypoints.received_ns <= monotonic_ns()
        assert keypoints.age_ns == keypoints.received_ns - before_ns


def test_waiting_ends_with_none_and_iterating_with_an_error(service: Service) -> None:
    with Client(service.publisher.address, service.control.address, timeout_s=0.01) as client:
        assert client.next(0.0) is None
        assert client.next(0.01) is None
        with pytest.raises(
            AddressError, match=f"no keypoints from {service.publisher.address} within 0.01 s"
        ):
            next(iter(client))
        service.publish([1])
        received = client.next(LONG_S)
        assert received is not None
        assert received.frame_id == 1


def test_iterating_ends_when_the_client_is_closed(service: Service, client: Client) -> None:
    service.publish([1, 2])
    seen = []
    for keypoints in client:
        seen.append(keypoints.frame_id)
        if len(seen) == 2:
            client.close()
    assert seen == [1, 2]
    client.close()
    assert list(client) == []
    with pytest.raises(UsageError, match="closed"):
        client.next(0)
    with pytest.raises(UsageError, match="closed"):
        client.status()


def test_a_restarted_service_is_found_again_and_told(context: Context) -> None:
    first = Publisher("tcp://127.0.0.1:*", "first", context)
    first.open()
    with Client(first.address, timeout_s=LONG_S) as client:
        wait_for_subscribers(first, 1)
        first.publish(make_pose(1), LOSSES)
        one = client.next(LONG_S)
        first.close()
        second = Publisher(first.address, "second", context)
        _open_when_free(second)
        second.publish(make_pose(2), LOSSES)  # before the client is back
        while second.count_subscribers() < 1:
            assert client.next(0.01) is None  # it subscribes again while it waits
        for frame_id in (3, 4):
            second.publish(make_pose(frame_id), LOSSES)
        two, three = client.next(LONG_S), client.next(LONG_S)
        second.close()
    assert one is not None
    assert two is not None
    assert three is not None
    assert [received.session for received in (one, two, three)] == ["first", "second", "second"]
    assert [received.restarted for received in (one, two, three)] == [False, True, False]
    assert [received.missed for received in (one, two, three)] == [0, 1, 0]


def _open_when_free(publisher: Publisher) -> None:
    """Open; ZeroMQ gives an address back shortly after its socket was closed."""
    deadline_ns = monotonic_ns() + int(LONG_S * 1e9)
    while True:
        try:
            return publisher.open()
        except AddressError:
            assert monotonic_ns() < deadline_ns, "the address was never given back"


class Queued:
    """A socket with messages that have all arrived."""

    closed = False

    def __init__(self, messages: list[list[bytes]]) -> None:
        self.messages = messages

    def recv_multipart(self, flags: int) -> list[bytes]:
        if not self.messages:
            raise zmq.Again
        return self.messages.pop(0)


def queued(sessions: Sequence[str], seqs: Sequence[int]) -> Queued:
    pairs = zip(sessions, seqs, strict=True)
    return Queued(
        [
            [TOPIC_KEYPOINTS, encode_keypoints(msgpack.Packer(), name, seq, make_pose(seq), LOSSES, 0)]
            for name, seq in pairs
        ]
    )


def test_the_newest_passes_over_the_rest_and_tells_how_many(monkeypatch: pytest.MonkeyPatch) -> None:
    with Client(newest=True) as client, monkeypatch.context() as patch:
        patch.setattr(client._subscriber, "_socket", queued("aaaaa", [0, 1, 4, 5, 6]))
        received = client.next()
        assert received is not None
        assert (received.seq, received.skipped, received.missed) == (6, 4, 2)
        patch.setattr(client._subscriber, "_socket", queued("a", [7]))
        received = client.next()
        assert received is not None
        assert (received.seq, received.skipped, received.missed) == (7, 0, 0)
        patch.setattr(client._subscriber, "_socket", queued("abb", [8, 0, 1]))
        received = client.next()
        assert received is not None
        assert (received.session, received.skipped, received.restarted) == ("b", 2, True)


def test_the_newest_does_not_chase_a_sender_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    with Client(newest=True, queue=10) as client, monkeypatch.context() as patch:
        patch.setattr(client._subscriber, "_socket", queued("a" * 100, range(100)))
        received = client.next()
        assert received is not None
        assert (received.seq, received.skipped) == (10, 10)


def test_the_latest_status_comes_with_the_keypoints(service: Service, client: Client) -> None:
    before = client.latest_status
    assert before is None
    service.publish([1])
    service.publisher.publish_status(STATUS)
    service.publish([2])
    assert [client.next(LONG_S) is not None for _ in range(2)] == [True, True]
    assert client.latest_status is not None
    assert client.latest_status.status == STATUS


def test_malformed_messages_are_passed_over_and_counted(context: Context) -> None:
    with context.socket(zmq.XPUB) as rogue:
        rogue.bind("tcp://127.0.0.1:*")
        with Client(rogue.getsockopt_string(zmq.LAST_ENDPOINT)) as client:
            for _ in range(2):
                assert rogue.poll(int(LONG_S * 1000))
                rogue.recv()
            body = encode_keypoints(msgpack.Packer(), "s", 0, make_pose(3), LOSSES, 0)
            for parts in ([b"keypoints"], [b"keypoints", b"\xc1"], [b"status", body], [b"keypoints!", body]):
                rogue.send_multipart(parts)
            rogue.send_multipart([b"keypoints", body])
            received = client.next(LONG_S)
            assert received is not None
            assert received.frame_id == 3
            assert client.malformed == 4


def test_hello_gives_the_names(client: Client) -> None:
    with pytest.raises(UsageError, match=r"hello\(\)"):
        _ = client.names
    assert client.hello() == HELLO
    assert client.names == ("nose(tip)", "paw")


def test_commands_reach_the_service(service: Service, client: Client) -> None:
    assert client.status() == STATUS
    assert client.start() == {"done": True}
    assert client.stop() == {"done": True}
    assert client.stop("ann") == {"done": True}
    crop = Crop(1, 2, 30, 40)
    assert client.set_crop(crop) == {"done": True}
    assert client.set_crop(None) == {"done": True}
    calls = [
        ("status", None),
        ("start", None),
        ("stop", ""),
        ("stop", "ann"),
        ("set_crop", crop),
        ("set_crop", None),
    ]
    assert service.handler.calls == calls


def test_a_refusal_is_raised_with_its_code(service: Service, client: Client) -> None:
    service.handler.failure = ControlError("busy", "the camera is starting")
    with pytest.raises(ControlError, match="the camera is starting") as caught:
        client.start()
    assert caught.value.code == "busy"
    service.handler.failure = None
    assert client.start() == {"done": True}


def test_a_command_that_nobody_took_is_never_carried_out_later(context: Context) -> None:
    handler = Handler()
    server = ControlServer("tcp://127.0.0.1:*", handler, context)
    server.open()
    with Client(control=server.address, timeout_s=0.05) as client:
        server.close()
        with pytest.raises(AddressError, match=f"stop: no answer from {server.address} within 0.05 s"):
            client.stop()
        again = ControlServer(server.address, handler, context)
        deadline_ns = monotonic_ns() + int(LONG_S * 1e9)
        while True:
            try:
                again.open()
                break
            except AddressError:
                assert monotonic_ns() < deadline_ns
        client._requester._timeout_s = LONG_S
        client.start()
        again.close()
    assert [op for op, _ in handler.calls] == ["start"]


def test_a_late_answer_is_not_taken_for_the_next_one(service: Service) -> None:
    entered, released = threading.Event(), threading.Event()

    def slow_status() -> dict[str, object]:
        entered.set()
        assert released.wait(LONG_S)
        return STATUS.as_map()

    service.handler.status = slow_status  # type: ignore[method-assign]
    with Client(control=service.control.address, timeout_s=0.05) as client:
        with pytest.raises(AddressError, match="status: no answer"):
            client.status()
        assert entered.wait(LONG_S)
        released.set()
        client._requester._timeout_s = LONG_S
        assert client.start() == {"done": True}


def test_an_answer_that_is_none_is_refused(context: Context) -> None:
    with context.socket(zmq.ROUTER) as rogue:
        rogue.bind("tcp://127.0.0.1:*")

        def answer() -> None:
            assert rogue.poll(int(LONG_S * 1000))
            sender, _ = rogue.recv_multipart()
            rogue.send_multipart([sender, b"nonsense"])

        thread = threading.Thread(target=answer)
        thread.start()
        with Client(control=rogue.getsockopt_string(zmq.LAST_ENDPOINT), timeout_s=LONG_S) as client:
            with pytest.raises(WireError, match="MessagePack"):
                client.start()
            thread.join()


def test_an_answer_to_another_question_is_passed_over(context: Context) -> None:
    with context.socket(zmq.ROUTER) as rogue:
        rogue.bind("tcp://127.0.0.1:*")

        def answer() -> None:
            assert rogue.poll(int(LONG_S * 1000))
            sender, body = rogue.recv_multipart()
            request_id = parse_request(unpack(body)).id
            for answered, result in ((request_id + 1, {"wrong": 1}), (request_id, {"right": 1})):
                rogue.send_multipart([sender, encode_result(answered, result)])

        thread = threading.Thread(target=answer)
        thread.start()
        with Client(control=rogue.getsockopt_string(zmq.LAST_ENDPOINT), timeout_s=LONG_S) as client:
            assert client.start() == {"right": 1}
            thread.join()


def test_on_one_host_the_clocks_agree_exactly(client: Client) -> None:
    offset = client.ping()
    assert (offset.offset_ns, offset.uncertainty_ns) == (0, 0)
    assert offset.round_trip_ns > 0


def test_the_age_from_another_host_is_corrected(
    service: Service, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rtface.publish.clock_offset.clock_domain", lambda: "another host")
    before_ns = monotonic_ns()
    offset = client.ping()
    after_ns = monotonic_ns()
    assert before_ns <= 1_000_000 - offset.offset_ns <= after_ns
    assert 0 < offset.uncertainty_ns <= offset.round_trip_ns
    service.publish([1], exposure_ns=400_000)
    received = client.next(LONG_S)
    assert received is not None
    assert received.age_ns == received.received_ns + offset.offset_ns - 400_000
    assert isinstance(offset, ClockOffset)


@pytest.mark.parametrize("ask", [Client.hello, Client.ping])
def test_what_lies_behind_a_loopback_address_may_be_another_host(
    service: Service, client: Client, monkeypatch: pytest.MonkeyPatch, ask: Callable[[Client], object]
) -> None:
    monkeypatch.setattr("rtface.publish.clock_offset.clock_domain", lambda: "another host")
    service.publish([1], exposure_ns=400_000)
    tunnelled = client.next(LONG_S)
    assert tunnelled is not None
    assert tunnelled.age_ns == tunnelled.received_ns - 400_000
    before_ns = monotonic_ns()
    ask(client)
    after_ns = monotonic_ns()
    service.publish([2], exposure_ns=400_000)
    corrected = client.next(LONG_S)
    assert corrected is not None
    assert corrected.age_ns is not None
    since_ns = corrected.received_ns - corrected.age_ns - 400_000
    assert before_ns - 1_000_000 <= since_ns <= after_ns - 1_000_000


def test_hosts_that_do_not_name_their_clock_are_measured(
    service: Service, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rtface.publish.clock_offset.clock_domain", lambda: "")
    monkeypatch.setattr("rtface.publish.control.clock_domain", lambda: "")
    assert client.ping().offset_ns != 0


def test_the_age_is_unknown_until_the_other_host_was_asked(context: Context, tmp_path: Path) -> None:
    (keys,) = make_keys(tmp_path / "keys", ["rig"])
    guard = Guard(context, load_server_keys(tmp_path / "keys"))
    guard.open()
    publisher = Publisher("tcp://*:*", "session", context, guard=guard)
    control = ControlServer("tcp://*:*", Handler(), context, guard=guard)
    publisher.open()
    control.open()
    with Client(publisher.address, control.address, keys=str(keys), timeout_s=LONG_S) as client:
        wait_for_subscribers(publisher, 1)
        publisher.publish(make_pose(), LOSSES)
        first = client.next(LONG_S)
        client.hello()
        publisher.publish(make_pose(), LOSSES)
        second = client.next(LONG_S)
    control.close()
    publisher.close()
    guard.close()
    assert first is not None
    assert second is not None
    assert first.age_ns is None
    assert second.age_ns == second.received_ns - 1_000


@pytest.mark.parametrize("keyword", ["address", "control"])
def test_a_malformed_address_is_named(keyword: str) -> None:
    def use() -> None:
        with Client(**{keyword: "nowhere"}, timeout_s=0.01) as client:  # type: ignore[arg-type]
            client.start()

    with pytest.raises(AddressError, match="'nowhere' cannot be connected to"):
        use()


def test_missing_keys_are_named(tmp_path: Path) -> None:
    with pytest.raises(AddressError, match=r"no key in .*client\.key_secret"):
        Client(keys=tmp_path)


def test_the_client_needs_numpy_pyzmq_and_msgpack_alone(service: Service) -> None:
    script = """
import sys
class Blocked:
    names = {"pydantic", "cv2", "openvino", "yaml", "av", "torch", "h5py", "pandas", "tables", "typer", "rich",
             "matplotlib", "harvesters", "genicam", "onnx"}
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names:
            raise ImportError(f"{name} is blocked")
sys.meta_path.insert(0, Blocked())
import rtface
with rtface.Client(*sys.argv[1:], timeout_s=20) as client:
    client.hello()
    print(*client.names)
third = {name.partition(".")[0] for name, module in sys.modules.items()
         if "site-packages" in (getattr(module, "__file__", None) or "")}
print(*sorted(third - {"rtface"}))
"""
    addresses = [service.publisher.address, service.control.address]
    done = subprocess.run(
        [sys.executable, "-c", script, *addresses], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    names, packages = done.stdout.splitlines()
    assert names == "nose(tip) paw"
    assert set(packages.split()) <= {"msgpack", "numpy", "zmq", "_distutils_hack", "cython_runtime"}


def test_events_are_kept_while_keypoints_are_waited_for(service: Service, client: Client) -> None:
    service.publish([1])
    service.publisher.publish_event("mark", 5, {"text": "food"})
    service.publish([2])
    assert [keypoints.frame_id for _, keypoints in zip(range(2), client, strict=False)] == [1, 2]
    assert [(event.kind, event.details) for event in client.events()] == [("mark", {"text": "food"})]
    assert client.events() == []
    assert client.missed_events == 0


def test_an_event_can_be_waited_for(service: Service, client: Client) -> None:
    service.publish([1, 2])
    service.publisher.publish_event("light", 6, {"on": True})
    event = client.next_event(LONG_S)
    assert event is not None
    assert (event.kind, event.t_ns) == ("light", 6)
    assert client.next_event(0.01) is None


def test_the_closed_loop_is_commanded(service: Service, client: Client) -> None:
    assert client.self_test() == {"done": True}
    client.arm("Ada")
    client.mark("Ada", "food", {"n": 1})
    client.mark("Ada", "more")
    client.disarm("Ada", "lunch")
    client.emergency_stop("Eve")
    client.clear("Ada")
    assert service.handler.calls == [
        ("self_test", None),
        ("arm", "Ada"),
        ("mark", ("Ada", "food", {"n": 1})),
        ("mark", ("Ada", "more", {})),
        ("disarm", ("Ada", "lunch")),
        ("emergency_stop", "Eve"),
        ("clear", "Ada"),
    ]
