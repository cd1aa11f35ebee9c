"""The outermost boxes of an MP4 file, which say how long the file is meant to be."""

from __future__ import annotations

from pathlib import Path

_HEADER, _LONG_HEADER = 8, 16


def missing_bytes(path: Path) -> int:
    """Return how many bytes of its last box an MP4 (or QuickTime) file lacks; 0 where it is whole.

    A file that is written in fragments states no number of frames; where its end is lost between two packets nothing
    else shows it.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    length = path.stat().st_size
    at = 0
    with path.open("rb") as file:
        while at + _HEADER <= length:
            file.seek(at)
            header = file.read(_LONG_HEADER)
            size, smallest = int.from_bytes(header[:4], "big"), _HEADER
            if size == 0:  # up to the end of the file, wherever that is
                return 0
            if size == 1:
                size, smallest = int.from_bytes(header[8:], "big"), _LONG_HEADER
            if size < smallest:
                return 0
            at += size
    return max(0, at - length)
