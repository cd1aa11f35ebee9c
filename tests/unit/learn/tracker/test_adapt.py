"""Adapting an engine to a rig: what it gains, what it must not lose, and when it stays as it is."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from support.drawn_labels import ARCHITECTURE, BRIEF, NAMES, SIZE, STILL, blob, drawn, fresh

from rtface.config import BackendSettings
from rtface.core.errors import DataError, EngineError, UsageError
from rtface.core.files import read_fields
from rtface.core.records import FloatArray
from rtface.learn.distances import DeclaredDistance
from rtface.learn.engines.bundle import save_engine
from rtface.learn.labels.keypoint_changes import KeypointChanges
from rtface.learn.labels.labelset import LabelledFrame, LabelSet
from rtface.learn.resumable import run_training
from rtface.learn.run_folder import RunFolder
from rtface.learn.tracker import adapt as adapt_module
from rtface.learn.tracker.adapt import NEW_STEPS, Adapted, NothingLearntError, adapt
from rtface.learn.tracker.adapt_request import AdaptPlan, AdaptRequest, spread_over_time
from rtface.learn.tracker.calibration import widened
from rtface.learn.tracker.card import model_card
from rtface.learn.tracker.evaluation import Predictions, calibration_of, predict
from rtface.learn.tracker.fine_tune import blended, fine_tune, train_new_keypoints
from rtface.learn.tracker.labelled_frames import pictures_of
from rtface.learn.tracker.optimise import Recipe, Training
from rtface.learn.tracker.pseudo_labels import PLAIN, pseudo_label
from rtface.learn.tracker.samples import Picture
from rtface.learn.tracker.step_search import BLENDS, WORTH_PX, StepSearch, Trial, improved
from rtface.networks.graph import NetworkWithDecode
from rtface.networks.surgery import with_keypoints
from rtface.track.manifest import MODEL_FILE, WEIGHTS_FILE, KeypointEntry
from rtface.track.store import Engine, load_engine, trainable_source, write_engine
from rtface.track.torch_graph import torch_network

KNOWN = ("bright", "faint")
RIG_SHAPE = (96, 180)
CHANCE = replace(STILL, shift=0.06, zoom=1.1, contrast=0.2)
RECIPE = Recipe(
    steps=75,
    batch=8,
    size=SIZE,
    learning_rate=5e-3,
    averaging=0.9,
    bf16=False,
    augmentation=CHANCE,
    simulated_share=0,
)


def rig(count: int, seed: int = 5, names: tuple[str, ...] = NAMES, shift: float = 4.0) -> LabelSet:
    """Frames of another rig: larger, other blobs on a brighter ground, labelled some pixels lower."""
    chance = np.random.default_rng(seed)
    frames = []
    for number in range(count):
        first = np.array([chance.uniform(40, 80), chance.uniform(30, 66)])
        step = np.array([chance.uniform(28, 34), chance.uniform(-5, 5)])
        xy = np.stack([first, first + step, first + 1.8 * step]).astype(np.float32)
        light = 60 + 160 * blob(RIG_SHAPE, *xy[0], sigma=6.0) + 90 * blob(RIG_SHAPE, *xy[1], sigma=6.0)
        image = np.clip(light, 0, 255).round().astype(np.uint8)
        frames.append(LabelledFrame(f"{number:03}", "rig", image, xy + np.float32([0, shift])))
    return LabelSet(NAMES, tuple(frames)).arranged(names)


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """An engine that finds the two blobs of the drawn frames."""
    architecture = ARCHITECTURE | {"keypoints": 2}
    network = fresh(architecture)
    pictures = pictures_of(drawn(24).arranged(KNOWN))
    network.network = run_training(
        Training(network.network, "small", pictures, [], replace(RECIPE, steps=150, learning_rate=1e-2))
    )
    return save_engine(
        network,
        tmp_path_factory.mktemp("parent") / "parent",
        model_card(
            architecture,
            [KeypointEntry(name=name) for name in KNOWN],
            size=SIZE,
            square=False,
            calibrated=False,
            description="two blobs",
            licence="CC0-1.0",
        ),
    )


@pytest.fixture
def request_for(parent: Engine, tmp_path: Path) -> Callable[..., AdaptRequest]:
    """Return orders, each with folders of its own."""
    number = itertools.count()

    def make(labels: LabelSet, **changes: object) -> AdaptRequest:
        here = tmp_path / f"adapted-{next(number)}"
        plain = AdaptRequest(
            engine=parent, labels=labels, folder=here / "new", run=here / "run", recipe=RECIPE
        )
        return replace(plain, **changes)  # type: ignore[arg-type]

    return make


def done(what: AdaptRequest) -> Adapted:
    adapted = adapt(what)
    assert adapted is not None
    return adapted


def found(network: NetworkWithDecode, labels: LabelSet, names: tuple[str, ...]) -> FloatArray:
    """Mean distance from the labels by keypoint, in pixels of the network's input."""
    return np.asarray(
        np.nanmean(predict(network, pictures_of(labels.arranged(names)), SIZE).distance, axis=0)
    )


def points(engine: Engine, labels: LabelSet) -> FloatArray:
    frames = {place: frame.image for place, frame in enumerate(labels.frames)}
    return pseudo_label(engine, frames, BackendSettings(name="torch"), None, shifts=PLAIN).xy


def weights(engine: Engine) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(engine.file(WEIGHTS_FILE), weights_only=True)
    return state


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_a_few_frames_make_it_better_on_frames_of_the_rig_that_it_never_saw(
    parent: Engine, request_for: Callable[..., AdaptRequest]
) -> None:
    unseen = rig(12, seed=99, names=KNOWN)
    adapted = done(request_for(rig(12, names=KNOWN)))
    before, after = (found(torch_network(each), unseen, KNOWN).mean() for each in (parent, adapted.engine))
    assert after < 0.6 * before, (before, after)
    report = adapted.report
    assert report["steps"] > 0
    assert report["after"]["mean_px"] < report["before"]["mean_px"]
    assert report["after"]["n"] == 2 * len(report["held_out_frames"]) == 6
    assert load_engine(str(adapted.engine.folder)).manifest.names == KNOWN
    assert not adapted.engine.manifest.score.calibrated


def test_a_new_keypoint_is_learned_and_the_others_stay(
    parent: Engine, request_for: Callable[..., AdaptRequest]
) -> None:
    unseen = drawn(12, seed=99)
    adapted = done(
        request_for(drawn(10, seed=7).arranged(("ahead",)), changes=KeypointChanges(add=("ahead",)))
    )
    assert adapted.engine.manifest.names == (*KNOWN, "ahead")
    assert adapted.report["taught_by_parent"] == list(KNOWN)
    before, after = (
        found(torch_network(parent), unseen, KNOWN),
        found(torch_network(adapted.engine), unseen, NAMES),
    )
    assert after[2] < 2.5, after
    assert (after[:2] < before + 0.5).all(), (before, after)


def test_dropped_keypoints_are_gone_and_a_renamed_one_is_found_where_it_was(
    parent: Engine, request_for: Callable[..., AdaptRequest]
) -> None:
    labels = rig(3, names=("faint",))
    changes = KeypointChanges(renames={"faint": "dim"}, drop=("bright",))
    adapted = done(
        request_for(labels, changes=changes, recipe=replace(RECIPE, learning_rate=1e-12, weight_decay=0.0))
    )
    assert adapted.engine.manifest.names == ("dim",)
    np.testing.assert_allclose(points(adapted.engine, labels)[:, 0], points(parent, labels)[:, 1], atol=0.01)


def wrong_but_for_the_held_out() -> LabelSet:
    """Labels of which those that are learnt from are chance."""
    labels = drawn(10, seed=3).arranged(KNOWN)
    held_out, chance = spread_over_time(labels), np.random.default_rng(0)
    frames = tuple(
        frame if place in held_out else replace(frame, xy=chance.uniform(5, 60, (2, 2)).astype(np.float32))
        for place, frame in enumerate(labels.frames)
    )
    return LabelSet(KNOWN, frames)


def test_where_no_step_makes_it_better_no_engine_is_written(request_for: Callable[..., AdaptRequest]) -> None:
    what = request_for(wrong_but_for_the_held_out())
    with pytest.raises(NothingLearntError, match=r"nothing was learnt.*no engine.*2 held-out frames") as said:
        adapt(what)
    assert said.value.exit_code != 0
    assert not what.folder.exists()


def test_a_new_keypoint_that_was_not_learnt_is_named_and_no_engine_is_written(
    request_for: Callable[..., AdaptRequest],
) -> None:
    labels, chance = rig(8), np.random.default_rng(0)
    frames = tuple(
        replace(
            frame,
            xy=np.vstack([frame.xy[:2], chance.uniform((40, 20), (140, 80), (1, 2))]).astype(np.float32),
        )
        for frame in labels.frames
    )
    what = request_for(
        LabelSet(NAMES, frames), changes=KeypointChanges(add=("ahead",)), recipe=replace(RECIPE, steps=5)
    )
    with pytest.raises(
        NothingLearntError, match=r"ahead is off by .* where its mean position is off by .*--drop 'ahead'"
    ):
        adapt(what)
    assert not what.folder.exists()
    assert not (what.run / "report.json").exists()


def test_declared_distances_choose_the_steps_and_are_reported(
    request_for: Callable[..., AdaptRequest],
) -> None:
    labels = rig(10, names=KNOWN, shift=0.0)
    wide = tuple(
        replace(frame, xy=frame.xy + np.float32([[-2.0 * (place % 5), 0], [2.0 * (place % 5), 0]]))
        for place, frame in enumerate(labels.frames)
    )
    declared = (DeclaredDistance("gap", "bright", "faint"),)
    adapted = done(request_for(replace(labels, frames=wide, distances=declared)))
    report, training = adapted.report, adapted.engine.manifest.training
    assert training["distances"] == {"gap": ["bright", "faint"]}
    assert report["distances"]["learnt"]["gap"]["frames"] == 10
    assert "not_said" in report["distances"]["held_out"]["gap"], "two frames are too few"
    looks = [Trial(**look) for look in report["looks"]]
    assert all(look.off_slope is not None for look in looks)
    tried = [look for look in looks if look.steps]
    best = next(look for look in tried if (look.steps, look.blend) == (report["steps"], report["blend"]))
    assert not any(look.better_than(best) for look in tried)
    undeclared = done(request_for(replace(labels, frames=wide)))
    assert {look["off_slope"] for look in undeclared.report["looks"]} == {None}
    assert "distances" not in undeclared.engine.manifest.training


def test_a_candidate_that_follows_comes_first() -> None:
    follows, near = Trial(150, 1.0, 2.4, 0.08), Trial(25, 1.0, 2.1, 0.8)
    assert follows.better_than(near)
    assert not near.better_than(follows)
    assert Trial(50, 1.0, 2.2, 0.3).better_than(near), "2.2 * 1.3 < 2.1 * 1.8"
    assert near.better_than(Trial(50, 1.0, 9.0, 0.3)), "a slope does not outweigh any error"
    assert Trial(100, 1.0, 2.0, 0.1).better_than(follows)
    assert Trial(25, 0.5, 1.0).better_than(Trial(25, 1.0, 1.1)), "without distances the error alone counts"


@pytest.mark.parametrize(("off_slope", "ends"), [(None, True), (0.05, True), (0.5, False)])
def test_the_search_does_not_end_while_nothing_follows(off_slope: float | None, ends: bool) -> None:
    network = fresh()
    search = StepSearch(
        network, pictures_of(drawn(3)), SIZE, False, (0, 1, 2), off_slope=lambda candidate: off_slope
    )
    ended = [search.check(steps, network) for steps in (25, 50, 75, 100, 125)]
    assert ended[:3] == [False] * 3
    assert ended[3:] == [ends] * 2


def test_an_improvement_counts_where_it_is_larger_than_its_interval_and_than_what_matters() -> None:
    before = np.full((4, 10), 3.0, np.float32)
    before[0, 0] = np.nan
    assert not improved(before, before)
    assert improved(before, before - 0.2)
    assert not improved(before, before - WORTH_PX / 2), "sure, and worth nothing"
    spread = np.random.default_rng(0).normal(0, 2.0, before.shape).astype(np.float32)
    assert not improved(before, before - 0.2 + spread - np.nanmean(spread)), "within what chance does"
    assert not improved(np.full((2, 2), 40.0, np.float32), np.full((2, 2), 20.0, np.float32)), (
        "both are far off"
    )
    assert not improved(np.full((1, 2), np.nan, np.float32), np.full((1, 2), np.nan, np.float32))


@pytest.mark.parametrize(("fall", "ended_at"), [(0.01, 100), (0.04, None)])
def test_the_search_ends_on_a_flat_curve_though_each_check_is_a_little_better(
    monkeypatch: pytest.MonkeyPatch, fall: float, ended_at: int | None
) -> None:
    """A fall of 0.01 a check is 0.04 in four: less than counts. One of 0.04 adds up to more each second check."""
    network = fresh()
    error = itertools.count()

    def found(network: object, pictures: Sequence[Picture], *_: object, **__: object) -> Predictions:
        distance = np.full((len(pictures), 3), 5.0 - fall * (next(error) // len(BLENDS)), np.float32)
        return Predictions(distance, distance, distance[:, 0])

    monkeypatch.setattr("rtface.learn.tracker.step_search.predict", found)
    search = StepSearch(network, pictures_of(drawn(3)), SIZE, False, (0, 1, 2))
    ended = [search.check(steps, network) for steps in range(25, 325, 25)]
    assert (25 * (1 + ended.index(True)) if any(ended) else None) == ended_at
    assert search.best.steps > (0 if ended_at else 275), "what is a little better is taken all the same"


def test_a_search_that_goes_on_keeps_what_counted(tmp_path: Path) -> None:
    network, keep = fresh(), tmp_path / "looks"
    pictures = pictures_of(drawn(3))
    search = StepSearch(network, pictures, SIZE, False, (0, 1, 2), keep=keep)
    assert [search.check(steps, network) for steps in (25, 50, 75)] == [False] * 3
    assert StepSearch(network, pictures, SIZE, False, (0, 1, 2), keep=keep).check(100, network)


@pytest.mark.parametrize("part", ["search", "final"])
def test_the_engine_of_the_best_so_far_is_made_where_that_is_asked_for(
    request_for: Callable[..., AdaptRequest], part: str
) -> None:
    what = request_for(rig(9, names=KNOWN), recipe=replace(RECIPE, steps=100, batch=4))

    def progress(of: str, steps: int) -> Callable[[int, float], None]:
        def told(step: int, loss: float) -> None:
            if of == part and step == 30:
                RunFolder(what.run).ask_to_finish()

        return told

    adapted = adapt(what, progress=progress)
    assert adapted is not None
    report, training = adapted.report, adapted.engine.manifest.training
    assert training["finished_early"] == report["finished_early"]
    assert "not trained on the held-out frames" in training["finished_early"]
    best = min(report["looks"], key=lambda look: look["error_px"])
    assert (report["steps"], report["blend"]) == (best["steps"], best["blend"])
    assert max(look["steps"] for look in report["looks"]) == (30 if part == "search" else 100)
    assert report["after"]["mean_px"] < report["before"]["mean_px"]
    assert not RunFolder(what.run).finish_asked
    with pytest.raises(UsageError, match="finished already"):
        RunFolder(what.run).ask_to_finish()
    plain = done(request_for(rig(9, names=KNOWN), recipe=replace(RECIPE, steps=30, batch=4)))
    assert plain.report["finished_early"] == ""
    assert "finished_early" not in plain.engine.manifest.training


def test_one_that_was_stopped_is_made_from_the_best_so_far_too(
    request_for: Callable[..., AdaptRequest],
) -> None:
    what = request_for(rig(9, names=KNOWN), recipe=replace(RECIPE, steps=100, batch=4))
    assert adapt(what, stop=once_after(40, True)) is None
    RunFolder(what.run).ask_to_finish()
    report = done(what).report
    assert max(look["steps"] for look in report["looks"]) == 41
    assert report["finished_early"]


def test_without_held_out_frames_the_network_is_taken_as_far_as_it_is(
    request_for: Callable[..., AdaptRequest],
) -> None:
    what = request_for(rig(3, names=KNOWN), recipe=replace(RECIPE, steps=60, batch=4))
    assert adapt(what, stop=once_after(10, True)) is None
    RunFolder(what.run).ask_to_finish()
    assert done(what).report["finished_early"] == "after 11 of 60 steps on all frames"


def test_where_nothing_is_better_yet_no_engine_is_made_and_the_training_goes_on(
    request_for: Callable[..., AdaptRequest],
) -> None:
    what = request_for(wrong_but_for_the_held_out())
    assert adapt(what, stop=once_after(40, True)) is None
    RunFolder(what.run).ask_to_finish()
    with pytest.raises(NothingLearntError, match="none of 41 steps"):
        adapt(what)
    assert not RunFolder(what.run).finish_asked


def test_one_frame_is_enough_to_begin_with(parent: Engine, request_for: Callable[..., AdaptRequest]) -> None:
    adapted = done(request_for(rig(1, names=KNOWN)))
    assert "after" not in adapted.report
    assert adapted.report["held_out_frames"] == []
    assert adapted.report["steps"] > 0
    assert not same(weights(adapted.engine), weights(parent))


def test_the_same_seed_gives_the_same_engine(request_for: Callable[..., AdaptRequest]) -> None:
    brief = replace(RECIPE, steps=10, batch=4)
    one, two, other = (
        done(request_for(rig(4, names=KNOWN), recipe=replace(brief, seed=seed))) for seed in (0, 0, 1)
    )
    assert same(weights(one.engine), weights(two.engine))
    assert not same(weights(one.engine), weights(other.engine))


@pytest.mark.parametrize("after", [10, 62, 120])
def test_an_interrupted_one_goes_on_to_the_same_engine(
    request_for: Callable[..., AdaptRequest], after: int
) -> None:
    whole = request_for(
        rig(8), changes=KeypointChanges(add=("ahead",)), recipe=replace(RECIPE, steps=30, batch=4)
    )
    straight = done(whole)
    asked = itertools.count(1)
    broken = request_for(rig(8), changes=whole.changes, recipe=whole.recipe)
    assert adapt(broken, stop=lambda: next(asked) >= after) is None
    resumed = done(broken)
    assert same(weights(straight.engine), weights(resumed.engine))
    assert straight.report["looks"] == resumed.report["looks"]
    with (broken.run / "search.trials.csv").open(newline="") as file:
        told = [
            (int(row["steps"]), float(row["blend"]), float(row["error_px"])) for row in csv.DictReader(file)
        ]
    assert told == [(look["steps"], look["blend"], look["error_px"]) for look in resumed.report["looks"]]
    assert (broken.run / "final.losses.csv").read_text() == (whole.run / "final.losses.csv").read_text()


def test_an_interrupt_at_the_edges_of_each_part_or_a_kill_changes_nothing(
    request_for: Callable[..., AdaptRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each run is asked to end at a step, goes on, is killed two steps later (or while the engine is written), goes on."""
    asked_for = {"changes": KeypointChanges(add=("ahead",)), "recipe": replace(RECIPE, steps=30, batch=4)}
    steps = itertools.count(1)
    whole = request_for(rig(8), **asked_for)
    straight = adapt(whole, stop=lambda: next(steps) < 0)
    assert straight is not None
    last = next(steps) - 1
    for step in (NEW_STEPS, NEW_STEPS + 30, last):
        broken = request_for(rig(8), **asked_for)
        assert adapt(broken, stop=once_after(step, True)) is None
        with monkeypatch.context() as patch:
            patch.setattr(adapt_module, "save_engine", killed)
            with pytest.raises(KeyboardInterrupt):
                adapt(broken, stop=once_after(2, KeyboardInterrupt()))
        assert not broken.folder.exists()
        resumed = done(broken)
        assert same(weights(straight.engine), weights(resumed.engine)), step
        assert straight.report["looks"] == resumed.report["looks"]


def once_after(step: int, what: bool | BaseException) -> Callable[[], bool]:
    """Return what ends a training after so many steps, or kills it."""
    asked = itertools.count(1)

    def stop() -> bool:
        if next(asked) < step:
            return False
        if isinstance(what, BaseException):
            raise what
        return what

    return stop


def killed(*_: object, **__: object) -> bool:
    raise KeyboardInterrupt


def test_a_busy_machine_gives_the_same_engine(request_for: Callable[..., AdaptRequest]) -> None:
    brief = replace(RECIPE, steps=30, batch=4)
    changes = KeypointChanges(add=("ahead",))
    quick, slow = (request_for(rig(8), recipe=brief, changes=changes) for _ in range(2))
    hours = itertools.count(0, 3_600_000_000_000)
    plans: list[AdaptPlan] = []
    straight = done(quick)
    busy = adapt(slow, clock=lambda: next(hours), announce=plans.append)
    assert busy is not None
    assert same(weights(straight.engine), weights(busy.engine))
    assert busy.report["looks"] == straight.report["looks"]
    assert busy.report["minutes"] >= 60
    (plan,) = plans
    assert plan.steps == 2 * (30 + 40)
    assert plan.seconds_a_step == pytest.approx(3600 / 8)
    assert plan.minutes == pytest.approx((plan.steps * plan.seconds_a_step + plan.seconds_beside) / 60)
    assert plan.seconds_beside > 3600, "checks, judging and writing are counted"
    assert read_fields(slow.run / "plan.json")["minutes"] == pytest.approx(plan.minutes, abs=0.01)


def test_the_last_steps_are_tried_too(request_for: Callable[..., AdaptRequest]) -> None:
    adapted = done(request_for(rig(8, names=KNOWN), recipe=replace(RECIPE, steps=30, batch=4)))
    assert sorted({trial["steps"] for trial in adapted.report["looks"]}) == [0, 25, 30]


def test_it_says_how_long_it_will_take_before_it_begins(request_for: Callable[..., AdaptRequest]) -> None:
    order: list[str] = []

    def progress(part: str, steps: int) -> Callable[[int, float], None]:
        order.append(part)
        return lambda step, loss: None

    what = request_for(rig(2, names=KNOWN), recipe=replace(RECIPE, steps=2))
    assert adapt(what, progress=progress, announce=lambda plan: order.append("plan")) is not None
    assert order == ["plan", "final", "judging the new engine", "writing the engine and its view"]


def test_guesses_that_nobody_moved_are_named(
    parent: Engine, request_for: Callable[..., AdaptRequest]
) -> None:
    labels = rig(4, names=KNOWN)
    own = points(parent, labels)
    frames = tuple(
        replace(frame, xy=np.stack([own[place, 0], frame.xy[1]]).astype(np.float32))
        for place, frame in enumerate(labels.frames)
    )
    brief = replace(RECIPE, steps=2)
    assert done(request_for(LabelSet(KNOWN, frames), recipe=brief)).report["untouched_guesses"] == ["bright"]
    assert done(request_for(labels, recipe=brief)).report["untouched_guesses"] == []


def test_fine_tuning_leaves_statistics_and_the_start_alone() -> None:
    start = fresh()
    before = {name: value.clone() for name, value in start.state_dict().items()}
    tuned = fine_tune(start, "small", pictures_of(drawn()), replace(BRIEF, steps=3))
    assert same(start.state_dict(), before)
    for name, value in tuned.state_dict().items():
        assert torch.equal(value, before[name]) == (
            "running" in name or "num_batches" in name or "decode" in name
        )


def test_new_keypoints_learn_alone() -> None:
    start = fresh()
    before = {name: value.clone() for name, value in start.state_dict().items()}
    taught = train_new_keypoints(start, "small", pictures_of(drawn()), [1], BRIEF)
    assert same(start.state_dict(), before), "the start is left as it is"
    changed = {
        name
        for name, value in taught.state_dict().items()
        if not torch.equal(value, start.state_dict()[name])
    }
    assert changed == {"network.heads.weight", "network.heads.bias"}
    for part in (taught.network.heads.weight, taught.network.heads.bias):
        old = start.state_dict()["network.heads.weight" if part.dim() > 1 else "network.heads.bias"]
        assert [torch.equal(part[row], old[row]) for row in range(3)] == [True, False, True]


def test_a_blend_lies_between() -> None:
    one, two = fresh(seed=0), fresh(seed=1)
    assert same(blended(one, two, 0.0).state_dict(), one.state_dict())
    half = blended(one, two, 0.5).state_dict()["network.heads.weight"]
    ends = (each.state_dict()["network.heads.weight"] for each in (one, two))
    torch.testing.assert_close(half, sum(ends) / 2)


def test_held_out_frames_are_spread_over_the_recordings() -> None:
    labels = LabelSet(NAMES, (*drawn(9, video="b").frames, *drawn(9, video="a").frames))
    places = spread_over_time(labels)
    assert len(places) == 4
    assert [labels.frames[place].video for place in places].count("a") == 2
    assert len(spread_over_time(drawn(8))) == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (KeypointChanges(), "ahead.*add, rename or drop"),
        (KeypointChanges(add=("front",)), "do not have a keypoint 'front'"),
        (KeypointChanges(add=("ahead",), drop=("fain",)), r"'fain' \(is fain the same as faint\?\)"),
        (
            KeypointChanges(renames={"nose": "tip"}),
            "neither the engine nor the labels have a keypoint 'nose'",
        ),
        (KeypointChanges(renames={"bright": "faint"}), "two keypoints"),
        (KeypointChanges(only=("bright",), add=("ahead",)), "one of the two"),
        (KeypointChanges(drop=NAMES), "none is left"),
    ],
)
def test_keypoints_that_cannot_be_had_are_refused(
    request_for: Callable[..., AdaptRequest], changes: KeypointChanges, message: str
) -> None:
    what = request_for(rig(2), changes=changes)
    with pytest.raises(UsageError, match=message):
        adapt(what)
    assert not what.run.exists()


def test_names_are_chosen_as_asked() -> None:
    assert KeypointChanges(add=("c",)).wanted(("a", "b"), ("c", "b")) == ("a", "b", "c")
    assert KeypointChanges(drop=("a", "c")).wanted(("a", "b"), ("c", "b")) == ("b",)
    assert KeypointChanges(only=("c", "a")).wanted(("a", "b"), ("c", "b")) == ("c", "a")
    assert KeypointChanges(only_labels=True).wanted(("a", "b"), ("c", "b")) == ("c", "b")


def test_what_cannot_be_adapted_is_refused(
    parent: Engine, request_for: Callable[..., AdaptRequest], tmp_path: Path
) -> None:
    one = rig(1, names=KNOWN).frames[0]
    many = LabelSet(KNOWN, tuple(replace(one, name=str(number)) for number in range(101)))
    with pytest.raises(DataError, match="101 frames are more"):
        adapt(request_for(many))
    empty = LabelSet(KNOWN, (replace(one, xy=np.full((2, 2), np.nan, np.float32)),))
    with pytest.raises(DataError, match="no label"):
        adapt(request_for(empty))
    fields = parent.manifest.model_dump(exclude={"name", "files", "preprocessing_sha256"})
    bare = write_engine(tmp_path / "bare", {MODEL_FILE: parent.file(MODEL_FILE)}, fields)
    with pytest.raises(EngineError, match=r"no weights\.pt"):
        adapt(request_for(LabelSet(KNOWN, (one,)), engine=bare))


def test_an_exported_engine_stands_for_the_one_it_was_made_from(
    parent: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RTFACE_ENGINES", str(parent.folder.parent))
    fields = parent.manifest.model_dump(exclude={"name", "files", "preprocessing_sha256"})
    fields["training"] = {"exported_from": "parent", "exported_from_sha256": parent.sha256}
    half = write_engine(tmp_path / "half", {MODEL_FILE: parent.file(MODEL_FILE)}, fields)
    assert trainable_source(half).folder == parent.folder
    assert trainable_source(parent) is parent


def test_the_manifest_says_what_was_trained(parent: Engine, request_for: Callable[..., AdaptRequest]) -> None:
    labels = rig(2)
    frames = tuple(replace(frame, xy=np.vstack([frame.xy[:2], [[np.nan] * 2]])) for frame in labels.frames)
    adapted = done(
        request_for(
            LabelSet(NAMES, frames), changes=KeypointChanges(add=("ahead",)), recipe=replace(RECIPE, steps=2)
        )
    )
    assert [entry.trained for entry in adapted.engine.manifest.keypoints] == [True, True, False]
    facts = adapted.engine.manifest.training
    assert (facts["parent"], facts["parent_sha256"], facts["frames"]) == ("parent", parent.sha256, 2)


def test_surgery_and_adapting_agree_on_the_calibration(
    parent: Engine, request_for: Callable[..., AdaptRequest]
) -> None:
    adapted = done(
        request_for(rig(2), changes=KeypointChanges(add=("ahead",)), recipe=replace(RECIPE, steps=2))
    )
    plain, _ = with_keypoints(torch_network(parent), parent.manifest.architecture, KNOWN, NAMES)
    former = calibration_of(plain)
    assert former is not None
    most = torch.from_numpy(widened(former).intercept)
    lowered = adapted.engine.manifest.metrics["no_face"].get("lowered", {})
    lower = torch.tensor([lowered.get(name, 0.0) for name in NAMES])
    torch.testing.assert_close(weights(adapted.engine)["decode.intercept"], most - lower, atol=2e-3, rtol=0)
