"""Which cameras are on this machine."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from rtface.acquire.genicam.gentl import PRODUCERS_VARIABLE
from rtface.acquire.genicam.survey import CameraFeatures, list_outside, survey
from rtface.acquire.opencv import list_opencv
from rtface.core.errors import CameraError


@dataclass(frozen=True, slots=True)
class FoundCamera:
    """A camera that can be opened.

    Attributes
    ----------
    kind : str
        Its driver.
    label : str
        What a person would call it.
    settings : dict of str to str
        What names it under ``camera:`` in a rig's configuration.
    """

    kind: str
    label: str
    settings: dict[str, str]
    serial: str | None = None
    """By which its driver knows it; None where it goes by other names."""


@dataclass(frozen=True, slots=True)
class Discovery:
    """All cameras that were found, and remarks on where none could be searched for."""

    cameras: list[FoundCamera] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def find_cameras(producer: Path | None = None, *, aravis: bool = False) -> Discovery:
    """Look for cameras through all drivers.

    Parameters
    ----------
    producer : Path or None
        A GenTL producer; when None, all that GENICAM_GENTL64_PATH names, if any.
    aravis : bool
        Also by Aravis, which asks on every network interface.

    Raises
    ------
    CameraError
        The producer that was named, or Aravis, cannot be loaded.
    """
    found = Discovery()
    found.cameras.append(FoundCamera("simulated", "rendered mouse face", {"kind": "simulated"}))
    _find_genicam(found, producer)
    if aravis:
        _find_aravis(found)
    for device in list_opencv():
        found.cameras.append(FoundCamera("opencv", device, {"kind": "opencv", "device": device}))
    if not any(camera.kind == "opencv" for camera in found.cameras):
        found.remarks.append("opencv: no video devices")
    return found


def survey_cameras(found: Discovery, producer: Path | None = None) -> dict[str, CameraFeatures]:
    """Ask each GenICam camera what it can be set to.

    Parameters
    ----------
    found : Discovery
    producer : Path or None
        As of `find_cameras`.

    Returns
    -------
    dict of str to CameraFeatures
        By the camera's label.
    """
    return {
        camera.label: survey(camera.serial, producer) for camera in found.cameras if camera.serial is not None
    }


def _find_genicam(found: Discovery, producer: Path | None) -> None:
    if producer is None and not os.environ.get(PRODUCERS_VARIABLE):
        found.remarks.append(
            f"genicam: {PRODUCERS_VARIABLE} is not set; install the camera vendor's GenTL producer, or try the "
            "simulated cameras with --producer viky"
        )
        return
    try:
        devices = list_outside(producer)
    except CameraError as error:
        if producer is not None:
            raise
        found.remarks.append(f"genicam: {error}")
        return
    for device in devices:
        settings = {"kind": "genicam", "serial": f"'{device.serial}'"}
        if producer is not None:
            settings["producer"] = _in_yaml(str(producer))
        label = f"{device.vendor} {device.model} {device.serial} ({device.tl_type})"
        found.cameras.append(FoundCamera("genicam", label, settings, device.serial))
    if not devices:
        found.remarks.append("genicam: no cameras found by the producer")


def _find_aravis(found: Discovery) -> None:
    from rtface.acquire.aravis.camera import list_aravis

    devices = list_aravis()
    for device in devices:
        label = f"{device.vendor} {device.model} {device.serial} ({device.protocol})"
        found.cameras.append(FoundCamera("aravis", label, {"kind": "aravis", "serial": f"'{device.serial}'"}))
    if not devices:
        found.remarks.append("aravis: no cameras found")


def _in_yaml(path: str) -> str:
    """Return a path as YAML takes it within braces."""
    return path if re.fullmatch(r"[\w./-]+", path) else json.dumps(path)
