from __future__ import annotations

import ast
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

import rtface
from rtface.core import clock
from rtface.core.clock import NS_PER_MS, ManualClock, SystemClock

PACKAGE = Path(rtface.__file__).parent


def test_a_manual_clock_moves_only_when_told_to() -> None:
    manual = ManualClock(100)
    assert manual.now_ns() == manual.now_ns() == 100
    manual.sleep_until_ns(250)
    assert manual.now_ns() == 250
    manual.sleep_until_ns(7)
    assert manual.now_ns() == 250


def test_the_system_clock_is_the_hosts_monotonic_one() -> None:
    before = time.monotonic_ns()
    now = SystemClock().now_ns()
    assert before <= now <= time.monotonic_ns()
    assert before <= clock.monotonic_ns()


def test_sleeping_never_ends_too_early() -> None:
    deadline = clock.monotonic_ns() + 2 * NS_PER_MS
    clock.SYSTEM_CLOCK.sleep_until_ns(deadline)
    assert clock.monotonic_ns() >= deadline


def test_sleeping_goes_on_after_an_early_wake_up(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0]
    asked: list[float] = []

    def wake_early(seconds: float) -> None:
        asked.append(seconds)
        now[0] += max(1, int(seconds * 1e9) // 2)

    monkeypatch.setattr(time, "sleep", wake_early)
    monkeypatch.setattr(clock, "monotonic_ns", lambda: now[0])
    SystemClock().sleep_until_ns(1_000)
    assert now[0] >= 1_000
    assert len(asked) > 3
    asked.clear()
    SystemClock().sleep_until_ns(500)
    assert asked == []


_STEPS = """
import json, sys, time
time.monotonic_ns = lambda: time.perf_counter_ns() // 15_625_000 * 15_625_000  # Windows before Python 3.13
sys.platform = sys.argv[1]
from rtface.core import clock
from rtface.core.clock import SYSTEM_CLOCK, monotonic_ns
began = SYSTEM_CLOCK.now_ns()
SYSTEM_CLOCK.sleep_until_ns(began + 1_000_000)
print(json.dumps([time.perf_counter_ns(), monotonic_ns(), time.perf_counter_ns(), SYSTEM_CLOCK.now_ns() - began]))
"""


@pytest.mark.parametrize(("platform", "fine"), [("win32", True), ("linux", False)])
def test_on_windows_time_is_the_performance_counter_which_has_no_steps_of_15_ms(
    platform: str, fine: bool
) -> None:
    first, seen, last, slept = json.loads(
        subprocess.run(
            [sys.executable, "-c", _STEPS, platform], check=True, capture_output=True, text=True
        ).stdout
    )
    assert (first <= seen <= last) == fine  # of all processes one and the same: that of the raw counter
    assert (seen % 15_625_000 == 0) == (not fine)
    assert slept >= 1_000_000


def test_the_hosts_clock_is_one_for_all_its_processes() -> None:
    ask = [sys.executable, "-c", "from rtface.core.clock import monotonic_ns; print(monotonic_ns())"]
    before = clock.monotonic_ns()
    there = int(subprocess.run(ask, check=True, capture_output=True, text=True).stdout)
    assert before < there < clock.monotonic_ns()


def imported(file: Path) -> set[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"), file.name)
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add((node.module or "").partition(".")[0])
    return names


def test_only_the_clock_reads_the_clock() -> None:
    files = list(PACKAGE.rglob("*.py"))
    assert len(files) > 40
    assert [file.relative_to(PACKAGE).as_posix() for file in files if "time" in imported(file)] == [
        "core/clock.py"
    ]
