"""Light is counted so that it is never too little."""

from __future__ import annotations

from rtface.core.dose import LightDose, planned_ns
from rtface.core.records import Pulse


def test_a_command_counts_as_planned_until_it_has_ended() -> None:
    dose = LightDose()
    dose.command(1, 50)
    assert dose.total_ns == 50
    dose.lit(1, 10)
    assert dose.total_ns == 50
    dose.lit(1, 45)
    assert dose.total_ns == 55, "more than was planned"
    dose.ended(1)
    dose.ended(1)
    assert dose.total_ns == 55
    dose.command(2, 50)
    dose.lit(2, 10)
    dose.ended(2)
    assert dose.total_ns == 65, "cancelled"
    dose.command(3, 7)
    dose.lit(9, 1000)
    dose.trial(100)
    assert dose.total_ns == 172


def test_a_train_is_planned_with_all_its_pulses_and_in_full_power() -> None:
    assert planned_ns(Pulse(5, 20, 3, 0.1)) == 15
