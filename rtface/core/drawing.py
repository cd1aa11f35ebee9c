"""Pictures: the one place where matplotlib is imported."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtface.core.errors import DataError
from rtface.core.extras import needing

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def new_figure(width: float, height: float, dpi: float = 100) -> Figure:
    """Return an empty figure of so many inches, without a window; `DataError` where matplotlib is not installed."""
    with needing("lab", DataError):
        from matplotlib.figure import Figure
    return Figure(figsize=(width, height), dpi=dpi, layout="constrained")
