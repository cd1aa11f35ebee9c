"""Several cameras at once: frames lost by place and latency from exposure to published, of each.

python -m bench.camera.multi [--cameras 1 2 4] [--seconds 20] [--rate 30] [--name camera_multi]

Simulated cameras, each tracked in a process of its own as of `cameras:` of a rig; with one, the same way, and beside it
the rig with `camera:`, all in one process.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from bench.result import RESULTS, parser_of, write
from rtface.config import PublishSettings, Rig, SimulatedCameraSettings
from rtface.config.multi import MultiRig, TrackedSimulatedCamera
from rtface.core.realtime import realtime_process
from rtface.core.status import PipelineStatus
from rtface.live.multi.service import MultiService
from rtface.live.service import Service

FREE = PublishSettings(keypoints="tcp://127.0.0.1:*", control="tcp://127.0.0.1:*")
WARM_UP_S = 3.0
SIZE = {"width": 320, "height": 240, "repeat": 64}


def watched(
    statuses: Callable[[], dict[str, PipelineStatus]], reset: Callable[[], object], seconds: float
) -> dict[str, Any]:
    """Let a service warm up, then run; return what became of each camera's frames since."""
    time.sleep(WARM_UP_S)
    reset()
    before = statuses()
    time.sleep(seconds)
    after = statuses()
    found: dict[str, Any] = {}
    for name, now in after.items():
        was = before[name]
        lost = {
            place: getattr(now.losses, place) - getattr(was.losses, place)
            for place in ("camera", "transport", "ring", "publish")
        }
        found[name] = {
            "frames": now.frames - was.frames,
            "lost": lost,
            "latency": {stage: now.latency[stage].as_dict() for stage in ("network", "react", "end_to_end")},
        }
    return found


def several(count: int, rate_hz: float, seconds: float) -> dict[str, Any]:
    """Run so many cameras, each in a tracking process of its own."""
    cameras = {
        f"c{number}": TrackedSimulatedCamera(rate_hz=rate_hz, seed=number, **SIZE) for number in range(count)
    }
    with MultiService(MultiRig(cameras=cameras, publish=FREE)) as service:
        return watched(service.pipeline.statuses, service.pipeline.reset_latency, seconds)


def alone(rate_hz: float, seconds: float) -> dict[str, Any]:
    """Run one camera in the process that decides, as of `camera:`."""
    rig = Rig(camera=SimulatedCameraSettings(rate_hz=rate_hz, **SIZE), publish=FREE)
    with Service(rig) as service:
        return watched(lambda: {"camera": service.pipeline.status()}, service.pipeline.reset_latency, seconds)


def main() -> None:
    """Measure and write the result."""
    parser = parser_of(__doc__)
    parser.add_argument("--cameras", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rate", type=float, default=30.0)
    parser.add_argument("--name", default="camera_multi")
    asked = parser.parse_args()
    with realtime_process():
        result: dict[str, Any] = {"rate_hz": asked.rate, "seconds": asked.seconds, "size": "320x240"}
        result["one_in_process"] = alone(asked.rate, asked.seconds)
        result["by_cameras"] = {
            str(count): several(count, asked.rate, asked.seconds) for count in asked.cameras
        }
    write(RESULTS / f"{asked.name}.json", result)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
