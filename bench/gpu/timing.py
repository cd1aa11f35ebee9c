"""Steps that measure: back to back, at a camera's rates, a network of Facemap's size, and beside busy threads."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from bench.gpu.card import Card
from bench.gpu.correct import SHAPE
from rtface.bench.gpu import GpuQuestion, measure_gpu
from rtface.core.clock import NS_PER_S, SYSTEM_CLOCK
from rtface.core.geometry import whole_frame
from rtface.core.latency import Histogram
from rtface.core.realtime import SWITCH_INTERVAL_S
from rtface.simulate.face import MouseFace
from rtface.track.backends.factory import DEFAULT_GPU_ENGINE, make_backend
from rtface.track.store import load_engine

FACEMAP_WIDTHS = (32, 64, 128, 200, 200)
BUSY_THREADS = 2
_WARM_UP = 100
_MOST_S = 8.0


def at_1000_hz(card: Card) -> dict[str, Any]:
    """Measure frames back to back, stage by stage, and 1,000 a second for a minute."""
    return _measured(card, frames=50_000, itemised=1000, seconds=60.0, rate_hz=1000.0)


def at_200_hz(card: Card) -> dict[str, Any]:
    """Measure at 200 frames a second, between which the card may slow its clock down."""
    return _measured(card, frames=2000, itemised=100, seconds=15.0, rate_hz=200.0)


def facemap(card: Card) -> dict[str, Any]:
    """Measure a network of the size of Facemap's, of random weights."""
    widths = FACEMAP_WIDTHS if card else (2, 4, 4, 4, 4)
    return _measured(card, frames=8000, itemised=300, seconds=10.0, rate_hz=500.0, widths=widths)


def _measured(
    card: Card, *, frames: int, itemised: int, seconds: float, rate_hz: float, **more: Any
) -> dict[str, Any]:
    question = GpuQuestion(
        frames=card.count(frames, 2),
        itemised=card.count(itemised, 1),
        seconds=card.count(seconds, 1.0),
        rate_hz=card.count(rate_hz, 5.0),
        width=SHAPE[1],
        height=SHAPE[0],
        engine=DEFAULT_GPU_ENGINE,
        backend=card.settings(),
        **more,
    )
    return measure_gpu(question, lambda share: None, threading.Event())


def beside_busy_threads(card: Card) -> dict[str, Any]:
    """Measure a frame from host to host while two threads of Python compute, and while none does.

    Each call that lets Python's lock go must take it back from them, which may take a switch interval: Python's own, and
    the one that a pipeline sets.
    """
    backend = make_backend(load_engine(DEFAULT_GPU_ENGINE), card.settings())
    mouse, result = MouseFace(SHAPE[1], SHAPE[0], 100.0, 0), []
    try:
        backend.open()
        backend.prepare(SHAPE, whole_frame(SHAPE[1], SHAPE[0]))
        slot = backend.host_memory(SHAPE)
        mouse.render(0, slot)
        for interval_s in (sys.getswitchinterval(), SWITCH_INTERVAL_S):
            for busy in (0, BUSY_THREADS):
                with _switching(interval_s), _busy(busy):
                    took = _host_to_host(backend, slot, card.count(5000, 2), card.count(_WARM_UP, 1))
                result.append(
                    {
                        "switch_interval_s": interval_s,
                        "busy_threads": busy,
                        "frame_to_keypoints": took.summary().as_dict(),
                    }
                )
    finally:
        backend.close()
    return {"passes": result}


def _host_to_host(backend: Any, frame: Any, count: int, warm_up: int) -> Histogram:
    took, level, now = Histogram(), np.zeros(2, np.float32), SYSTEM_CLOCK.now_ns
    end_ns = now() + round(_MOST_S * NS_PER_S)
    for index in range(-warm_up, count):
        began_ns = now()
        backend.infer(frame, level)
        done_ns = now()
        if index >= 0:
            took.add(done_ns - began_ns)
        if done_ns > end_ns and index > 0:
            break
    return took


@contextmanager
def _switching(interval_s: float) -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(interval_s)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


@contextmanager
def _busy(count: int) -> Iterator[None]:
    """Keep threads computing in Python, as an analysis in the same process does."""
    ending = threading.Event()

    def compute() -> None:
        total = 0
        while not ending.is_set():
            for number in range(1000):
                total += number * number

    threads = [threading.Thread(target=compute, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ending.set()
        for thread in threads:
            thread.join()
