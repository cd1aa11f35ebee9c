"""The side-by-side comparison: its arithmetic, and that it compares like with like."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bench.peers import compare, facemap_training
from bench.peers.found import Found, read_found, write_found
from bench.peers.report import judge
from rtface.learn.labels.labelset import LabelledFrame, LabelSet

KEYPOINTS = ("mouth", "paw", "nose(tip)")
VIDEOS = ("first", "second")


@pytest.fixture
def labels() -> LabelSet:
    """Four frames of one video and two of another; the paw has no label, one mouth is missing."""
    image = np.zeros((40, 60), np.uint8)
    xy = np.array([[10, 10], [np.nan, np.nan], [30, 20]], np.float32)
    frames = []
    for video, count in zip(VIDEOS, (4, 2), strict=True):
        for number in range(count):
            here = xy + number
            if (video, number) == ("first", 3):
                here[0] = np.nan
            frames.append(LabelledFrame(f"{video}-{number}", video, image, here))
    return LabelSet(KEYPOINTS, tuple(frames))


def keep(labels: LabelSet, runs: Path, name: str, by: dict[str, float]) -> None:
    """Let a competitor be wrong by a distance of its own on each video, its frames in another order."""
    for video, error in by.items():
        frames = labels.only([video]).frames[::-1]
        xy = np.nan_to_num(np.stack([frame.xy for frame in frames])) + np.float32([0.6 * error, 0.8 * error])
        found = Found(tuple(frame.name for frame in frames), xy, {"made": "up"})
        write_found(runs, name, video, found)


def test_the_report_is_over_all_labels_and_by_video(labels: LabelSet, tmp_path: Path) -> None:
    keep(labels, tmp_path / "runs", "ours", {"first": 1.0, "second": 4.0})
    keep(labels, tmp_path / "runs", "facemap", {"first": 3.0, "second": 3.0})
    shown = compare.write_report(labels, tmp_path / "runs", ["ours"], tmp_path)
    result = json.loads((tmp_path / "peers.json").read_text(encoding="utf-8"))
    errors = result["competitors"]["ours"]["errors_px"]
    assert (errors["first"]["n"], errors["second"]["n"], errors["both"]["n"]) == (7, 4, 11)
    assert errors["both"]["mean_px"] == pytest.approx((7 * 1 + 4 * 4) / 11, abs=0.01)
    assert set(errors["both"]["by_keypoint"]) == {"mouth", "nose(tip)"}
    difference = result["difference_of_mean_error_px"]["ours"]
    assert set(difference) == {"facemap"}
    assert difference["facemap"]["first"] == {"difference_px": -2.0, "low_px": -2.0, "high_px": -2.0}
    both = difference["facemap"]["both"]
    assert both["difference_px"] == pytest.approx((7 * -2 + 4 * 1) / 11, abs=0.001)
    assert both["low_px"] < both["difference_px"] < both["high_px"]
    assert shown.index("| ours |") < shown.index("| facemap |")
    assert not (tmp_path / "peers.png").exists(), "nothing is drawn without times"


def test_the_mean_position_is_the_other_videos(labels: LabelSet, tmp_path: Path) -> None:
    keep(labels, tmp_path / "runs", "ours", dict.fromkeys(VIDEOS, 1.0))
    compare.write_report(labels, tmp_path / "runs", ["ours"], tmp_path)
    result = json.loads((tmp_path / "peers.json").read_text(encoding="utf-8"))
    second = result["competitors"]["mean position"]["errors_px"]["second"]["by_keypoint"]
    # The first video's noses lie 0 to 3 pixels along the diagonal, its mouths 0 to 2; the second's 0 and 1.
    assert second["nose(tip)"]["mean_px"] == pytest.approx(2**0.5 * (1.5 + 0.5) / 2, abs=0.01)
    assert second["mouth"]["mean_px"] == pytest.approx(2**0.5 * (1 + 0) / 2, abs=0.01)


def test_competitors_with_times_are_drawn(labels: LabelSet, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    keep(labels, runs, "ours", dict.fromkeys(VIDEOS, 1.0))
    keep(labels, runs, "facemap", dict.fromkeys(VIDEOS, 2.0))
    of_each = {"n": 300, "mean": 1.234, "p50": 1.2, "p95": 2.0, "p99": 3.0}
    of_rounds = {"n": 300, "mean": 80.0, "mean_by_round": [79.0, 81.0]}
    times = {
        "ours": {"how": "", "frame_to_keypoints_ms": of_each, "network_ms": of_each},
        "facemap": {"how": "", "frame_to_keypoints_ms": of_rounds, "network_ms": of_rounds},
        "facemap, run by rtface": {"how": "", "frame_to_keypoints_ms": of_each, "network_ms": of_each},
    }
    (runs / compare.SPEED_FILE).write_text(json.dumps({"rounds": 2, "times": times}), encoding="utf-8")
    shown = compare.write_report(labels, runs, ["ours"], tmp_path)
    assert "1.23 (1.20) ms" in shown
    assert "80.00 ms" in shown
    result = json.loads((tmp_path / "peers.json").read_text(encoding="utf-8"))
    rows = result["competitors"]
    assert rows["facemap, run by rtface"]["errors_px"] == rows["facemap"]["errors_px"]
    assert (tmp_path / "peers.png").stat().st_size > 5_000


def test_answers_for_other_frames_or_too_few_labels_are_refused(labels: LabelSet, tmp_path: Path) -> None:
    keep(labels, tmp_path, "ours", {"first": 1.0, "second": 1.0})
    found = read_found(tmp_path, "ours", "first")
    with pytest.raises(SystemExit, match="not the same frames"):
        judge(labels, {"ours": {"second": found}})
    found.xy[0, 2] = np.nan
    with pytest.raises(SystemExit, match="was not found"):
        judge(labels, {"ours": {"first": found}})
    with pytest.raises(SystemExit, match="no predictions of face-9"):
        compare.write_report(labels, tmp_path, ["face-9"], tmp_path)


def test_facemaps_rate_falls_at_the_end_as_published() -> None:
    recipe = facemap_training.FacemapRecipe(1.0)
    rates = [recipe.rate(epoch) for epoch in range(36)]
    assert rates == [1.0] * 30 + [0.1] * 3 + [0.04] * 3


def test_facemaps_mirror_takes_the_labels_along() -> None:
    image = np.zeros((8, 10), np.float32)
    image[3, 2] = 1.0
    xy = np.array([[2, 3], [np.nan, np.nan]], np.float32)
    recipe = facemap_training.FacemapRecipe(1.0, flip=1.0, gray=0.0)
    mirrored, moved = facemap_training.augment(image, xy, recipe, np.random.default_rng(0))
    x, y = moved[0].astype(int)
    assert (x, y) == (7, 3)
    assert mirrored[y, x] == 1.0
    assert xy[0, 0] == 2, "the sample itself stays"


def test_the_peers_network_learns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facemap_training, "CHANNELS", (4, 8, 8, 8, 8))
    monkeypatch.setattr(facemap_training, "SIZE", 64)
    random = np.random.default_rng(0)
    image = random.integers(0, 255, (64, 64), dtype=np.uint8)
    xy = np.full((15, 2), np.nan, np.float32)
    xy[3] = 40, 20
    labels = LabelSet(
        tuple(map(str, range(15))), tuple(LabelledFrame(str(n), "v", image, xy) for n in range(4))
    )
    losses: list[float] = []
    recipe = facemap_training.FacemapRecipe(1e-2, epochs=10, flip=0.0)
    network = facemap_training.train_facemap(labels, recipe, lambda _, loss: losses.append(loss))
    assert losses[-1] < 0.6 * losses[0]
    assert facemap_training.find(network, labels.frames[:1]).shape == (1, 15, 2)
