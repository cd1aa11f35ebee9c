"""What must not be freed when the process ends: by then the driver has ended, and pycuda aborts when it refuses."""

from __future__ import annotations

import atexit
import ctypes
from typing import Any


def keep_at_exit(things: list[Any] | dict[int, Any]) -> None:
    """Keep what is in a list or map when Python ends from being freed; the system frees it with the process.

    Parameters
    ----------
    things : list or dict
        What is in use; taken out when it is given back.
    """
    atexit.register(lambda: ctypes.pythonapi.Py_IncRef(ctypes.py_object(things)))
