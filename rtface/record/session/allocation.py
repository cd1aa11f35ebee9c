"""Making a file longer so that its new bytes have their room on the disk: all or nothing, on every system."""

from __future__ import annotations

import errno
import os
import sys

_NOT_OFFERED = frozenset({errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.ENODEV})
_ZEROS = bytes(1 << 20)


def allocate(handle: int, size: int) -> None:
    """Make an open file `size` bytes long with zeros that have their room; its position stays.

    By ``posix_fallocate`` where there is one (Linux), else by writing the zeros (Windows, macOS, some file systems).

    Raises
    ------
    OSError
        There is not that much room; the file is as long as it was.
    """
    begin = os.fstat(handle).st_size
    if size <= begin:
        return
    try:
        if not _fallocate(handle, begin, size):
            _write_zeros(handle, begin, size)
    except OSError:
        os.ftruncate(handle, begin)
        raise


def _fallocate(handle: int, begin: int, end: int) -> bool:
    """Have the file system allocate; False where it cannot."""
    if sys.platform != "linux" or not hasattr(os, "posix_fallocate"):
        return False
    try:
        os.posix_fallocate(handle, begin, end - begin)
    except OSError as error:
        if error.errno in _NOT_OFFERED:
            return False
        raise
    return True


def _write_zeros(handle: int, begin: int, end: int) -> None:
    position = os.lseek(handle, 0, os.SEEK_CUR)
    try:
        os.lseek(handle, begin, os.SEEK_SET)
        while begin < end:
            begin += os.write(handle, _ZEROS[: end - begin])
    finally:
        os.lseek(handle, position, os.SEEK_SET)
