"""Facemap itself beside rtface, on real frames: a short run of `bench/facemap/parity.py`."""

from __future__ import annotations

import os
from pathlib import Path

import openvino  # noqa: F401  its first import starts a thread that stays
import pytest

from bench.facemap import parity


@pytest.mark.facemap
@pytest.mark.timeout(600)
@pytest.mark.skipif(
    "RTFACE_FACEMAP_PYTHON" not in os.environ,
    reason="RTFACE_FACEMAP_PYTHON does not name a Python that has Facemap",
)
def test_keypoints_are_facemaps_on_real_frames(shared_data: Path, tmp_path: Path) -> None:
    whole, cropped = parity.CASES[2], parity.CASES[3]
    assert whole.crop is None
    assert (cropped.crop.width - cropped.crop.height) % 2 == 1
    result = parity.compare_cases(
        shared_data / "mouse_face_pupil_video" / "sample_video.mp4",
        os.environ["RTFACE_FACEMAP_PYTHON"],
        frames=10,
        steps=25,
        work=tmp_path,
        cases=(whole, cropped),
    )
    assert result["facemap"]["batch_size"] == 1
    for case in result["cases"]:
        assert case["points"] == 150
        assert case["median_px"] <= parity.GOAL_MEDIAN_PX
        assert case["max_px"] <= parity.GOAL_MAX_PX
        assert case["likelihood_max"] < 1e-3
