"""The features of a device by name, as `rtface.acquire.genicam.nodes.Nodes` takes them."""

from __future__ import annotations

import ctypes
from ctypes import byref, c_uint
from typing import Any

from rtface.acquire.aravis.library import Aravis

_KINDS = ("enumeration", "command", "boolean", "float", "integer", "string")
"""A feature is of the first of these kinds that it is of at all: enumerations are numbers and texts, too."""


class FeatureMap:
    """The features of a device as attributes.

    Parameters
    ----------
    library : Aravis
    device : int
        The library's handle.
    """

    def __init__(self, library: Aravis, device: int) -> None:
        self._library, self._device = library, device

    def __getattr__(self, name: str) -> Any:
        library = self._library
        node = library.device_get_feature(self._device, name.encode())
        if node:
            for kind in _KINDS:
                if library.is_a(node, getattr(library, f"gc_{kind}_get_type")()):
                    return _FEATURES[kind](library, node, kind)
        raise AttributeError(name)


class _Feature:
    """A feature whose value can be read and set; failures are `AravisRefusal`."""

    def __init__(self, library: Aravis, node: int, kind: str) -> None:
        self._library, self._node, self._kind = library, node, kind

    def _call(self, what: str, *arguments: Any) -> Any:
        return getattr(self._library, f"gc_{self._kind}_{what}")(self._node, *arguments)

    @property
    def value(self) -> Any:
        return self._call("get_value")

    @value.setter
    def value(self, value: Any) -> None:
        self._call("set_value", value)


class _Number(_Feature):
    @property
    def min(self) -> Any:
        return self._call("get_min")

    @property
    def max(self) -> Any:
        return self._call("get_max")


class _Whole(_Number):
    @property
    def value(self) -> Any:
        return self._call("get_value")

    @value.setter
    def value(self, value: Any) -> None:
        if not isinstance(value, int):
            raise TypeError(f"it takes whole numbers, not {value!r}")
        self._call("set_value", value)


class _Text(_Feature):
    @property
    def value(self) -> str:
        return (self._call("get_value") or b"").decode(errors="replace")

    @value.setter
    def value(self, value: Any) -> None:
        self._call("set_value", str(value).encode())


class _Choice(_Feature):
    @property
    def value(self) -> str:
        return (self._call("get_string_value") or b"").decode(errors="replace")

    @value.setter
    def value(self, value: Any) -> None:
        self._call("set_string_value", str(value).encode())

    @property
    def symbolics(self) -> tuple[str, ...]:
        count = c_uint()
        found = self._call("dup_available_string_values", byref(count))
        texts = ctypes.cast(found, ctypes.POINTER(ctypes.c_char_p))
        names = tuple((texts[at] or b"").decode(errors="replace") for at in range(count.value))
        self._library.free(found)
        return names


class _Command:
    def __init__(self, library: Aravis, node: int, kind: str) -> None:
        self._library, self._node = library, node

    def execute(self) -> None:
        self._library.gc_command_execute(self._node)

    @staticmethod
    def is_done() -> bool:
        """Aravis does not ask: a command is done when the device has acknowledged it."""
        return True


_FEATURES: dict[str, type[Any]] = {
    "enumeration": _Choice,
    "command": _Command,
    "boolean": _Feature,
    "float": _Number,
    "integer": _Whole,
    "string": _Text,
}
