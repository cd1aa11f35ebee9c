"""Choosing a back end: by name, or the first that is there; never silently another than was asked for."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec

from rtface.config import BackendSettings
from rtface.errors import BackendError
from rtface.track.backends.base import Backend
from rtface.track.store import Engine

BACKENDS = {
    "openvino": ("rtface.track.backends.openvino", "OpenvinoBackend", "openvino", "pip install openvino"),
    "torch": ("rtface.track.backends.torch", "TorchBackend", "torch", "pip install 'rtface[train]'"),
}
"""Name to module, class, the package it needs and how to install that; in the order of probing."""


def make_backend(
    engine: Engine,
    settings: BackendSettings,
    *,
    present: Callable[[str], bool] = lambda package: find_spec(package) is not None,
) -> Backend:
    """Make the back end that the settings ask for; it is not opened yet.

    Parameters
    ----------
    engine : Engine
        A checked engine.
    settings : BackendSettings
        ``name`` is a back end, or ``auto`` for the first whose package is installed.
    present : callable
        Tells whether a package is installed, without importing it.

    Raises
    ------
    BackendError
        The one asked for is not installed, or none is; the message says what to install.
    """
    if settings.name != "auto":
        _, _, package, install = BACKENDS[settings.name]
        if not present(package):
            raise BackendError(f"backend.name is {settings.name}, but {package} is not installed: {install}")
        return _load(settings.name, engine, settings, f"asked for: {settings.name}")
    for name, (_, _, package, _) in BACKENDS.items():
        if present(package):
            return _load(name, engine, settings, f"auto: {package} is the first that is installed")
    ways = "; or ".join(install for *_, install in BACKENDS.values())
    raise BackendError(f"no back end is installed: {ways}")


def _load(name: str, engine: Engine, settings: BackendSettings, why: str) -> Backend:
    module, attribute, _, _ = BACKENDS[name]
    backend: Backend = getattr(import_module(module), attribute)(engine, settings, why)
    return backend
