"""What all messages have in common: version, sizes, packing, unpacking and the checks of a field. No socket, no clock.

`docs/wire.md` is the same for readers who write a client in another language.

What arrives is untrusted: `unpack`, `read` and the methods of `Fields` raise nothing but `WireError`, which names the
wrong field. Keys that are not read are ignored, so that a later version may add some.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

import msgpack
import numpy as np

from rtface.core.errors import WireError
from rtface.core.files import MARKING
from rtface.core.records import Losses

PROTOCOL = 1
"""Version of the protocol. Fields are only ever added to it; any other change is a new version."""

MAX_BODY = 65_536
"""Largest message body in bytes, either way."""

MAX_TEXT = 4_096
"""Largest text in characters."""

MAX_SESSION = 64
"""Longest name of a session in characters."""

_Choice = TypeVar("_Choice", bound=str)

_LEAST, _MOST = -(1 << 63), (1 << 64) - 1


def pack(packer: msgpack.Packer, values: Mapping[str, Any]) -> bytes:
    """Return `values` as MessagePack.

    Raises
    ------
    WireError
        A value is of a type that the wire has no form for, or all of them together are larger than `MAX_BODY`.
    """
    try:
        try:
            body: bytes = packer.pack(values)
        except UnicodeEncodeError:
            body = msgpack.packb(values, unicode_errors=MARKING)
    except (TypeError, ValueError, OverflowError) as error:
        raise WireError(f"cannot be put into a message: {error}") from error
    if len(body) > MAX_BODY:
        raise WireError(f"the message would have {len(body)} bytes; at most {MAX_BODY} may be sent")
    return body


def unpack(body: bytes) -> dict[str, Any]:
    """Return the map that `body` holds.

    Raises
    ------
    WireError
        `body` is larger than `MAX_BODY`, not MessagePack, or not a map with text as keys.
    """
    if len(body) > MAX_BODY:
        raise WireError(f"message of {len(body)} bytes; at most {MAX_BODY} are allowed")
    try:
        values = msgpack.unpackb(body)
    except (ValueError, TypeError, OverflowError, msgpack.UnpackException) as error:
        raise WireError(f"message is not MessagePack: {error or type(error).__name__}") from error
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise WireError("message is not a map with text as keys")
    return values


def read(body: bytes) -> Fields:
    """Return the fields of a message; `WireError` as of `unpack`, and for one of another protocol version."""
    fields = Fields(unpack(body))
    fields.check_version()
    return fields


class Fields:
    """A map that was received, read field by field.

    Parameters
    ----------
    values : mapping of str to any
        As unpacked.
    where : str
        Path of this map in the message, with its dot, for error messages: ``t.``.
    """

    __slots__ = ("_values", "_where")

    def __init__(self, values: Mapping[str, Any], where: str = "") -> None:
        self._values = values
        self._where = where

    def check_version(self) -> None:
        """Refuse a message of another protocol version."""
        version = self.integer("v", low=0)
        if version != PROTOCOL:
            raise WireError(f"v: message of protocol version {version}; this side speaks version {PROTOCOL}")

    def get(self, name: str) -> Any:
        """Return a field of any type."""
        try:
            return self._values[name]
        except KeyError:
            raise WireError(f"{self._where}{name} is missing") from None

    def integer(self, name: str, low: int = _LEAST, high: int = _MOST) -> int:
        """Return an integer from `low` to `high`, both included."""
        value = self.get(name)
        if type(value) is not int:
            raise self._wrong(name, "an integer", value)
        if not low <= value <= high:
            raise WireError(f"{self._where}{name} must be between {low} and {high}, not {value}")
        return value

    def number(self, name: str) -> float:
        """Return an integer or a float as a float."""
        value = self.get(name)
        if type(value) is not int and type(value) is not float:
            raise self._wrong(name, "a number", value)
        return float(value)

    def text(self, name: str, longest: int = MAX_TEXT) -> str:
        """Return a text of at most `longest` characters."""
        value = self.get(name)
        if type(value) is not str:
            raise self._wrong(name, "text", value)
        if len(value) > longest:
            raise WireError(f"{self._where}{name} has {len(value)} characters; at most {longest} are allowed")
        return value

    def choice(self, name: str, allowed: Sequence[_Choice]) -> _Choice:
        """Return a text that is one of those allowed."""
        value = self.text(name)
        for each in allowed:
            if value == each:
                return each
        raise WireError(f"{self._where}{name} must be one of {', '.join(allowed)}, not {value!r:.40}")

    def boolean(self, name: str) -> bool:
        """Return a boolean."""
        value = self.get(name)
        if type(value) is not bool:
            raise self._wrong(name, "true or false", value)
        return value

    def binary(self, name: str) -> bytes:
        """Return binary data."""
        value = self.get(name)
        if type(value) is not bytes:
            raise self._wrong(name, "binary data", value)
        return value

    def numbers(self, name: str, dtype: np.dtype, most: int) -> np.ndarray:
        """Return an array of at most `most` numbers, which lie there as `dtype` says; it cannot be written."""
        data = self.binary(name)
        if len(data) % dtype.itemsize:
            raise WireError(f"{self._where}{name} has {len(data)} bytes; {dtype.itemsize} a number")
        check_length(f"{self._where}{name}", len(data) // dtype.itemsize, most)
        return np.frombuffer(data, dtype).astype(dtype.newbyteorder("="), copy=False)

    def texts(self, name: str, most: int) -> tuple[str, ...]:
        """Return an array of at most `most` texts."""
        value = self.get(name)
        if type(value) is not list or not all(type(each) is str for each in value):
            raise self._wrong(name, "an array of texts", value)
        check_length(f"{self._where}{name}", len(value), most)
        return tuple(value)

    def mapping(self, name: str) -> dict[str, Any]:
        """Return a map with text as keys."""
        value = self.get(name)
        if type(value) is not dict or not all(isinstance(key, str) for key in value):
            raise self._wrong(name, "a map with text as keys", value)
        return value

    def mappings(self, name: str) -> tuple[dict[str, Any], ...]:
        """Return an array of maps with text as keys."""
        value = self.get(name)
        if type(value) is not list:
            raise self._wrong(name, "an array", value)
        for index, item in enumerate(value):
            if type(item) is not dict or not all(isinstance(key, str) for key in item):
                raise self._wrong(f"{name}[{index}]", "a map with text as keys", item)
        return tuple(value)

    def nested(self, name: str) -> Fields:
        """Return a map as `Fields` with their path."""
        return Fields(self.mapping(name), f"{self._where}{name}.")

    def each(self, name: str) -> Iterator[Fields]:
        """Yield the maps of an array as `Fields`."""
        for index, item in enumerate(self.mappings(name)):
            yield Fields(item, f"{self._where}{name}[{index}].")

    def has(self, name: str) -> bool:
        """Return whether a field is there: one that older messages lack."""
        return name in self._values

    def is_nil(self, name: str) -> bool:
        """Return whether a field is there and nil."""
        return self.get(name) is None

    def _wrong(self, name: str, wanted: str, value: object) -> WireError:
        return WireError(f"{self._where}{name} must be {wanted}, not {_name_of(value)}")


def check_length(name: str, count: int, most: int) -> None:
    """Refuse an array of more than `most` elements."""
    if count > most:
        raise WireError(f"{name} has {count} numbers; {most} at most")


def as_bytes(array: np.ndarray, dtype: np.dtype) -> bytes:
    """Return an array as its numbers lie in a message."""
    return array.astype(dtype, copy=False).tobytes()


def _name_of(value: object) -> str:
    return "nil" if value is None else type(value).__name__


def number_or_nan(fields: Fields, name: str) -> float:
    """Return a number; NaN where it is not there, as in messages of before there was such a field."""
    return fields.number(name) if fields.has(name) else math.nan


def known(name: str, value: float) -> dict[str, float]:
    """Return a field with a number, as `number_or_nan` reads it: no field for NaN."""
    return {} if math.isnan(value) else {name: value}


def losses_map(losses: Losses) -> dict[str, int | bool]:
    """Return frames lost as a map for the wire.

    `transport_known` is there only where it is false, `missed_triggers` where triggers are counted.
    """
    unknown: dict[str, int | bool] = {} if losses.transport_known else {"transport_known": False}
    if losses.missed_triggers is not None:
        unknown["missed_triggers"] = losses.missed_triggers
    return {
        "camera": losses.camera,
        "transport": losses.transport,
        "ring": losses.ring,
        "publish": losses.publish,
        **unknown,
    }


def losses_in(fields: Fields) -> Losses:
    """Return the frames lost in such a map."""
    return Losses(
        camera=fields.integer("camera", low=0),
        transport=fields.integer("transport", low=0),
        ring=fields.integer("ring", low=0),
        publish=fields.integer("publish", low=0),
        transport_known=fields.boolean("transport_known") if fields.has("transport_known") else True,
        missed_triggers=fields.integer("missed_triggers", low=0) if fields.has("missed_triggers") else None,
    )
