"""Requests to a camera's process, and its answers: JSON, with errors that arrive as they were raised."""

from __future__ import annotations

import json
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import TypeAdapter

from rtface.acquire.base import EndOfStream
from rtface.core import errors
from rtface.core.errors import CameraLostError, RtfaceError
from rtface.core.records import CameraInfo
from rtface.core.status import CameraStatus

READY = "ready"
"""The first message of a camera's process."""
FETCH = "fetch"
"""What an answer is to that nobody asked for: frames end."""
STATUS = "status"
"""Likewise: how the camera does has changed."""

_ENDS = "EndOfStream"
_INFO = TypeAdapter(CameraInfo)
_STATUS = TypeAdapter(CameraStatus)
_BASIC = (bool, int, float, str, type(None))


@dataclass(frozen=True, slots=True)
class Failure:
    """An error, as it travels.

    Attributes
    ----------
    kind : str
        Name of its class: one of `rtface.core.errors`, or `EndOfStream`.
    text : str
        Its words.
    """

    kind: str
    text: str

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """Return an error for the way; one that is none of rtface's is a lost camera, and is written to standard error."""
        if isinstance(error, EndOfStream):
            return cls(_ENDS, "")
        if isinstance(error, RtfaceError) and hasattr(errors, type(error).__name__):
            return cls(type(error).__name__, str(error))
        traceback.print_exception(error)
        return cls(CameraLostError.__name__, f"the camera's driver failed: {type(error).__name__}: {error}")

    def error(self) -> Exception:
        """Return the error anew."""
        if self.kind == _ENDS:
            return EndOfStream()
        kind = getattr(errors, self.kind, CameraLostError)
        made: Exception = kind(self.text)
        return made


@dataclass(frozen=True, slots=True)
class Answer:
    """What a camera's process says.

    Attributes
    ----------
    to : str
        The request, or `READY`, `FETCH` or `STATUS`.
    value : object
        What came of it.
    counts : list
        As of `rtface.acquire.outside.records.Counts.as_list`; empty where there is no camera.
    failure : Failure or None
    """

    to: str
    value: Any = None
    counts: list[Any] = field(default_factory=list)
    failure: Failure | None = None

    def pack(self) -> bytes:
        """Return the message."""
        failure = None if self.failure is None else [self.failure.kind, self.failure.text]
        return json.dumps([self.to, self.value, self.counts, failure]).encode()

    @classmethod
    def unpack(cls, message: bytes) -> Answer:
        """Return what `pack` was given."""
        to, value, counts, failure = json.loads(message)
        return cls(to, value, counts, None if failure is None else Failure(*failure))


def pack_request(name: str, arguments: Mapping[str, Any]) -> bytes:
    """Return a request as a message."""
    return json.dumps([name, dict(arguments)]).encode()


def unpack_request(message: bytes) -> tuple[str, dict[str, Any]]:
    """Return a request's name and arguments."""
    name, arguments = json.loads(message)
    return name, arguments


def info_map(info: CameraInfo) -> dict[str, Any]:
    """Return what a camera says of itself as plain values; settings of foreign types become text."""
    found: dict[str, Any] = _INFO.dump_python(replace(info, settings=_plain(info.settings)))
    return found


def info_of_map(values: Mapping[str, Any]) -> CameraInfo:
    """Return what `info_map` was made of."""
    return _INFO.validate_python(values)


def status_map(status: CameraStatus) -> dict[str, Any]:
    """Return how a camera does as plain values."""
    found: dict[str, Any] = _STATUS.dump_python(status)
    return found


def status_of_map(values: Mapping[str, Any]) -> CameraStatus:
    """Return what `status_map` was made of."""
    return _STATUS.validate_python(values)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value if isinstance(value, _BASIC) else str(value)
