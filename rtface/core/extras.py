"""Packages that the default install leaves out: how to get them, said before the work that needs them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from rtface.core.errors import BackendError, RtfaceError


def how_to_install(extra: str) -> str:
    """Return the command that installs an extra, for messages."""
    return f"pip install '.[{extra}]' in a checkout of rtface"


@contextmanager
def needing(extra: str, error: type[RtfaceError] = BackendError) -> Iterator[None]:
    """Turn a package that the block cannot import, and `extra` brings, into an error that says how to install it."""
    try:
        yield
    except ImportError as missing:
        if (missing.name or "").startswith("rtface."):
            raise
        what = (
            f"{missing.name} is not installed" if isinstance(missing, ModuleNotFoundError) else f"{missing}"
        )
        raise error(f"{what}: {how_to_install(extra)}") from missing


def require(extra: str, *packages: str, error: type[RtfaceError] = BackendError) -> None:
    """Fail now as `needing` would fail later, for a caller with hours of work before the first import."""
    missing = [name for name in packages if not is_installed(name)]
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        raise error(f"{', '.join(missing)} {verb} not installed: {how_to_install(extra)}")


def is_installed(package: str) -> bool:
    """Return whether a package can be imported, without importing it."""
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:
        return False
