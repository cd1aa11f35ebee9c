"""The command line as a user runs it, and a video."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.commandline import run

Start = Callable[..., "subprocess.Popen[str]"]
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def start_rtface(test_engine: str, tmp_path: Path) -> Iterator[Start]:
    """Start ``rtface ...`` in the test's folder, a process of its own; whatever still runs at the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "rtface", *arguments],
            cwd=tmp_path,
            env=os.environ | {"COLUMNS": "200"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def rtface(test_engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run ``rtface ...`` in the test's folder to its end, in this process."""
    monkeypatch.chdir(tmp_path)
    return run


VIDEO_FRAMES = 60
VIDEO_SIZE = (96, 128)


@pytest.fixture(scope="session")
def face_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short video of the simulated mouse."""
    import av
    import numpy as np

    from rtface.simulate.face import MouseFace

    height, width = VIDEO_SIZE
    face = MouseFace(width, height, 100.0, 0)
    frame = np.zeros(VIDEO_SIZE, np.uint8)
    path = tmp_path_factory.mktemp("video") / "face.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("h264", rate=100)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.gop_size = 5
        for index in range(VIDEO_FRAMES):
            face.render(index, frame)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="gray")))
        container.mux(stream.encode())
    return path
