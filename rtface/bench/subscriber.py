"""A subscriber in a process of its own, as the far end of a latency measurement.

Run as ``python -m rtface.bench.subscriber ADDRESS CONTROL``. Writes ``ready`` once the first keypoints have come,
follows the service to its end, and writes what it saw as one line of JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rtface.client import Client
from rtface.core.errors import DataError
from rtface.core.latency import Histogram
from rtface.core.realtime import realtime_process

_POLL_S = 0.5
_SILENT_POLLS = 20
_START_TIMEOUT_S = 30.0
_STOP_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class RemoteSubscriber:
    """The parent's side of a subscriber process."""

    process: subprocess.Popen[bytes]

    def collect(self) -> dict[str, Any]:
        """Wait for the subscriber, who ends when the service does, and return what it saw.

        Raises
        ------
        DataError
            It failed or did not end.
        """
        try:
            output, _ = self.process.communicate(timeout=_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired as error:
            raise DataError("the measuring subscriber did not end with the service") from error
        lines = output.splitlines()
        if self.process.returncode != 0 or not lines:
            raise DataError(f"the measuring subscriber failed with status {self.process.returncode}")
        report: dict[str, Any] = json.loads(lines[-1])
        return report


@contextmanager
def subscriber_process(address: str, control: str, begin_ns: int) -> Iterator[RemoteSubscriber]:
    """Start a subscriber and wait for its first keypoints; it never outlives the block."""
    command = [sys.executable, "-m", "rtface.bench.subscriber", address, control, str(begin_ns)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None  # stdout=PIPE above
        if process.stdout.readline().strip() != b"ready":
            raise DataError("the measuring subscriber did not get any keypoints")
        yield RemoteSubscriber(process)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def follow(address: str, control: str, begin_ns: int) -> dict[str, Any]:
    """Receive until the service ends and return counts and percentiles in milliseconds.

    Frames exposed before `begin_ns` are received but not counted. Ends as well when the service has been silent for
    some seconds, because it was killed, say.
    """
    age, hop = Histogram(), Histogram()
    received = missed = out_of_order = 0
    last_frame = -1
    with Client(address, control) as client:
        if client.next(_START_TIMEOUT_S) is None:
            return {"received": 0}
        print("ready", flush=True)  # noqa: T201  (the protocol with the parent)
        silent = 0
        while silent < _SILENT_POLLS:
            keypoints = client.next(_POLL_S)
            status = client.latest_status
            if keypoints is None:
                if status is not None and status.status.state in ("ended", "failed"):
                    break
                silent += 1
                continue
            silent = 0
            if keypoints.stamps.exposure_ns < begin_ns:
                last_frame = keypoints.frame_id
                continue
            received += 1
            missed += keypoints.missed
            out_of_order += keypoints.frame_id <= last_frame
            last_frame = keypoints.frame_id
            age.add(keypoints.received_ns - keypoints.stamps.exposure_ns)
            hop.add(keypoints.received_ns - keypoints.published_ns)
    return {
        "received": received,
        "missed": missed,
        "out_of_order": out_of_order,
        "exposure_to_subscriber": age.summary().as_dict(),
        "published_to_subscriber": hop.summary().as_dict(),
        "distribution": age.distribution(),
    }


if __name__ == "__main__":
    with realtime_process():
        print(json.dumps(follow(sys.argv[1], sys.argv[2], int(sys.argv[3]))), flush=True)  # noqa: T201
