"""Whether a file that is being written is still the one at its path."""

from __future__ import annotations

import os
from pathlib import Path


class FileIdentity:
    """Remembers which file lies at a path, and tells when another one does, or none.

    A file that was removed, renamed or replaced takes what is written to it all the same: nothing else would notice. The
    same is true when its folder is renamed, or when the disk is taken away or another one mounted over it.

    Parameters
    ----------
    path : Path
        Of a file that is there.
    handle : int or None
        The open file, where this process has its descriptor.
    """

    def __init__(self, path: Path, handle: int | None = None) -> None:
        self._path = Path(os.path.abspath(path))
        self._handle = handle
        found = os.stat(self._path, follow_symlinks=False) if handle is None else os.fstat(handle)
        self._which = found.st_dev, found.st_ino

    def problem(self, size: int | None = None) -> str:
        """Return what is wrong with the file at the path, in words; empty for nothing.

        Parameters
        ----------
        size : int, optional
            Bytes that it must have, since nobody else writes to it.
        """
        name = str(self._path)
        try:
            found = os.stat(self._path, follow_symlinks=False)
            links = found.st_nlink if self._handle is None else os.fstat(self._handle).st_nlink
        except OSError as error:
            return f"{name} is no longer there ({error.strerror or error})"
        if (found.st_dev, found.st_ino) != self._which:
            return f"{name} is another file now"
        if not links:
            return f"{name} was removed"
        if size is not None and found.st_size != size:
            return f"{name} has {found.st_size} bytes in place of {size}: something else changed it"
        return ""
