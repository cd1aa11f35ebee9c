"""Rigs and rules as text."""

from __future__ import annotations

from pathlib import Path

from rtface.config import Rig
from rtface.config.rigfile import _resolve_paths
from rtface.config.yamlfile import parse_document

FIRING_OFTEN = """\
features:
  nose: {kind: position, point: nose(tip), min_score: 0}
rules:
  often:
    when: nose.x > -1000
    repeat: true
    refractory_ms: 50
    min_score: 0
    max_age_ms: 10000
    max_gap_frames: 1000
    ignore_light_ms: 0
    pulse: {width_ms: 1}
"""
"""Fires on any frame, whatever it shows, but for the refractory time and a doubt of the view."""


def parse_rig(text: str, path: Path) -> Rig:
    """Check the text of a rig's file as if it had been read from `path`."""
    shape = "a rig is a map of sections such as camera: and engine:"
    return _resolve_paths(
        parse_document(text, path, "a rig's configuration", shape=shape).checked(Rig), path.parent
    )
