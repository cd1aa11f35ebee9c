"""Frames of several cameras joined: by trigger where each sends it, else by the nearest exposure."""

from __future__ import annotations

from pathlib import Path

from support.multi_session import CAMERAS, record_frames

from rtface.core.records import CameraInfo
from rtface.record.session.cameras.forecast import VideoForecast
from rtface.record.session.cameras.joining import join_frames
from rtface.record.session.reader import read_session

MS = 1_000_000


def test_by_the_number_of_the_trigger_whatever_the_times_say(tmp_path: Path) -> None:
    left = [(10, 0 * MS, 1), (11, 10 * MS, 2), (12, 20 * MS, 3)]
    right = [(70, 9 * MS, 1), (71, 29 * MS, 3), (72, 39 * MS, 4)]
    joined = join_frames(read_session(record_frames(tmp_path, left, right)))
    assert joined.by == "trigger"
    assert joined.columns[2:] == ("left.frame_id", "left.later_ns", "right.frame_id", "right.later_ns")
    assert joined.rows == [
        (1, 0 * MS, 10, 0, 70, 9 * MS),
        (2, 10 * MS, 11, 0, "", ""),
        (3, 20 * MS, 12, 0, 71, 9 * MS),
    ]


def test_by_the_nearest_exposure_within_half_a_period(tmp_path: Path) -> None:
    left = [(1, 100 * MS, None), (2, 110 * MS, None), (3, 120 * MS, None), (4, 160 * MS, None)]
    right = [(5, 98 * MS, None), (6, 118 * MS, None), (7, 138 * MS, None)]
    joined = join_frames(read_session(record_frames(tmp_path, left, right)))
    assert joined.by == "exposure"
    assert [row[4:] for row in joined.rows] == [(5, -2 * MS), (6, 8 * MS), (6, -2 * MS), ("", "")]


def test_a_camera_without_frames_joins_nothing(tmp_path: Path) -> None:
    joined = join_frames(read_session(record_frames(tmp_path, [(1, 0, None)], [])))
    assert joined.rows == [("", 0, 1, 0, "", "")]


def test_the_forecast_adds_up_all_cameras_and_says_whose_rate_is_not_known() -> None:
    def camera(width: int, rate_hz: float | None) -> CameraInfo:
        return CameraInfo("fake", "f", width, 100, rate_hz, None, True, "camera", {})

    cameras = {"left": camera(1000, 100.0), "right": camera(2000, 50.0), "up": camera(10, None)}
    forecast = VideoForecast.of(cameras, room=36 * 10**9)
    assert forecast.bytes_per_s == 20e6
    assert forecast.hours == 0.5
    assert forecast.short
    text = forecast.in_words("lossless")
    assert "20.0 MB/s before lossless compresses them (left 10.0, right 10.0)" in text
    assert "0.5 h at least; the rate of up is not known" in text
    assert not VideoForecast.of({"up": camera(10, None)}, room=1).short
    assert set(CAMERAS) == {"left", "right"}
