"""Settings of a GenICam device by name: made, then read back and compared."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from rtface.core.clock import NS_PER_MS, NS_PER_S, SYSTEM_CLOCK, Clock
from rtface.core.errors import CameraSettingError

RELATIVE_TOLERANCE = 0.01
"""Floating point features are quantised by the device; a value read back may differ by this part of it."""
OLD_NAMES = {
    "ExposureTime": "ExposureTimeAbs",
    "AcquisitionFrameRate": "AcquisitionFrameRateAbs",
    "AcquisitionFrameRateEnable": "AcquisitionFrameRateEnabled",
    "TriggerDelay": "TriggerDelayAbs",
    "PtpEnable": "GevIEEE1588",
    "PtpStatus": "GevIEEE1588Status",
    "PtpDataSetLatch": "GevIEEE1588DataSetLatch",
    "PtpOffsetFromMaster": "GevIEEE1588OffsetFromMaster",
}
"""What devices older than SFNC 2.0 call some features."""
COMMAND_NS = 10 * NS_PER_S
"""How long a command may take; loading a user set takes the slowest cameras a few seconds."""
REAL_RATES = ("ResultingFrameRate", "AcquisitionResultingFrameRate", "ResultingFrameRateAbs")
"""The rate that a device will really deliver, by maker."""

Value = bool | int | float | str
Selection = tuple[tuple[str, Value], ...]
"""Selectors and their values: which one of several is meant by a feature that they select."""


class Nodes:
    """The features of one device.

    Parameters
    ----------
    node_map : genicam.genapi.NodeMap
        The device's.
    label : str
        What messages call the device.
    refusals : tuple of exception types
        What the device raises for a value that it does not take.
    clock : Clock
        What waits for commands to be done.
    """

    def __init__(
        self, node_map: Any, label: str, refusals: tuple[type[Exception], ...], clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._map = node_map
        self._clock = clock
        self._label = label
        self._malformed: tuple[type[Exception], ...] = (
            *(AttributeError, TypeError, ValueError, OverflowError),
            *refusals,
        )
        self._asked: dict[tuple[str, Selection], Value] = {}

    def set(self, name: str, value: Value) -> None:
        """Set a feature, which `verify` will read back, or execute a command, for which the value is ``True``.

        A feature that is selected, such as the mode of a line, is set for what its selector is set to now, and read back for
        the same.

        ``True`` and ``False`` stand for ``On`` and ``Off`` of an enumeration, because that is what YAML makes of
        these words.

        Raises
        ------
        CameraSettingError
            The device has no such feature, refuses the value, or does not get a command done.
        """
        node = self._node(name)
        if node is None:
            raise CameraSettingError(f"camera {self._label} has no feature {name!r}")
        if hasattr(node, "execute"):
            self._execute(name, node, value)
            return
        if isinstance(value, bool) and hasattr(node, "symbolics"):
            value = "On" if value else "Off"
        self._write(name, node, value)
        self._asked[name, self._selection(node)] = value

    def _write(self, name: str, node: Any, value: Value) -> None:
        try:
            node.value = value
        except self._malformed as error:
            raise CameraSettingError(
                f"camera {self._label}: {name} cannot be set to {value!r}{self._possible(node)}: {_reason(error)}"
            ) from error

    def _execute(self, name: str, command: Any, value: Value) -> None:
        """Execute a command and wait until the device says that it is done."""
        if value is not True:
            raise CameraSettingError(
                f"camera {self._label}: {name} is a command: it is executed with true, not set to {value!r}"
            )
        give_up_ns = self._clock.now_ns() + COMMAND_NS
        try:
            command.execute()
            while not command.is_done():
                now_ns = self._clock.now_ns()
                if now_ns >= give_up_ns:
                    raise CameraSettingError(
                        f"camera {self._label}: {name} was executed and is not done after {COMMAND_NS // NS_PER_S} s"
                    )
                self._clock.sleep_until_ns(now_ns + 10 * NS_PER_MS)
        except self._malformed as error:
            raise CameraSettingError(
                f"camera {self._label}: {name} cannot be executed: {_reason(error)}"
            ) from error

    def set_if_possible(self, name: str, value: Value) -> None:
        """Set a feature that another one depends on, where the device has it and lets it be written."""
        with suppress(CameraSettingError):
            self.set(name, value)

    def verify(self, *, streaming: bool = False) -> dict[str, Value]:
        """Read back every feature that was set, now that all are, and return what was read.

        Each is read under the selectors that it was set under, which are put back then. A feature of which the selector was set,
        too, is called by both: ``LineMode[Line1]``.

        Parameters
        ----------
        streaming : bool
            Frames flow: what cannot be selected or read meanwhile is left out.

        Raises
        ------
        CameraSettingError
            Values differ from what was asked for, or the device will deliver at another rate; all are named.
        """
        was = tuple({name: self.get(name) for _, selection in self._asked for name, _ in selection}.items())
        read: dict[tuple[str, Selection], Value] = {}
        for name, selection in sorted(self._asked, key=lambda key: not key[1]):
            if not self._select(selection or was) and streaming:
                continue
            value = self.get(name) if streaming else self.require(name)
            if value is not None:
                read[name, selection] = value
        self._select(was)
        found = {
            self._label_of(*key): (asked, read[key]) for key, asked in self._asked.items() if key in read
        }
        wrong = [_difference(label, asked, value) for label, (asked, value) in found.items()]
        asked_rate, real = self._asked.get(("AcquisitionFrameRate", ())), self._real_rate()
        if asked_rate is not None and real is not None:
            wrong.append(_difference(real[0], asked_rate, real[1]))
        if any(wrong):
            raise CameraSettingError(f"camera {self._label}: {'; '.join(filter(None, wrong))}")
        return {label: value for label, (_, value) in found.items()}

    def verify_streaming(self) -> None:
        """Read back again what can be read while frames flow: some devices take a setting, and drop it with the start.

        Raises
        ------
        CameraSettingError
            As of `verify`.
        """
        try:
            self.verify(streaming=True)
        except CameraSettingError as error:
            raise CameraSettingError(f"{error}, now that frames flow") from error

    def _select(self, selection: Iterable[tuple[str, Value | None]]) -> bool:
        """Move selectors that stand elsewhere; False where one cannot be moved now."""
        with suppress(CameraSettingError):
            for name, value in selection:
                if value is not None and self.require(name) != value:
                    self._write(name, self._node(name), value)
            return True
        return False

    def _selection(self, node: Any) -> Selection:
        """Return what selects a feature, as far as the device's description gives it."""
        inner = getattr(node, "node", None)
        selectors = [each.node.name for each in getattr(inner, "selecting_features", ())]
        return tuple((name, value) for name in selectors if (value := self.get(name)) is not None)

    def _label_of(self, name: str, selection: Selection) -> str:
        asked = {name for name, _ in self._asked}
        if not any(selector in asked for selector, _ in selection):
            return name
        return f"{name}[{', '.join(str(value) for _, value in selection)}]"

    def require(self, name: str) -> Any:
        """Return a feature's value.

        Raises
        ------
        CameraSettingError
            It cannot be read.
        """
        node = self._node(name)
        try:
            if node is not None:
                return node.value
        except self._malformed as error:
            raise CameraSettingError(
                f"camera {self._label}: {name} cannot be read: {_reason(error)}"
            ) from error
        raise CameraSettingError(f"camera {self._label} has no feature {name!r}")

    def has(self, name: str) -> bool:
        """Return whether the device knows a feature."""
        return self._node(name) is not None

    def get(self, name: str) -> Any | None:
        """Return a feature's value, or None where there is none to read."""
        try:
            return self.require(name)
        except CameraSettingError:
            return None

    def whole(self, name: str) -> int | None:
        """Return a feature's value as a whole number, None where it is none.

        Some devices have an enumeration where the standard has a number, of which the name ends with it: ``BinningHorizontal2``.
        """
        value = self.get(name)
        if isinstance(value, str):
            digits = re.search(r"[0-9]+$", value)
            return None if digits is None else int(digits[0])
        is_whole = isinstance(value, int | float) and math.isfinite(value) and value == int(value)
        return int(value) if value is not None and is_whole else None

    def reader(self, name: str) -> Callable[[], Any | None]:
        """Return what reads a feature again and again, None where it cannot be read at that time.

        Raises
        ------
        CameraSettingError
            The device has no such feature.
        """
        node = self._node(name)
        if node is None:
            raise CameraSettingError(f"camera {self._label} has no feature {name!r}")

        def read() -> Any | None:
            try:
                return node.value
            except self._malformed:
                return None

        return read

    def command(self, name: str) -> Callable[[], None]:
        """Return what executes a command and does not wait; the device's own errors are the caller's.

        Raises
        ------
        CameraSettingError
            The device has no such command.
        """
        node = self._node(name)
        if node is None or not hasattr(node, "execute"):
            raise CameraSettingError(f"camera {self._label} has no command {name!r}")
        execute: Callable[[], None] = node.execute
        return execute

    def begin_if_there(self, name: str) -> None:
        """Execute a command that not every device has, and do not wait; `CameraSettingError` where it is refused."""
        if not self.has(name):
            return
        try:
            self.command(name)()
        except self._malformed as error:
            raise CameraSettingError(
                f"camera {self._label}: {name} cannot be executed: {_reason(error)}"
            ) from error

    def choices(self, name: str) -> tuple[str, ...]:
        """Return the values that an enumeration can take."""
        return tuple(getattr(self._node(name), "symbolics", ()))

    def rate_hz(self) -> float | None:
        """Return the rate that the device will deliver at, or at which it is set, or None."""
        real = self._real_rate()
        rate = real[1] if real is not None else self.get("AcquisitionFrameRate")
        return None if rate is None else float(rate)

    def _real_rate(self) -> tuple[str, float] | None:
        for name in REAL_RATES:
            if rate := self.get(name):
                return name, float(rate)
        return None

    def _node(self, name: str) -> Any | None:
        node = None if name.startswith("_") else getattr(self._map, name, None)
        if node is None and name in OLD_NAMES:
            node = getattr(self._map, OLD_NAMES[name], None)
        return node

    def _possible(self, node: Any) -> str:
        """Return what a feature can be set to, as far as the device gives it."""
        if symbolics := getattr(node, "symbolics", None):
            return f" (possible: {', '.join(symbolics)})"
        try:
            return f" (possible: {node.min} to {node.max})"
        except self._malformed:
            return ""


def _difference(label: str, asked: Value, read: Value) -> str:
    """Return in words how a value read back differs from what was asked for; nothing where it does not."""
    if isinstance(read, float) and not isinstance(asked, str):
        same = math.isclose(read, asked, rel_tol=RELATIVE_TOLERANCE, abs_tol=1e-9)
    else:
        same = read == asked
    return "" if same else f"{label} was set to {asked!r} but reads back {read!r}"


def _reason(error: Exception) -> str:
    text = str(error)
    if isinstance(error, TypeError) and "overloaded" in text:  # the binding lists its C++ functions
        return "it does not take a value of this kind"
    return text.split(" : ", 1)[0]
