"""Which GenICam cameras there are and what each can be set to, asked in processes that alone end where a driver hangs or aborts.

``python -m rtface.acquire.genicam.survey list PRODUCER``, or ``ask PRODUCER SERIAL``, prints it as JSON.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rtface.acquire.genicam.camera import list_genicam
from rtface.acquire.genicam.formats import FORMATS
from rtface.acquire.genicam.gentl import (
    GenicamDevice,
    choose,
    harvest,
    is_writable,
    keeping_sigint,
    release,
    vendor_errors,
)
from rtface.core.errors import CameraError

FEATURES = (
    *("Width", "Height", "OffsetX", "OffsetY", "BinningHorizontal", "BinningVertical", "PixelFormat"),
    *("AcquisitionFrameRate", "ResultingFrameRate", "ExposureAuto", "ExposureTime", "GainAuto", "Gain"),
    *("TriggerMode", "TriggerSource", "TriggerActivation", "LineSelector", "ChunkModeActive", "PtpEnable"),
    *(
        "DeviceTemperature",
        "DeviceLinkSpeed",
        "DeviceLinkThroughputLimit",
        "GevSCPSPacketSize",
        "DeviceFirmwareVersion",
    ),
)
"""What a rig sets, and what tells how a camera is connected."""
PATIENCE_S = 15.0
"""How long a camera may take to be opened and read."""
_log = logging.getLogger(__name__)
_LIST, _ASK = "list", "ask"
_IN_A_RIG = {
    "width": "Width",
    "height": "Height",
    "offset_x": "OffsetX",
    "offset_y": "OffsetY",
    "pixel_format": "PixelFormat",
    "rate_hz": "AcquisitionFrameRate",
    "exposure_us": "ExposureTime",
    "gain": "Gain",
}


@dataclass(frozen=True, slots=True)
class CameraFeature:
    """A feature of a camera.

    Attributes
    ----------
    name : str
    value : bool, int, float or str
        As it is set now.
    choices : list of str
        Values of an enumeration; of ``PixelFormat`` those that rtface reads.
    low, high : int, float or None
        Limits of a number.
    writable : bool
        Whether it can be set now.
    """

    name: str
    value: Any
    choices: list[str]
    low: float | None
    high: float | None
    writable: bool

    @property
    def possible(self) -> str:
        """What it can be set to, in words; empty where it cannot be set."""
        if not self.writable:
            return ""
        if self.choices:
            return ", ".join(self.choices)
        return "" if self.low is None or self.high is None else f"{self.low:.10g} to {self.high:.10g}"


@dataclass(frozen=True, slots=True)
class CameraFeatures:
    """What a camera told, or why it told nothing."""

    features: list[CameraFeature]
    why_none: str = ""

    def rig_settings(self) -> dict[str, Any]:
        """Return what stands in a rig's ``camera:`` section for the camera as it is set now."""
        now = {each.name: each for each in self.features}
        found = {
            key: now[name].value for key, name in _IN_A_RIG.items() if name in now and now[name].writable
        }
        if "pixel_format" in found and found["pixel_format"] not in FORMATS:
            found["pixel_format"] = next(iter(now["PixelFormat"].choices), "Mono8")
        return {key: round(value, 3) if isinstance(value, float) else value for key, value in found.items()}


def survey(serial: str, producer: Path | None, patience_s: float = PATIENCE_S) -> CameraFeatures:
    """Ask a camera in a process of its own, which is ended when it takes too long.

    Parameters
    ----------
    serial : str
        Serial number of the camera.
    producer : Path or None
        As in `GenicamCameraSettings`.
    patience_s : float
        Seconds after which the camera is given up.
    """
    try:
        answer = _outside(patience_s, _ASK, producer, serial)
    except CameraError as error:
        return CameraFeatures([], str(error))
    return CameraFeatures([CameraFeature(**each) for each in answer["features"]], answer["why_none"])


def list_outside(producer: Path | None, patience_s: float = PATIENCE_S) -> list[GenicamDevice]:
    """List cameras as `list_genicam` does, in a process of its own, which is ended when it takes too long.

    Raises
    ------
    CameraError
        As of `list_genicam`; or the producer hangs, or ended that process.
    """
    answer = _outside(patience_s, _LIST, producer)
    if answer["why_none"]:
        raise CameraError(answer["why_none"])
    for why in answer["useless"]:
        _log.warning("%s", why)
    return [GenicamDevice(**each) for each in answer["devices"]]


def _outside(patience_s: float, what: str, producer: Path | None, *arguments: str) -> dict[str, Any]:
    """Return what this module prints when it is run as a program."""
    command = [sys.executable, "-m", __name__, what, "" if producer is None else str(producer), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, timeout=patience_s, check=False)
    except subprocess.TimeoutExpired:
        raise CameraError(f"its driver did not answer within {patience_s:g} s") from None
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        raise CameraError(f"its driver ended the process that asked ({_how(done.returncode)})") from None
    return answer


def ask(serial: str, producer: Path | None) -> CameraFeatures:
    """Open a camera, read what it can be set to, and give it back, in this process."""
    try:
        harvester = harvest(producer)
    except CameraError as error:
        return CameraFeatures([], str(error))
    try:
        device = choose(harvester.device_info_list, serial)
        with keeping_sigint():
            nodes = harvester.create(device).remote_device.node_map
        return CameraFeatures([found for name in FEATURES if (found := _feature(nodes, name)) is not None])
    except vendor_errors(CameraError) as error:
        return CameraFeatures([], f"it cannot be opened; is another program using it? {error}")
    finally:
        release(harvester)


def _feature(nodes: Any, name: str) -> CameraFeature | None:
    node: Any = getattr(nodes, name, None)
    absent = vendor_errors(AttributeError, TypeError)
    try:
        value = node.value
    except absent:
        return None
    choices: list[str] = []
    low = high = None
    with suppress(*absent):
        choices = [each for each in node.symbolics if name != "PixelFormat" or each in FORMATS]
    with suppress(*absent):
        low, high = float(node.min), float(node.max)
    return CameraFeature(name, value, choices, low, high, is_writable(node))


def _how(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def _listed(producer: Path | None) -> dict[str, Any]:
    useless: list[str] = []
    try:
        devices = [asdict(device) for device in list_genicam(producer, useless)]
    except CameraError as error:
        return {"devices": [], "why_none": str(error), "useless": []}
    return {"devices": devices, "why_none": "", "useless": useless}


def main(what: str, named: str, *serial: str) -> None:
    """Write the answer to `_outside`, and nothing else, to standard output; what a driver writes there goes to standard error."""
    producer = Path(named) if named else None
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as output:
        os.dup2(2, 1)
        answer = _listed(producer) if what == _LIST else asdict(ask(serial[0], producer))
        output.write(json.dumps(answer))


if __name__ == "__main__":
    main(*sys.argv[1:])
