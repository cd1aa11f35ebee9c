from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from rtface.config import ImagesCameraSettings
from rtface.core.errors import DataError
from rtface.core.records import FACEMAP_KEYPOINTS, Crop, FloatArray
from rtface.learn.labels.suggest import FrameFeatures, choose, frame_features, usable
from rtface.learn.labels.survey import THUMBNAIL_SIDE, Survey
from rtface.simulate.face import MouseFace

FRAMES = 300
ODD = (41, 42, 150, 203)
COPIES = range(220, 260)
COPIED = 219
TRAINED = np.array([name != "paw" for name in FACEMAP_KEYPOINTS])


def small(image: np.ndarray) -> FloatArray:
    levels = cv2.resize(image, (THUMBNAIL_SIDE, THUMBNAIL_SIDE), interpolation=cv2.INTER_AREA).astype(
        np.float32
    )
    return ((levels - levels.mean()) / levels.std()).ravel()


def simulated_survey(seed: int, *, knows: bool = True) -> Survey:
    """A recording of a simulated mouse: some frames with a box before the face, some that are all but copies.

    The engine finds the truth within a pixel and says so, except behind the box; or it knows nothing at all.
    """
    random = np.random.default_rng(seed)
    face = MouseFace(200, 150, 5.0, seed)
    image = np.zeros((150, 200), np.uint8)
    xy = np.zeros((FRAMES, 15, 2), np.float32)
    score = np.full((FRAMES, 15), 0.95, np.float32)
    looks = []
    for index in range(FRAMES):
        face.render(COPIED if index in COPIES else index, image)
        truth = face.truth(COPIED if index in COPIES else index)
        truth[~TRAINED] = np.nan
        xy[index] = truth + random.normal(0, 0.3, truth.shape)
        if index in ODD:
            image[30:120, 20:110] = 90
            xy[index, :6] += random.normal(0, 15, (6, 2))
            score[index, :6] = 0.2
        looks.append(small(image))
    if not knows:
        xy = random.uniform(0, 150, xy.shape).astype(np.float32)
        score[:] = 0.02
    score[:, ~TRAINED] = 0
    return survey_of(xy, score, np.stack(looks))


def survey_of(xy: FloatArray, score: FloatArray, look: FloatArray) -> Survey:
    count = len(xy)
    ones = np.ones(count, np.float32)
    return Survey(
        name="mouse",
        recording=ImagesCameraSettings(kind="images", path=Path("mouse")),
        crop=Crop(0, 0, 200, 150),
        total=count,
        damage=None,
        frame=np.arange(count),
        time_s=np.arange(count) / 5.0,
        xy=xy,
        score=score,
        jump=np.zeros(xy.shape[:2], np.float32),
        thumbnail=look,
        contrast=40 * ones,
        sharpness=ones,
        glare=0 * ones,
    )


def plain(count: int, seed: int = 0) -> FrameFeatures:
    random = np.random.default_rng(seed)
    return FrameFeatures(
        pose=random.normal(0, 0.1, (count, 2)).astype(np.float32),
        thumbnail=random.normal(0, 0.5, (count, 2)).astype(np.float32),
        trust=0.9,
        doubt=np.full(count, 0.1, np.float32),
        usable=np.ones(count, bool),
        video=np.zeros(count, np.int64),
        time_s=np.arange(count) / 10.0,
    )


def indices(what: FrameFeatures, count: int, **options: float) -> list[int]:
    return [choice.index for choice in choose(what, count, **options)]


def true_distances(seed: int) -> FloatArray:
    face = MouseFace(200, 150, 5.0, seed)
    poses = np.stack([face.truth(COPIED if index in COPIES else index)[TRAINED] for index in range(FRAMES)])
    return np.linalg.norm(poses[:, None] - poses[None], axis=3).mean(axis=2)


def coverage(distances: FloatArray, chosen: Sequence[int]) -> float:
    return float(distances[:, list(chosen)].min(axis=1).mean())


@pytest.mark.parametrize("knows", [True, False], ids=["a good engine", "an engine that knows nothing"])
def test_suggested_frames_cover_better_than_random_ones(knows: bool) -> None:
    ratios = []
    for seed in range(3):
        far = true_distances(seed)
        what = frame_features([simulated_survey(seed, knows=knows)], TRAINED)
        random = np.random.default_rng(seed)
        for count in (5, 10, 20):
            drawn = np.mean([coverage(far, random.choice(FRAMES, count, False)) for _ in range(50)])
            ratios.append(coverage(far, indices(what, count)) / drawn)
    assert np.mean(ratios) < (0.9 if knows else 1.0), ratios


@pytest.mark.parametrize("seed", range(3))
def test_odd_frames_are_found_and_copies_are_not_chosen_twice(seed: int) -> None:
    chosen = indices(frame_features([simulated_survey(seed)], TRAINED), 10)
    assert set(chosen) & set(ODD)
    assert len(set(chosen) & {COPIED, *COPIES}) <= 1


def test_two_frames_of_three_are_chosen_without_asking_for_doubt() -> None:
    what = plain(60)
    loud = replace(what, doubt=np.where(np.arange(60) < 5, 1.0, 0.0).astype(np.float32))
    reasons = [choice.why for choice in choose(loud, 9)]
    assert reasons == ["coverage", "coverage", "doubt"] * 3
    assert indices(what, 2) == indices(loud, 2)


def test_doubt_prefers_the_uncertain_frame_of_two_that_are_as_far() -> None:
    pose = np.array([[0, 0]] * 8 + [[1, 0]] * 4 + [[0.5, 0.9], [0.5, -0.9]], np.float32)
    look = np.linspace(0, 0.2, 14, dtype=np.float32)[:, None] * 0
    for uncertain in (12, 13):
        doubt = np.full(14, 0.1, np.float32)
        doubt[uncertain] = 0.8
        what = replace(plain(14), pose=pose, thumbnail=look, doubt=doubt, trust=1.0)
        assert indices(what, 3)[2] == uncertain


def test_frames_that_hardly_differ_are_not_filled_up() -> None:
    what = plain(30)
    still = replace(what, pose=what.pose * 0.01, thumbnail=what.thumbnail * 0.01)
    assert len(choose(still, 10)) == 1


def test_the_number_asked_for_is_filled_up_with_frames_spread_in_time() -> None:
    """Two poses only, of which the second holds for the last tenth: two frames differ, and eight are spread."""
    what = plain(100)
    two = np.repeat([0.0, 1.0], [90, 10]).astype(np.float32)[:, None]
    still = replace(what, pose=np.hstack([two, two]), thumbnail=np.hstack([two, two]))
    assert len(choose(still, 10)) == 2
    filled = choose(still, 10, min_gap_s=1.0, fill=True)
    assert [each.why for each in filled[2:]] == ["spread"] * 8
    assert [each.index for each in filled[:2]] == indices(still, 2)
    assert sum(each.stands_for for each in filled) == 100
    times = np.sort(what.time_s[[each.index for each in filled]])
    assert len(set(times.tolist())) == 10
    assert np.diff(times).max() <= 2.5, "no stretch of the ten seconds is left out"
    assert len(choose(still, 300, fill=True)) == 100, "all that there are, each once"
    unusable = replace(still, usable=np.arange(100) % 20 == 0)
    assert sorted(each.index for each in choose(unusable, 10, fill=True)) == [0, 20, 40, 60, 80]


def test_filling_up_changes_nothing_where_enough_frames_differ_and_keeps_the_shares() -> None:
    what = plain(100)
    assert choose(what, 12, fill=True) == choose(what, 12)
    pair = replace(what, pose=what.pose * 0, thumbnail=what.thumbnail * 0, video=np.repeat([0, 1], [90, 10]))
    filled = choose(pair, 8, fill=True)
    assert np.bincount(pair.video[[each.index for each in filled]]).tolist() == [4, 4]


def test_more_frames_are_others_that_differ_from_those_of_before() -> None:
    what = plain(60)
    first = indices(what, 6)
    more = choose(what, 6, before=first)
    assert not {each.index for each in more} & {*first}
    assert all(np.isfinite(each.distance) for each in more)
    still = replace(what, pose=what.pose * 0, thumbnail=what.thumbnail * 0)
    filled = choose(still, 3, fill=True, before=[0, 59])
    assert [each.why for each in filled] == ["spread"] * 3
    assert 25 <= filled[0].index <= 34, "in the middle between those of before"
    assert not {each.index for each in filled} & {0, 59}
    with pytest.raises(DataError, match="chosen before"):
        choose(what, 3, fill=True, before=range(60))


def test_gap_is_kept_within_a_recording_but_not_between_two() -> None:
    what = plain(80)
    times = what.time_s[indices(what, 8, min_gap_s=0.7)]
    assert min(abs(one - other) for one, other in itertools.combinations(times, 2)) >= 0.7 - 1e-9
    two = replace(what, video=np.arange(80) % 2, time_s=np.zeros(80))
    assert sorted(two.video[indices(two, 8, min_gap_s=0.7)].tolist()) == [0, 1]


def test_each_recording_gets_its_share_and_a_short_one_leaves_the_rest_to_others() -> None:
    even = replace(plain(90), video=np.repeat([0, 1, 2], [80, 5, 5]))
    assert np.bincount(even.video[indices(even, 9)]).tolist() == [3, 3, 3]
    short = replace(plain(90), video=np.repeat([0, 1], [88, 2]))
    assert np.bincount(short.video[indices(short, 10)]).tolist() == [8, 2]


def test_the_same_frames_come_each_time_and_a_shorter_list_is_the_start_of_a_longer_one() -> None:
    what = plain(100)
    assert indices(what, 12) == indices(what, 12)
    assert indices(what, 5) == indices(what, 12)[:5]


def test_black_white_and_blurred_frames_are_not_usable_and_never_chosen() -> None:
    seen = simulated_survey(0)
    contrast, sharpness, glare = seen.contrast.copy(), seen.sharpness.copy(), seen.glare.copy()
    contrast[:10], glare[10:20], sharpness[20:30] = 1.0, 0.9, 0.1
    bad = replace(seen, contrast=contrast, sharpness=sharpness, glare=glare)
    assert usable(bad).tolist() == [False] * 30 + [True] * (FRAMES - 30)
    assert min(indices(frame_features([bad], TRAINED), 40)) >= 30
    with pytest.raises(DataError, match="black, white or blurred"):
        choose(frame_features([replace(seen, contrast=0 * contrast)], TRAINED), 3)


def test_a_sudden_jump_is_doubt_even_where_the_score_is_high() -> None:
    seen = simulated_survey(0)
    calm = np.full_like(seen.jump, 1.0)
    calm[100, :3] = 40
    doubt = frame_features(
        [replace(seen, jump=calm, score=np.where(TRAINED, 0.95, 0) + 0 * seen.score)], TRAINED
    ).doubt
    assert doubt.argmax() == 100
    assert doubt[100] == pytest.approx(0.05 + 0.95 * 3 / 14, abs=0.02)


def test_untrained_keypoints_do_not_count() -> None:
    seen = simulated_survey(1)
    other = replace(seen, xy=seen.xy.copy(), score=seen.score.copy())
    other.xy[:, ~TRAINED] = 77
    other.score[:, ~TRAINED] = 1
    assert indices(frame_features([other], TRAINED), 10) == indices(frame_features([seen], TRAINED), 10)


def test_stands_for_counts_every_usable_frame_once() -> None:
    what = replace(plain(50), usable=np.arange(50) >= 7)
    assert sum(choice.stands_for for choice in choose(what, 6)) == 43
