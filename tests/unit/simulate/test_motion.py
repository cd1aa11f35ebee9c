from __future__ import annotations

import numpy as np

from rtface.simulate.chance import uniform_hash
from rtface.simulate.motion import MouseMotion


def test_the_hash_is_uniform_and_depends_on_every_key() -> None:
    values = np.array([uniform_hash(7, 1, index) for index in range(4000)])
    assert ((values >= 0) & (values < 1)).all()
    counts, _ = np.histogram(values, 10, (0, 1))
    assert counts.min() > 320
    assert counts.max() < 480
    assert len({uniform_hash(*keys) for keys in ((1, 2, 3), (3, 2, 1), (1, 2, 4), (1, 2), (0, 1, 2, 3))}) == 5


def test_neighbouring_moments_are_alike_and_behaviour_comes_and_goes() -> None:
    motion = MouseMotion(3, 5, 1.0, 0.5, 0.5)
    poses = [motion.at(index / 500) for index in range(20_000)]
    nose = np.array([pose.nose for pose in poses])
    closure = np.array([pose.eye_closure for pose in poses])
    paw = np.array([pose.paw for pose in poses])
    assert np.abs(np.diff(nose, axis=0)).max() < 2
    assert np.abs(np.diff(closure)).max() < 0.06
    assert np.abs(np.diff(paw)).max() < 0.02
    assert nose.std(axis=0).min() > 3
    assert 0.002 < (closure > 0.9).mean() < 0.2
    assert 0.01 < (paw > 0.3).mean() < 0.5
    assert (closure >= 0).all()
    assert (closure <= 1).all()


def test_probabilities_of_0_and_1_hold() -> None:
    times = np.arange(0, 40, 0.02)
    never, always = MouseMotion(3, 3, 1.0, 0.0, 0.0), MouseMotion(3, 3, 1.0, 1.0, 1.0)
    assert not any(never.at(time).paw for time in times)
    assert max(never.at(time).eye_closure for time in times) < 0.5
    for window in range(8):
        inside = times[(times >= 5 * window) & (times < 5 * window + 5)]
        assert max(always.at(time).paw for time in inside) > 0.9
