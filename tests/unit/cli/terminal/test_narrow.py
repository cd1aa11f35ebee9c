"""Tables on a terminal of 60 columns, and without colours."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from support.commandline import run

from rtface.cli.terminal import screen
from rtface.core.latency import StageSummary

NARROW = 60


def shown(what: object) -> str:
    console = Console(width=NARROW, record=True, file=open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
    console.print(what)
    console.file.close()
    return console.export_text()


def check_narrow(text: str) -> None:
    assert text.strip()
    assert max(map(len, text.splitlines())) <= NARROW


def test_no_number_of_a_latency_table_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screen.OUT, "_width", NARROW)
    values = {
        "n": 10,
        "p50_ms": 123.45,
        "p95_ms": 234.56,
        "p99_ms": 345.67,
        "p999_ms": 456.78,
        "max_ms": 1567.89,
    }
    table = screen.latency_table({"end_to_end": StageSummary(**values, misses=1234)})
    text = shown(table)
    check_narrow(text)
    for number in ("123.45", "234.56", "345.67", "456.78", "1567.89", "1234"):
        assert number in text.split()
    assert "wider terminal" in text


def test_keypoints_with_long_names_are_whole() -> None:
    names = ["nose(tip)", "a name that is longer than a terminal of sixty columns has room for, by far"]
    table = screen.keypoints_table(
        names, np.array([[1234.5, 234.5]] * 2, np.float32), np.ones(2, np.float32), np.array([True, False])
    )
    text = shown(table)
    check_narrow(text)
    assert text.split().count("1234.5") == 2
    assert " ".join(names[1].split()[:3]) in text
    for word in names[1].split():
        assert word in text


@pytest.mark.parametrize(
    "command",
    [
        ("engines", "list"),
        ("schema",),
        ("demo", "--encoder", "--seconds", "1.5", "--rate", "50"),
        ("doctor", "-h"),
    ],
)
def test_what_a_command_shows_has_no_line_beyond_the_terminal(command: tuple[str, ...]) -> None:
    done = run(*command, columns=NARROW)
    assert done.returncode == 0, done.stderr
    check_narrow(done.stdout)
    assert "…" not in done.stdout


def colours(environment: dict[str, str]) -> bool:
    done = subprocess.run(
        [sys.executable, "-m", "rtface", "run", "nowhere.yaml"],
        env={name: value for name, value in os.environ.items() if name != "NO_COLOR"}
        | {"TERM": "xterm-256color"}
        | environment,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 3
    return b"\x1b[" in done.stderr and re.search(rb"\x1b\[[\d;]*3[0-7]m", done.stderr) is not None


def test_no_color_is_honoured() -> None:
    assert colours({"FORCE_COLOR": "1"})
    assert not colours({"FORCE_COLOR": "1", "NO_COLOR": "1"})


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_commands(shell: str, tmp_path: Path) -> None:
    asked = {
        "bash": {"COMP_WORDS": "rtface ses", "COMP_CWORD": "1"},
        "zsh": {"_TYPER_COMPLETE_ARGS": "rtface ses"},
        "fish": {"_TYPER_COMPLETE_ARGS": "rtface ses", "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
    }[shell]
    done = subprocess.run(
        [sys.executable, "-c", "from rtface.cli import main; main()"],
        env=os.environ | asked | {"_RTFACE_COMPLETE": f"complete_{shell}", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert "session" in done.stdout, done.stderr
    assert "engines" not in done.stdout
