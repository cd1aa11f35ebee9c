"""Events as MessagePack maps and back; what is read is checked field by field."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from pathlib import PurePath
from typing import Any

import msgpack
import numpy as np

from rtface.core.errors import DataError, UsageError
from rtface.core.files import MARKING
from rtface.record.session.entries import ENTRIES, Entry

MOST_EVENT_BYTES = 16 * 1024 * 1024
"""A larger event is a mistake: it would keep others from being written."""


def encode(entry: Entry) -> bytes:
    """Return an event as a MessagePack map.

    Raises
    ------
    UsageError
        A value is of a type that has no form in a log, or the event is larger than `MOST_EVENT_BYTES`.
    """
    values = {
        each: value
        for each, (_, required) in _FIELDS[entry.kind].items()
        if (value := getattr(entry, each)) or required or each != _CAMERA  # of the only camera all is as ever
    }
    try:
        packed: bytes = msgpack.packb(values, default=_plain, unicode_errors=MARKING)
    except (TypeError, ValueError, OverflowError) as error:
        raise UsageError(f"{entry.name} cannot be recorded: {error}") from error
    if len(packed) > MOST_EVENT_BYTES:
        raise UsageError(f"{entry.name} cannot be recorded: {len(packed)} bytes, at most {MOST_EVENT_BYTES}")
    return packed


def decode(kind: int, payload: bytes) -> Entry | None:
    """Return the event that a record holds; None for a kind that this rtface does not read.

    Raises
    ------
    DataError
        The payload is not what the kind should hold; the message names the field.
    """
    entry = ENTRIES.get(kind)
    if entry is None:
        return None
    values = unpack(payload)
    if not isinstance(values, dict):
        raise DataError(f"{entry.name} is not a map")
    found = {}
    for name, (check, required) in _FIELDS[kind].items():
        if name not in values:
            if required:
                raise DataError(f"{entry.name}.{name} is missing")
            continue
        found[name] = check(values[name])
        if found[name] is _WRONG:
            raise DataError(f"{entry.name}.{name} is {type(values[name]).__name__}, which it cannot be")
    return entry(**found)


def unpack(payload: bytes) -> Any:
    """Return what MessagePack bytes hold; `DataError` for anything else."""
    try:
        return msgpack.unpackb(payload, strict_map_key=False)
    except (ValueError, TypeError, OverflowError, msgpack.UnpackException) as error:
        raise DataError(f"a record is not MessagePack: {str(error) or type(error).__name__}") from error


def _plain(value: Any) -> Any:
    """Return a value that MessagePack has no form for as one that it has."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Enum):
        return value.value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence | set | frozenset):
        return list(value)
    if isinstance(value, PurePath):
        return str(value)
    raise TypeError(f"no form for {type(value).__name__}")


_CAMERA = "camera_name"

_WRONG = object()


def _of(kind: type) -> Callable[[Any], Any]:
    return lambda value: value if type(value) is kind else _WRONG


def _number(value: Any) -> Any:
    return float(value) if type(value) is int or type(value) is float else _WRONG


def _optional(check: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else check(value)


def _tuple_of(kind: type) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        return tuple(value) if type(value) is list and all(type(each) is kind for each in value) else _WRONG

    return check


def _inputs(value: Any) -> Any:
    if type(value) is not list:
        return _WRONG
    rows = []
    for row in value:
        if type(row) is not list or len(row) != 4 or type(row[0]) is not str or type(row[3]) is not int:
            return _WRONG
        numbers = _number(row[1]), _number(row[2])
        if _WRONG in numbers:
            return _WRONG
        rows.append((row[0], *numbers, row[3]))
    return tuple(rows)


_CHECKS: dict[str, Callable[[Any], Any]] = {
    "int": _of(int),
    "str": _of(str),
    "bool": _of(bool),
    "bytes": _of(bytes),
    "float": _number,
    "float | None": _optional(_number),
    "Map": _of(dict),
    "Map | None": _optional(_of(dict)),
    "int | None": _optional(_of(int)),
    "Texts": _tuple_of(str),
    "tuple[bool, ...]": _tuple_of(bool),
    "Inputs": _inputs,
}

_FIELDS: dict[int, dict[str, tuple[Callable[[Any], Any], bool]]] = {
    kind: {
        each.name: (
            _CHECKS[str(each.type)],
            each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING,
        )
        for each in dataclasses.fields(entry)
    }
    for kind, entry in ENTRIES.items()
}
