from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from support.neural_recording import write_session

from rtface.analyse.splits import hold_back, strict
from rtface.core.errors import DataError, EngineError, UsageError
from rtface.encode.bundle import load_encoder
from rtface.learn.encoder.compare import encoder_network, evaluate_encoder
from rtface.learn.encoder.export import export_encoder
from rtface.learn.encoder.from_recording import (
    EncoderRequest,
    fit_encoder,
    training_of,
)
from rtface.learn.encoder.optimise import RECIPES, EncoderRecipe, EncoderTraining, within
from rtface.learn.encoder.prepared import prepare, training_frames
from rtface.learn.encoder.recording import RecordingFiles, read_recording
from rtface.learn.encoder.scoring import predict, split_samples
from rtface.networks.build import build_encoder

SMALL: dict[str, Any] = {"name": "causal", "fast_taps": 20, "slow_taps": 60, "units": 12, "hidden": 32}
SMALL |= {"latents": 32, "slow_frames": [0.0, 8.0, 20.0]}
RECIPE = replace(RECIPES["causal"], epochs=25, samples=40, learning_rate=4e-3)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_session(tmp_path_factory.mktemp("session") / "s.npz")


def request_for(session: Path, folder: Path, **options: Any) -> EncoderRequest:
    return EncoderRequest(
        **{
            "files": RecordingFiles(session, session),
            "encoder": folder / "enc",
            "run": folder / "run",
            "architecture": SMALL,
            "recipe": RECIPE,
            **options,
        }
    )


@pytest.fixture(scope="module")
def fitted(session: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return fit_encoder(request_for(session, tmp_path_factory.mktemp("fit"), overwrite=True))


def test_a_fitted_encoder_explains_what_a_regression_cannot(fitted: Any, session: Path) -> None:
    report = evaluate_encoder(fitted.bundle, RecordingFiles(session, session))
    assert report is not None
    encoder, *lines = report["results"]
    assert report["learnt_from_it"]
    assert encoder["variance_explained"] == pytest.approx(
        fitted.report["metrics"]["variance_explained"], abs=2e-3
    )
    # Half of the activity follows the size of a shake, of which nothing linear knows.
    assert encoder["variance_explained"] > max(line["variance_explained"] for line in lines) + 0.1
    assert encoder["variance_explained"] > 0.35
    assert {line["name"] for line in lines} >= {"ridge, keypoints", "reduced rank, keypoints (published)"}


def test_the_bundle_says_where_it_comes_from(fitted: Any, session: Path) -> None:
    manifest = load_encoder(fitted.bundle.folder).manifest
    assert manifest.keypoints == ("nose(tip)", "whisker(I)")
    assert manifest.targets.kind == "neurons"
    assert (manifest.past_frames, manifest.look_ahead_frames) == (78, 0)
    assert manifest.training["sources"][0]["name"] == session.name
    assert manifest.training["split"] == "strict"
    assert len(manifest.metrics["by_output"]) == 30
    assert manifest.metrics["onnx_difference"] < 1e-4
    assert fitted.bundle.readout.residual_sd.shape == (30,)


def test_the_bundles_network_gives_the_trainings_predictions(fitted: Any, session: Path) -> None:
    recording = read_recording(RecordingFiles(session, session))
    inputs = fitted.bundle.normaliser().run(recording.raw)
    network = encoder_network(fitted.bundle)
    frames = recording.frames_at(0.0)
    with torch.no_grad():
        whole = network(torch.from_numpy(inputs))[0].numpy()[np.maximum(frames, 0)]
    np.testing.assert_allclose(predict(network, inputs, frames), whole, atol=1e-5)
    odd = fitted.bundle.inputs.distance(np.full(4, 6, np.float32))
    usual = [fitted.bundle.inputs.distance(row) for row in inputs[1000:2000]]
    assert odd > fitted.bundle.inputs.usual_limit > np.median(usual)


def test_a_training_that_is_interrupted_goes_on_to_the_same_weights(session: Path, tmp_path: Path) -> None:
    short = replace(RECIPE, epochs=3)
    whole = fit_encoder(request_for(session, tmp_path / "one", recipe=short, explainable=False))
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked == 11

    halves = request_for(session, tmp_path / "two", recipe=short, explainable=False)
    assert fit_encoder(halves, stop=stop) is None
    assert not (tmp_path / "two" / "enc").exists()
    rest = fit_encoder(halves)
    assert whole is not None
    assert rest is not None
    for name, weights in whole.bundle.weights.items():
        np.testing.assert_array_equal(rest.bundle.weights[name], weights)
    assert rest.report["metrics"] == whole.report["metrics"]
    with pytest.raises(EngineError, match="exists already"):
        fit_encoder(halves)
    with pytest.raises(DataError, match=r"recipe\.seed"):
        fit_encoder(replace(halves, overwrite=True, recipe=replace(short, seed=1)))


def test_no_test_sample_reaches_what_is_fitted_by_the_strict_split(session: Path, tmp_path: Path) -> None:
    recording = read_recording(RecordingFiles(session, session))
    one = prepare(recording, 79)
    neurons = np.array(recording.neurons[:])
    neurons[:, one.split.test] = 9
    other = prepare(replace(recording, neurons=neurons), 79)
    assert np.array_equal(one.targets.mean, other.targets.mean)
    assert np.array_equal(one.values[one.split.train], other.values[one.split.train])
    leaky = prepare(replace(recording, neurons=neurons), 79, split="published")
    assert not np.array_equal(leaky.targets.mean, prepare(recording, 79, split="published").targets.mean)
    learnt = training_frames(one.split, one.frames, len(recording.raw))
    windows = one.frames[one.split.test][:, None] - np.arange(79)
    assert not learnt[windows].any()


def test_the_future_moves_nothing_in_a_causal_encoder(fitted: Any, session: Path) -> None:
    recording = read_recording(RecordingFiles(session, session))
    raw = recording.raw.copy()
    raw[5000:] += 4
    network = encoder_network(fitted.bundle)
    frames = np.arange(4000, 5400, 20)
    before, after = (
        predict(network, fitted.bundle.normaliser().run(each), frames) for each in (recording.raw, raw)
    )
    past = frames < 5000
    assert np.array_equal(before[past], after[past])
    assert not np.array_equal(before[~past], after[~past])


def test_training_ends_when_nothing_gets_better_and_keeps_the_best() -> None:
    random = np.random.default_rng(0)
    inputs = random.normal(size=(6000, 2)).astype(np.float32)
    frames = np.arange(100, 6000, 16)
    values = random.normal(size=(len(frames), 3)).astype(np.float32)
    held = hold_back(strict(len(frames), 6).train, 0.2, 6)
    network = build_encoder({**SMALL, "inputs": 2, "outputs": 3})
    recipe = EncoderRecipe(epochs=200, samples=40, patience=4, learning_rate=1e-2)
    training = EncoderTraining(network, inputs, frames, values, held, recipe)
    while not training.finished:
        training.step()
    assert training.epochs < 60
    assert training.epochs - training.best == 4
    assert training.held_back[training.best - 1] == min(training.held_back)
    error = 0.0
    for batch, targets in training._test:
        with torch.no_grad():
            said = training.kept().read_out(training.kept().latents_of(batch))
        error += float((said - targets).pow(2).sum())
    spread = values[within(held.test, frames, 6000, 78, 0)].var(axis=0).sum() * len(held.test)
    assert error / spread == pytest.approx(min(training.held_back), rel=1e-3)


@pytest.mark.parametrize("family", ["facemap", "causal"])
def test_onnx_gives_what_torch_gives_at_any_length(tmp_path: Path, family: str) -> None:
    network = build_encoder({"name": family, "inputs": 3, "outputs": 4, "look_ahead": 5})
    assert export_encoder(network, 3, tmp_path / "model.onnx") < 1e-5
    with torch.no_grad():
        next(iter(network.parameters())).add_(1)
    assert export_encoder(network, 3, tmp_path / "model.onnx") < 1e-5


def test_a_published_fit_of_components_with_a_look_ahead(tmp_path: Path) -> None:
    path = write_session(tmp_path / "s.npz", neurons=230)
    found = fit_encoder(
        request_for(
            path,
            tmp_path,
            split="published",
            components=6,
            delay_s=-0.1,
            architecture={"name": "facemap", "taps": 41},
            recipe=replace(RECIPES["facemap"], epochs=3, samples=100),
            files=RecordingFiles(path, path, extras={"run": None}),
        )
    )
    assert found is not None
    manifest = found.bundle.manifest
    assert (manifest.targets.kind, manifest.targets.count) == ("components", 6)
    assert (manifest.past_frames, manifest.look_ahead_frames) == (20, 20)
    assert manifest.look_ahead_s == pytest.approx(0.4)
    assert manifest.extras == ("run",)
    assert manifest.delay_s == -0.1
    assert found.report["metrics"]["explainable_mean"] > 0.2


def test_another_recording_must_be_of_the_same_neurons_and_keypoints(fitted: Any, tmp_path: Path) -> None:
    fewer = write_session(tmp_path / "few.npz", neurons=29)
    with pytest.raises(DataError, match=r"few\.npz: spks has 29 neurons, .* knows 30"):
        evaluate_encoder(fitted.bundle, RecordingFiles(fewer, fewer))
    other = write_session(tmp_path / "other.npz", seed=1)
    report = evaluate_encoder(fitted.bundle, RecordingFiles(other, other), baselines=False)
    assert report is not None
    assert not report["learnt_from_it"]
    assert len(report["results"]) == 1
    with np.load(other) as kept:
        arrays = dict(kept)
    np.savez(tmp_path / "names.npz", **arrays | {"keypoint_names": ["nose(tip)", "ear", "paw"]})
    where = RecordingFiles(tmp_path / "names.npz", other)
    with pytest.raises(DataError, match=r"names\.npz has no keypoint 'whisker\(I\)'"):
        evaluate_encoder(fitted.bundle, where)
    np.savez(tmp_path / "slow.npz", **arrays | {"tcam": 10 + np.arange(15000) / 45})
    slow = tmp_path / "slow.npz"
    with pytest.raises(DataError, match="45 frames a second"):
        evaluate_encoder(fitted.bundle, RecordingFiles(slow, slow))


def test_motion_energy_of_the_video_is_a_baseline(fitted: Any, session: Path, tmp_path: Path) -> None:
    with np.load(session) as kept:
        shake = np.abs(kept["keypoints"][:, 1, 0] - 120)
    writer = cv2.VideoWriter(str(tmp_path / "v.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 50, (16, 16))
    for frame, size in enumerate(np.clip(shake * 12, 0, 110)):
        image = np.full((16, 16, 3), 120, np.uint8)
        image[4:12, 4:12] += np.uint8(size * (frame % 2))
        writer.write(image)
    writer.release()
    where = RecordingFiles(session, session)
    report = evaluate_encoder(fitted.bundle, where, baselines=False, video=tmp_path / "v.avi")
    assert report is not None
    encoder, motion = report["results"]
    assert motion["name"] == "reduced rank, motion energy"
    # The film shows the size of the shake, of the moment only.
    assert 0.02 < motion["variance_explained"] < encoder["variance_explained"]
    short = cv2.VideoWriter(str(tmp_path / "short.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 50, (16, 16))
    for _ in range(30):
        short.write(np.full((16, 16, 3), 120, np.uint8))
    short.release()
    with pytest.raises(DataError, match=r"short\.avi has 30 frames"):
        evaluate_encoder(fitted.bundle, where, baselines=False, video=tmp_path / "short.avi")


def test_impossible_orders_are_refused_before_the_work(session: Path, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="'lstm' is unknown"):
        fit_encoder(request_for(session, tmp_path, architecture={"name": "lstm"}, recipe=None))
    with pytest.raises(UsageError, match="a split is one of"):
        split_samples("random", 900, 4.0, 3.0)
    short = write_session(tmp_path / "short.npz", seconds=5)
    with pytest.raises(DataError, match="too few"):
        fit_encoder(request_for(short, tmp_path / "a"))
    with pytest.raises(UsageError, match="schedule"):
        EncoderRecipe(schedule="linear")
    silent = read_recording(RecordingFiles(session, session))
    prepared = prepare(silent, 79)
    with pytest.raises(DataError, match="never change"):
        training_of(
            replace(prepared, values=np.zeros_like(prepared.values)),
            {**SMALL, "inputs": 4, "outputs": 30},
            RECIPE,
        )
