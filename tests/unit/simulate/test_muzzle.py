from __future__ import annotations

import numpy as np
import pytest

from rtface.simulate.anatomy import RESTING, Placement
from rtface.simulate.motion import MouseMotion
from rtface.simulate.muzzle import Muzzle
from rtface.simulate.parameters import FaceParameters


@pytest.mark.parametrize(
    "name", ["nose(tip)", "nose(top)", "whisker(I)", "whisker(III)", "mouth", "lowerlip"]
)
@pytest.mark.parametrize("seed", [1, 2])
def test_a_mark_on_the_still_head_is_seen_where_the_truth_says(name: str, seed: int) -> None:
    width, height = 640, 480
    place = Placement(FaceParameters.randomised(seed), width, height)
    muzzle = Muzzle(place, width, height)
    motion = MouseMotion(seed, 3, 1.4, 0.0, 0.0)
    mark = place(np.array([RESTING[name]], float))
    rows, columns = np.mgrid[0:height, 0:width]
    squared = (columns - mark[0, 0]) ** 2 + (rows - mark[0, 1]) ** 2
    still = np.rint(255 * np.exp(-squared / 18)).astype(np.uint8)
    travelled = []
    for time_s in (0.0, 0.7, 3.1, 9.9):
        out = still.copy()
        pose = motion.at(time_s)
        muzzle.warp(pose, still, out)
        weight = out.astype(float)
        seen = np.array([(weight * columns).sum(), (weight * rows).sum()]) / weight.sum()
        truth = muzzle.moved(pose, mark)[0]
        assert np.hypot(*(seen - truth)) < 0.35
        travelled.append(np.hypot(*(truth - mark[0])))
    assert max(travelled) > 2


def test_nothing_beyond_the_muzzle_moves() -> None:
    place = Placement(FaceParameters(), 320, 240)
    muzzle = Muzzle(place, 320, 240)
    still = np.random.default_rng(0).integers(0, 256, (240, 320), np.uint8)
    out = still.copy()
    pose = MouseMotion(0, 3, 1.0, 0.0, 0.0).at(1.0)
    muzzle.warp(pose, still, out)
    far = place(np.array([RESTING["eye(front)"], RESTING["eye(back)"]], float))
    assert np.array_equal(muzzle.moved(pose, far), far)
    x, y = np.rint(far[0]).astype(int)
    assert np.array_equal(out[:, x:], still[:, x:])
    assert not np.array_equal(out, still)
    assert 0 < y < 240
