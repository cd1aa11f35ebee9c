"""The measurement of a camera inside and outside: differences with an honest interval, and a tiny run of the real thing."""

from __future__ import annotations

import threading

import pytest

from rtface.acquire.outside.passage import AVAILABLE
from rtface.bench import plot
from rtface.bench.camera import CameraQuestion, measure_camera
from rtface.bench.pairs import difference_of_pairs


@pytest.mark.parametrize(("more", "verdict"), [(0.1, "kept"), (0.2, "missed")])
def test_a_difference_comes_with_what_it_says_of_the_goal(more: float, verdict: str) -> None:
    before = [3 + 0.1 * (number % 7) for number in range(30)]
    found = difference_of_pairs([each + more for each in before], before, 0.15)
    assert found["difference"] == pytest.approx(more)
    assert found["low"] <= found["difference"] <= found["high"]
    assert (found["verdict"], found["pairs"]) == (verdict, 30)


@pytest.mark.skipif(not AVAILABLE, reason="this system has no way for it")
def test_a_tiny_run_has_a_pair_of_each_driver(test_engine: str) -> None:
    question = CameraQuestion(
        pairs=2, seconds=0.5, rate_hz=50, width=96, height=80, held_ms=1.0, engine=test_engine, warm_up_s=0.1
    )
    shares: list[float] = []
    result = measure_camera(question, shares.append, threading.Event())
    assert shares == [0.25, 0.5, 0.75, 1.0]
    assert result["scheduling"] == "normal"
    for name, held_ms in (("lets_go", 0.0), ("holds", 1.0)):
        driver = result["drivers"][name]
        assert driver["held_ms"] == held_ms
        assert driver["difference_p50_ms"]["pairs"] == driver["ratio_p999"]["pairs"] == 2
        for place in ("inside", "outside"):
            assert driver[place]["frames"] == driver[place]["all_frames"]["n"] > 0
            assert min(driver[place]["p50_ms"], driver[place]["published_p50_ms"]) > 0
            assert result["distribution"][f"{name}_{place}"]
            assert f"{name}_{place}" in plot._LABELS
