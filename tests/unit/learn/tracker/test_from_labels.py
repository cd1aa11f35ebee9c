"""``train_engine``: from label files to an engine, in one go or in several."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.drawn_labels import NAMES, SIZE, drawn

from rtface.core.errors import DataError, EngineError, UsageError
from rtface.core.records import Crop
from rtface.learn.labels.formats.table import write_table
from rtface.learn.labels.labelset import LabelSet
from rtface.learn.tracker.from_labels import TrainRequest, train_engine
from rtface.learn.tracker.optimise import Recipe
from rtface.track.manifest import MODEL_FILE, WEIGHTS_FILE
from rtface.track.store import load_engine

RECIPE = Recipe(steps=5, batch=2, size=SIZE, bf16=False)


@pytest.fixture
def train_request(tmp_path: Path) -> TrainRequest:
    """Two recordings with ten frames each, on a keypoint more than they have labels for."""
    frames = drawn(10, 0, "one").frames + drawn(10, 1, "two").frames
    labels = LabelSet(NAMES, frames).arranged([*NAMES, "tail"])
    write_table(labels, tmp_path / "labels")
    return TrainRequest(
        labels=(tmp_path / "labels",),
        engine=tmp_path / "engines" / "mine",
        run=tmp_path / "runs" / "mine",
        family="tiny",
        held_out=("two",),
        simulated=0,
        recipe=RECIPE,
    )


def without_bank(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """What was measured on the labels, without what writing an engine adds (`rtface.learn.engines.sureness`)."""
    assert metrics["no_face"]["pictures"] > 0
    return {name: value for name, value in metrics.items() if name != "no_face"}


def after(count: int) -> Callable[[], bool]:
    """A wish to end that comes after so many steps."""
    asked: list[None] = []

    def stop() -> bool:
        asked.append(None)
        return len(asked) >= count

    return stop


def weights(engine: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(engine / WEIGHTS_FILE, weights_only=True)
    return state


def test_it_makes_an_engine_that_states_its_errors_on_frames_not_trained_on(
    train_request: TrainRequest,
) -> None:
    steps: list[int] = []
    trained = train_engine(train_request, progress=lambda step, loss: steps.append(step))
    assert trained is not None
    assert steps == [1, 2, 3, 4, 5]
    manifest = load_engine(str(train_request.engine)).manifest
    assert manifest.names == (*NAMES, "tail")
    assert [entry.trained for entry in manifest.keypoints] == [True, True, True, False]
    assert trained.untrained == ("tail",)
    assert trained.metrics == without_bank(manifest.metrics)
    assert manifest.metrics["frames"] == 10
    assert manifest.metrics["n"] == 30
    assert set(manifest.metrics["by_keypoint"]) == set(NAMES)
    assert manifest.training["recordings"] == ["one"]
    assert manifest.training["held_out"] == {
        "frames": 10,
        "recordings": ["two"],
        "of_recordings_not_trained_on": True,
    }
    assert not manifest.score.calibrated, "30 labels are too few"
    report = json.loads((train_request.run / "report.json").read_text())
    assert report["metrics"] == without_bank(manifest.metrics)
    assert len((train_request.run / "train.losses.csv").read_text().splitlines()) == 1 + RECIPE.steps
    assert {path.name for path in train_request.run.glob("*.png")} == {"errors.png", "train.png"}


def test_scores_are_calibrated_with_labels_enough_and_drawn(
    train_request: TrainRequest, tmp_path: Path
) -> None:
    write_table(LabelSet(NAMES, drawn(20, 2, "three").frames), tmp_path / "more")
    train_request = dataclasses.replace(
        train_request, labels=(*train_request.labels, tmp_path / "more"), held_out=("three",)
    )
    trained = train_engine(train_request)
    assert trained is not None
    assert trained.engine.manifest.score.calibrated
    assert trained.engine.manifest.metrics["score_reliability"]["bins"]
    assert (train_request.run / "reliability.png").exists()
    assert float(weights(train_request.engine)["decode.slope"]) != 1.0


def test_a_request_that_was_stopped_goes_on_and_gives_the_same_weights(
    train_request: TrainRequest, tmp_path: Path
) -> None:
    assert train_engine(train_request, stop=after(2)) is None
    assert not train_request.engine.exists()
    assert not (train_request.run / "report.json").exists()
    steps: list[int] = []
    assert train_engine(train_request, progress=lambda step, loss: steps.append(step)) is not None
    assert steps == [3, 4, 5]
    through = dataclasses.replace(train_request, engine=tmp_path / "through", run=tmp_path / "other")
    train_engine(through)
    one, other = weights(train_request.engine), weights(through.engine)
    assert all(torch.equal(value, other[name]) for name, value in one.items())


def test_an_engine_that_is_there_is_refused_before_the_work_and_replaced_on_request(
    train_request: TrainRequest,
) -> None:
    train_engine(train_request)
    before = (train_request.engine / MODEL_FILE).read_bytes()

    def never(step: int, loss: float) -> None:
        raise AssertionError("nothing is to be trained")

    with pytest.raises(EngineError, match="exists already"):
        train_engine(dataclasses.replace(train_request, run=train_request.run.parent / "new"), progress=never)
    replaced = train_engine(dataclasses.replace(train_request, overwrite=True), progress=never)
    assert replaced is not None, "of a finished run the engine alone is made again"
    assert (train_request.engine / MODEL_FILE).read_bytes() == before


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"family": "small"}, "family"),
        ({"keypoints": ("faint", "bright")}, "keypoints"),
        ({"crop": Crop(0, 0, 100, 50)}, "crop"),
        ({"held_out": 0.2}, "held_out"),
        ({"simulated": 1, "keypoints": (*NAMES, "tail")}, "simulated"),
        ({"recipe": dataclasses.replace(RECIPE, seed=1)}, r"recipe\.seed"),
    ],
)
def test_a_run_of_another_order_is_refused_and_the_difference_named(
    train_request: TrainRequest, change: dict[str, object], named: str
) -> None:
    train_engine(train_request, stop=after(1))
    with pytest.raises(DataError, match=named):
        train_engine(dataclasses.replace(train_request, **change))  # type: ignore[arg-type]


def test_labels_that_changed_are_another_run(train_request: TrainRequest, tmp_path: Path) -> None:
    train_engine(train_request, stop=after(1))
    table = train_request.labels[0] / "labels.csv"
    lines = table.read_text().splitlines(keepends=True)
    assert len(lines) == 21
    table.write_text("".join(lines[:-1]))
    with pytest.raises(DataError, match="labels_sha256"):
        train_engine(train_request)


def test_keypoints_can_be_renamed_chosen_and_ordered(train_request: TrainRequest) -> None:
    changed = dataclasses.replace(train_request, renames={"bright": "mouth"}, keypoints=("ahead", "mouth"))
    trained = train_engine(changed)
    assert trained is not None
    assert trained.engine.manifest.names == ("ahead", "mouth")
    assert trained.untrained == ()


def test_a_keypoint_that_only_the_simulation_knows_is_not_called_trained(train_request: TrainRequest) -> None:
    names = (*NAMES, "eye(front)")
    with pytest.raises(DataError, match=r"there is nothing to train on for the keypoint 'eye\(front\)'"):
        train_engine(dataclasses.replace(train_request, keypoints=names))
    trained = train_engine(dataclasses.replace(train_request, keypoints=names, simulated=2))
    assert trained is not None
    assert trained.untrained == ("eye(front)",)


def test_facemaps_network_has_a_square_input(train_request: TrainRequest) -> None:
    trained = train_engine(dataclasses.replace(train_request, family="facemap", held_out=0.2))
    assert trained is not None
    assert trained.engine.manifest.resample.square
    assert trained.engine.manifest.decode.columns == ("x", "y", "score", "likelihood")
    assert trained.metrics["frames"] == 4
    assert not trained.engine.manifest.training["held_out"]["of_recordings_not_trained_on"]


def test_without_frames_held_out_no_error_is_stated(train_request: TrainRequest) -> None:
    trained = train_engine(dataclasses.replace(train_request, held_out=0.0))
    assert trained is not None
    assert trained.metrics == {}
    assert trained.engine.manifest.training["frames"] == 20


@pytest.mark.parametrize(
    ("change", "error", "named"),
    [
        ({"family": "huge"}, UsageError, "huge"),
        ({"held_out": ("three",)}, DataError, "three"),
        ({"renames": {"chin": "mouth"}}, DataError, "chin"),
        ({"keypoints": ("tail",)}, DataError, "no label"),
        ({"crop": Crop(90, 0, 60, 40)}, DataError, "smaller than the crop"),
        ({"labels": (Path("nowhere"),)}, DataError, "nowhere"),
        ({"engine": Path("Bad Name")}, EngineError, "Bad Name"),
    ],
)
def test_a_wrong_order_leaves_no_run_behind(
    train_request: TrainRequest, change: dict[str, object], error: type[Exception], named: str
) -> None:
    with pytest.raises(error, match=named):
        train_engine(dataclasses.replace(train_request, **change))  # type: ignore[arg-type]
    assert not train_request.run.exists(), "else the mended train_request would be refused"


def test_the_digest_is_of_names_images_and_labels_and_not_of_the_nans_bits() -> None:
    labels = drawn(2)
    first, second = labels.frames
    image, xy = first.image.copy(), first.xy.copy()
    image[3, 4] ^= 1
    xy[1, 0] += 0.01
    others = [
        LabelSet((*NAMES[:2], "behind"), labels.frames),
        LabelSet(NAMES, (second, first)),
        LabelSet(NAMES, (first,)),
        LabelSet(NAMES, (dataclasses.replace(first, image=image), second)),
        LabelSet(NAMES, (dataclasses.replace(first, xy=xy), second)),
        LabelSet(NAMES, (dataclasses.replace(first, video="two"), second)),
    ]
    assert len({labels.digest, *(each.digest for each in others)}) == 7
    assert drawn(2).digest == labels.digest
    digests = set()
    for bits in (0x7FC00000, 0xFFC00001):
        xy = first.xy.copy()
        xy[1] = np.array([bits], np.uint32).view(np.float32)
        digests.add(LabelSet(NAMES, (dataclasses.replace(first, xy=xy),)).digest)
    assert len(digests) == 1
