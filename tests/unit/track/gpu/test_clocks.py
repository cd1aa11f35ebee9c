"""A GPU's clocks: what is read, what is made of it, and what is in a benchmark's result."""

from __future__ import annotations

import itertools
import threading
from pathlib import Path
from typing import Any

import pytest
from support.drawn_labels import drawn_engine
from support.emulated_gpu import pci_of
from support.fake_nvml import FakeNvml, install_nvml

from rtface.bench import clock_samples, gpu
from rtface.bench.gpu import GpuQuestion, measure_gpu
from rtface.core.records import Crop, FloatArray, Image
from rtface.live import check_rig as checkup
from rtface.track.backends.base import BackendInfo
from rtface.track.gpu.clocks import check_clocks, clocks_of
from rtface.track.gpu.libcuda import Gpu, Probe

CARD = Gpu(1, "RTX", (8, 9), 8 << 30, "580", (13, 0), pci_of(1))
FAST = {"ClockInfo": {1: 2700, 2: 10501}, "MaxClockInfo": {1: 2805, 2: 10501}, "PersistenceMode": 1}


def test_what_the_library_says_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeNvml(**FAST, CurrentClocksThrottleReasons=0x1 | 0x4 | 0x20)
    install_nvml(fake, monkeypatch)
    with clocks_of(CARD) as read:
        found = read()
    assert found is not None
    assert (found.number, found.sm_mhz, found.memory_mhz, found.most_sm_mhz) == (5, 2700, 10501, 2805)
    assert found.persistent is True
    assert found.held_back == ("its limit of power", "its temperature"), (
        "that it has nothing to do is no reason"
    )
    assert fake.open == 0, "given back"


@pytest.mark.parametrize(
    ("knows", "verdict", "words", "fixes"),
    [
        (FAST, "ok", ["cuda:1 is GPU 5 of nvidia-smi: 2700 MHz of 2805", "persistence mode on"], []),
        (FAST | {"PersistenceMode": 0}, "warn", ["persistence mode off"], ["sudo nvidia-smi -i 5 --persistence-mode=1"]),
        (FAST | {"ClockInfo": {1: 210, 2: 405}}, "warn", ["210 MHz of 2805, memory 405 MHz"],
         ["sudo nvidia-smi -i 5 --lock-gpu-clocks=2805"]),
        (FAST | {"ClockInfo": {1: 210}, "PersistenceMode": 0, "CurrentClocksThrottleReasons": 0x40}, "warn",
         ["held back by its temperature, by the hardware"], ["--persistence-mode=1 && sudo nvidia-smi -i 5 --lock"]),
        # Windows has no persistence mode, and some cards tell less.
        ({"ClockInfo": {1: 1000}}, "ok", ["1000 MHz"], []),
        ({}, "ok", ["cannot be read here", "jetson_clocks"], []),
    ],
)  # fmt: skip
def test_what_to_set_is_said(
    knows: dict[str, Any], verdict: str, words: list[str], fixes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    install_nvml(FakeNvml(**knows), monkeypatch)
    found = check_clocks(CARD)
    assert (found.what, found.verdict) == ("GPU clocks", verdict)
    for word in words:
        assert word in found.text
    for fix in fixes:
        assert fix in found.fix
    assert bool(found.fix) == bool(fixes)


@pytest.mark.parametrize("pci", ["", "0000:09:00.0"])
def test_a_gpu_that_cannot_be_found_there_and_a_machine_without_the_library(
    pci: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for fake in (FakeNvml(**FAST), None):
        install_nvml(fake, monkeypatch)
        found = check_clocks(Gpu(0, "Orin", (8, 7), 8 << 30, "", (13, 2), pci))
        assert (found.verdict, found.fix) == ("ok", "")
        assert "cannot be read here" in found.text


def test_the_check_of_a_rig_asks_for_the_gpu_that_ran_the_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rtface.track.backends.openvino import OpenvinoBackend

    monkeypatch.setenv("RTFACE_ENGINES", str(tmp_path))
    drawn_engine(tmp_path / "sound")
    rig = tmp_path / "rig.yaml"
    rig.write_text(
        "camera: {kind: simulated, width: 96, height: 80, rate_hz: 200, frames: 40}\n"
        "engine: sound\nbackend: {name: openvino, threads: 1}\n"
        'publish: {keypoints: "tcp://127.0.0.1:*", control: "tcp://127.0.0.1:*"}\n',
        encoding="utf-8",
    )
    install_nvml(FakeNvml(**FAST), monkeypatch)
    cards = Probe((Gpu(0, "other", (8, 9), 8 << 30, "580"), CARD))
    monkeypatch.setattr("rtface.live.check_camera.probe", lambda: cards)
    assert not [each for each in checkup.check_rig(rig) if each.what == "GPU clocks"]
    monkeypatch.setattr(OpenvinoBackend, "_device_name", lambda self: str(CARD))
    (found,) = [each for each in checkup.check_rig(rig) if each.what == "GPU clocks"]
    assert "cuda:1 is GPU 5" in found.text


class Backend:
    """One that notes when it is given frames."""

    computes_levels = True
    plan = None

    def __init__(self, device: str = str(CARD)) -> None:
        self.device = device

    def open(self) -> BackendInfo:
        return BackendInfo("fake", "1", self.device, "f16", None, "a test")

    def host_memory(self, shape: tuple[int, int]) -> Image:
        import numpy as np

        return np.zeros(shape, np.uint8)

    def prepare(self, frame_shape: tuple[int, int], crop: Crop) -> None:
        """Nothing to do."""

    def infer(self, frame: Image, levels: FloatArray) -> FloatArray:
        import numpy as np

        return np.ones((15, 3), np.float32)

    def close(self) -> None:
        """Nothing to do."""


def measured(monkeypatch: pytest.MonkeyPatch, device: str = str(CARD), **asked: Any) -> dict[str, Any]:
    monkeypatch.setattr(gpu, "make_backend", lambda engine, settings: Backend(device))
    monkeypatch.setattr(clock_samples, "probe", lambda: Probe((CARD,)))
    question = {"frames": 600, "itemised": 1, "width": 96, "height": 64, "engine": "face-2-tiny"}
    return measure_gpu(GpuQuestion(**question | asked), lambda share: None, threading.Event())  # type: ignore[arg-type]


def test_frames_at_the_rigs_rate_stand_beside_frames_at_once_with_the_clocks_of_both(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    install_nvml(FakeNvml(**FAST), monkeypatch)
    monkeypatch.setattr(clock_samples, "_EVERY_NS", 0)
    result = measured(monkeypatch, seconds=0.5, rate_hz=200.0)
    at_rate = result["at_rate"]
    assert at_rate["rate_hz"] == 200
    assert at_rate["frame_to_keypoints"]["n"] == 100
    assert at_rate["p50_over_back_to_back"] == pytest.approx(
        at_rate["frame_to_keypoints"]["p50_ms"] / result["frame_to_keypoints"]["p50_ms"]
    )
    assert "at_rate" in result["distribution"]
    clocks = result["clocks"]
    assert set(clocks["passes"]) == {"back_to_back", "at_rate", "sustained"}
    for each in clocks["passes"].values():
        assert each["n"] > 0
        assert each["sm_mhz"] == {"min": 2700, "p50": 2700, "max": 2700}
    assert (clocks["most_sm_mhz"], clocks["persistence_mode"]) == (2805, True)


def test_frames_come_no_faster_than_the_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[int] = []
    now = [0]

    class Clock:
        def now_ns(self) -> int:
            now[0] += 1000
            return now[0]

        def sleep_until_ns(self, deadline_ns: int) -> None:
            slept.append(deadline_ns)
            now[0] = max(now[0], deadline_ns)

    monkeypatch.setattr(gpu, "SYSTEM_CLOCK", Clock())
    run = gpu._Run(
        Backend(), gpu.engine_for("face-2-tiny", GpuQuestion().backend), [Backend().host_memory((4, 4))]
    )  # type: ignore[arg-type]
    took = gpu._paced(run, GpuQuestion(seconds=1, rate_hz=100), lambda: None, threading.Event())
    assert took is not None
    assert took.summary().n == 100
    gaps = [after - before for before, after in itertools.pairwise(slept)]
    assert len(gaps) == 199, "a second to warm up, or rather to cool down"
    assert all(10_000_000 <= gap < 10_100_000 for gap in gaps)


def test_where_there_is_no_gpu_or_no_library_nothing_is_made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    install_nvml(None, monkeypatch)
    result = measured(monkeypatch, seconds=0)
    assert "cannot be read here" in result["clocks"]["why_none"]
    assert "at_rate" not in result
    assert "clocks" not in measured(monkeypatch, device="CPU", seconds=0)
