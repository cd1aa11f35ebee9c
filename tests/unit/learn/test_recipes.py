"""Named recipes: what is held out, and the general network on public and own sets under their licences."""

from __future__ import annotations

import dataclasses
from itertools import count
from pathlib import Path

import pytest
import torch
from support.commandline import run
from support.drawn_labels import NAMES, SIZE, drawn
from support.lightning_pose import write_lightning_pose

from rtface.core.errors import BackendError, DataError, UsageError
from rtface.learn.fetch.catalogue import SetEntry
from rtface.learn.fetch.sets import FetchRequest, fetch_set
from rtface.learn.labels.formats.table import write_table
from rtface.learn.labels.labelset import LabelSet
from rtface.learn.recipes import RECIPES, named_recipe
from rtface.learn.tracker.adapt import adapt
from rtface.learn.tracker.adapt_request import AdaptRequest
from rtface.learn.tracker.families import FAMILIES
from rtface.learn.tracker.from_labels import TrainRequest, train_engine
from rtface.learn.tracker.labelled_frames import recordings_apart
from rtface.track.manifest import WEIGHTS_FILE
from rtface.track.store import load_engine

PUBLIC = SetEntry(
    title="Mice of elsewhere", licence="CC-BY-NC-4.0", citation="Somebody 2024", layout="lightning-pose"
)


@pytest.fixture
def sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A public set that was fetched, six sessions, and a set of one's own."""
    monkeypatch.setenv("RTFACE_ENGINES", str(tmp_path / "engines"))
    write_lightning_pose(tmp_path / "public", sessions=6)
    assert fetch_set(FetchRequest("public", PUBLIC, True, source=tmp_path / "public")) is not None
    write_table(drawn(6, seed=50, video="ours"), tmp_path / "own")
    return tmp_path / "public", tmp_path / "own"


@pytest.fixture
def general(sets: tuple[Path, Path], tmp_path: Path) -> TrainRequest:
    recipe = dataclasses.replace(named_recipe("general").recipe, steps=6, batch=2, size=SIZE, bf16=False)
    return TrainRequest(
        labels=sets,
        engine=tmp_path / "engines" / "general",
        run=tmp_path / "runs" / "general",
        family="tiny",
        held_out=0.2,
        simulated=4,
        recipe=recipe,
        whole_recordings=True,
        recipe_name="general",
    )


def weights(engine: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(engine / WEIGHTS_FILE, weights_only=True)
    return state


def test_the_general_network_learns_from_public_and_own_sets_and_states_their_licence(
    general: TrainRequest,
) -> None:
    told: list[str] = []
    trained = train_engine(general, announce=lambda labels, licence: told.append(licence))
    assert trained is not None
    manifest = load_engine(str(general.engine)).manifest
    assert told == [manifest.licence]
    assert manifest.licence == (
        "that of the labelled frames; learnt from public (CC-BY-NC-4.0); not for commercial use"
    )
    training = manifest.training
    assert training["recipe"] == "general"
    (origin,) = training["label_sets"]
    assert (origin["name"], origin["licence"], origin["citation"]) == (
        "public",
        "CC-BY-NC-4.0",
        "Somebody 2024",
    )
    held_out = training["held_out"]
    assert held_out["of_recordings_not_trained_on"]
    assert len(held_out["recordings"]) == 2, "20 % of 30 frames: two recordings of four or six"
    assert set(held_out["recordings"]) | set(training["recordings"]) == {
        *(f"mouse{number}_cam{number % 2}" for number in range(6)),
        "ours",
    }


def test_what_learns_from_it_further_carries_its_licence_on(general: TrainRequest, tmp_path: Path) -> None:
    assert train_engine(general) is not None
    labels = drawn(3, seed=9)
    recipe = dataclasses.replace(general.recipe, steps=2)
    request = AdaptRequest(
        load_engine("general"),
        labels,
        tmp_path / "engines" / "mine",
        tmp_path / "runs" / "mine",
        recipe=recipe,
    )
    adapted = adapt(request)
    assert adapted is not None
    assert "CC-BY-NC-4.0" in adapted.engine.manifest.licence


@pytest.mark.parametrize("after", [1, 3, 6])
def test_an_interrupt_at_any_step_gives_the_same_weights(
    general: TrainRequest, tmp_path: Path, after: int
) -> None:
    through = dataclasses.replace(
        general, engine=tmp_path / "engines" / "through", run=tmp_path / "runs" / "through"
    )
    assert train_engine(through) is not None
    asked = count(1)
    stopped = train_engine(general, stop=lambda: next(asked) >= after)
    assert (stopped is None) == (after < 6), "the last step is the end"
    if stopped is None:
        assert train_engine(general) is not None
    one, other = weights(general.engine), weights(through.engine)
    assert all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.mark.parametrize("licence", ["unknown", " Not stated", "none"])
def test_a_set_without_a_licence_is_not_learnt_from(
    general: TrainRequest, sets: tuple[Path, Path], licence: str
) -> None:
    entry = PUBLIC.model_copy(update={"licence": licence})
    assert fetch_set(FetchRequest("public", entry, True, source=sets[0])) is not None
    with pytest.raises(DataError, match="the set public states no licence"):
        train_engine(general)
    assert not general.run.exists()


def test_a_device_that_is_not_there_and_one_that_is_too_small(general: TrainRequest) -> None:
    for device in ("cuda:7", "abacus"):
        with pytest.raises(UsageError, match=f"torch cannot train on '{device}'"):
            train_engine(dataclasses.replace(general, device=device))

    def full() -> bool:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(BackendError, match=r"batches of 2: a smaller --batch"):
        train_engine(general, stop=full)


def test_recordings_are_held_out_whole() -> None:
    frames = tuple(
        frame for number in range(10) for frame in drawn(3, seed=number, video=f"v{number}").frames
    )
    labels = LabelSet(NAMES, frames)
    assert len(recordings_apart(labels, 0.2, 0)) == 2
    assert recordings_apart(labels, 0.2, 0) == recordings_apart(labels, 0.2, 0)
    assert len({recordings_apart(labels, 0.2, seed) for seed in range(8)}) > 1
    assert len(recordings_apart(labels, 0.001, 0)) == 1
    assert len(recordings_apart(labels, 1.0, 0)) == 9, "one is left to train on"
    assert recordings_apart(labels, 0.0, 0) == ()
    assert recordings_apart(labels.only(["v1"]), 0.5, 0) == ()


def test_recipes_are_whole_and_the_unknown_is_named() -> None:
    for recipe in RECIPES.values():
        assert recipe.family in FAMILIES
        assert 0 < recipe.share < 1
        assert recipe.purpose
    with pytest.raises(UsageError, match="no recipe 'genral'; there are rig, general"):
        named_recipe("genral")


def test_on_the_command_line(
    sets: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ("learn", "train", *sets, "--recipe", "general", "--name", "general", "--family", "tiny")
    brief = (*command, "--steps", "3", "--batch", "2", "--simulated", "0", "--threads", "1")
    done = run(*brief)
    assert done.returncode == 0, done.stderr
    assert "public: CC-BY-NC-4.0. Cite: Somebody 2024" in done.stderr
    assert "the engine's licence will be: that of the labelled frames; learnt from public" in done.stderr
    manifest = load_engine("general").manifest
    assert manifest.training["recipe"] == "general"
    assert manifest.training["held_out"]["of_recordings_not_trained_on"]
    refused = run(*brief, "--overwrite", "--run", "other", "--device", "abacus")
    assert refused.returncode == UsageError.exit_code
