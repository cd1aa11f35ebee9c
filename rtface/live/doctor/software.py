"""What is installed and what there is room for: back ends and GPUs, GenTL producers, packages and extras, disks."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path

from rtface.acquire.genicam.gentl import PRODUCERS_VARIABLE
from rtface.core.check import Check
from rtface.core.errors import BackendError, DataError
from rtface.core.extras import how_to_install
from rtface.live.doctor.host import Host
from rtface.track.backends.factory import possible_backends
from rtface.track.gpu.libcuda import probe

GIB = 2**30
LITTLE_BYTES, TOO_LITTLE_BYTES = 20 * GIB, GIB
"""Room for sessions below which one with pictures does not last an hour, and below which none can begin."""
SHARED_BYTES = 256 * 2**20
"""Room in shared memory for rings of frames."""
_FOR_TESTS = "test"
_NVIDIA, _DISPLAY = "0x10de", "0x03"
"""Vendor and class of PCI devices that are NVIDIA's GPUs."""


def check_backends() -> Check:
    """Say which back ends could run here, and why the others could not."""
    found = possible_backends()
    able = " and ".join(str(each) for each in found if not each.why_not)
    reasons = dict.fromkeys(each.why_not for each in found if each.why_not)
    unable = [
        f"not {' or '.join(str(each) for each in found if each.why_not == reason)}: {reason}"
        for reason in reasons
    ]
    if not able:
        return Check("back ends", "fail", "; ".join(unable), exit_code=BackendError.exit_code)
    return Check("back ends", "ok", "; ".join([f"{able} could run here", *unable]))


def check_gpus(host: Host) -> Check:
    """Name the GPUs, or say why there is none to be used; one that is plugged in and has no driver is a warning."""
    found = probe()
    if found.gpus:
        return Check("GPU", "ok", ", ".join(map(str, found.gpus)))
    plugged = [
        device.name
        for device in host.find("/sys/bus/pci/devices/*")
        if host.text(device / "vendor") == _NVIDIA and host.text(device / "class").startswith(_DISPLAY)
    ]
    if not plugged:
        return Check("GPU", "ok", found.why_none)
    return Check(
        "GPU",
        "warn",
        f"an NVIDIA GPU is plugged in ({', '.join(plugged)}) and cannot be used: {found.why_none}",
        "install NVIDIA's driver (Debian: sudo apt install nvidia-driver; Ubuntu: sudo ubuntu-drivers install) and restart",
    )


def check_producers(host: Host) -> Check:
    """Look for GenTL producers, by which GenICam cameras are reached."""
    folders = [Path(each) for each in host.environment.get(PRODUCERS_VARIABLE, "").split(os.pathsep) if each]
    if not folders:
        return Check(
            "GenTL producers",
            "ok",
            f"{PRODUCERS_VARIABLE} is not set",
            "for `kind: genicam` install the producer of the camera's maker and name its .cti as camera.producer",
        )
    missing = [str(folder) for folder in folders if not folder.is_dir()]
    files = [file for folder in folders for file in sorted(folder.glob("*.cti"))]
    text = f"{PRODUCERS_VARIABLE} leads to {', '.join(map(str, files)) or 'no .cti file'}"
    if missing:
        return Check(
            "GenTL producers",
            "warn",
            f"{text}; there is no folder {', '.join(missing)}",
            f"take it out of {PRODUCERS_VARIABLE}, or install what was there",
        )
    if not files:
        return Check(
            "GenTL producers", "warn", text, "install the producer of the camera's maker (a .cti file)"
        )
    return Check("GenTL producers", "ok", text)


def check_packages(requirements: Iterable[str] | None = None) -> Iterator[Check]:
    """Look whether all packages of the default install are there, and which extras are.

    Parameters
    ----------
    requirements : iterable of str or None
        As in a package's metadata; rtface's own when None.
    """
    if requirements is None:
        try:
            requirements = metadata.requires("rtface") or []
        except metadata.PackageNotFoundError:
            yield Check("packages", "warn", "rtface itself is not installed, only found", "pip install .")
            return
    needed: dict[str, list[str]] = defaultdict(list)
    for each in requirements:
        name = re.match(r"[\w.-]+", each)
        extra = re.search(r"extra\s*==\s*['\"]([\w-]+)['\"]", each)
        if name:
            needed[extra[1] if extra else ""].append(name[0])
    missing = {extra: [name for name in names if not _is_there(name)] for extra, names in needed.items()}
    lacks = missing.pop("", [])
    yield Check(
        "packages",
        "fail" if lacks else "ok",
        f"missing: {', '.join(lacks)}" if lacks else f"all {len(needed[''])} of the default install",
        f"pip install {' '.join(lacks)}" if lacks else "",
    )
    extras = sorted(set(missing) - {_FOR_TESTS})
    there = [extra for extra in extras if not missing[extra]]
    parts = [f"{extra} ({', '.join(missing[extra])})" for extra in extras if missing[extra]]
    yield Check(
        "extras",
        "ok",
        f"there: {', '.join(there) or 'none'}; not there: {', '.join(parts) or 'none'}",
        how_to_install("EXTRA") + ", if you need what it is for" if parts else "",
    )


def check_disk(host: Host, folder: Path) -> Iterator[Check]:
    """Look at the room for sessions and for frames in shared memory."""
    yield _room(
        host, "disk", folder, LITTLE_BYTES, TOO_LITTLE_BYTES, "an hour of lossless video can take 100 GB"
    )
    shared = host.path("/dev/shm")
    if shared.is_dir():
        yield _room(
            host, "shared memory", shared, SHARED_BYTES, 0, "docker run --shm-size=1g, or a larger tmpfs"
        )


def _room(host: Host, what: str, folder: Path, little: int, too_little: int, fix: str) -> Check:
    try:
        free = host.free_bytes(folder)
    except OSError as error:
        return Check(what, "warn", f"{folder} cannot be looked at: {error.strerror or error}")
    text = f"{free / GIB:.1f} GiB free in {folder.absolute()}"
    if free < too_little:
        return Check(what, "fail", text, f"make room: {fix}", exit_code=DataError.exit_code)
    return Check(what, "warn" if free < little else "ok", text, fix if free < little else "")


def _is_there(package: str) -> bool:
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True
