"""The measurement of what viewers cost: ratios with an honest interval, and a tiny run of the real thing."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from rtface.bench.measurer import measurer_process
from rtface.bench.pairs import ratio_of_pairs
from rtface.bench.screen import ScreenQuestion, measure_screen
from rtface.config import PicturesSettings
from rtface.core.errors import DataError


@pytest.mark.parametrize(
    ("factor", "noise", "verdict"),
    [(1.0, 0.001, "kept"), (1.1, 0.001, "missed"), (1.02, 0.1, "not resolved")],
)
def test_a_ratio_comes_with_what_it_says_of_the_goal(factor: float, noise: float, verdict: str) -> None:
    chance = np.random.default_rng(1)
    before = 3 + chance.uniform(0, 2, 40)  # it changes over the minutes, as much for one as for the other
    after = before * factor * chance.normal(1, noise, 40)
    found = ratio_of_pairs(after.tolist(), before.tolist(), 1.02)
    assert found["verdict"] == verdict
    assert found["low"] <= found["ratio"] <= found["high"]
    assert found["pairs"] == 40
    assert found["ratio"] == pytest.approx(factor, abs=noise)


def test_few_pairs_say_nothing() -> None:
    assert ratio_of_pairs([1.0] * 19, [1.0] * 19, 1.02)["verdict"] == "not resolved"
    assert ratio_of_pairs([1.0] * 20, [1.0] * 20, 1.02)["verdict"] == "kept"


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    chance, held = np.random.default_rng(2), 0
    for _ in range(100):
        ratios = chance.lognormal(0, 0.05, 25)
        found = ratio_of_pairs(ratios.tolist(), [1.0] * 25, 1.02)
        held += found["low"] <= 1 <= found["high"]
    assert 85 <= held <= 100


def test_a_tiny_run_compares_every_condition_with_that_of_its_round(test_engine: str) -> None:
    question = ScreenQuestion(
        rounds=2,
        seconds=0.5,
        rate_hz=50,
        width=96,
        height=80,
        engine=test_engine,
        pictures=PicturesSettings(per_second=20, width=64),
        viewers=(0, 2),
        warm_up_s=0.1,
    )
    shares: list[float] = []
    result = measure_screen(question, shares.append, threading.Event())
    assert shares == [0.5, 1.0]
    assert (
        set(result["conditions"]) == set(result["distribution"]) == {"no_pictures", "viewers_0", "viewers_2"}
    )
    for name, each in result["conditions"].items():
        assert each["frames"] > 0
        assert 0 < each["p50_ms"] <= each["p99_ms"]
        assert ("ratio_p50" in each) == (name != "no_pictures")
    seen = result["conditions"]["viewers_2"]
    assert seen["ratio_p99"]["pairs"] == 2
    assert seen["pictures"]["n"] > 0
    assert seen["pictures"]["per_second_and_viewer"] > 0
    assert seen["pictures"]["age_ms"]["p50"] > 0
    assert "pictures" not in result["conditions"]["viewers_0"]
    assert result["failed"] == 0


def test_what_ends_before_a_round_is_no_result(test_engine: str) -> None:
    ending = threading.Event()
    ending.set()
    question = ScreenQuestion(width=96, height=80, engine=test_engine, viewers=(0,), warm_up_s=0)
    with pytest.raises(DataError, match="nothing was measured"):
        measure_screen(question, lambda share: None, ending)


def test_a_viewer_that_fails_is_named() -> None:
    with (
        pytest.raises(DataError, match="a measuring viewer failed with status 1"),
        measurer_process("viewer", "nonsense"),
    ):
        pass
