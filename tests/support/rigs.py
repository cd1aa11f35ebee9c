"""Rigs as text."""

from __future__ import annotations

from pathlib import Path

from rtface.config import Rig
from rtface.config.rigfile import _resolve_paths
from rtface.config.yamlfile import parse_document


def parse_rig(text: str, path: Path) -> Rig:
    """Check the text of a rig's file as if it had been read from `path`."""
    shape = "a rig is a map of sections such as camera: and engine:"
    return _resolve_paths(
        parse_document(text, path, "a rig's configuration", shape=shape).checked(Rig), path.parent
    )
