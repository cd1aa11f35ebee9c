"""Facemap itself beside rtface, on real frames: a short run of `bench/parity_facemap.py`."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import openvino  # noqa: F401  its first import starts a thread that stays
import pytest
from support.paths import BENCH

SCRIPT = BENCH / "parity_facemap.py"


@pytest.fixture
def parity() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("parity_facemap", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["parity_facemap"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["parity_facemap"]


@pytest.mark.facemap
@pytest.mark.timeout(600)
@pytest.mark.skipif(
    "RTFACE_FACEMAP_PYTHON" not in os.environ,
    reason="RTFACE_FACEMAP_PYTHON does not name a Python that has Facemap",
)
def test_keypoints_are_facemaps_on_real_frames(parity: ModuleType, shared_data: Path, tmp_path: Path) -> None:
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
