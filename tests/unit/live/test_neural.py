"""The encoder in the loop: values for rules, messages, and what does not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.encoders import FACEMAP, made_encoder, made_states, walk
from support.manual_loop import CAMERA, NETWORK, ManualLoop

from rtface.config import EncoderSettings
from rtface.core.errors import ConfigError, EngineError
from rtface.core.features import NEVER_NS
from rtface.core.records import FrameMeta, Keypoint, Pose, Stamps
from rtface.decide.evaluator import RuleEvaluator
from rtface.decide.rules import RulesFile
from rtface.encode.stream import StreamingEncoder
from rtface.live.loop.closed_loop import ClosedLoop
from rtface.live.neural import NeuralHandler, NeuralPredictor
from rtface.publish.neural import NeuralMessage

NOSE = ("nose(tip)",)
SKELETON = (Keypoint("nose(tip)"), Keypoint("paw", trained=False))
PERIOD_NS = 10_000_000


def pose(frame: int, xy: np.ndarray, score: float = 1.0) -> Pose:
    exposure_ns = 10**12 + frame * PERIOD_NS
    points = np.concatenate([xy, np.full((1, 2), np.nan)]).astype(np.float32)
    return Pose(
        FrameMeta(frame, exposure_ns, exposure_ns),
        Stamps(*[exposure_ns] * 6),
        points,
        np.array([score, 0], np.float32),
        np.zeros(2, np.bool_),
    )


def predictor(tmp_path: Path, tell: Any = lambda message: None, **settings: Any) -> NeuralPredictor:
    architecture = settings.pop("architecture", None)
    bundle = made_encoder(
        tmp_path / "enc",
        **({} if architecture is None else {"architecture": architecture}),
        names=NOSE,
        states=settings.pop("own_states", None),
        **settings.pop("fields", {}),
    )
    return NeuralPredictor(EncoderSettings(path=bundle.folder, **settings), SKELETON, tell)


def test_rules_are_given_what_the_stream_predicts_with_score_and_exposure(tmp_path: Path) -> None:
    neural = predictor(tmp_path, outputs=2, latents=(7, 3), own_states=made_states())
    assert neural.names == (
        *("neural.pc1", "neural.pc2", "neural.state", "neural.strange"),
        *("neural.latent7", "neural.latent3"),
    )
    neural.open(100.0)
    alone = StreamingEncoder(neural.bundle, ("nose(tip)", "paw"), 100.0)
    warm = 0
    newest = None
    for frame, xy in enumerate(np.nan_to_num(walk(200, points=1), nan=30)):
        given = neural.predict(pose(frame, xy, 0.8))
        found = alone.step(
            pose(frame, xy).xy, np.array([0.8, 0], np.float32), 10**12 + frame * PERIOD_NS, frame
        )
        assert (found is None) == (frame % 2 == 1)
        newest = found or newest
        assert newest is not None
        assert (given.exposure_ns == 10**12 + (frame - frame % 2) * PERIOD_NS).all()
        assert (given.values[3], given.scores[3]) == (newest.ood, 1)
        if not newest.warm:
            assert np.isnan(np.delete(given.values, 3)).all()
            assert (np.delete(given.scores, 3) == 0).all()
            continue
        warm += 1
        expected = [*newest.outputs[:2], newest.state, newest.ood, *newest.latents[[7, 3]]]
        np.testing.assert_array_equal(given.values, np.array(expected, np.float64))
        assert newest.probability is not None
        assert newest.state is not None
        assert given.scores[0] == given.scores[5] == newest.score > 0.5
        assert given.scores[2] == newest.score * newest.probability[newest.state]
    assert warm > 100


def test_nothing_is_known_before_the_first_frame_that_counts(tmp_path: Path) -> None:
    neural = predictor(tmp_path, architecture={**FACEMAP, "look_ahead": 5})
    neural.open(50.0)
    for frame in range(5):
        given = neural.predict(pose(2 * frame, np.full((1, 2), 30.0)))
        assert (given.exposure_ns == NEVER_NS).all()
        assert np.isnan(given.values).all()
    given = neural.predict(pose(10, np.full((1, 2), 30.0)))
    assert (given.exposure_ns == 10**12).all()


def test_messages_come_once_a_row_with_what_was_asked_for(tmp_path: Path) -> None:
    said: list[NeuralMessage] = []
    neural = predictor(tmp_path, said.append, outputs=3, neurons=(5, 2), fields={"delay_s": -0.3})
    neural.open(100.0)
    for frame, xy in enumerate(np.nan_to_num(walk(200, points=1), nan=30)):
        neural.predict(pose(frame, xy))
        neural.publish()
        neural.publish()
    assert [each.frame_id for each in said] == list(range(0, 200, 2))
    assert {(each.model, each.encoder, each.kind) for each in said} == {
        (neural.bundle.sha256, "enc", "components")
    }
    assert {(each.delay_ns, each.look_ahead_ns, each.simulated) for each in said} == {
        (-300_000_000, 0, False)
    }
    with_neurons = [each for each in said if each.neurons is not None]
    assert len(with_neurons) == 1 + 2 * 3
    for each in with_neurons:
        assert each.chosen is not None
        assert each.chosen.tolist() == [5, 2]
    last = said[-1]
    np.testing.assert_array_equal(last.uncertainty, neural.bundle.readout.residual_sd[:3])
    assert last.outputs.shape == (3,)
    assert last.warm
    assert not said[0].warm


def test_fewer_messages_if_that_is_asked_for_and_none_without_its_neurons(tmp_path: Path) -> None:
    said: list[NeuralMessage] = []
    neural = predictor(tmp_path, said.append, publish_hz=10, neurons=(0,))
    neural.open(100.0)
    for frame in range(400):
        neural.predict(pose(frame, np.full((1, 2), 30.0)))
        neural.publish()
    assert sum(each.neurons is not None for each in said) == 1 + 4 * 3
    apart = np.diff([each.exposure_ns for each in said])
    assert apart.max() == 100_000_000
    assert 40 <= len(said) <= 40 + 13


def test_a_rule_on_a_component_fires_when_it_is_crossed(tmp_path: Path) -> None:
    bundle = made_encoder(tmp_path / "enc", names=NOSE)
    xy = np.nan_to_num(walk(400, points=1), nan=30)
    stream = StreamingEncoder(bundle, NOSE, 100.0)
    pc1 = np.full(400, np.nan)
    for frame, points in enumerate(xy):
        found = stream.step(points, np.ones(1, np.float32), frame * PERIOD_NS)
        pc1[frame] = pc1[frame - 1] if found is None else found.outputs[0] if found.warm else np.nan
    limit = float(np.round(np.nanpercentile(pc1, 70), 3))
    above = pc1 > limit
    crossings = int((above[1:] & ~above[:-1]).sum())
    rules = {
        "rules": {
            "high": {
                "when": f"neural.pc1 > {limit}",
                "max_age_ms": 40,
                "refractory_ms": 20,
                "pulse": {"width_ms": 1},
            }
        },
    }
    looped = ManualLoop()
    neural = NeuralPredictor(EncoderSettings(path=bundle.folder), (Keypoint("nose(tip)"),))
    looped.evaluator = RuleEvaluator(RulesFile.model_validate(rules), NOSE, 100.0, extra_names=neural.names)
    looped.loop = ClosedLoop(
        looped.output,
        "gate",
        lambda camera, network, info: (looped.evaluator, looped.record),
        lambda kind, t_ns, details: looped.said.append((kind, dict(details))),
        neural=neural,
        clock=looped.clock,
    )
    looped.output.close()
    looped.loop.open(CAMERA, NETWORK)
    looped.arm()
    fired = []
    for frame, (x, y) in enumerate(xy[:, 0]):
        _show(looped, frame, x, y)
        if looped.actions().count("fire") > len(fired):
            fired.append(frame)
    assert crossings > 5
    assert fired == [frame for frame in range(1, 400) if above[frame] and not above[frame - 1]]
    given = looped.record.given
    assert len(given) == 400
    np.testing.assert_array_equal([each[0] for each in given], pc1)


def _show(looped: ManualLoop, frame: int, x: float, y: float) -> None:
    exposure_ns = 10**12 + 10**8 + frame * PERIOD_NS
    looped.clock.sleep_until_ns(exposure_ns + 3_000_000)
    shown = Pose(
        FrameMeta(frame, exposure_ns, exposure_ns),
        Stamps(*[exposure_ns] * 6),
        np.array([[x, y]], np.float32),
        np.ones(1, np.float32),
        np.zeros(1, np.bool_),
    )
    looped.loop.handle(shown)
    looped.loop.published(np.zeros((48, 64), np.uint8), shown, looped.clock.now_ns())


def test_without_rules_it_predicts_after_the_keypoints_went_out(tmp_path: Path) -> None:
    said: list[NeuralMessage] = []
    handler = NeuralHandler(predictor(tmp_path, said.append))
    handler.open(CAMERA, NETWORK)
    shown = pose(0, np.full((1, 2), 30.0))
    handler.handle(shown)
    assert said == []
    handler.published(np.zeros((48, 64), np.uint8), shown, 0)
    assert [each.frame_id for each in said] == [0]
    handler.close(None)


def test_what_does_not_fit_is_named(tmp_path: Path) -> None:
    bundle = made_encoder(tmp_path / "enc")
    settings = EncoderSettings(path=bundle.folder)
    with pytest.raises(
        EngineError, match=r"encoder\.json: keypoints: .*'mouth', which the engine does not find"
    ):
        NeuralPredictor(settings, SKELETON)
    untrained = (Keypoint("nose(tip)"), Keypoint("mouth", trained=False), Keypoint("eye(back)"))
    with pytest.raises(EngineError, match=r"'mouth', which the engine was never trained to find"):
        NeuralPredictor(settings, untrained)
    with pytest.raises(EngineError, match=r"nowhere/encoder\.json cannot be read"):
        NeuralPredictor(EncoderSettings(path=tmp_path / "nowhere"), SKELETON)
    with pytest.raises(EngineError, match=r"states\.npz is no state model"):
        NeuralPredictor(EncoderSettings(path=bundle.folder, states=tmp_path / "states.npz"), SKELETON)
    with pytest.raises(EngineError, match="extras: the encoder needs run, which a rig does not have"):
        predictor(tmp_path / "run", fields={"extras": ("run",)})
    with pytest.raises(ConfigError, match=r"encoder\.neurons: the encoder has neurons 0 to 5, but not 6"):
        predictor(tmp_path / "six", neurons=(2, 6))
    with pytest.raises(ConfigError, match=r"encoder\.latents: the encoder has latents 0 to 8, but not 9"):
        predictor(tmp_path / "nine", latents=(9,))
    fits = predictor(tmp_path / "fits")
    with pytest.raises(EngineError, match=r"the camera does not say its rate: set camera\.rate_hz"):
        fits.open(None)
    with pytest.raises(EngineError, match=r"frame_rate_hz: 30 frames a second are too few for 50"):
        fits.open(30.0)
