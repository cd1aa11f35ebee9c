"""Frame numbers as cameras give them, made to increase for ever."""

from __future__ import annotations

WIDTHS = (8, 16, 24, 32, 48)
"""Bits that counters have which can run over while a rig is watched; of 64 none ever will."""
EDGE = 16
"""A counter has run over if it went from the last of so many equal parts of its range to the first."""
WITHOUT_ZERO = 16
"""Bits of the counter of GigE Vision 1.x, which leaves out 0, so that 65535 is followed by 1."""

MOST = 2**63
"""No counter reaches this. Drivers give all ones for a number that they do not know."""
MOST_MISSING = 2**24
"""So many frames are not lost between two that arrive, which a day would hardly suffice for: the counter was set."""


class FrameNumbers:
    """Turns a device's frame numbers into ones that strictly increase while the camera is open.

    Until the device's counter first runs over or restarts, the numbers are the device's own. Frames of a device that
    numbers none are counted from 0.

    Parameters
    ----------
    leaves_out_zero : bool
        Whether a counter of 16 bits that ran over began with 1, as those of GigE Vision do.

    Attributes
    ----------
    known : bool
        Whether the numbers would have shown each frame that is missing: not once one was absent, stood still, or went back
        or leapt other than by running over.
    """

    def __init__(self, leaves_out_zero: bool = True) -> None:
        self._leaves_out_zero = leaves_out_zero
        self._device: int | None = None
        self._offset = 0
        self._last: int | None = None
        self.known = True

    def restart(self) -> None:
        """Expect the device's counter to begin anew: the next number follows the last one, with no loss."""
        self._device = None

    def take(self, device_number: int | None) -> tuple[int, int]:
        """Return the number of the next frame.

        Parameters
        ----------
        device_number : int or None
            Number that the device gave it, None if it gave none, which one outside 0 to `MOST` means, too.

        Returns
        -------
        frame_id : int
            Its number; greater than all before.
        missing : int
            Frames missing between it and the one before; 0 where the numbers do not say (see `known`).
        """
        if device_number is None or not 0 <= device_number < MOST:
            self.known = False
            self._device, self._last = None, 0 if self._last is None else self._last + 1
            return self._last, 0
        if self._device is None or self._last is None:
            if self._last is not None and not 0 < device_number + self._offset - self._last <= MOST_MISSING:
                self._offset = self._last + 1 - device_number
            missing = 0
        else:
            step = device_number - self._device
            if step < 0:
                step += self._range_run_over(self._device, device_number)
            if not 0 < step <= MOST_MISSING:
                self.known, step = False, 1
            missing = step - 1
            self._offset = self._last + step - device_number
        self._device = device_number
        self._last = device_number + self._offset
        return self._last, missing

    def _range_run_over(self, before: int, after: int) -> int:
        """Return how many numbers a counter has that went back by running over, or 0 if it did not."""
        width = next((width for width in WIDTHS if before < 1 << width), None)
        if width is None:
            return 0
        size = 1 << width
        if before < size - size // EDGE or after >= size // EDGE:
            return 0
        return size - (self._leaves_out_zero and width == WITHOUT_ZERO and after > 0)
