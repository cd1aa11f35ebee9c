"""The name of an engine that nobody named: no way ends because of an engine that is there already."""

from __future__ import annotations

from pathlib import Path

import pytest

from rtface.learn.guided.start import engine_name


def test_a_second_rig_of_the_same_video_gets_the_next_free_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RTFACE_ENGINES", str(tmp_path))
    videos = [Path("Day 1.mp4")]
    assert engine_name(videos) == "day-1-1"
    for name in ("day-1-1", "day-1-3"):
        (tmp_path / name).mkdir()
    assert engine_name(videos) == "day-1-2"
    (tmp_path / "day-1-2").mkdir()
    assert engine_name(videos) == "day-1-4"
    assert engine_name([]) == "rig-1"
