"""GenTL producers and what they serve. The only module that uses harvesters and genicam."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rtface.core.errors import CameraError
from rtface.core.files import visible

PRODUCERS_VARIABLE = "GENICAM_GENTL64_PATH"
HANDLING_MODES = ("OldestFirstOverwrite", "NewestOnly")
"""What a full driver buffer should do, best first. Overwriting loses nothing while the reader is only briefly late."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class GenicamDevice:
    """A camera that a producer has found.

    Attributes
    ----------
    serial, vendor, model : str
        As the device gives them.
    tl_type : str
        Transport: ``GEV``, ``U3V``, ``CXP``, ``Custom``...
    """

    serial: str
    vendor: str
    model: str
    tl_type: str


def vendor_errors(*more: type[Exception]) -> tuple[type[Exception], ...]:
    """Return what genicam raises, and `more`, for an except clause."""
    from genicam import genapi, gentl

    return gentl.GenericException, genapi.GenericException, *more


def _producer_files(producer: Path | None) -> list[Path]:
    if producer is None:
        folders = [
            Path(folder) for folder in os.environ.get(PRODUCERS_VARIABLE, "").split(os.pathsep) if folder
        ]
        files = sorted(file for folder in folders for file in visible(folder.glob("*.cti")))
        if not files:
            raise CameraError(
                f"no GenTL producer: set camera.producer to the .cti file of the camera's maker, "
                f"or {PRODUCERS_VARIABLE} to its folder"
            )
        return files
    if producer == Path("viky"):
        import genicam

        producer = Path(genicam.__file__).with_name("viky.cti")
    if not producer.is_file():
        raise CameraError(f"there is no GenTL producer {producer}; camera.producer must name a .cti file")
    return [producer]


def harvest(producer: Path | None, useless: list[str] | None = None) -> Any:
    """Return a Harvester that has looked for cameras; one a camera, for another search would end those in use.

    Producers that cannot be used, of several, are logged, or named in `useless` where it is given.
    """
    from harvesters.core import Harvester

    files = _producer_files(producer)
    harvester = Harvester()
    whys = []
    for file in files:
        try:
            harvester.add_file(str(file), check_existence=True, check_validity=True)
        except vendor_errors(OSError) as error:
            whys.append(f"the GenTL producer {file} cannot be used: {error}")
    if len(whys) == len(files):
        release(harvester)
        raise CameraError("; ".join(whys))
    if useless is not None:
        useless += whys
    else:
        for why in whys:
            _log.warning("%s", why)
    try:
        harvester.update()
    except vendor_errors(OSError) as error:
        release(harvester)
        raise CameraError(f"cameras cannot be looked for by {', '.join(map(str, files))}: {error}") from error
    return harvester


def release(harvester: Any) -> None:
    """Give back everything that a Harvester holds, as far as a device that was lost allows it."""
    for acquirer in harvester.image_acquirers:
        with suppress(*vendor_errors()):
            acquirer.destroy()
    harvester.image_acquirers.clear()
    with suppress(*vendor_errors()):
        harvester.reset()


def describe(device: Any) -> GenicamDevice:
    """Return the names of a found device."""
    serial, vendor, model, tl_type = (
        _readable(device.property_dict.get(key)) for key in ("serial_number", "vendor", "model", "tl_type")
    )
    return GenicamDevice(serial, vendor, model, tl_type)


def _readable(text: object) -> str:
    """Return a device's text, what of it is no UTF-8 replaced: it is to be written, sent and shown."""
    return str(text or "").encode(errors="replace").decode()


def choose(devices: list[Any], serial: str | None) -> Any:
    """Return the device with a serial number, or the only one."""
    serials = [describe(device).serial for device in devices]
    if not devices:
        raise CameraError(
            "no GenICam camera found; is it powered and connected, and is no other camera of this "
            "producer open in this process?"
        )
    if serial is None:
        if len(devices) > 1:
            raise CameraError(
                f"several GenICam cameras found: set camera.serial to one of {', '.join(serials)}"
            )
        return devices[0]
    if serial not in serials:
        raise CameraError(f"no GenICam camera has serial {serial!r}; found: {', '.join(serials)}")
    return devices[serials.index(serial)]


@contextmanager
def keeping_sigint() -> Iterator[None]:
    """Undo what harvesters does to Ctrl-C when it creates an acquirer in the main thread."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        if handler is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, handler)


def prefer_newest(acquirer: Any) -> str:
    """Ask the driver to give up the oldest frame when its buffers are full; return the mode it is in."""
    absent = vendor_errors(AttributeError, TypeError)
    try:
        node = acquirer.data_streams[0].node_map.StreamBufferHandlingMode
        for mode in HANDLING_MODES:
            if mode in node.symbolics:
                with suppress(*vendor_errors()):
                    node.value = mode
                    break
        return str(node.value)
    except absent:
        return "unknown"


def or_none(module: Any, attribute: str) -> int | None:
    """Read what a producer need not provide."""
    try:
        return int(getattr(module, attribute))
    except vendor_errors(AttributeError):
        return None


def is_writable(node: Any) -> bool:
    """Return whether a feature can be set now."""
    from genicam import genapi

    with suppress(*vendor_errors(AttributeError)):
        return bool(node.get_access_mode() == genapi.EAccessMode.RW)
    return False


def poll(acquirer: Any) -> Any | None:
    """Return a filled buffer without waiting, or None.

    Private names of harvesters: its public `try_fetch` spins for the whole time that it may wait, returns the same for
    an incomplete buffer as for none, and zeroes what it gives back.
    """
    from genicam import gentl

    for monitor in acquirer._new_buffer_event_monitor_dict.values():  # noqa: SLF001
        try:
            monitor.update_event_data(0)
        except gentl.TimeoutException:
            continue
        return monitor.buffer
    return None


def give_back(buffer: Any) -> None:
    """Return a buffer to the driver, not zeroed first, which would cost more than the copy."""
    buffer.parent.queue_buffer(buffer, False)


class ChunkReader:
    """Makes the chunks of a buffer readable as features of the device; as harvesters does for what it fetches itself."""

    def __init__(self, acquirer: Any, tl_type: str) -> None:
        self._acquirer, self._tl_type = acquirer, tl_type
        self._most_bytes = 0

    def restart(self) -> None:
        """Expect buffers of another length."""
        self._most_bytes = 0

    def attach(self, buffer: Any) -> bool:
        """Attach a buffer's chunks; False where it has none, or they are cut off.

        GigE Vision and USB3 Vision tell chunks by their end: where that is missing, anything could be read. All buffers
        between two starts are as long as the longest.
        """
        adapter = self._acquirer._chunk_adapter  # noqa: SLF001
        try:
            if self._tl_type not in ("GEV", "U3V"):
                places = buffer.chunk_data_info_list
                if not places:
                    return False
                adapter.attach_buffer(buffer.raw_buffer, places)
                return True
            delivered, filled = (
                or_none(buffer, name) for name in ("delivered_chunk_payload_size", "size_filled")
            )
            bytes_told = (delivered or 0) + (filled or 0)  # whichever of the two a driver gives, or both
            if bytes_told < self._most_bytes:
                return False
            self._most_bytes = bytes_told
            size = delivered or filled
            adapter.attach_buffer(buffer.raw_buffer, len(buffer.raw_buffer) if size is None else size)
        except vendor_errors(AttributeError, RuntimeError):
            return False
        return True
