"""What recording costs the loop, how much the log takes, and how much a killed process loses.

    python -m bench.loop.record --count 20000 --kills 100

The cost of a call is taken where the live loop makes it: between two frames of a paced loop, with the recorder's own
thread at work. Throughput is how many poses a second are handed over by a loop that does nothing else, without one
being dropped. For the loss a process of its own (`bench.loop.record_writer`) records at 200 frames a second with exact frames
and is killed (SIGKILL) at a random moment; the loss is the exposure of the last frame that it says it had handed over
less that of the last one in the log, and in the video.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench.loop import record_writer
from bench.loop.record_writer import FEATURES, decision_of, pose_of, setup
from bench.result import RESULTS, parser_of, percentiles, write
from rtface.config import SessionSettings
from rtface.core.clock import NS_PER_MS, NS_PER_S, NS_PER_US, SYSTEM_CLOCK
from rtface.core.features import Features
from rtface.core.records import FrameMeta
from rtface.record.session.encoder import count_frames
from rtface.record.session.entries import UnrecordedEntry
from rtface.record.session.reader import read_session
from rtface.record.session.recorder import SessionRecorder

SIZE = (640, 480)
RATE_HZ = 1000.0
WARM_UP = 200


def open_recorder(root: Path, frames: str) -> SessionRecorder:
    """Return a recorder that has begun."""
    recorder = SessionRecorder(
        SessionSettings(folder=root, frames=frames, min_free_gb=0), "bench", setup(SIZE, RATE_HZ)
    )
    recorder.open()
    return recorder


def costs(root: Path, count: int) -> dict[str, Any]:
    """Return percentiles of what each call costs the thread that makes it."""
    recorder = open_recorder(root, "lossless")
    values = np.ones(FEATURES)
    features = Features(values, values, np.ones(FEATURES, np.int64))
    picture = np.add.outer(np.arange(SIZE[1]), np.arange(SIZE[0])).astype(np.uint8)
    names = ("frame", "pose", "features", "decision", "call", "published")
    taken: dict[str, list[int]] = {name: [] for name in names}

    def timed(name: str, call: Callable[..., object], *arguments: object) -> None:
        began_ns = SYSTEM_CLOCK.now_ns()
        call(*arguments)
        taken[name].append(SYSTEM_CLOCK.now_ns() - began_ns)

    began_ns = SYSTEM_CLOCK.now_ns()
    for number in range(WARM_UP + count):
        SYSTEM_CLOCK.sleep_until_ns(began_ns + round(number * NS_PER_S / RATE_HZ))
        now_ns = SYSTEM_CLOCK.now_ns()
        pose = pose_of(FrameMeta(number, now_ns, now_ns), now_ns)
        decision = decision_of(number, now_ns, number, ["f0", "f1", "f2"])
        if number % 5 == 0:
            timed("frame", recorder.frame, picture, pose.frame)
        timed("pose", recorder.pose, pose)
        timed("features", recorder.features, number, now_ns, features)
        timed("decision", recorder.decision, decision)
        timed("call", recorder.call, "tick", now_ns)
        timed("published", recorder.published, number, now_ns)
    whole = recorder.close(timeout_s=60)
    return {"rate_hz": RATE_HZ, "whole": whole} | {
        name: percentiles(np.array(each[WARM_UP // 5 :]) / NS_PER_US, "us") for name, each in taken.items()
    }


def throughput(root: Path, count: int) -> dict[str, Any]:
    """Return how many poses a second can be handed over without one being dropped, and their size in the log."""
    recorder = open_recorder(root, "none")
    began_ns = SYSTEM_CLOCK.now_ns()
    pose = pose_of(FrameMeta(0, began_ns, began_ns), began_ns)
    for _ in range(count):
        recorder.pose(pose)
    handed_ns = SYSTEM_CLOCK.now_ns() - began_ns
    recorder.close(timeout_s=60)
    written_ns = SYSTEM_CLOCK.now_ns() - began_ns
    session = read_session(recorder.folder)
    lost = session.last(UnrecordedEntry)
    size = sum(each.stat().st_size for each in recorder.folder.iterdir())
    return {
        "poses": count,
        "dropped": 0 if lost is None else lost.poses,
        "handed_over_per_s": round(count * NS_PER_S / handed_ns),
        "written_per_s": round(len(session.poses) * NS_PER_S / written_ns),
        "bytes_per_pose": round(size / max(1, len(session.poses)), 1),
    }


def losses(root: Path, kills: int) -> dict[str, Any]:
    """Kill a recording process again and again; return how much each lost."""
    source = random.Random(1)
    log_ms: list[float] = []
    video_ms: list[float] = []
    damaged = 0
    for kill in range(kills):
        folder, exposure_ns = kill_one(root / str(kill), source.randint(150, 500))
        session = read_session(folder)
        damaged += session.state != "truncated"
        log_ms.append((exposure_ns - int(session.poses["exposure_ns"][-1])) / NS_PER_MS)
        known = min(count_frames(folder / "frames.mkv"), len(session.frames))
        video_ms.append((exposure_ns - int(session.frames["exposure_ns"][known - 1])) / NS_PER_MS)
    return {
        "kills": kills,
        "damaged": damaged,
        "log": percentiles(np.array(log_ms), "ms"),
        "video": percentiles(np.array(video_ms), "ms"),
    }


def kill_one(root: Path, after: int) -> tuple[Path, int]:
    """Return the folder that a killed process leaves, and the exposure of the last frame it had handed over."""
    process = subprocess.Popen(
        [sys.executable, "-m", record_writer.__name__, str(root)], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    line = b""
    for _ in range(after):
        line = process.stdout.readline()
    os.kill(process.pid, signal.SIGKILL)
    rest, _ = process.communicate()
    lines = [line, *(each for each in rest.splitlines() if len(each.split()) == 2)]
    return next(root.iterdir()), int(lines[-1].split()[1])


def main() -> None:
    """Measure and write the result."""
    parser = parser_of(__doc__)
    parser.add_argument("--count", type=int, default=20_000, help="calls of each kind")
    parser.add_argument("--kills", type=int, default=100, help="processes to kill")
    parser.add_argument(
        "--root", type=Path, help="folder on the disk to record to; a temporary one when absent"
    )
    parser.add_argument("--out", type=Path, default=RESULTS / "record.json")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.root) as folder:
        root = Path(folder)
        result = {
            "cost": costs(root / "cost", options.count),
            "throughput": throughput(root / "throughput", options.count),
            "kill": losses(root / "kill", options.kills),
        }
    write(options.out, result)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
