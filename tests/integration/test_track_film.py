"""``rtface track --video-out``: a small clip as a film with its points, names and scores."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import av
import numpy as np
import pytest

from rtface.record import formats

from .conftest import VIDEO_FRAMES, VIDEO_SIZE

Run = Callable[..., CompletedProcess[str]]


def shown(path: Path) -> tuple[list[Any], list[float], str]:
    """The pictures of a film in colours, their times in seconds, and its codec."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
        return (
            [each.to_ndarray(format="bgr24") for each in frames],
            [float(each.time) for each in frames],
            stream.codec.name,
        )


def gray(path: Path) -> list[Any]:
    with av.open(str(path)) as container:
        return [each.to_ndarray(format="gray") for each in container.decode(video=0)]


def test_a_clip_is_shown_with_its_points(rtface: Run, face_video: Path, tmp_path: Path) -> None:
    done = rtface(
        "track", str(face_video), "--out", "a.rtface.h5", "--video-out", "a.mp4", "--engine", "test-engine"
    )
    assert done.returncode == 0, done.stderr
    assert f"a.mp4: {VIDEO_FRAMES} frames" in done.stdout
    pictures, times, codec = shown(tmp_path / "a.mp4")
    assert codec == "h264"
    assert len(pictures) == VIDEO_FRAMES
    table = formats.read(tmp_path / "a.rtface.h5")
    np.testing.assert_allclose(times, (table.camera_ns - table.camera_ns[0]) / 1e9, atol=1.1e-3)
    enlarged = pictures[0].shape[1] // VIDEO_SIZE[1]
    for picture, original in zip(pictures, gray(face_video), strict=True):
        face = picture[: VIDEO_SIZE[0] * enlarged]
        plain = np.repeat(np.repeat(original, enlarged, 0), enlarged, 1)
        coloured = np.ptp(face.astype(int), axis=2) > 60
        assert coloured.any()  # points and names
        assert np.abs(face.mean(axis=2) - plain)[~coloured].mean() < 8  # the frame itself, and the right one


def test_without_names_less_is_drawn(rtface: Run, face_video: Path, tmp_path: Path) -> None:
    counts = {}
    for name, more in (("with", ()), ("without", ("--no-names",))):
        done = rtface(
            "track",
            str(face_video),
            "--out",
            f"{name}.csv",
            "--video-out",
            f"{name}.mp4",
            "--engine",
            "test-engine",
            *more,
        )
        assert done.returncode == 0, done.stderr
        pictures, _, _ = shown(tmp_path / f"{name}.mp4")
        counts[name] = int((np.ptp(pictures[10].astype(int), axis=2) > 60).sum())
    assert 0 < counts["without"] < counts["with"] / 2


def test_several_go_into_a_folder(rtface: Run, face_video: Path, tmp_path: Path) -> None:
    second = tmp_path / "second.mp4"
    second.write_bytes(face_video.read_bytes())
    files = str(face_video), str(second)
    done = rtface("track", *files, "--out", "poses", "--video-out", "films", "--engine", "test-engine")
    assert done.returncode == 0, done.stderr
    assert sorted(each.name for each in (tmp_path / "films").iterdir()) == ["face.mp4", "second.mp4"]
    again = rtface("track", *files, "--out", "more", "--video-out", "x.mp4", "--engine", "test-engine")
    assert again.returncode == 2
    assert "name a folder" in again.stderr


@pytest.mark.parametrize(
    ("film", "why"),
    [("film.avi", "must end in .mp4"), ("there.mp4", "--overwrite"), ("own.mp4", "the recording itself")],
)
def test_a_film_that_cannot_be_is_refused_before_the_work(
    rtface: Run, face_video: Path, tmp_path: Path, film: str, why: str
) -> None:
    (tmp_path / "there.mp4").write_bytes(b"kept")
    own = tmp_path / "own.mp4"
    own.write_bytes(face_video.read_bytes())
    more = ("--overwrite",) if film == "own.mp4" else ()
    done = rtface("track", "own.mp4", "--out", "a.csv", "--video-out", film, "--engine", "test-engine", *more)
    assert done.returncode == 2
    assert why in done.stderr
    assert not (tmp_path / "a.csv").exists()
    assert (tmp_path / "there.mp4").read_bytes() == b"kept"
    assert own.read_bytes() == face_video.read_bytes()


def test_a_damaged_recording_is_shown_up_to_the_damage(rtface: Run, face_video: Path, tmp_path: Path) -> None:
    data = bytearray(face_video.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 400] = bytes(400)
    (tmp_path / "broken.mp4").write_bytes(data)
    done = rtface("track", "broken.mp4", "--out", "b.csv", "--video-out", "b.mp4", "--engine", "test-engine")
    assert done.returncode == 4, done.stderr
    tracked = formats.read(tmp_path / "b.partial.csv")
    pictures, _, _ = shown(tmp_path / "b.partial.mp4")
    assert 0 < len(pictures) == len(tracked) < VIDEO_FRAMES
    assert not (tmp_path / "b.mp4").exists()
