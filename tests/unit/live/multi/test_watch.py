"""What ends an armed loop over several cameras: the silence of all, not of one; a budget by the camera's name."""

from __future__ import annotations

from rtface.core.budget import Budget, BudgetWatch
from rtface.core.decision import Reason
from rtface.core.records import TriggerInfo
from rtface.live.loop.multiwatch import MultiWatch
from rtface.live.loop.watch import LoopWatch
from rtface.record.session.entries import FaultEntry

MS = 1_000_000


def watched(budget: str | None = None, **triggers: TriggerInfo) -> MultiWatch:
    names = ("left", "right")

    def watch() -> LoopWatch:
        return LoopWatch(None if budget is None else BudgetWatch(Budget.parse(budget), 10), 500 * MS)

    made = MultiWatch({name: watch() for name in names})
    made.begin({name: triggers.get(name) for name in names}, 0)
    return made


def test_one_silent_camera_is_named_and_all_together_are_an_end() -> None:
    watch = watched()
    watch.came(600 * MS, "left")
    assert set(watch.silent(700 * MS)) == {"right"}
    assert watch.idle(700 * MS) is None
    finding = watch.idle(1200 * MS)
    assert finding is not None
    assert finding[0] is Reason.CAMERA_LOST
    assert "left: no frame came for 600 ms" in finding[1]
    assert "right: no frame came for 1200 ms" in finding[1]


def test_a_pause_of_the_triggers_is_no_silence() -> None:
    watch = watched(right=TriggerInfo("Line0", 100.0, 60.0))
    assert set(watch.silent(10_000 * MS)) == {"left"}
    assert set(watch.silent(70_000 * MS)) == {"left", "right"}


def test_a_budget_that_is_missed_names_the_camera() -> None:
    watch = watched("p90 < 5 ms")
    for _ in range(20):
        assert watch.handled(1 * MS, "left") is None
    findings = [watch.handled(50 * MS, "right") for _ in range(20)]
    (reason, text) = next(each for each in findings if each is not None)
    assert reason is Reason.BUDGET
    assert text.startswith("right: the latency budget is missed")
    assert watch.handled(1 * MS, "left") is None


def test_a_disk_that_failed_is_an_end_whatever_the_cameras_do() -> None:
    watch = watched()
    watch.disk_failed(FaultEntry(0, "write", "full"))
    finding = watch.idle(1)
    assert finding == (Reason.DISK, "full")
    assert watch.handled(1 * MS, "right") is not None
