"""A process that records at 200 frames a second is killed: at most its last second is lost, and the rest is valid."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.paths import REPOSITORY

from rtface.core.clock import SYSTEM_CLOCK
from rtface.offline.replay.rules import replay_rules
from rtface.offline.replay.steps import steps
from rtface.record.seal.cipher import read_key
from rtface.record.session import LOG_NAME
from rtface.record.session.encoder import EXACT, count_frames, frame_checksums
from rtface.record.session.entries import VideoEntry
from rtface.record.session.reader import Session, read_session
from rtface.record.session.verify import verify

WRITER = (sys.executable, "-m", "bench.loop.record_writer")
SECOND_NS = 1_000_000_000


def killed(root: Path, frames: str, after: int) -> tuple[Path, int, int]:
    """Kill a recording process once it has handed over so many frames.

    Returns the session's folder, the last frame that is known to have been handed over, and its exposure.
    """
    command = [*WRITER, str(root), "--frames", frames]
    process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    lines: list[bytes] = []
    try:
        while len(lines) < after:
            line = process.stdout.readline()
            assert line, process.stderr.read().decode()
            lines.append(line)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        rest, _ = process.communicate()
    lines += [each for each in rest.splitlines() if len(each.split()) == 2]
    number, exposure_ns = map(int, lines[-1].split())
    folders = list(root.iterdir())
    assert len(folders) == 1
    return folders[0], number, exposure_ns


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
@pytest.mark.parametrize(
    ("frames", "after"), [("lossless", 700), ("h264", 511), ("ffv1", 423), ("none", 613)]
)
def test_at_most_the_last_second_is_lost(tmp_path: Path, frames: str, after: int) -> None:
    folder, last, exposure_ns = killed(tmp_path, frames, after)
    session = read_session(folder)
    assert session.state == "truncated"
    assert session.damage == ()
    for rows in (session.poses, session.features):
        ids = rows["frame_id"].tolist()
        assert ids == list(range(len(ids)))
        assert (session.poses["exposure_ns"][-1]) > exposure_ns - SECOND_NS
        assert ids[-1] > last - 200
    decided = [each.frame_id for each in session.decisions]
    assert decided == list(range(0, len(decided) * 10, 10))
    assert decided[-1] >= 10 * ((last - 200) // 10)
    assert [finding for finding in verify(session) if finding.verdict == "wrong"] == []
    replayed = list(steps(folder))
    assert [step.frame_id for step in replayed] == session.features["frame_id"].tolist()
    if frames != "none":
        _check_video(session, folder / "frames.mkv", exposure_ns)


def _check_video(session: Session, path: Path, exposure_ns: int) -> None:
    pictures, index = count_frames(path), session.frames
    assert pictures > 0
    known = min(pictures, len(index))
    assert index["exposure_ns"][known - 1] > exposure_ns - SECOND_NS
    assert index["position"].tolist() == list(range(len(index)))
    checksums = list(frame_checksums(path))
    assert len(checksums) >= known - 1
    video = session.last(VideoEntry)
    assert video is not None
    if video.codec in EXACT:
        assert checksums[:known] == index["crc32"].tolist()[: min(known, len(checksums))]


def test_what_was_committed_is_in_the_file_while_it_is_written(tmp_path: Path) -> None:
    """A reader sees each pose soon after it was handed over: nothing waits in the process for more."""
    command = [*WRITER, str(tmp_path), "--frames", "none"]
    process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        for _ in range(100):
            process.stdout.readline()
        folder = next(tmp_path.iterdir())
        deadline_ns = SYSTEM_CLOCK.now_ns() + 20 * SECOND_NS
        while len(read_session(folder).poses) < 100:
            assert SYSTEM_CLOCK.now_ns() < deadline_ns
        assert read_session(folder).state == "open"
        assert (folder / LOG_NAME).stat().st_size > 0
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    assert read_session(folder).state == "truncated"


SEALED = """
import copy, sys, time
from pathlib import Path
from support.recorded_loop import RULES, Loop

rules = copy.deepcopy(RULES)
rules["rules"]["whisk"] |= {"repeat": True, "refractory_ms": 20, "ignore_light_ms": 0}
loop = Loop(Path(sys.argv[1]), rules, alike_ns=50_000_000, sealed=True)
loop.recorder.open()
loop.call("arm", 10**12 - 1_000_000)

def watch(number, now_ns):
    print(number, flush=True)
    time.sleep(0.002)

loop.run(100_000, watch)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
@pytest.mark.parametrize("after", [611, 1203])
def test_of_a_sealed_session_no_decision_is_left_without_its_secret(tmp_path: Path, after: int) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "tests")])}
    process = subprocess.Popen(
        [sys.executable, "-c", SEALED, str(tmp_path)], stdout=subprocess.PIPE, env=environment
    )
    assert process.stdout is not None
    try:
        for _ in range(after):
            assert process.stdout.readline()
    finally:
        os.kill(process.pid, signal.SIGKILL)
        rest, _ = process.communicate()
    handed = after + len(rest.split())
    (folder,) = tmp_path.iterdir()
    closed, opened = read_session(folder), read_session(folder, read_key(folder))
    assert (closed.state, opened.state) == ("truncated", "truncated")
    assert len(closed.features) > handed - 500
    trials = [each for each in closed.decisions if each.action == "trial"]
    assert len(trials) > 5
    assert {each.action for each in opened.decisions if each.blind and each.pulse is not None} == {
        "fire",
        "sham",
    }
    items = opened.unsealed
    assert items is not None
    assert [each.number for each in items] == list(range(len(items)))
    assert not [each for each in verify(opened) if each.verdict == "wrong"]
    for key in (None, read_key(folder)):
        report = replay_rules(folder, key=key)
        assert report.decision is None, report.decision
