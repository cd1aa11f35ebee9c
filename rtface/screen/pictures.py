"""Pictures of one rig, received only while a page takes them, and handed on to it."""

from __future__ import annotations

import json
import struct
import threading

from rtface.core.errors import AddressError
from rtface.publish.as_json import as_json
from rtface.publish.pictures.message import SHOWS, PictureMessage, Shows
from rtface.publish.pictures.subscriber import PictureSubscriber
from rtface.screen.feed import PageFeed
from rtface.screen.rigs import ShownRig

_WAIT_S = 0.1


class PictureLink:
    """Receives the pictures of one rig in a thread of its own, while pages want them.

    Parameters
    ----------
    rig : ShownRig
        Which.
    feed : PageFeed
        Who wants them, and where they go.
    """

    def __init__(self, rig: ShownRig, feed: PageFeed) -> None:
        self._rig = rig
        self._feed = feed
        self._ending = threading.Event()
        self._address, self._offset_ns = "", 0
        self._thread = threading.Thread(target=self._run, name=f"rtface-pictures-{rig.id}", daemon=True)

    def open(self) -> None:
        """Begin."""
        self._thread.start()

    def look_at(self, address: str, offset_ns: int) -> None:
        """Take pictures from this address from now on; from any thread.

        Parameters
        ----------
        address : str
            Where the service publishes them; empty where it publishes none.
        offset_ns : int
            Its monotonic clock less this host's.
        """
        self._address, self._offset_ns = address, offset_ns

    def end(self) -> None:
        """End soon; `join` waits for it."""
        self._ending.set()

    def join(self, timeout_s: float) -> None:
        """Wait for the end, for so long at most."""
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._ending.wait(_WAIT_S):
            address, wanted = self._address, self._wanted()
            if address and wanted:
                self._follow(address, wanted)

    def _wanted(self) -> frozenset[Shows]:
        wanted = self._feed.wanted(self._rig.id)
        return frozenset(shows for shows in SHOWS if shows in wanted)

    def _follow(self, address: str, wanted: frozenset[Shows]) -> None:
        """Hand pictures on while the same are wanted from the same address."""
        try:
            with PictureSubscriber(address, tuple(sorted(wanted)), keys=self._rig.keys) as subscriber:
                subscriber.correct(self._offset_ns)
                while not self._ending.is_set() and (address, wanted) == (self._address, self._wanted()):
                    picture = subscriber.next(_WAIT_S)
                    if picture is not None:
                        self._feed.put_picture(self._rig.id, picture.shows, packed(self._rig.id, picture))
        except AddressError:
            self._ending.wait(1.0)


def packed(rig: str, picture: PictureMessage) -> bytes:
    """Return a picture as a page gets it: the length of its header in four bytes, the header as JSON, the JPEG."""
    header = json.dumps({"topic": "picture", "rig": rig, "data": as_json(picture)}, allow_nan=False).encode()
    return struct.pack("<I", len(header)) + header + picture.jpeg
