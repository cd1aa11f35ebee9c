"""Keypoints of the mouse face in real time."""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"
__all__ = ["Client", "__version__"]

if TYPE_CHECKING:
    from rtface.client import Client


def __getattr__(name: str) -> object:
    """Load `Client` on first use, so that importing rtface stays free of its dependencies."""
    if name == "Client":
        return import_module("rtface.client").Client
    raise AttributeError(f"module 'rtface' has no attribute {name!r}")
