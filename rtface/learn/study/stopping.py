"""How a study is left early."""

from __future__ import annotations


class StoppedError(Exception):
    """The study was asked to stop; what is known is kept."""
