"""Every error that rtface raises on purpose, in one flat tree.

Foreign errors are translated into these at the one place where the foreign package is used, so that code
above handles only this tree. The command line turns `exit_code` into the status of the process.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class RtfaceError(Exception):
    """Base of all errors of rtface; never raised itself."""

    exit_code = 1


class UsageError(RtfaceError):
    """The caller asked for something that cannot be (a bad argument, a wrong order of calls)."""

    exit_code = 2


class ConfigError(RtfaceError):
    """A configuration file is missing, malformed or contradicts itself."""

    exit_code = 3


class CameraError(RtfaceError):
    """A camera cannot be opened, was lost, or a setting did not hold."""

    exit_code = 4


class CameraSettingError(CameraError):
    """A setting read back from the camera differs from what was asked for."""


class CameraLostError(CameraError):
    """The camera disappeared or its source broke while frames were expected."""


class EngineError(RtfaceError):
    """An engine bundle or a weights file is missing, damaged, foreign or inconsistent."""

    exit_code = 5


class BackendError(RtfaceError):
    """An inference back end is not installed, refused the engine, or failed while running."""

    exit_code = 6


class WireError(RtfaceError):
    """Bytes from the network are not a message of rtface's protocol."""

    exit_code = 7


class AddressError(RtfaceError):
    """An address cannot be bound or reached, or would need keys that are not there."""

    exit_code = 7


class ControlError(RtfaceError):
    """A control request was refused by the service; `code` is its machine-readable reason."""

    exit_code = 7

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class DataError(RtfaceError):
    """A recording, a label set or an output file cannot be read or written."""

    exit_code = 8


class OutputError(RtfaceError):
    """An output cannot be opened, was lost, or refused to be armed or cleared; the message has its reason."""

    exit_code = 9


class GateError(OutputError):
    """The safety gate, real or emulated, cannot be reached, started or understood, or refused a command."""


def nearest(word: str, known: Iterable[str]) -> str:
    """Return a hint at the nearest right name, or at all there are, or nothing; to stand behind what is wrong."""
    choices = sorted(known)
    near = difflib.get_close_matches(word, choices, 1)
    if near:
        return f"; did you mean {near[0]}?"
    return f"; there are: {', '.join(choices)}" if choices else ""
