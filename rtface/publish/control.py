"""The socket that commands come in on.

Whatever arrives is untrusted. Every message gets a reply, malformed ones an error; none can end the server. What makes
the animal safer, or asks how things stand, is carried out at once, whatever other command is still under way.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Protocol
from uuid import uuid4

import zmq

from rtface.core.clock import SYSTEM_CLOCK, Clock, clock_domain
from rtface.core.errors import ControlError, RtfaceError, UsageError, WireError
from rtface.core.records import Crop
from rtface.publish import commands
from rtface.publish.as_json import is_json, json_body, json_in, result_as_json
from rtface.publish.keys import Guard
from rtface.publish.peers import PeerLimits, PeerWatch
from rtface.publish.sockets import Context, Socket, bound_socket, limited_socket
from rtface.publish.wire import MAX_BODY, unpack

_QUEUE = 1_000
_LIMITS = PeerLimits(
    connections=64, connections_per_s=20, burst_bytes=4 * MAX_BODY, bytes_per_s=MAX_BODY // 4
)

_INTERNAL = "internal error; the service's log says more"
_ANYBODY = frozenset({"disarm", "emergency_stop"})

_log = logging.getLogger(__name__)


class LoopCommands(Protocol):
    """Carries out what a closed loop can do; called as those of `ServiceCommands`."""

    def self_test(self) -> Mapping[str, Any]:
        """Find out whether stimulation may be armed, and what speaks against it."""

    def arm(self, who: str) -> Mapping[str, Any]:
        """Allow stimulation, if the self-test finds nothing against it; nothing changes while it is armed."""

    def disarm(self, who: str, why: str) -> Mapping[str, Any]:
        """Light off, and no more of it until somebody arms again."""

    def emergency_stop(self, who: str) -> Mapping[str, Any]:
        """Light off, latched until `clear`."""

    def clear(self, who: str) -> Mapping[str, Any]:
        """End an emergency stop or a fault that somebody has seen to; nothing is armed by it."""

    def baseline(self, who: str) -> Mapping[str, Any]:
        """Take the baseline that thresholds rest on anew; refused while stimulation is armed."""

    def mark(self, who: str, text: str, details: Mapping[str, Any]) -> Mapping[str, Any]:
        """Put a remark into the session's record."""


class ServiceCommands(Protocol):
    """Carries out what any service can do.

    Commands of `ControlServer.URGENT` are called in one thread, and must not wait; all others one after the other in
    another. Each method returns a map of what MessagePack can hold, or raises an `RtfaceError` that is the client's
    reply: its code is `ControlError.code`, or for other errors the name of the class in snake case.
    """

    def hello(self) -> Mapping[str, Any]:
        """Say what the service is; see `rtface.publish.commands.Hello.as_map`."""

    def status(self) -> Mapping[str, Any]:
        """Say how the service is; see `rtface.publish.status.ServiceStatus.as_map`."""

    def start(self) -> Mapping[str, Any]:
        """Begin to track; nothing changes when it has begun."""

    def stop(self, who: str = "") -> Mapping[str, Any]:
        """Stop tracking, which disarms; nothing changes when it has stopped. `who` is empty where a client gives no name."""

    def set_crop(self, crop: Crop | None) -> Mapping[str, Any]:
        """Look at another part of the frame, or at all of it."""

    @property
    def arming(self) -> LoopCommands:
        """The commands of the closed loop; `ControlError` where there is none."""


class ControlServer:
    """Answers commands in a thread of its own, which owns the socket, and has a second one do what may take time.

    Parameters
    ----------
    address : str
        ZeroMQ address to bind; port ``*`` takes a free one.
    service : ServiceCommands
        Carries the commands out.
    context : zmq.Context
        Where the socket lives.
    guard : Guard, optional
        Admits known clients alone; needed for an address beyond loopback. It must be open.
    clock : Clock, optional
        Answers ``ping``.
    """

    URGENT = frozenset({"ping", "hello", "status", "disarm", "emergency_stop"})
    """Commands that wait for no other."""

    def __init__(
        self,
        address: str,
        service: ServiceCommands,
        context: Context,
        *,
        guard: Guard | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._wanted = address
        self._context = context
        self._guard = guard
        self._clock = clock
        self._address = ""
        self._thread: threading.Thread | None = None
        self._worker: threading.Thread | None = None
        self._wake: Socket | None = None
        self._operations: dict[str, Callable[[Mapping[str, Any], str], Mapping[str, Any]]] = {
            "ping": lambda args, key: self._ping(args),
            "hello": lambda args, key: service.hello(),
            "status": lambda args, key: service.status(),
            "start": lambda args, key: service.start(),
            "stop": lambda args, key: service.stop(commands.who_may_be_in(args, key)),
            "set_crop": lambda args, key: service.set_crop(commands.parse_crop(args)),
            "self_test": lambda args, key: service.arming.self_test(),
            "arm": lambda args, key: service.arming.arm(commands.who_in(args, key)),
            "disarm": lambda args, key: service.arming.disarm(
                commands.who_in(args, key), commands.why_in(args)
            ),
            "emergency_stop": lambda args, key: service.arming.emergency_stop(commands.who_in(args, key)),
            "clear": lambda args, key: service.arming.clear(commands.who_in(args, key)),
            "mark": lambda args, key: service.arming.mark(
                commands.who_in(args, key), *commands.mark_in(args)
            ),
            "baseline": lambda args, key: service.arming.baseline(commands.who_in(args, key)),
        }

    @property
    def address(self) -> str:
        """The address that is bound, with the port that was taken; empty before `open`."""
        return self._address

    @property
    def deaf(self) -> bool:
        """Whether a thread that takes or carries out commands has ended although it was not closed."""
        threads = (self._thread, self._worker)
        return any(each is not None and not each.is_alive() for each in threads)

    def open(self) -> None:
        """Bind the socket and begin to answer.

        Raises
        ------
        AddressError
            The address cannot be bound, or would need keys.
        """
        if self._thread is not None:
            raise UsageError("the control server is open already")
        watches: list[PeerWatch] = []

        def watch(socket: Socket) -> Callable[[], None]:
            watches.append(PeerWatch(self._context, socket, _LIMITS, "publish.control"))
            return watches[-1].close

        router, self._address = bound_socket(
            self._context, zmq.ROUTER, self._wanted, "publish.control", _QUEUE, self._guard, watch
        )
        woken, self._wake = self._pair()
        self._thread = threading.Thread(
            target=self._serve,
            args=(router, watches[0], woken, *self._pair()),
            name="rtface-control",
            daemon=True,
        )
        self._thread.start()

    def _pair(self) -> tuple[Socket, Socket]:
        """Return two sockets for two threads to talk through."""
        name = f"inproc://rtface-control-{uuid4()}"
        one, other = (limited_socket(self._context, zmq.PAIR, _QUEUE) for _ in range(2))
        one.bind(name)
        other.connect(name)
        return one, other

    def close(self, timeout_s: float = 10.0) -> None:
        """Stop answering and join the thread; may be called at any time, any number of times.

        Raises
        ------
        UsageError
            A command was still being carried out after `timeout_s`.
        """
        thread, wake = self._thread, self._wake
        if thread is None or wake is None:
            return
        with suppress(zmq.ZMQError):  # the context has ended, and the thread with it
            wake.send(b"", zmq.NOBLOCK)
        thread.join(timeout_s)
        if thread.is_alive():
            raise UsageError(f"the control server cannot close: a command has been running for {timeout_s} s")
        wake.close(0)
        self._thread = self._worker = self._wake = None

    def _serve(self, router: Socket, watch: PeerWatch, woken: Socket, work: Socket, taken: Socket) -> None:
        worker = threading.Thread(target=self._work, args=(taken,), name="rtface-control-work", daemon=True)
        self._worker = worker
        worker.start()
        poller = zmq.Poller()
        for socket in (router, woken, work):
            poller.register(socket, zmq.POLLIN)
        try:
            while woken not in (ready := dict(poller.poll())):
                if work in ready:
                    router.send_multipart(work.recv_multipart(), zmq.NOBLOCK)
                if router in ready:
                    self._take(router, work)
            if worker.is_alive():
                work.send_multipart([b""])
            worker.join()
            while work.poll(0):
                router.send_multipart(work.recv_multipart(), zmq.NOBLOCK)
        except zmq.ContextTerminated:
            _log.debug("the context ended before the control server was closed")
            worker.join()
        finally:
            if worker.is_alive():  # this thread ends as nobody foresaw; the other would wait for ever
                with suppress(zmq.ZMQError):
                    work.send_multipart([b""], zmq.NOBLOCK)
                worker.join()
            watch.close()
            router.close(0)
            woken.close(0)
            work.close(0)

    def _work(self, taken: Socket) -> None:
        """Carry out, one after the other, what may take time; an envelope without a request ends it."""
        try:
            while len(parts := taken.recv_multipart()) > 1:
                *envelope, key, asked = parts
                taken.send_multipart([*envelope, self._reply([asked], key.decode())])
        except zmq.ContextTerminated:
            _log.debug("the context ended while commands could still come")
        finally:
            taken.close(0)

    def _take(self, router: Socket, work: Socket) -> None:
        """Answer one message, or have it answered, in the envelope that it came in: with REQ's empty part or without."""
        try:
            frames = router.recv_multipart(zmq.NOBLOCK, copy=False)
        except zmq.Again:
            return
        key = _key_of(frames[-1])
        sender, *parts = (frame.bytes for frame in frames)
        envelope = [sender, b""] if len(parts) > 1 and not parts[0] else [sender]
        asked = parts[len(envelope) - 1 :]
        if _may_take_time(asked):
            with suppress(zmq.Again):
                work.send_multipart([*envelope, key.encode(), *asked], zmq.NOBLOCK)
                return
            body = _refusal(asked[0], None, commands.BUSY, "too many commands are waiting")
        else:
            body = self._reply(asked, key)
        router.send_multipart([*envelope, body], zmq.NOBLOCK)

    def _reply(self, parts: list[bytes], key: str) -> bytes:
        request_id, asked = None, parts[0] if parts else b""
        try:
            if len(parts) != 1:
                raise WireError(f"a request has one part, not {len(parts)}")
            values = _values_in(asked)
            request_id = commands.id_in(values)
            request = commands.parse_request(values)
            result = self._carried_out(request, key)
        except RtfaceError as error:
            return _refusal(asked, request_id, _code(error), str(error))
        except Exception:
            _log.exception("a command failed")
            return _refusal(asked, request_id, commands.INTERNAL, _INTERNAL)
        try:
            if is_json(asked):
                return json_body(commands.result_reply(request.id, result_as_json(request.op, result)))
            return commands.encode_result(request.id, result)
        except WireError:
            _log.exception("the result of %s cannot be sent", request.op)
            return _refusal(asked, request_id, commands.INTERNAL, _INTERNAL)

    def _carried_out(self, request: commands.Request, key: str) -> Mapping[str, Any]:
        operation = self._operations.get(request.op)
        if operation is None:
            known = ", ".join(self._operations)
            raise ControlError(commands.UNKNOWN_OP, f"op {request.op!r} is none of {known}")
        if request.op not in _ANYBODY and self._guard is not None and self._guard.revoked(key):
            raise ControlError(
                commands.REVOKED, f"the key {key!r} was revoked; what is left is to disarm or to stop"
            )
        return operation(request.args, key)

    def _ping(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        nonce = commands.nonce_in(args)
        return {"nonce": nonce, "t_ns": self._clock.now_ns(), "clock": clock_domain()}


def _key_of(frame: zmq.Frame) -> str:
    """Return the name of the key of whoever sent this; empty where the socket asks for none."""
    try:
        return str(frame.get("User-Id") or "")
    except zmq.ZMQError:
        return ""


def _may_take_time(parts: list[bytes]) -> bool:
    """Tell whether this is a request that others must not wait for; what is malformed is answered at once."""
    try:
        return len(parts) == 1 and commands.parse_request(_values_in(parts[0])).op not in ControlServer.URGENT
    except WireError:
        return False


def _values_in(asked: bytes) -> dict[str, Any]:
    return json_in(asked) if is_json(asked) else unpack(asked)


def _refusal(asked: bytes, request_id: int | None, code: str, message: str) -> bytes:
    """Return the refusal of a request, in the form that it came in."""
    if is_json(asked):
        return json_body(commands.refusal_reply(request_id, code, message))
    return commands.encode_refusal(request_id, code, message)


def _code(error: RtfaceError) -> str:
    if isinstance(error, ControlError):
        return error.code
    return re.sub(r"(?<!^)(?=[A-Z])", "_", type(error).__name__).lower()
