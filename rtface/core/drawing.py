"""Pictures: the one place where matplotlib is imported."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtface.core.errors import DataError
from rtface.core.extras import needing, require

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def new_figure(width: float, height: float, dpi: float = 100) -> Figure:
    """Return an empty figure without a window.

    Parameters
    ----------
    width, height : float
        In inches.
    dpi : float
        Dots an inch.

    Raises
    ------
    DataError
        matplotlib is not installed; the message says how to install it.
    """
    with needing("lab", DataError):
        from matplotlib.figure import Figure
    return Figure(figsize=(width, height), dpi=dpi, layout="constrained")


def require_drawing() -> None:
    """Fail now as `new_figure` would fail later.

    Raises
    ------
    DataError
        matplotlib is not installed.
    """
    require("lab", "matplotlib", error=DataError)
