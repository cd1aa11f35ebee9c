"""Frame numbers as cameras give them, made to increase for ever."""

from __future__ import annotations

WRAP = 65_535
"""GigE Vision 1.x counts frames in 16 bits and leaves out 0, so that 65535 is followed by 1."""


class FrameNumbers:
    """Turns a device's frame numbers into ones that strictly increase while the camera is open.

    Until the device's counter first wraps or restarts, the numbers are the device's own.
    """

    def __init__(self) -> None:
        self._device: int | None = None
        self._offset = 0
        self._last: int | None = None

    def restart(self) -> None:
        """Expect the device's counter to begin anew: the next number follows the last one, with no loss."""
        self._device = None

    def take(self, device_number: int) -> tuple[int, int]:
        """Return the number of the next frame.

        Parameters
        ----------
        device_number : int
            Number that the device gave it.

        Returns
        -------
        frame_id : int
            Its number; greater than all before.
        missing : int
            Frames missing between it and the one before. A counter that went back from its 16-bit end has
            wrapped; one that went back from elsewhere, or stands still, gives no count of losses: 0.
        """
        if self._device is None or self._last is None:
            if self._last is not None and device_number + self._offset <= self._last:
                self._offset = self._last + 1 - device_number
            missing = 0
        else:
            step = device_number - self._device
            if step < -WRAP // 2 and self._device <= WRAP:
                step += WRAP if device_number else WRAP + 1
            step = max(step, 1)
            missing = step - 1
            self._offset = self._last + step - device_number
        self._device = device_number
        self._last = device_number + self._offset
        return self._last, missing
