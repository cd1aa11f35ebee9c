"""What all ways of training share: the split, the evaluation, and the model card."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.drawn_labels import ARCHITECTURE, FACEMAP_ARCHITECTURE, NAMES, SIZE, drawn, fresh

from rtface.core.errors import DataError
from rtface.core.records import Crop
from rtface.learn.engines.bundle import save_engine
from rtface.learn.labels.labelset import LabelSet
from rtface.learn.tracker.card import model_card
from rtface.learn.tracker.evaluation import FEWEST_TO_CALIBRATE, evaluate, predict
from rtface.learn.tracker.labelled_frames import hold_out, pictures_of
from rtface.track.manifest import KeypointEntry
from rtface.track.store import load_engine


def several(*counts: int) -> LabelSet:
    """Recordings of so many frames."""
    frames = [drawn(count, number, f"v{number}").frames for number, count in enumerate(counts)]
    return LabelSet(NAMES, tuple(frame for part in frames for frame in part))


def names(labels: LabelSet) -> list[str]:
    return [frame.name for frame in labels.frames]


def test_whole_recordings_are_held_out_by_name() -> None:
    training, judging = hold_out(several(3, 4, 5), ["v0", "v2"], 0)
    assert (training.videos, len(training)) == (("v1",), 4)
    assert (judging.videos, len(judging)) == (("v0", "v2"), 8)
    assert training.keypoints == judging.keypoints == NAMES


def test_a_share_is_held_out_of_each_recording_alike() -> None:
    labels = several(20, 40)
    training, judging = hold_out(labels, 0.25, 0)
    assert [len(judging.only([video])) for video in labels.videos] == [5, 10]
    assert sorted(names(training) + names(judging)) == sorted(names(labels))
    assert names(hold_out(labels, 0.25, 0)[1]) == names(judging)
    assert names(hold_out(labels, 0.25, 1)[1]) != names(judging)


def test_the_share_is_met_though_each_recording_has_few_frames() -> None:
    _, judging = hold_out(several(*[2] * 20), 0.15, 0)
    assert len(judging) == 6
    assert len(judging.videos) == 6


def test_nothing_need_be_held_out_but_not_everything_can_be() -> None:
    labels = several(2, 2)
    for nothing in (0.0, []):
        training, judging = hold_out(labels, nothing, 0)  # type: ignore[arg-type]
        assert (len(training), len(judging)) == (4, 0)
    for everything in (1.0, ["v0", "v1"]):
        with pytest.raises(DataError, match="none is left"):
            hold_out(labels, everything, 0)  # type: ignore[arg-type]


def test_an_unknown_recording_is_named_with_those_there_are() -> None:
    with pytest.raises(DataError, match="'v9'; there are v0, v1"):
        hold_out(several(1, 1), ["v0", "v9"], 0)


def test_a_frame_that_is_smaller_than_the_crop_is_named() -> None:
    with pytest.raises(DataError, match="one-0 of 120x56"):
        pictures_of(drawn(1), Crop(100, 0, 30, 30))
    assert pictures_of(drawn(1), Crop(90, 26, 30, 30))[0].crop == Crop(90, 26, 30, 30)


def test_a_judgement_states_errors_and_calibrates_where_there_are_labels_enough() -> None:
    frames = -(-FEWEST_TO_CALIBRATE // len(NAMES))
    network = fresh()
    few = evaluate(network, pictures_of(drawn(frames - 1)), NAMES, SIZE)
    assert not few.calibrated
    assert "score_reliability" not in few.metrics
    pictures = pictures_of(drawn(frames))
    plain = predict(network, pictures, SIZE)
    enough = evaluate(network, pictures, NAMES, SIZE)
    assert enough.calibrated
    assert enough.metrics["n"] == len(NAMES) * frames
    assert set(enough.metrics["by_keypoint"]) == set(NAMES)
    assert enough.metrics["mean_px"] == pytest.approx(float(plain.camera_distance.mean()), abs=0.01)
    fitted = predict(network, pictures, SIZE)
    assert not np.allclose(fitted.score, plain.score, atol=0.01), "the network's decode has the calibration"
    within = (plain.distance <= 4).mean(axis=0)
    assert fitted.score.mean(axis=0) == pytest.approx(within, abs=0.15)
    again = evaluate(network, pictures, NAMES, SIZE)
    assert again.metrics == enough.metrics, "an earlier calibration leaves no trace"


def test_facemaps_scores_are_not_calibrated() -> None:
    judged = evaluate(fresh(FACEMAP_ARCHITECTURE), pictures_of(drawn(20)), NAMES, SIZE, square=True)
    assert not judged.calibrated
    assert judged.metrics["n"] == 60


@pytest.mark.parametrize("calibrated", [False, True])
@pytest.mark.parametrize("name", ["small", "facemap"])
def test_an_engine_says_what_its_score_and_input_are(tmp_path: Path, name: str, calibrated: bool) -> None:
    architecture = ARCHITECTURE if name == "small" else FACEMAP_ARCHITECTURE
    written = save_engine(
        fresh(architecture),
        tmp_path / "mine",
        model_card(
            architecture,
            [KeypointEntry(name=each, trained=each != "ahead") for each in NAMES],
            size=SIZE,
            square=name == "facemap",
            calibrated=calibrated,
            description="drawn",
            licence="CC0-1.0",
            training={"seed": 0},
            metrics={"n": 1},
        ),
    )
    manifest = load_engine(str(written.folder)).manifest
    assert manifest.score.calibrated is calibrated
    assert (manifest.score.radius_px is not None) is calibrated
    assert manifest.resample.square is (name == "facemap")
    assert manifest.normalise.row_step == 4
    assert manifest.input.size == SIZE
    assert [entry.trained for entry in manifest.keypoints] == [True, True, False]
    assert manifest.architecture == architecture
