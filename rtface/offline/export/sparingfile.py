"""HDF5 files that grow on the disk, with an error that comes at once and alone when it is full.

The HDF5 library fails late on a full disk, prints what it cannot undo, and can take the process with it. So it writes into
a file of ours, which keeps the first error, lets the library finish as if all were well, in memory, and then raises.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class SparingFile(io.RawIOBase):
    """A file that is read and written as the HDF5 library asks; after the first error what it writes stays in memory.

    The library reads back what it wrote, and is brought down by anything else. Once `check` has raised, it has only what
    was in its caches left to write.

    Parameters
    ----------
    path : Path
        Made if it is not there.

    Attributes
    ----------
    error : OSError or None
        The first error.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("r+b" if path.exists() else "x+b", buffering=0)
        self._size = self._file.seek(0, io.SEEK_END)
        self._at = 0
        self._late: list[tuple[int, bytes]] = []
        self.error: OSError | None = None

    def seekable(self) -> bool:
        """Return True."""
        return True

    def readable(self) -> bool:
        """Return True."""
        return True

    def writable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move; the end is where it would be if nothing had failed."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        """Return the place."""
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Read; zeros where nothing was written."""
        view = memoryview(buffer).cast("B")
        self._file.seek(self._at)
        done = 0
        while done < len(view) and (count := self._file.readinto(view[done:])):
            done += count
        wanted = min(len(view), max(0, self._size - self._at))
        if done < wanted:
            view[done:wanted] = bytes(wanted - done)
        for place, data in self._late:
            begin, end = max(place, self._at), min(place + len(data), self._at + wanted)
            if begin < end:
                view[begin - self._at : end - self._at] = data[begin - place : end - place]
        self._at += wanted
        return wanted

    def write(self, data: Any) -> int:
        """Write all, or keep the error and the data."""
        view = memoryview(data).cast("B")
        if self.error is None:
            try:
                self._file.seek(self._at)
                done = 0
                while done < len(view):
                    done += self._file.write(view[done:]) or 0
            except OSError as error:
                self.error = error
        if self.error is not None:
            self._late.append((self._at, bytes(view)))
        self._at += len(view)
        self._size = max(self._size, self._at)
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        """Make it as long, or keep the error."""
        self._size = self._at if size is None else size
        if self.error is None:
            try:
                self._file.truncate(self._size)
            except OSError as error:
                self.error = error
        return self._size

    def close(self) -> None:
        """Close it."""
        if not self.closed:
            self._file.close()
        super().close()

    def check(self) -> None:
        """Raise the first error."""
        if self.error is not None:
            raise self.error


@contextmanager
def growing_hdf5(path: Path) -> Iterator[tuple[Any, SparingFile]]:
    """Open an HDF5 file to be written, made if need be; give it and the file below it, to `SparingFile.check` now and then.

    Raises
    ------
    OSError
        It cannot be written.
    """
    import h5py

    with SparingFile(path) as below:
        fresh = below.seek(0, io.SEEK_END) == 0
        below.seek(0)
        try:
            with h5py.File(below, "w" if fresh else "r+") as file:
                yield file, below
        except (OSError, RuntimeError, ValueError):
            below.check()
            raise
        below.check()
