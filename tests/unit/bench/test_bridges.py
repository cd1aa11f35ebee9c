"""The measurement of what bridges cost: a tiny run of the real thing."""

from __future__ import annotations

import threading

import pytest

from rtface.bench.bridges import BridgesQuestion, measure_bridges
from rtface.core.errors import DataError


def test_a_tiny_run_compares_both_conditions_of_its_pairs(test_engine: str) -> None:
    question = BridgesQuestion(
        pairs=2, seconds=0.5, rate_hz=50, width=96, height=80, engine=test_engine, lsl=False, warm_up_s=0.1
    )
    shares: list[float] = []
    result = measure_bridges(question, shares.append, threading.Event())
    assert shares == [0.5, 1.0]
    assert set(result["conditions"]) == set(result["distribution"]) == {"no_bridges", "all_bridges"}
    for each in result["conditions"].values():
        assert each["frames"] > 0
        assert 0 < each["p50_ms"] <= each["p99_ms"]
    assert result["ratio_p99"]["pairs"] == 2
    assert result["bridges"] == ["json", "osc"]
    assert all(result["received"][name] > 0 for name in ("json", "osc", "udp"))
    assert (result["missed"], result["dropped"]) == (0, 0)


def test_what_ends_before_a_pair_is_no_result(test_engine: str) -> None:
    ending = threading.Event()
    ending.set()
    question = BridgesQuestion(width=96, height=80, engine=test_engine, warm_up_s=0)
    with pytest.raises(DataError, match="nothing was measured"):
        measure_bridges(question, lambda share: None, ending)
