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
    what_to_do = "read the text"
    """What helps with errors of this kind, where the text does not say it: for programs, in a line."""


class UsageError(RtfaceError):
    """The caller asked for something that cannot be (a bad argument, a wrong order of calls)."""

    exit_code = 2
    what_to_do = "rtface COMMAND --help says what it takes"


class ConfigError(RtfaceError):
    """A configuration file is missing, malformed or contradicts itself."""

    exit_code = 3
    what_to_do = "correct the file that is named; rtface check RIG looks at all of it"


class CameraError(RtfaceError):
    """A camera cannot be opened, was lost, or a setting did not hold."""

    exit_code = 4
    what_to_do = "rtface cameras lists what is found; rtface doctor finds what is in the way"


class CameraSettingError(CameraError):
    """A setting read back from the camera differs from what was asked for."""


class CameraLostError(CameraError):
    """The camera disappeared or its source broke while frames were expected."""


class EngineError(RtfaceError):
    """An engine bundle or a weights file is missing, damaged, foreign or inconsistent."""

    exit_code = 5
    what_to_do = "rtface engines list names them; rtface engines verify ENGINE checks one"


class BackendError(RtfaceError):
    """An inference back end is not installed, refused the engine, or failed while running."""

    exit_code = 6
    what_to_do = "rtface doctor says which back ends this computer can run"


class WireError(RtfaceError):
    """Bytes from the network are not a message of rtface's protocol."""

    exit_code = 7
    what_to_do = "use the same version of rtface on both sides, and the right address"


class AddressError(RtfaceError):
    """An address cannot be bound or reached, or would need keys that are not there."""

    exit_code = 7
    what_to_do = "start the service, or name its address; rtface keys makes keys"


class ControlError(RtfaceError):
    """A control request was refused by the service; `code` is its machine-readable reason."""

    exit_code = 7
    what_to_do = "rtface loop status and rtface loop test say how it stands"

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class DataError(RtfaceError):
    """A recording, a label set or an output file cannot be read or written."""

    exit_code = 8
    what_to_do = "look at the file or folder that is named, and at the room on its disk"


class OutputError(RtfaceError):
    """An output cannot be opened, was lost, or refused to be armed or cleared; the message has its reason."""

    exit_code = 9
    what_to_do = "rtface gate test and rtface doctor look at the device and its port"


class GateError(OutputError):
    """The safety gate, real or emulated, cannot be reached, started or understood, or refused a command."""


def nearest(word: str, known: Iterable[str]) -> str:
    """Return a hint at the nearest right name, or at all there are, or nothing; to stand behind what is wrong."""
    choices = sorted(known)
    near = difflib.get_close_matches(word, choices, 1)
    if near:
        return f"; did you mean {near[0]}?"
    return f"; there are: {', '.join(choices)}" if choices else ""
