"""Training: that a network learns what it is shown, the same in every run, and that no step is lost."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.drawn_labels import (
    ARCHITECTURE,
    BRIEF,
    FACEMAP_ARCHITECTURE,
    NAMES,
    SHAPE,
    SIZE,
    STILL,
    draw,
    drawn,
    fresh,
)
from torch import nn

from rtface.config import BackendSettings
from rtface.core.errors import DataError
from rtface.core.records import FloatArray
from rtface.learn.engines.bundle import save_engine
from rtface.learn.labels.labelset import LabelSet
from rtface.learn.resumable import run_training
from rtface.learn.tracker.card import model_card
from rtface.learn.tracker.labelled_frames import pictures_of
from rtface.learn.tracker.optimise import Recipe, Training
from rtface.learn.tracker.samples import prepare
from rtface.track.manifest import KeypointEntry
from rtface.track.pictures import PictureTracker

FLIPPED = Recipe(
    steps=350,
    batch=8,
    size=SIZE,
    learning_rate=1e-2,
    averaging=0.98,
    bf16=False,
    augmentation=dataclasses.replace(STILL, flip=0.5, shift=0.03, rotation_deg=3.0),
)
SCALE = max(SHAPE) / SIZE


@pytest.fixture(scope="module")
def tracker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PictureTracker]:
    """A network trained with flips on eight frames, exported as an engine and run as in the service."""
    whole = fresh()
    whole.network = run_training(Training(whole.network, "small", pictures_of(drawn()), [], FLIPPED))
    engine = save_engine(
        whole,
        tmp_path_factory.mktemp("engine") / "drawn",
        model_card(
            ARCHITECTURE,
            [KeypointEntry(name=name) for name in NAMES],
            size=SIZE,
            square=False,
            calibrated=False,
            description="drawn",
            licence="CC0-1.0",
        ),
    )
    with PictureTracker(engine, BackendSettings(name="openvino")) as made:
        yield made


def errors(tracker: PictureTracker, labels: LabelSet, *, mirror: bool = False) -> FloatArray:
    """Distances from the labels in pixels of the network's input, shape (N, K)."""
    found = []
    for frame in labels.frames:
        image = np.ascontiguousarray(frame.image[:, ::-1]) if mirror else frame.image
        xy = tracker.track(image).xy.copy()
        if mirror:
            xy[:, 0] = image.shape[1] - 1 - xy[:, 0]
        found.append(np.linalg.norm(xy - frame.xy, axis=1))
    return np.array(found, np.float32) / np.float32(SCALE)


def test_the_exported_engine_finds_what_was_learnt_to_less_than_half_a_pixel(tracker: PictureTracker) -> None:
    distance = errors(tracker, drawn())
    assert np.median(distance) < 0.5
    assert distance.max() < 2.0


def test_it_finds_them_in_frames_not_shown_before(tracker: PictureTracker) -> None:
    assert np.median(errors(tracker, drawn(20, seed=9))) < 1.5


def test_a_mirrored_picture_has_mirrored_points(tracker: PictureTracker) -> None:
    assert np.median(errors(tracker, drawn(), mirror=True)) < 0.5


def state_after(recipe: Recipe, labels: LabelSet | None = None, seed: int = 0) -> dict[str, torch.Tensor]:
    network = fresh(seed=seed).network
    pictures = pictures_of(labels or drawn(4))
    state: dict[str, torch.Tensor] = run_training(
        Training(network, "small", pictures, pictures[:2], recipe)
    ).state_dict()
    return state


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(value, other[name]) for name, value in one.items())


def test_the_same_seed_gives_the_same_weights_and_another_other_ones() -> None:
    recipe = dataclasses.replace(BRIEF, steps=3)
    first = state_after(recipe)
    torch.rand(7)
    np.random.default_rng().random(3)
    assert same(first, state_after(recipe))
    assert not same(first, state_after(dataclasses.replace(recipe, seed=1)))


@pytest.mark.parametrize("architecture", [ARCHITECTURE, FACEMAP_ARCHITECTURE], ids=lambda each: each["name"])
def test_an_interrupted_training_ends_with_the_weights_of_one_that_was_not(
    tmp_path: Path, architecture: dict[str, Any]
) -> None:
    checkpoint = tmp_path / "train.checkpoint"
    pictures = pictures_of(drawn(4))
    recipe = dataclasses.replace(
        BRIEF, steps=7, square=architecture["name"] == "facemap", simulated_share=0.5
    )

    def start(seed: int) -> Training:
        network = fresh(architecture, seed).network
        return Training(network, architecture["name"], pictures, pictures[:2], recipe)

    through = start(0)
    expected = run_training(through).state_dict()
    for stop_at in (2, 5):
        # Other first weights each time: all must come from the checkpoint.
        steps: list[int] = []
        broken = start(0 if stop_at == 2 else 1)
        run_training(
            broken,
            progress=lambda step, loss, steps=steps: steps.append(step),  # type: ignore[misc]
            checkpoint=checkpoint,
            every=100,
            stop=lambda broken=broken, stop_at=stop_at: broken.done >= stop_at,  # type: ignore[misc]
        )
        assert not broken.finished
        assert steps == list(range(1 if stop_at == 2 else 3, stop_at + 1))
    last = start(2)
    assert same(expected, run_training(last, checkpoint=checkpoint).state_dict())
    assert last.losses == through.losses
    again = start(3)
    assert same(expected, run_training(again, checkpoint=checkpoint).state_dict()), (
        "a finished one is not trained on"
    )
    assert again.finished


def test_a_checkpoint_is_kept_now_and_then_for_when_the_power_fails(tmp_path: Path) -> None:
    checkpoint = tmp_path / "train.checkpoint"
    training = Training(fresh().network, "small", pictures_of(drawn(2)), [], BRIEF)
    kept: list[int] = []

    def look() -> bool:
        if checkpoint.exists():
            kept.append(torch.load(checkpoint, weights_only=True)["done"])
        return False

    run_training(training, checkpoint=checkpoint, every=2, stop=look)
    assert kept == [2, 2], "seen after steps 3 and 4: after each step, the last one too"
    assert [path.name for path in tmp_path.iterdir()] == ["train.checkpoint"]


@pytest.mark.parametrize("damage", ["cut", "text", "other network", "other thing"])
def test_a_damaged_or_foreign_checkpoint_is_an_error_that_names_it(tmp_path: Path, damage: str) -> None:
    checkpoint = tmp_path / "train.checkpoint"
    pictures = pictures_of(drawn(2))
    run_training(Training(fresh().network, "small", pictures, [], BRIEF), checkpoint=checkpoint)
    whole = checkpoint.read_bytes()
    other = fresh(ARCHITECTURE | {"head": 8}).network
    if damage == "cut":
        checkpoint.write_bytes(whole[: len(whole) // 2])
    elif damage == "text":
        checkpoint.write_text("weights")
    elif damage == "other network":
        checkpoint.unlink()
        run_training(Training(other, "small", pictures, [], BRIEF), checkpoint=checkpoint)
    else:
        torch.save({"heads.weight": torch.zeros(1)}, checkpoint)
    with pytest.raises(DataError, match=r"train\.checkpoint is damaged or of another training"):
        run_training(Training(fresh().network, "small", pictures, [], BRIEF), checkpoint=checkpoint)


def test_a_checkpoint_that_cannot_be_written_is_an_error_that_names_it(tmp_path: Path) -> None:
    training = Training(fresh().network, "small", pictures_of(drawn(2)), [], BRIEF)
    with pytest.raises(DataError, match=r"train\.checkpoint cannot be written"):
        run_training(training, checkpoint=tmp_path / "absent" / "train.checkpoint")


def test_the_average_is_what_is_kept_and_it_is_ready_for_use() -> None:
    training = Training(fresh().network, "small", pictures_of(drawn(2)), [], BRIEF)
    before = {name: value.clone() for name, value in training.average.state_dict().items()}
    trained = run_training(training)
    assert trained is training.average
    assert not trained.training
    changed = [name for name, value in trained.state_dict().items() if not torch.equal(value, before[name])]
    assert {"heads.weight", "stem.1.running_mean", "stem.1.num_batches_tracked"} <= set(changed)


def test_unlabelled_keypoints_teach_nothing_and_weights_of_zero_neither() -> None:
    image, xy = drawn(1).frames[0].image, drawn(1).frames[0].xy
    missing = xy.copy()
    missing[1] = np.nan
    unweighted = prepare(image, xy, weight=np.array([1, 0, 1], np.float32))
    for picture in (prepare(image, missing), unweighted):
        training = Training(
            fresh().network, "small", [picture], [], dataclasses.replace(BRIEF, weight_decay=0.0)
        )
        heads = training._network.heads
        assert isinstance(heads, nn.Conv2d)
        before = heads.weight.detach().clone()
        training.step()
        moved = (heads.weight.detach() - before).abs().amax(dim=(1, 2, 3))
        assert moved[1] == 0
        assert (moved[[0, 2]] > 0).all()


def test_a_batch_has_the_share_of_simulated_pictures_and_it_falls(monkeypatch: pytest.MonkeyPatch) -> None:
    import rtface.learn.tracker.optimise as module

    real, simulated = pictures_of(drawn(3)), pictures_of(drawn(3, seed=1))
    recipe = Recipe(steps=30, batch=20, size=SIZE, simulated_share=0.6, other_shape=0.5, bf16=False)
    shares, shapes = [], []

    def spy(pictures, shape, size, how, random):  # type: ignore[no-untyped-def]
        shares.append(sum(any(each is one for one in simulated) for each in pictures))
        shapes.append(shape)
        assert len(pictures) == 20
        return (None,) * 3

    monkeypatch.setattr(module, "draw_batch", spy)
    training = Training(fresh().network, "small", real, simulated, recipe)
    for done in range(recipe.steps):
        training.done = done
        training._draw()
    assert shares[0] == 12
    assert shares[-1] in (4, 5)
    assert shares == sorted(shares, reverse=True)
    assert set(shapes) == {(32, 64), (64, 64)}


def test_there_must_be_something_to_train_on() -> None:
    with pytest.raises(DataError, match="nothing to train on"):
        Training(fresh().network, "small", [], [], BRIEF)
    only_simulated = Training(fresh().network, "small", [], pictures_of(drawn(2)), BRIEF)
    assert np.isfinite(only_simulated.step())


def test_what_is_drawn_is_seen() -> None:
    xy = np.array([[30, 30], [48, 30], [62, 30]], np.float32)
    image = draw(xy)
    assert image[30, 30] > image[30, 48] > image[30, 62]
