"""An engine that is sure where there is no face is not written as it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from rtface.config import BackendSettings
from rtface.core.errors import EngineError
from rtface.core.records import FloatArray
from rtface.learn.engines.bundle import save_engine
from rtface.learn.engines.no_face import no_face_pictures
from rtface.learn.engines.sureness import SUREST, check_not_sure, limits
from rtface.learn.tracker.calibration import fit_calibration
from rtface.learn.tracker.card import model_card
from rtface.learn.tracker.evaluation import Predictions
from rtface.networks.graph import NetworkWithDecode
from rtface.track.manifest import WEIGHTS_FILE, KeypointEntry
from rtface.track.pictures import track_pictures
from rtface.track.store import Engine
from tests.support.drawn_labels import ARCHITECTURE, NAMES, SIZE, fresh


def sure(intercept: float = 10.1) -> NetworkWithDecode:
    """A network with the calibration of the case black_frame_fires."""
    network = fresh()
    network.decode.intercept += intercept
    return network


def written(network: NetworkWithDecode, folder: Path) -> Engine:
    card = model_card(
        ARCHITECTURE,
        [KeypointEntry(name=name) for name in NAMES],
        size=SIZE,
        square=False,
        calibrated=True,
        description="sure of everything",
        licence="CC0-1.0",
    )
    return save_engine(network, folder, card)


def scores(engine: Engine) -> FloatArray:
    bank = dict(enumerate(no_face_pictures(192, 256).values()))
    return track_pictures(engine, bank, BackendSettings(), None).score


def test_black_and_noise_do_not_reach_a_rules_threshold(tmp_path: Path) -> None:
    engine = written(sure(), tmp_path / "held")
    assert (scores(engine) <= limits()[:, None] + 0.01).all()
    assert scores(engine)[0].max() <= SUREST, "black"
    record = engine.manifest.metrics["no_face"]
    assert set(record["lowered"]) == set(NAMES)
    assert max(each["score"] for each in record["surest"].values()) > 0.99
    kept = torch.load(engine.file(WEIGHTS_FILE), weights_only=True)["decode.intercept"]
    assert (kept < 10.1).all(), "the weights that are trained on from here are held back too"


def test_scores_beyond_the_precision_of_their_numbers_are_held_back_too(tmp_path: Path) -> None:
    assert (scores(written(sure(60.0), tmp_path / "held")) <= limits()[:, None] + 0.01).all()


def test_an_engine_that_is_not_sure_is_written_as_it_is(tmp_path: Path) -> None:
    engine = written(sure(-5.0), tmp_path / "modest")
    assert "lowered" not in engine.manifest.metrics["no_face"]
    kept = torch.load(engine.file(WEIGHTS_FILE), weights_only=True)["decode.intercept"]
    torch.testing.assert_close(kept, torch.full((3,), -5.0))


def test_one_that_cannot_be_changed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as before:
        before.setattr("rtface.learn.engines.bundle.held_back", lambda network, *_, **__: (network, {}))
        engine = written(sure(), tmp_path / "made-before")
    assert scores(engine)[0].max() > 0.99, "the case: sure of a black frame"
    with pytest.raises(EngineError, match=r"sure of .* without a face"):
        check_not_sure(engine)


def test_labels_without_a_miss_do_not_make_every_score_sure() -> None:
    random = np.random.default_rng(0)
    score = random.uniform(0.02, 0.9, (9, 9)).astype(np.float32)
    distance = random.uniform(0, 3, (9, 9)).astype(np.float32)
    fit = fit_calibration(Predictions(distance, score, np.ones(9, np.float32)))
    assert fit.apply(np.full((1, 9), 0.01, np.float32)).max() < 0.5
    assert fit.apply(np.full((1, 9), 0.0001, np.float32)).max() < 0.1
