"""Random sessions with the real firmware: a few of those that `bench/gate/fuzz.py` runs for minutes."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.gate_host import gate_host, need_simavr

from bench.gate.fuzz import fuzz
from rtface.stimulate.gate.codes import State


def test_random_sessions_never_light_what_must_be_dark() -> None:
    need_simavr()
    outcomes = [fuzz(seed, steps=40) for seed in range(1000, 1010)]
    assert [(outcome.seed, outcome.violations) for outcome in outcomes if outcome.violations] == []
    assert sum(outcome.pulses for outcome in outcomes) > 50, "sessions that never fire prove nothing"
    assert {"DISARMED", "ARMED", "FIRING"} <= {state for outcome in outcomes for state in outcome.states}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.lists(st.binary(min_size=1, max_size=120), min_size=1, max_size=6))
def test_no_bytes_at_all_light_a_gate_that_is_not_armed(data: list[bytes]) -> None:
    need_simavr()
    with gate_host() as gate:
        gate.hello()
        for piece in data:
            gate.gate.send_bytes(piece)
            gate.gate.run_ms(3)
        gate.gate.send_bytes(b"\0")
        gate.gate.run_ms(20)
        assert gate.light == []
        assert gate.hello().state is State.DISARMED
