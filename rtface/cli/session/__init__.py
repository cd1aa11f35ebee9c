"""``rtface session``: what recorded sessions hold, whether they are whole, and their files for other programs."""

from __future__ import annotations

from rtface.cli.session.commands import app

__all__ = ["app"]
