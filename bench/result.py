"""What all benchmarks share: where results go, their arguments, percentiles, and writing one with the machine's facts."""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from rtface.core.machine import run_facts

RESULTS = Path(__file__).resolve().parent / "results"
"""Where results are kept."""

_US_PER_NS = 1e-3

_Item = TypeVar("_Item")


def parser_of(doc: str | None) -> argparse.ArgumentParser:
    """Return a parser whose help is a module's docstring."""
    return argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)


def add_facemap_python(parser: argparse.ArgumentParser) -> None:
    """Let a parser take the Python of the environment that has Facemap."""
    named = os.environ.get("RTFACE_FACEMAP_PYTHON")
    parser.add_argument(
        "--facemap-python",
        default=named,
        required=named is None,
        help="a Python that has Facemap; RTFACE_FACEMAP_PYTHON when absent",
    )


def write(path: Path, result: Mapping[str, Any]) -> None:
    """Write a result with date, command and machine, unless it says its own; no folder of this machine is named."""
    path.parent.mkdir(parents=True, exist_ok=True)
    facts = run_facts()
    facts["command"] = without_folders(facts["command"])
    path.write_text(json.dumps(facts | dict(result), indent=2) + "\n", encoding="utf-8")


def without_folders(command: str) -> str:
    """Return a command with each path outside the repository replaced by the name of its option, or by PATH."""
    words: list[str] = []
    for word in command.split():
        if word.startswith(("/", "..", "~")):
            before = words[-1] if words else ""
            word = before.lstrip("-").upper().replace("-", "_") if before.startswith("--") else "PATH"
        words.append(word)
    return " ".join(words)


def percentiles(values: ArrayLike, unit: str = "") -> dict[str, float]:
    """Return n, mean, percentiles and the maximum of values, to three digits; `unit` ends the names (``p99_us``)."""
    found = np.asarray(values, np.float64)
    cuts = np.percentile(found, [50, 95, 99, 99.9, 100])
    named = zip(("mean", "p50", "p95", "p99", "p999", "max"), (found.mean(), *cuts), strict=True)
    ending = f"_{unit}" if unit else ""
    return {"n": found.size, **{name + ending: round(float(value), 3) for name, value in named}}


def microseconds(act: Callable[[_Item], object], items: Iterable[_Item], warm_up: int) -> dict[str, float]:
    """Return percentiles of the microseconds that a call takes with each item, the first `warm_up` left out."""
    took: list[int] = []
    for item in items:
        before_ns = time.perf_counter_ns()
        act(item)
        took.append(time.perf_counter_ns() - before_ns)
    return percentiles(np.array(took[warm_up:]) * _US_PER_NS, "us")
