"""The benchmark of a back end, with back ends that say what they like: what is in the result, and what is not."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from rtface.bench import gpu
from rtface.bench.gpu import GpuQuestion, measure_gpu
from rtface.core.errors import UsageError
from rtface.core.records import Crop, FloatArray, Image
from rtface.track.backends.base import BackendInfo, DeviceStage

NS = {"copy_in": 10_000, "prepare": 20_000, "network": 300_000, "decode": 6_000}


class Plain:
    """A back end that tells no stages."""

    computes_levels = False
    plan: str | None = "abc, one CUDA graph"

    def __init__(self) -> None:
        self.levels: list[tuple[float, ...]] = []
        self.seen: list[int] = []
        self.lent: list[Image] = []
        self.closed = 0

    def open(self) -> BackendInfo:
        return BackendInfo("fake", "1", "cuda:0: made up", "f16", None, "a test")

    def host_memory(self, shape: tuple[int, int]) -> Image:
        self.lent.append(np.zeros(shape, np.uint8))
        return self.lent[-1]

    def prepare(self, frame_shape: tuple[int, int], crop: Crop) -> None:
        assert frame_shape == (64, 96)
        assert crop == Crop(0, 0, 96, 64)

    def infer(self, frame: Image, levels: FloatArray) -> FloatArray:
        self.seen.append(frame.__array_interface__["data"][0])
        self.levels.append(tuple(levels.tolist()))
        return np.ones((15, 3), np.float32)

    def close(self) -> None:
        self.closed += 1


class Telling(Plain):
    """One that tells its stages, but for those left out."""

    computes_levels = True

    def __init__(self, without: str = "") -> None:
        super().__init__()
        self.without = without
        self.itemised = 0

    def itemise(self, frame: Image) -> Mapping[DeviceStage, int]:
        self.itemised += 1
        return {stage: took for stage, took in NS.items() if stage != self.without}  # type: ignore[misc]

    def memory_used(self) -> int:
        return 1000 + self.itemised


def measured(monkeypatch: pytest.MonkeyPatch, backend: Any, **asked: Any) -> dict[str, Any]:
    monkeypatch.setattr(gpu, "make_backend", lambda engine, settings: backend)
    question = GpuQuestion(
        **{"frames": 90, "itemised": 40, "seconds": 0, "width": 96, "height": 64, "engine": "face-2-tiny"}
        | asked
    )
    shares: list[float] = []
    result = measure_gpu(question, shares.append, asked.get("wish", threading.Event()))
    assert shares == sorted(shares)
    assert all(0 <= share <= 1 for share in shares)
    return result


def test_stages_are_those_that_the_device_told(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = Telling()
    result = measured(monkeypatch, backend)
    stages = result["device_stages"]
    assert list(stages) == list(NS)
    assert {stage: each["n"] for stage, each in stages.items()} == dict.fromkeys(NS, 40), "less the warm-up"
    for stage, took in NS.items():
        assert stages[stage]["p50_ms"] == pytest.approx(took / 1e6, rel=0.02)
    whole = result["frame_to_keypoints"]
    assert whole["n"] == 90
    assert len(backend.seen) == 180, "as many to warm up"
    assert result["over_network"] == pytest.approx(whole["p50_ms"] / stages["network"]["p50_ms"])
    left = whole["p50_ms"] - sum(each["p50_ms"] for each in stages.values())
    assert result["rest_p50_ms"] == pytest.approx(left)
    assert (result["memory"]["before"], result["memory"]["after"]) == (1000, 1080)
    assert result["jitter_ms"]["max_over_p50"] == pytest.approx(whole["max_ms"] - whole["p50_ms"])
    assert "device_network" in result["distribution"]
    assert result["backend"] == "fake 1 (f16, plan abc, one CUDA graph) on cuda:0: made up"
    assert result["ran"]["plan"] == "abc, one CUDA graph"
    assert {"date", "command", "machine"} <= set(result)
    assert "gpus" in result["machine"]
    assert backend.closed == 1


def test_stages_that_cannot_be_told_are_absent_not_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    result = measured(monkeypatch, Plain())
    assert not {"device_stages", "over_network", "rest_p50_ms", "memory", "sustained"} & set(result)
    result = measured(monkeypatch, Telling(without="network"))
    assert "network" not in result["device_stages"]
    assert "over_network" not in result
    assert "device_network" not in result["distribution"]


def test_frames_lie_in_the_back_ends_own_memory_and_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = Plain()
    measured(monkeypatch, backend)
    own = {frame.__array_interface__["data"][0] for frame in backend.lent}
    assert len(own) == 64
    assert set(backend.seen) == own
    assert len({frame.tobytes() for frame in backend.lent}) > 32


def test_levels_are_part_of_the_time_where_the_host_takes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    real = gpu.levels

    def counted(frame: Image, *spec: Any) -> FloatArray:
        taken.append(1)
        return real(frame, *spec)

    monkeypatch.setattr(gpu, "levels", counted)
    plain, telling = Plain(), Telling()
    measured(monkeypatch, plain)
    assert len(taken) == 180
    assert all(low < high for low, high in plain.levels)
    measured(monkeypatch, telling)
    assert len(taken) == 180
    assert set(telling.levels) == {(0.0, 0.0)}


def test_a_camera_is_kept_up_with_and_what_was_lost_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    result = measured(monkeypatch, Plain(), seconds=0.5, rate_hz=100.0)
    kept_up = result["sustained"]
    assert kept_up["rate_hz"] == 100
    assert kept_up["frames"] > 0
    assert kept_up["frames_per_second"] == pytest.approx(kept_up["frames"] / kept_up["seconds"], rel=0.05)
    assert set(kept_up["lost"]) == {"camera", "transport", "ring"}
    assert kept_up["stages"]["end_to_end"]["n"] >= kept_up["frames"] - 1
    assert "sustained_end_to_end" in result["distribution"]

    class Slow(Plain):
        def infer(self, frame: Image, levels: FloatArray) -> FloatArray:
            if len(self.seen) > 20:
                threading.Event().wait(0.05)
            return super().infer(frame, levels)

    slow = measured(monkeypatch, Slow(), frames=10, itemised=1, seconds=0.5, rate_hz=200.0)["sustained"]
    assert slow["lost"]["ring"] > slow["frames"]


def test_who_wishes_the_end_gets_what_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    backend, wish = Telling(), threading.Event()
    wish.set()
    monkeypatch.setattr(gpu, "make_backend", lambda engine, settings: backend)
    question = GpuQuestion(frames=10_000, seconds=60, width=96, height=64, engine="face-2-tiny")
    result = measure_gpu(question, lambda share: None, wish)
    assert result["frame_to_keypoints"]["n"] < 1000
    assert "sustained" not in result
    assert backend.closed == 1


def test_a_network_of_random_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    result = measured(monkeypatch, Plain(), widths=(2, 3, 4, 5, 6))
    assert result["engine"] == "facemap-random-2-3-4-5-6"
    with pytest.raises(UsageError, match="5 widths"):
        measured(monkeypatch, Plain(), widths=(2, 3))
