"""A night with a bad camera: a fault a minute for an hour, and every frame accounted for.

    python -m bench.camera.soak --minutes 60 --every 60

The service runs on the test producer of `tests/gentl` (Linux, a C compiler), records a session, and meets in turn: a driver
that is killed, one that aborts, one that hangs (its process is stopped by a signal, so that it does not answer), and a camera
that is unplugged for two seconds; all the while each 97th frame is lost on the way and each 150th fails twice before it comes.
Frame numbers tell what there was: each is a pose, or counted as displaced, lost in transport or damaged; at each gap one is left
out.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import psutil

from bench.result import RESULTS, parser_of, percentiles, write
from rtface.acquire.factory import make_outside
from rtface.acquire.outside.camera import OutsideCamera
from rtface.bench.measuring import FREE_ADDRESSES
from rtface.config import GenicamCameraSettings, Rig, SessionSettings
from rtface.core.clock import NS_PER_S, monotonic_ns
from rtface.core.realtime import realtime_process
from rtface.core.status import PipelineStatus
from rtface.live.service import Service
from rtface.record.session.entries import GapEntry
from rtface.record.session.reader import read_session

SOURCES = Path(__file__).resolve().parents[2] / "tests" / "gentl"
STATE_VARIABLE = "RTFACE_TEST_GENTL_STATE"
SERIAL = "custom-2"
FAULTS = "killed", "aborts", "hangs", "unplugged"
UNPLUGGED_MS = 2000
UNPLUGS_AFTER = 1.6
"""Times the time from one fault to the next, since the camera was opened."""
BACK_WITHIN_S = 50.0


def main() -> None:
    """Run it and write the result."""
    parser = parser_of(__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--every", type=float, default=60.0, help="seconds from one fault to the next")
    parser.add_argument("--rate", type=float, default=100.0)
    parser.add_argument("--engine", default="default")
    parser.add_argument("--out", type=Path, default=RESULTS / "camera_soak.json")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, realtime_process():
        result = soak(Path(folder), asked.minutes * 60, asked.every, asked.rate, asked.engine)
    write(asked.out, result)
    for name in ("minutes", "faults", "frames", "lost", "unexplained", "gap_s"):
        print(f"{name}: {result[name]}")


def soak(folder: Path, seconds: float, every_s: float, rate_hz: float, engine: str) -> dict[str, Any]:
    """Run the service over its faults, and account for every frame.

    Parameters
    ----------
    folder : Path
        For the producer and the session.
    seconds, every_s : float
        How long in all, and from one fault to the next.
    rate_hz : float
    engine : str
    """
    os.environ[STATE_VARIABLE] = str(folder / "state")
    asked = settings(producer(folder), rate_hz, round(UNPLUGS_AFTER * every_s * rate_hz))
    camera = make_outside(asked)
    rig = Rig(
        camera=asked,
        engine=engine,
        publish=FREE_ADDRESSES,
        session=SessionSettings(folder=folder / "sessions", min_free_gb=0),
    )
    shared, met = set(os.listdir("/dev/shm")), Counter[str]()
    with Service(rig, camera=camera) as service:
        service.wait(min(5.0, every_s / 2))
        before = held()
        began_ns = monotonic_ns()
        while (
            passed_s := (monotonic_ns() - began_ns) / NS_PER_S
        ) < seconds and service.pipeline.error is None:
            service.wait(min(every_s, seconds - passed_s))
            if monotonic_ns() - began_ns >= seconds * NS_PER_S:
                break
            fault = FAULTS[met.total() % len(FAULTS)]
            meet(fault, camera)
            met[fault] += 1
            wait_until_back(service, BACK_WITHIN_S + (UNPLUGS_AFTER * every_s if fault == "unplugged" else 0))
        after = held()
        service.pipeline.pause()
        status = service.pipeline.status()
        if service.pipeline.error is not None:
            raise service.pipeline.error
    (session,) = (folder / "sessions").iterdir()
    return accounted(session, status) | {
        "question": "faults of a driver for hours: is every frame accounted for, and is anything left behind?",
        "minutes": round((monotonic_ns() - began_ns) / NS_PER_S / 60, 1),
        "every_s": every_s,
        "rate_hz": rate_hz,
        "engine": service.engine.manifest.name,
        "faults": dict(met),
        "before": before,
        "after": after,
        "left_in_dev_shm": len(set(os.listdir("/dev/shm")) - shared),
        "processes_left": len(psutil.Process().children()),
    }


def settings(cti: Path, rate_hz: float, unplugs_at: int) -> GenicamCameraSettings:
    """Return the camera's settings, with what is wrong with it all the time."""
    return GenicamCameraSettings(
        kind="genicam",
        producer=cti,
        serial=SERIAL,
        width=320,
        height=240,
        rate_hz=rate_hz,
        reconnect_s=600,
        nodes={
            "FaultDropEvery": 97,
            "FaultErrorEvery": 150,
            "FaultErrorTimes": 2,
            "FaultDisconnectAt": unplugs_at,
            "FaultDisconnectMs": UNPLUGGED_MS,
        },
    )


def producer(folder: Path) -> Path:
    """Compile the test producer."""
    command = ["make", "-s", "-C", str(SOURCES), f"OUT={folder}", f"PYTHON={sys.executable}"]
    subprocess.run(command, check=True)
    return folder / "testgentl.cti"


def meet(fault: str, camera: OutsideCamera) -> None:
    """Let a fault happen; the camera is unplugged by itself, once nothing else has happened for long enough."""
    if fault != "unplugged" and camera.pid is not None:
        number = {"killed": signal.SIGKILL, "aborts": signal.SIGABRT, "hangs": signal.SIGSTOP}[fault]
        os.kill(camera.pid, number)


def wait_until_back(service: Service, within_s: float) -> None:
    """Wait for the gap, and for frames after it."""
    for wanted in (True, False):
        deadline_ns = monotonic_ns() + round(within_s * NS_PER_S)
        while (service.pipeline.status().gap is not None) is not wanted and monotonic_ns() < deadline_ns:
            if service.wait(0.02):
                return


def held() -> dict[str, float]:
    """Return what this process holds."""
    process = psutil.Process()
    return {
        "descriptors": process.num_fds(),
        "threads": process.num_threads(),
        "memory_mb": round(process.memory_info().rss / 1e6, 1),
    }


def accounted(session: Path, status: PipelineStatus) -> dict[str, Any]:
    """Hold poses and counted losses against the frame numbers."""
    read = read_session(session)
    numbers = [int(pose["frame_id"]) for pose in read.poses]
    gaps = read.of(GapEntry)
    lost = status.losses
    there_were = numbers[-1] - sum(each.event == "back" for each in gaps)
    counted = len(numbers) + lost.ring + lost.transport + lost.camera
    ended = [each for each in gaps if each.event == "back"]
    return {
        "frames": len(numbers),
        "numbers_twice": len(numbers) - len(set(numbers)),
        "lost": {"ring": lost.ring, "transport": lost.transport, "camera": lost.camera},
        "there_were": there_were,
        "unexplained": there_were - counted,
        "gaps": {"lost": len(gaps) - len(ended), "back": len(ended)},
        "gap_s": percentiles([(each.t_ns - each.begun_ns) / NS_PER_S for each in ended], "s")
        if ended
        else {},
        "causes": dict(Counter(_cause(each.why) for each in gaps if each.event == "lost")),
        "session": {"state": read.state, "missing": list(read.missing)},
        "end_to_end_p99_ms": status.latency["end_to_end"].p99_ms,
    }


def _cause(why: str) -> str:
    """Return a gap's cause without what differs from one to the next."""
    return why.partition(" : ")[0][:100]


if __name__ == "__main__":
    main()
