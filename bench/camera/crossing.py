"""How long a pose takes from one process to another: a record in a pipe beside shared memory, and ZeroMQ over ipc.

python -m bench.camera.crossing [--poses 2000] [--every-ms 5] [--name camera_crossing]

Both ways take turns in blocks, so that what else the machine does falls on both. The receiver sleeps in `poll` and takes
what is there; a pose of 15 keypoints is written behind a frame of 640x480 that is not touched.
"""

from __future__ import annotations

import json
import multiprocessing
import select
import struct
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import zmq

from bench.result import RESULTS, parser_of, percentiles, write
from rtface.acquire.outside.passage import RECORD, Passage
from rtface.core.records import FrameMeta, Pose, Stamps
from rtface.live.multi.posebytes import pose_bytes, pose_in, put_pose

SHAPE, POINTS, SLOTS, BLOCK = (480, 640), 15, 6, 100
_SLOT = struct.Struct("<Hq")


def made_pose() -> Pose:
    """Return a pose of `POINTS` keypoints."""
    points = np.zeros((POINTS, 2), np.float32)
    return Pose(FrameMeta(1, 2, 3), Stamps(*[1] * 6), points, points[:, 0].copy(), np.zeros(POINTS, bool))


def send(handles: tuple[int, ...], address: str, poses: int, every_s: float, said: Connection) -> None:
    """Send poses by both ways in turn, a block each; a number in the record says when."""
    passage = Passage(handles)
    slots = passage.frames(SLOTS, SHAPE, pose_bytes(POINTS))
    socket = zmq.Context().socket(zmq.PUSH)
    socket.connect(address)
    pose, memory = made_pose(), np.zeros(pose_bytes(POINTS), np.uint8)
    said.recv()
    for number in range(2 * poses):
        time.sleep(every_s)
        if number // BLOCK % 2:
            began_ns = time.monotonic_ns()
            put_pose(memory, pose, 0)
            socket.send_multipart((struct.pack("<q", began_ns), memory.tobytes()))
        else:
            slot = number % SLOTS
            began_ns = time.monotonic_ns()
            put_pose(slots[slot][1], pose, 0)
            passage.put(_SLOT.pack(slot, began_ns).ljust(RECORD, b"\0"))
    said.recv()


def main() -> None:
    """Measure and write the result."""
    parser = parser_of(__doc__)
    parser.add_argument("--poses", type=int, default=2000)
    parser.add_argument("--every-ms", type=float, default=5.0)
    parser.add_argument("--name", default="camera_crossing")
    asked = parser.parse_args()
    passage, handles = Passage.make()
    slots = passage.fit(SLOTS, SHAPE, pose_bytes(POINTS))
    took: dict[str, list[int]] = {"pipe_and_shared_memory": [], "zeromq_ipc": []}
    with tempfile.TemporaryDirectory() as folder, zmq.Context() as context:
        socket = context.socket(zmq.PULL)
        address = f"ipc://{Path(folder) / 'poses'}"
        socket.bind(address)
        ours, theirs = multiprocessing.Pipe()
        child = multiprocessing.get_context("fork").Process(
            target=send, args=(handles, address, asked.poses, asked.every_ms / 1000, theirs), daemon=True
        )
        child.start()
        pipe, ipc = select.poll(), zmq.Poller()
        pipe.register(passage.waits_on[0], select.POLLIN)
        ipc.register(socket, zmq.POLLIN)
        frame = FrameMeta(1, 2, 3)
        ours.send("begin")
        for number in range(2 * asked.poses):
            if number // BLOCK % 2:
                ipc.poll()
                head, body = socket.recv_multipart()
                pose_in(np.frombuffer(body, np.uint8), frame)
                (began_ns,) = struct.unpack("<q", head)
                took["zeromq_ipc"].append(time.monotonic_ns() - began_ns)
                continue
            pipe.poll()
            slot, began_ns = _SLOT.unpack_from(passage.take(1)[0])
            pose_in(slots[slot][1], frame)
            took["pipe_and_shared_memory"].append(time.monotonic_ns() - began_ns)
        ours.send("end")
        child.join(10)
        socket.close(0)
    result = {name: percentiles(np.array(each) / 1000, "us") for name, each in took.items()}
    write(RESULTS / f"{asked.name}.json", {"every_ms": asked.every_ms, **result})
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
