"""Aravis, called through ctypes: no call holds Python's interpreter lock. The only module that knows the library."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from ctypes import (
    POINTER,
    byref,
    c_bool,
    c_char_p,
    c_double,
    c_int,
    c_int64,
    c_size_t,
    c_uint,
    c_uint64,
    c_void_p,
)
from functools import cache
from typing import Any

from rtface.core.errors import CameraError

ARAVIS, GLIB, GOBJECT = "libaravis-0.8.so.0", "libglib-2.0.so.0", "libgobject-2.0.so.0"
HOW_TO_INSTALL = "sudo apt install libaravis-0.8-0"
SUCCESS, ABORTED = 0, 7
"""States of a buffer: filled as a whole, and given back because the stream was stopped."""
Handler = ctypes.CFUNCTYPE(None, c_void_p, c_void_p)

_ERROR = POINTER(c_void_p)
_PLAIN: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "enable_interface": (None, (c_char_p,)),
    "disable_interface": (None, (c_char_p,)),
    "update_device_list": (None, ()),
    "get_n_devices": (c_uint, ()),
    **{
        f"get_device_{each}": (c_char_p, (c_uint,))
        for each in ("id", "vendor", "model", "serial_nbr", "protocol")
    },
    "camera_get_device": (c_void_p, (c_void_p,)),
    "device_get_feature": (c_void_p, (c_void_p, c_char_p)),
    "device_set_range_check_policy": (None, (c_void_p, c_int)),
    "buffer_new_allocate": (c_void_p, (c_size_t,)),
    "buffer_get_status": (c_int, (c_void_p,)),
    "buffer_get_data": (c_void_p, (c_void_p, POINTER(c_size_t))),
    "buffer_get_frame_id": (c_uint64, (c_void_p,)),
    "buffer_get_timestamp": (c_uint64, (c_void_p,)),
    "buffer_get_image_width": (c_int, (c_void_p,)),
    "buffer_get_image_height": (c_int, (c_void_p,)),
    "buffer_get_image_pixel_format": (c_uint, (c_void_p,)),
    "buffer_get_image_padding": (None, (c_void_p, POINTER(c_int), POINTER(c_int))),
    "stream_push_buffer": (None, (c_void_p, c_void_p)),
    "stream_try_pop_buffer": (c_void_p, (c_void_p,)),
    "stream_timeout_pop_buffer": (c_void_p, (c_void_p, c_uint64)),
    "stream_get_statistics": (None, (c_void_p, POINTER(c_uint64), POINTER(c_uint64), POINTER(c_uint64))),
    "stream_get_n_infos": (c_uint, (c_void_p,)),
    "stream_get_info_name": (c_char_p, (c_void_p, c_uint)),
    "stream_get_info_uint64": (c_uint64, (c_void_p, c_uint)),
    **{
        f"gc_{each}_get_type": (c_size_t, ())
        for each in ("enumeration", "command", "boolean", "float", "integer", "string")
    },
}
"""What fails never: result, and parameters."""
_FAILING: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "camera_new": (c_void_p, (c_char_p,)),
    "camera_get_payload": (c_uint, (c_void_p,)),
    "camera_create_stream": (c_void_p, (c_void_p, c_void_p, c_void_p)),
    "camera_start_acquisition": (None, (c_void_p,)),
    "camera_stop_acquisition": (None, (c_void_p,)),
    "gc_command_execute": (None, (c_void_p,)),
    "gc_enumeration_dup_available_string_values": (c_void_p, (c_void_p, POINTER(c_uint))),
    "gc_enumeration_get_string_value": (c_char_p, (c_void_p,)),
    "gc_enumeration_set_string_value": (None, (c_void_p, c_char_p)),
    "gc_string_get_value": (c_char_p, (c_void_p,)),
    "gc_string_set_value": (None, (c_void_p, c_char_p)),
    "gc_boolean_get_value": (c_bool, (c_void_p,)),
    "gc_boolean_set_value": (None, (c_void_p, c_bool)),
    **{
        f"gc_{kind}_{what}": (kind_type, (c_void_p,))
        for kind, kind_type in (("integer", c_int64), ("float", c_double))
        for what in ("get_value", "get_min", "get_max")
    },
    "gc_integer_set_value": (None, (c_void_p, c_int64)),
    "gc_float_set_value": (None, (c_void_p, c_double)),
}
"""What may fail: result, and parameters before the one for the error."""


class AravisRefusal(Exception):  # noqa: N818  (it becomes an error of rtface's where it is known what was tried)
    """Aravis, or the device, refused something; its own words."""


class _GError(ctypes.Structure):
    _fields_ = (("domain", ctypes.c_uint32), ("code", c_int), ("message", c_char_p))


class Aravis:
    """The library's functions by their names without ``arv_``; those that fail raise `AravisRefusal`.

    Raises
    ------
    CameraError
        The library is not installed.
    """

    def __init__(self) -> None:
        try:
            self._library, glib, gobject = (ctypes.CDLL(name) for name in (ARAVIS, GLIB, GOBJECT))
        except OSError as error:
            raise CameraError(f"kind: aravis needs {ARAVIS}: {HOW_TO_INSTALL} ({error})") from error
        self._clear_error = _function(glib, "g_clear_error", None, (_ERROR,))
        self.free = _function(glib, "g_free", None, (c_void_p,))
        self.unref = _function(gobject, "g_object_unref", None, (c_void_p,))
        self.is_a = _function(gobject, "g_type_check_instance_is_a", c_int, (c_void_p, c_size_t))
        self._connect = _function(
            gobject,
            "g_signal_connect_data",
            c_uint64,
            (c_void_p, c_char_p, Handler, c_void_p, c_void_p, c_int),
        )
        self._disconnect = _function(gobject, "g_signal_handler_disconnect", None, (c_void_p, c_uint64))
        self._functions: dict[str, Callable[..., Any]] = {}
        for name, (result, parameters) in _PLAIN.items():
            self._functions[name] = _function(self._library, f"arv_{name}", result, parameters)
        for name, (result, parameters) in _FAILING.items():
            raw = _function(self._library, f"arv_{name}", result, (*parameters, _ERROR))
            self._functions[name] = self._raising(raw)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        functions: dict[str, Callable[..., Any]] = self.__dict__.get("_functions", {})
        if name not in functions:
            raise AttributeError(name)
        return functions[name]

    def connect(self, instance: int, signal: str, handler: Any) -> int:
        """Have a handler called, in a thread of the library's, when an object sends a signal; return its number."""
        return int(self._connect(instance, signal.encode(), handler, None, None, 0))

    def disconnect(self, instance: int, number: int) -> None:
        """Have it called no longer."""
        self._disconnect(instance, number)

    def _raising(self, raw: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            error = c_void_p()
            result = raw(*arguments, byref(error))
            if error.value:
                message = ctypes.cast(error, POINTER(_GError)).contents.message or b""
                self._clear_error(byref(error))
                raise AravisRefusal(message.decode(errors="replace"))
            return result

        return call


@cache
def aravis() -> Aravis:
    """Return the library, loaded once."""
    return Aravis()


def _function(library: Any, name: str, result: Any, parameters: tuple[Any, ...]) -> Callable[..., Any]:
    try:
        found = getattr(library, name)
    except AttributeError as error:
        raise CameraError(f"this {ARAVIS} is too old: it has no {name}") from error
    found.restype, found.argtypes = result, parameters
    function: Callable[..., Any] = found
    return function
