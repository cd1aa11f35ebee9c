from __future__ import annotations

import logging
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq
from support.publishing import LOSSES, Handler, make_pose, received, wait_for_subscribers
from support.waits import LONG_S

from rtface.core.errors import AddressError, ControlError, UsageError
from rtface.publish.control import ControlServer
from rtface.publish.keypoints import decode_keypoints
from rtface.publish.keys import (
    ClientKeys,
    Guard,
    add_client,
    load_client_keys,
    load_server_keys,
    make_keys,
)
from rtface.publish.publisher import Publisher
from rtface.publish.requester import Requester
from rtface.publish.sockets import Context

REFUSED = zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
REFUSED |= zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_keys(tmp_path / "keys", ["rig", "laptop"])
    return tmp_path / "keys"


@pytest.fixture
def guard(context: Context, folder: Path) -> Iterator[Guard]:
    lent = Guard(context, load_server_keys(folder))
    lent.open()
    yield lent
    lent.close()


@pytest.fixture
def publisher(context: Context, guard: Guard) -> Iterator[Publisher]:
    sink = Publisher("tcp://0.0.0.0:*", "session", context, guard=guard)
    sink.open()
    yield sink
    sink.close()


def reachable(address: str) -> str:
    return address.replace("0.0.0.0", "127.0.0.1")


def handshake(context: Context, keys: ClientKeys | None, address: str, patience_ms: int = 30_000) -> int:
    """Connect, and return the event that the attempt to be admitted ends with."""
    with context.socket(zmq.SUB) as socket:
        socket.setsockopt(zmq.HANDSHAKE_IVL, patience_ms)
        socket.subscribe(b"")
        if keys is not None:
            keys.protect(socket)
        with socket.get_monitor_socket(REFUSED | zmq.EVENT_HANDSHAKE_SUCCEEDED) as monitor:
            socket.connect(reachable(address))
            event = int.from_bytes(received(monitor)[0][:2], "little")
            socket.disable_monitor()
    return event


class TestFiles:
    def test_each_side_gets_what_it_needs(self, folder: Path) -> None:
        server = load_server_keys(folder)
        rig, laptop = (load_client_keys(folder / "hand_over" / name) for name in ("rig", "laptop"))
        assert server.clients == {rig.public, laptop.public}
        assert rig.server == laptop.server == server.public
        assert len({server.public, server.secret, rig.public, rig.secret, laptop.public, laptop.secret}) == 6

    def test_secrets_are_their_owners_alone(self, folder: Path) -> None:
        secrets = sorted(file for file in folder.rglob("*") if file.name.endswith("_secret"))
        assert len(secrets) == 3
        for secret in secrets:
            assert stat.S_IMODE(secret.stat().st_mode) == 0o600
        for place in (folder, folder / "hand_over" / "rig"):
            assert stat.S_IMODE(place.stat().st_mode) == 0o700

    def test_no_secret_of_the_server_is_handed_over_and_none_is_shown(self, folder: Path) -> None:
        server = load_server_keys(folder)
        for file in (folder / "hand_over").rglob("*.*"):
            assert server.secret not in file.read_bytes()
        assert server.secret.decode() not in repr(server)
        rig = load_client_keys(folder / "hand_over" / "rig")
        assert rig.secret.decode() not in repr(rig)

    def test_nothing_is_overwritten(self, folder: Path) -> None:
        before = {file: file.read_bytes() for file in folder.rglob("*.*")}
        for clients in (["rig"], ["other"], []):
            with pytest.raises(UsageError, match="never overwritten"):
                make_keys(folder, clients)
        with pytest.raises(UsageError, match="never overwritten"):
            add_client(folder, "rig")
        assert {file: file.read_bytes() for file in folder.rglob("*.*")} == before

    def test_a_client_can_be_added(self, folder: Path) -> None:
        place = add_client(folder, "third")
        keys = load_client_keys(place)
        assert keys.public in load_server_keys(folder).clients
        assert keys.server == load_server_keys(folder).public

    def test_companions_of_macos_are_no_clients(self, folder: Path) -> None:
        clients = load_server_keys(folder).clients
        (folder / "clients" / "._rig.key").write_bytes(b"\0\5\x16\7")
        assert load_server_keys(folder).clients == clients

    def test_a_client_is_added_only_to_a_service(self, tmp_path: Path) -> None:
        with pytest.raises(AddressError, match="no key in"):
            add_client(tmp_path, "rig")
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize(
        "names", [["../rig"], ["a/b"], [""], ["a b"], ["rig", "rig"], ["x" * 65], ["rig\n"]]
    )
    def test_names_cannot_leave_the_folder(self, tmp_path: Path, names: list[str]) -> None:
        with pytest.raises(UsageError, match="a client's name"):
            make_keys(tmp_path / "keys", names)
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize("content", [None, "", "public-key = short", f"public-key = {'~' * 40}"])
    def test_a_file_without_a_key_is_named(self, folder: Path, content: str | None) -> None:
        rig, laptop = folder / "hand_over" / "rig", folder / "hand_over" / "laptop"
        for file, load in (
            (folder / "server.key_secret", lambda: load_server_keys(folder)),
            (folder / "clients" / "rig.key", lambda: load_server_keys(folder)),
            (rig / "client.key_secret", lambda: load_client_keys(rig)),
            (laptop / "server.key", lambda: load_client_keys(laptop)),
        ):
            good = file.read_bytes()
            file.unlink()
            if content is not None:
                file.write_text(content)
            elif file.parent == folder / "clients":
                continue  # a client that is gone is not admitted; nothing is wrong
            with pytest.raises(AddressError, match=f"no key in .*{file.name}"):
                load()
            file.write_bytes(good)

    def test_a_public_key_does_not_do_for_a_secret_one(self, folder: Path) -> None:
        rig = folder / "hand_over" / "rig"
        (rig / "client.key_secret").write_bytes((rig / "client.key").read_bytes())
        with pytest.raises(AddressError, match=r"client\.key_secret"):
            load_client_keys(rig)

    def test_a_folder_that_cannot_be_written_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(AddressError, match="cannot be written"):
            make_keys(tmp_path / "file" / "keys", [])


class TestWhoIsAdmitted:
    def test_a_known_client_gets_messages(self, context: Context, folder: Path, publisher: Publisher) -> None:
        keys = load_client_keys(folder / "hand_over" / "rig")
        with context.socket(zmq.SUB) as socket:
            keys.protect(socket)
            socket.subscribe(b"")
            socket.connect(reachable(publisher.address))
            wait_for_subscribers(publisher, 1)
            publisher.publish(make_pose(4), LOSSES)
            assert decode_keypoints(received(socket)[1]).frame_id == 4

    def test_strangers_get_nothing(
        self,
        context: Context,
        folder: Path,
        tmp_path: Path,
        publisher: Publisher,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        (elsewhere,) = make_keys(tmp_path / "elsewhere", ["rig"])
        known, foreign = load_client_keys(folder / "hand_over" / "rig"), load_client_keys(elsewhere)
        unknown = ClientKeys(foreign.public, foreign.secret, known.server)
        misled = ClientKeys(known.public, known.secret, foreign.server)
        with caplog.at_level(logging.WARNING):
            assert handshake(context, unknown, publisher.address) & REFUSED
        assert foreign.public.decode() in caplog.text
        assert handshake(context, None, publisher.address) & REFUSED
        assert handshake(context, misled, publisher.address) & REFUSED
        assert publisher.count_subscribers() == 0
        assert handshake(context, known, publisher.address) == zmq.EVENT_HANDSHAKE_SUCCEEDED

    def test_a_removed_client_is_shut_out_at_the_next_start(self, context: Context, folder: Path) -> None:
        (folder / "clients" / "rig.key").unlink()
        guard = Guard(context, load_server_keys(folder))
        guard.open()
        publisher = Publisher("tcp://0.0.0.0:*", "session", context, guard=guard)
        publisher.open()
        rig, laptop = (load_client_keys(folder / "hand_over" / name) for name in ("rig", "laptop"))
        assert handshake(context, rig, publisher.address) & REFUSED
        assert handshake(context, laptop, publisher.address) == zmq.EVENT_HANDSHAKE_SUCCEEDED
        publisher.close()
        guard.close()

    def test_nobody_new_is_admitted_without_the_guard(
        self, context: Context, folder: Path, guard: Guard, publisher: Publisher
    ) -> None:
        guard.close()
        guard.close()
        keys = load_client_keys(folder / "hand_over" / "rig")
        assert handshake(context, keys, publisher.address, patience_ms=100) & REFUSED
        assert publisher.count_subscribers() == 0

    def test_commands_are_for_known_clients(
        self, context: Context, folder: Path, tmp_path: Path, guard: Guard
    ) -> None:
        handler = Handler()
        server = ControlServer("tcp://0.0.0.0:*", handler, context, guard=guard)
        server.open()
        keys = load_client_keys(folder / "hand_over" / "laptop")
        known = Requester(context, reachable(server.address), keys, LONG_S)
        plain = Requester(context, reachable(server.address), None, 0.1)
        with pytest.raises(AddressError, match="stop: no answer"):
            plain.request("stop", {})
        handler.failure = ControlError("busy", "later")
        with pytest.raises(ControlError, match="later"):
            known.request("start", {})
        known.close()
        plain.close()
        server.close()
        assert [op for op, _ in handler.calls] == ["start"]

    def test_a_guard_is_open_before_it_protects(self, context: Context, folder: Path) -> None:
        guard = Guard(context, load_server_keys(folder))
        with pytest.raises(UsageError, match="must be open"):
            Publisher("tcp://0.0.0.0:*", "session", context, guard=guard).open()
        guard.open()
        with pytest.raises(UsageError, match="already"):
            guard.open()
        guard.close()


@pytest.mark.parametrize("called", ["operator", "Ada", "rig"])
def test_what_a_client_with_a_key_commands_is_the_keys(
    context: Context, folder: Path, guard: Guard, called: str
) -> None:
    service = Handler()
    server = ControlServer("tcp://127.0.0.1:*", service, context, guard=guard)
    server.open()
    try:
        for name in ("laptop", "rig"):
            keys = load_client_keys(folder / "hand_over" / name)
            requester = Requester(context, server.address, keys, LONG_S)
            requester.request("disarm", {"who": called, "why": "smoke"})  # at once
            requester.request("arm", {"who": called})  # by the other thread
            requester.close()
            assert service.calls[-2:] == [("disarm", (name, "smoke")), ("arm", name)]
    finally:
        server.close()


def test_a_key_that_is_revoked_while_armed_may_only_make_it_safer(
    context: Context, folder: Path, guard: Guard
) -> None:
    service = Handler()
    server = ControlServer("tcp://127.0.0.1:*", service, context, guard=guard)
    server.open()
    try:
        keys = load_client_keys(folder / "hand_over" / "laptop")
        requester = Requester(context, server.address, keys, LONG_S)
        requester.request("arm", {"who": "Ada"})
        (folder / "clients" / "laptop.key").unlink()
        for op, args in (("arm", {"who": "Ada"}), ("clear", {"who": "Ada"}), ("status", {}), ("start", {})):
            with pytest.raises(ControlError, match="'laptop' was revoked") as refused:
                requester.request(op, args)
            assert refused.value.code == "revoked"
        requester.request("disarm", {"who": "Ada", "why": "smoke"})
        requester.request("emergency_stop", {"who": "Ada"})
        requester.close()
        assert service.calls == [
            ("arm", "laptop"),
            ("disarm", ("laptop", "smoke")),
            ("emergency_stop", "laptop"),
        ]
    finally:
        server.close()


def test_without_keys_nobody_is_the_operator(context: Context) -> None:
    service = Handler()
    server = ControlServer("tcp://127.0.0.1:*", service, context)
    server.open()
    try:
        requester = Requester(context, server.address, None, LONG_S)
        for op in ("arm", "clear", "emergency_stop"):
            requester.request(op, {"who": "operator"})
            assert service.calls[-1] == (op, "client:operator")
        requester.request("mark", {"who": "operator ada@rig", "text": "x", "details": {}})
        assert service.calls[-1] == ("mark", ("client:operator ada@rig", "x", {}))
        requester.close()
    finally:
        server.close()
