"""A session of the live service, replayed: the same features and decisions, bit for bit, and what reacting cost.

The service tracks a simulated mouse, decides by the example's rules and records; every half minute it is disarmed and armed
again, and now and then an emergency stop is cleared. Nothing is lit: the output is none. Afterwards the session is verified
and its rules are run again.

    python -m bench.loop.replay --seconds 600 [--name replay]
"""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from bench.result import RESULTS, parser_of, write
from rtface.bench.agreed import ensure_parity
from rtface.config import PublishSettings, Rig, SessionSettings, SimulatedCameraSettings
from rtface.core.clock import NS_PER_S, monotonic_ns
from rtface.core.errors import ControlError
from rtface.core.realtime import realtime_process
from rtface.live.served import describe_backend
from rtface.live.service import Service
from rtface.offline.replay.rules import replay_rules
from rtface.record.session.reader import read_session

RULES = RESULTS.parents[1] / "docs" / "examples" / "whisking" / "rules.yaml"
FREE = "tcp://127.0.0.1:*"
CHANGE_S = 30.0


def arm(service: Service) -> bool:
    """Arm if the self-test lets us; a computer that was busy just now is asked again at the next change."""
    try:
        service.arming.arm("bench", operator=True)
    except ControlError as error:
        print(f"not armed: {error}")
        return False
    return True


def main() -> None:
    """Run, verify, replay, write the result."""
    parser = parser_of(__doc__)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--name", default="replay")
    asked = parser.parse_args()
    chance = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        rig = Rig(
            camera=SimulatedCameraSettings(width=640, height=480, rate_hz=200),
            publish=PublishSettings(keypoints=FREE, control=FREE),
            rules=RULES,
            session=SessionSettings(folder=Path(folder), min_free_gb=0),
        )
        with Service(rig) as service, realtime_process():
            ensure_parity(service.engine, rig.backend, rig.camera)
            service.wait(4.0)
            service.pipeline.reset_latency()
            end_ns = monotonic_ns() + round(asked.seconds * NS_PER_S)
            armings = 0
            while (left_s := (end_ns - monotonic_ns()) / NS_PER_S) > 0:
                armings += arm(service)
                service.wait(min(CHANGE_S, left_s))
                if chance.random() < 0.3:
                    service.arming.emergency_stop("bench")
                else:
                    service.arming.disarm("bench", "change")
                service.wait(0.5)
                if service.arming.state()["state"] in ("stopped", "fault"):
                    service.arming.clear("bench")
            status = service.pipeline.status()
            backend = describe_backend(service.pipeline.backend)
        (path,) = Path(folder).iterdir()
        session = read_session(path)
        size = sum(file.stat().st_size for file in path.iterdir())
        replayed = replay_rules(path)
    first = replayed.first
    result: dict[str, Any] = {
        "question": "does a session of the live service replay to the same features and decisions?",
        "camera": "simulated, 640x480 at 200 per second",
        "seconds": asked.seconds,
        "engine": service.engine.manifest.name,
        "backend": backend,
        "armings": armings,
        "record": {"state": session.state, "missing": list(session.missing), "bytes": size},
        "decisions": dict(Counter(f"{each.action}: {each.reason}" for each in session.decisions)),
        "frames_replayed": replayed.frames,
        "other_calls_replayed": replayed.calls,
        "values_compared": replayed.values,
        "decisions_compared": sum(replayed.replayed.values()),
        "identical": replayed.identical,
        "first_difference": None if first is None else first.in_words(),
        "lost": {
            place: getattr(status.losses, place) for place in ("camera", "transport", "ring", "publish")
        },
        "stages": {stage: summary.as_dict() for stage, summary in status.latency.items()},
    }
    write(RESULTS / f"{asked.name}.json", result)
    react = result["stages"]["react"]
    print(
        f"identical: {replayed.identical}; {replayed.frames} frames, {sum(replayed.replayed.values())} decisions"
    )
    print(f"features, rules, record and hand-over: p50 {react['p50_ms']:.3f}, p99 {react['p99_ms']:.3f} ms")


if __name__ == "__main__":
    main()
