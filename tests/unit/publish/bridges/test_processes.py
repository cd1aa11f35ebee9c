"""The processes of bridges: opened or refused with the reason, watched, started anew, ended with the service in any case."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import zmq
from support.publishing import LOSSES, make_pose, received
from support.waits import finishes, wait_until

from rtface.config import BridgeSettings, JsonBridgeSettings, LslBridgeSettings, OscBridgeSettings
from rtface.core import errors
from rtface.core.clock import NS_PER_S
from rtface.core.errors import AddressError, UsageError
from rtface.publish.bridges import processes
from rtface.publish.bridges.orders import BridgeOrder, failure_in, failure_report, order_in
from rtface.publish.bridges.processes import BridgeProcesses, order_of
from rtface.publish.publisher import Publisher
from rtface.publish.sockets import Context

FREE = "tcp://127.0.0.1:*"
JSON = JsonBridgeSettings(kind="json", address=FREE)
OSC = OscBridgeSettings(kind="osc", address=FREE, udp=("localhost:9", "[::1]:9"))


@contextmanager
def bridged(service: str, *settings: BridgeSettings) -> Iterator[BridgeProcesses]:
    found = BridgeProcesses(settings)
    try:
        found.open(service, ("nose(tip)", "paw"))
        yield found
    finally:
        found.close()


@pytest.fixture
def publisher(context: Context) -> Iterator[Publisher]:
    found = Publisher(FREE, "session", context)
    found.open()
    yield found
    found.close()


def process_of(bridges: BridgeProcesses, place: int = 0) -> psutil.Process:
    process = bridges._processes[place]._process
    assert process is not None
    return psutil.Process(process.pid)


def gets_through(context: Context, publisher: Publisher, bridges: BridgeProcesses) -> bytes:
    """Publish until a reader of the JSON bridge has had a message, and return it."""
    with context.socket(zmq.SUB) as reader:
        reader.subscribe(b"json.1.keypoints")
        reader.connect(bridges.addresses()["json"])
        wait_until(lambda: publisher.publish(make_pose(), LOSSES) > 0 and bool(reader.poll(10)))
        return received(reader)[1]


@pytest.mark.parametrize(
    "order",
    [
        order_of(JSON),
        order_of(OSC),
        order_of(LslBridgeSettings(kind="lsl", scope="link")),
        BridgeOrder("json", "tcp://a:1", ("nose(tip)", "é"), 5, keys="/k", own=("a", "b", "c")),
    ],
)
def test_an_order_is_one_line_and_comes_back_as_it_was(order: BridgeOrder) -> None:
    assert order.line().count("\n") == 1
    assert order_in(order.line()) == order


def test_a_failure_keeps_its_kind_and_so_its_exit_code() -> None:
    for error in (AddressError("no port"), UsageError("no library"), errors.ConfigError("x")):
        found = failure_in(failure_report(error), "json")
        assert type(found) is type(error)
        assert str(found) == f"publish.bridges (json): {error}"
    assert type(failure_in({"failed": "x", "error": "ControlError"}, "osc")) is UsageError
    assert type(failure_in({"failed": "x", "error": "nonsense"}, "osc")) is UsageError


def test_bridges_open_with_the_ports_that_they_took_and_hand_on(
    context: Context, publisher: Publisher
) -> None:
    with bridged(publisher.address, JSON, OSC) as bridges:
        assert set(bridges.addresses()) == {"json", "osc"}
        assert all(not each.endswith("*") for each in bridges.addresses().values())
        assert b'"topic":"keypoints"' in gets_through(context, publisher, bridges)
        wait_until(lambda: bridges.state()[0]["sent"] > 0)
        states = bridges.state()
        children = [process_of(bridges, place) for place in (0, 1)]
        groups = {os.getpgid(each.pid) for each in children}
    assert [each["kind"] for each in states] == ["json", "osc"]
    assert all(each["running"] for each in states)
    assert not any(each.is_running() for each in children)
    assert os.getpgid(0) not in groups, "Ctrl-C in a terminal is for the service, which ends them"


def test_one_that_cannot_be_opened_says_why_and_all_are_ended(context: Context) -> None:
    with context.socket(zmq.PUB) as taken:
        port = taken.bind_to_random_port("tcp://127.0.0.1")
        settings = JsonBridgeSettings(kind="json", address=f"tcp://127.0.0.1:{port}")
        with (
            pytest.raises(
                AddressError, match=rf"publish\.bridges \(json\): .*:{port} cannot be bound; it is in use"
            ),
            bridged("tcp://127.0.0.1:1", OSC, settings),
        ):
            pass


def test_one_that_died_is_started_anew_on_the_same_port(
    context: Context, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_AGAIN_S", 0.05)
    with bridged(publisher.address, JSON) as bridges:
        address = bridges.addresses()["json"]
        process_of(bridges).kill()
        wait_until(lambda: bridges.state()[0]["restarts"] == 1 and bridges.state()[0]["running"])
        assert bridges.addresses()["json"] == address
        gets_through(context, publisher, bridges)


def test_one_that_hangs_is_seen_and_does_not_keep_the_service_from_ending(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_SILENT_NS", NS_PER_S // 20)
    with bridged(publisher.address, JSON) as bridges:
        child = process_of(bridges)
        child.send_signal(signal.SIGSTOP)
        wait_until(lambda: not bridges.state()[0]["running"])
        assert "has not reported" in bridges.state()[0]["error"]
        finishes(bridges.close)
        assert not child.is_running()


def test_it_ends_with_a_service_that_is_killed(publisher: Publisher) -> None:
    """With the end of its input alone, whoever closes that."""
    with bridged(publisher.address, JSON) as bridges:
        child = process_of(bridges)
        process = bridges._processes[0]._process
        assert process is not None
        assert process.stdin is not None
        bridges._processes[0]._ending.set()
        process.stdin.close()
        wait_until(lambda: not child.is_running())


def test_what_a_process_prints_that_is_no_report_is_passed_over(publisher: Publisher) -> None:
    with bridged(publisher.address, JSON) as bridges:
        assert bridges._processes[0]._reported("Traceback, or a library's greeting\n") == ""
        assert bridges.state()[0]["running"]


def test_a_process_that_cannot_be_begun_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with (
        pytest.raises(UsageError, match=r"publish\.bridges \(json\): no process could be begun"),
        bridged("tcp://127.0.0.1:1", JSON),
    ):
        pass


def test_a_process_that_ends_at_once_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with (
        pytest.raises(UsageError, match=r"publish\.bridges \(json\): its process ended with status 1"),
        bridged("tcp://127.0.0.1:1", JSON),
    ):
        pass


def test_one_that_never_reads_what_it_is_to_be_does_not_keep_the_service_from_ending(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though more is to be said than fits into a pipe."""
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\nexec sleep 600\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    monkeypatch.setattr(processes, "_OPEN_S", 0.3)
    bridges = BridgeProcesses((JSON,))
    names = [f"{k:0100}" for k in range(2_000)]
    with pytest.raises(UsageError, match="did not open within"):
        finishes(lambda: bridges.open("tcp://127.0.0.1:1", names))
