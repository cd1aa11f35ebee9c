"""What benchmarks write."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.result import RESULTS, without_folders


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("python -m bench.x --data /a/b --rate 50", "python -m bench.x --data DATA --rate 50"),
        ("python -m bench.x /a/film.mp4 --out ../r", "python -m bench.x PATH --out OUT"),
        (
            "rtface bench loop --facemap-python ~/v/bin/python",
            "rtface bench loop --facemap-python FACEMAP_PYTHON",
        ),
        ("rtface bench latency --seconds 100 --out .", "rtface bench latency --seconds 100 --out ."),
    ],
)
def test_a_command_names_no_folder_of_the_machine(command: str, expected: str) -> None:
    assert without_folders(command) == expected


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*.json")), ids=lambda path: path.stem)
def test_no_committed_result_names_a_folder_of_a_machine(path: Path) -> None:
    command = json.loads(path.read_text(encoding="utf-8")).get("command", "")
    assert without_folders(command) == command
