"""Where things lie in the repository."""

from __future__ import annotations

from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
TESTS = REPOSITORY / "tests"
DATA = TESTS / "data"
DOCS = REPOSITORY / "docs"
BENCH = REPOSITORY / "bench"
