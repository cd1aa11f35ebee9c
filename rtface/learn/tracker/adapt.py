"""An engine of an engine: fine-tuned on a rig's own frames, with its keypoints kept, renamed, dropped and added.

With 8 frames or more some are held out, spread over the recordings, and show after how many steps, and how far on the
way from the old weights to the new, the network is best (`rtface.learn.tracker.step_search`). Then it is trained on all
frames, for as many steps and as far. Where no step helps, there is no new engine. Steps are counted, never seconds: a
busy machine takes longer and comes to the same engine. With fewer than 20 frames, an engine
that is near already and no new keypoint, the held-out ones decide only whether to change it at all. There, and where
none can be spared, both numbers are those that served best in `bench/tracker/fewshot.py`.

Keypoints that the engine finds and the labels lack are trained on pseudo-labels, what the engine itself finds in the
frames, each point as far as its score goes, so that they do not drift while others are learnt.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from rtface.core.clock import NS_PER_S, monotonic_ns
from rtface.core.errors import EngineError
from rtface.learn.distances import as_declared, with_known
from rtface.learn.engines.bundle import save_engine
from rtface.learn.error_summary import error_summary
from rtface.learn.labels.label_views import odd_recordings, unknown_to
from rtface.learn.labels.set_record import licence_in_words
from rtface.learn.resumable import StartProgress, no_progress, run_in_folder, run_training
from rtface.learn.run_folder import RunFolder, open_run
from rtface.learn.tracker.adapt_request import (
    AdaptPlan,
    AdaptRequest,
    AdaptStart,
    configuration,
    held_out_places,
    plan_of,
    start_of,
)
from rtface.learn.tracker.calibration import widened
from rtface.learn.tracker.card import model_card
from rtface.learn.tracker.evaluation import (
    FEWEST_TO_CALIBRATE,
    calibration_of,
    evaluate,
    predict,
    set_calibration,
)
from rtface.learn.tracker.fine_tune import NEW_STEPS, Stopped, blended, fine_tune, train_new_keypoints
from rtface.learn.tracker.labelled_frames import pictures_of
from rtface.learn.tracker.new_keypoints import judged
from rtface.learn.tracker.optimise import Recipe
from rtface.learn.tracker.pseudo_labels import untouched_guesses, with_pseudo_labels
from rtface.learn.tracker.samples import Picture
from rtface.learn.tracker.step_search import StepSearch, Trial, trial_for_few
from rtface.networks.graph import NetworkWithDecode
from rtface.track.store import Engine, check_new

FEWEST_TO_CHOOSE = 20
"""Frames below which those held out decide only whether a network that is near already is to be changed at all: chosen
by two or three frames, steps and blend made ten frames' adaptation worse (6.30 to 6.47 px, bench/tracker/fewshot.py adapt).
"""

_log = logging.getLogger(__name__)


class NothingLearntError(EngineError):
    """No step made the engine better on the held-out frames, so that no new one is written."""


@dataclass(frozen=True, slots=True)
class Adapted:
    """What came out.

    Attributes
    ----------
    engine : Engine
    report : dict
        As in the run's ``report.json``: ``frames``, ``held_out_frames``, ``steps``, ``blend``, ``looks`` (the trials),
        ``ended_by_time`` (False, since steps are counted), ``minutes``, ``before`` and ``after`` (as of
        `rtface.learn.error_summary.error_summary`, on the held-out frames; the latter of a network that was not trained
        on them), ``kept_weights``, ``untouched_guesses``, ``distances`` (how the new engine follows them, of
        `rtface.learn.distances.followed`: ``held_out`` by the network that was not trained on these frames, ``learnt`` on
        all) and ``new`` (of each new keypoint what `rtface.learn.tracker.new_keypoints` found).
    """

    engine: Engine
    report: dict[str, Any]


def adapt(
    request: AdaptRequest,
    *,
    progress: StartProgress = no_progress,
    stop: Callable[[], bool] = lambda: False,
    announce: Callable[[AdaptPlan], None] = lambda plan: None,
    clock: Callable[[], int] = monotonic_ns,
) -> Adapted | None:
    """Fine-tune an engine on labelled frames and write the result as an engine.

    The run's folder keeps checkpoints: the same request goes on from where an earlier one was stopped.

    Parameters
    ----------
    request : AdaptRequest
    progress : callable
        See `StartProgress`.
    stop : callable
        Called after each step; True ends the training.
    announce : callable
        Called once, before the training begins, with how much there is to do.
    clock : callable
        Nanoseconds; for what is told of time alone.

    Returns
    -------
    Adapted or None
        None where `stop` ended it.

    Raises
    ------
    NothingLearntError
        No step made it better on the held-out frames, or a new keypoint was not learnt; nothing is written.
    EngineError
        The engine cannot be trained, or the new one cannot be written.
    DataError
        There are too many frames or no label, or the run's folder holds something else.
    UsageError
        The keypoints cannot be had, or the crop reaches beyond the frames.
    """
    check_new(request.folder, overwrite=request.overwrite)
    began_ns = clock()
    start = start_of(request)
    labels, parent, names = start.labels, start.parent, start.names
    manual = pictures_of(labels, request.crop)
    unknown = unknown_to(request.engine, labels, request.crop, columns=start.columns)
    for line in (*odd_recordings(labels, request.crop), *unknown):
        _log.warning("%s", line)
    run = open_run(request.run, configuration(request, start))
    untouched = untouched_guesses(request.engine, request.crop, labels, start.columns)
    missing = [(names.index(name), start.columns[name]) for name in start.unlabelled]
    pictures = with_pseudo_labels(request.engine, request.crop, labels, manual, missing)
    held_out = held_out_places(labels)
    plan = plan_of(start, pictures, len(held_out), clock)
    run.write_plan(plan.as_dict())
    announce(plan)
    job = _Job(start, run, progress, stop)
    search: StepSearch | None = None
    try:
        if held_out:
            search = job.search(pictures, manual, held_out)
            choice, metrics = search.best, _before_and_after(start, search, [manual[i] for i in held_out])
            few = len(labels) < FEWEST_TO_CHOOSE and choice.off_slope is None
            if choice.steps and few and not start.new:
                cautious = trial_for_few(start.network, manual, start.recipe, start.known, start.new)
                choice = cautious if cautious.blend < 1 else choice
            if not choice.steps and not start.new and tuple(names) == parent.manifest.names:
                run.heeded()
                raise NothingLearntError(
                    f"nothing was learnt, so no engine is written: none of {search.trials[-1].steps} steps made "
                    f"{parent.manifest.name} better on {len(held_out)} held-out frames than it is "
                    f"({choice.error_px:.1f} px of its input): check the labels, or label more frames that differ"
                )
        else:
            choice = trial_for_few(start.network, manual, start.recipe, start.known, start.new)
            metrics = {}
        final = job.train(pictures, choice, search)
        choice = search.best if search is not None and job.finished_early else choice
    except Stopped:
        return None
    progress("judging the new engine", 0)
    judgement = _judgement(start, final, manual, search, held_out)
    calibrated = bool(metrics.pop("calibrated", False))
    if calibrated and search is not None:
        final.decode.load_state_dict(search.network.decode.state_dict())
    elif (former := calibration_of(start.network)) is not None:
        set_calibration(final, widened(former))
    report = {
        "parent": parent.manifest.name,
        "frames": len(labels),
        "labels": labels.labels,
        "held_out_frames": [labels.frames[place].name for place in held_out],
        "steps": choice.steps,
        "blend": choice.blend,
        "looks": [asdict(trial) for trial in search.trials] if search else [],
        "ended_by_time": False,
        "finished_early": job.finished_early,
        "kept_weights": choice.steps == 0,
        "new_keypoints": [names[place] for place in start.new],
        "taught_by_parent": start.unlabelled,
        "untouched_guesses": untouched,
        **metrics,
        **judgement,
        "minutes": round((clock() - began_ns) / NS_PER_S / 60, 2),
    }
    facts = {key: report[key] for key in ("parent", "frames", "labels", "steps", "blend", "taught_by_parent")}
    card = model_card(
        start.architecture,
        start.entries,
        size=start.recipe.size,
        square=start.recipe.square,
        calibrated=calibrated,
        description=f"{parent.manifest.name}, adapted to a rig with {len(labels)} frames",
        licence=licence_in_words(
            labels.origins, f"{parent.manifest.licence}; adapted with labelled frames under their own licence"
        ),
        training=facts
        | ({"finished_early": job.finished_early} if job.finished_early else {})
        | ({"attempt": request.mark} if request.mark else {})
        | ({"label_sets": [each.origin() for each in labels.origins]} if labels.origins else {})
        | ({"distances": as_declared(labels.distances)} if labels.distances else {})
        | {"parent_sha256": parent.sha256, "seed": start.recipe.seed, "recordings": list(labels.videos)},
        metrics={key: report[key] for key in ("before", "after", "distances") if report.get(key)},
    )
    progress("writing the engine and its view", 0)
    engine = save_engine(final, request.folder, card, views=manual, overwrite=request.overwrite)
    run.write_report(report | {"engine": engine.manifest.name})
    run.heeded()
    return Adapted(engine, report)


class _Job:
    """The parts of one training, in one run's folder."""

    def __init__(
        self, start: AdaptStart, run: RunFolder, progress: StartProgress, stop: Callable[[], bool]
    ) -> None:
        self._start, self._run, self._progress, self._stop = start, run, progress, stop
        self.finished_early = ""
        """In words, how the engine was made of the best so far, where somebody asked for it; else empty."""

    def search(
        self, pictures: Sequence[Picture], manual: Sequence[Picture], held_out: Sequence[int]
    ) -> StepSearch:
        """Train on what is not held out and try it on what is."""
        start = self._start
        rest = [picture for place, picture in enumerate(pictures) if place not in set(held_out)]
        before = self._train_new(rest, "search")
        search = StepSearch(
            before,
            [manual[place] for place in held_out],
            start.recipe.size,
            start.recipe.square,
            start.known,
            keep=self._run.folder / "search.looks",
            off_slope=partial(_off_slope, start, manual) if start.labels.distances else lambda network: None,
            told=lambda trials: self._run.write_trials("search", map(asdict, trials)),
        )
        if not search.ended:
            self._tune(before, rest, start.recipe, "search", search.check)
        return search

    def train(
        self, pictures: Sequence[Picture], choice: Trial, search: StepSearch | None
    ) -> NetworkWithDecode:
        """Train on all pictures, for as many steps as were chosen; or return the best so far where that is asked for.

        That is the best of the search, whose error is known, and which did not learn from the held-out pictures; where none
        was held out, the network as far as it is trained.
        """
        if search is not None and self._run.finish_asked:
            return self._best_of(search)
        before = self._train_new(pictures, "final")
        if choice.steps == 0:
            return before
        recipe = replace(self._start.recipe, steps=choice.steps)
        done: list[int] = []
        tuned = self._tune(before, pictures, recipe, "final", done=done)
        if done and done[-1] < choice.steps:  # without a step it was finished before
            if search is not None:
                return self._best_of(search)
            self.finished_early = f"after {done[-1]} of {choice.steps} steps on all frames"
        return blended(before, tuned, choice.blend)

    def _best_of(self, search: StepSearch) -> NetworkWithDecode:
        self.finished_early = (
            f"the best of {search.trials[-1].steps} steps of the search, not trained on the held-out frames"
        )
        return search.network

    def _train_new(self, pictures: Sequence[Picture], part: str) -> NetworkWithDecode:
        start = self._start
        if not start.new:
            return start.network
        return train_new_keypoints(
            start.network,
            start.family,
            pictures,
            start.new,
            start.recipe,
            progress=self._progress(f"{part}: new keypoints", NEW_STEPS),
            run=partial(run_training, checkpoint=self._run.checkpoint(f"{part}-new")),
            stop=self._stop,
        )

    def _tune(
        self,
        before: NetworkWithDecode,
        pictures: Sequence[Picture],
        recipe: Recipe,
        part: str,
        check: Callable[[int, NetworkWithDecode], bool] = lambda steps, network: False,
        done: list[int] | None = None,
    ) -> NetworkWithDecode:
        """Train; the steps of every check go to `done`."""

        def checked(steps: int, network: NetworkWithDecode) -> bool:
            if done is not None:
                done.append(steps)
            return check(steps, network)

        return fine_tune(
            before,
            self._start.family,
            pictures,
            recipe,
            progress=self._progress(part, recipe.steps),
            run=partial(run_in_folder, self._run, part),
            stop=self._stop,
            enough=lambda: self._run.finish_asked,
            check=checked,
        )


def _off_slope(start: AdaptStart, pictures: Sequence[Picture], network: NetworkWithDecode) -> float | None:
    """Return how far the worst slope of the declared distances is from 1; None where none can be stated."""
    found = predict(network, pictures, start.recipe.size, square=start.recipe.square)
    clips = [frame.video for frame in start.labels.frames]
    followed = found.followed(start.names, start.labels.distances, clips)
    return max(
        (round(abs(each["slope"] - 1), 3) for each in followed.values() if "slope" in each), default=None
    )


def _judgement(
    start: AdaptStart,
    final: NetworkWithDecode,
    pictures: Sequence[Picture],
    search: StepSearch | None,
    held_out: Sequence[int],
) -> dict[str, Any]:
    """Return how distances are followed and whether new keypoints were learnt.

    Raises
    ------
    NothingLearntError
        One was not.
    """
    size, square = start.recipe.size, start.recipe.square
    clips = [frame.video for frame in start.labels.frames]
    distances = with_known(start.labels.distances, start.labels.labelled)
    if not distances and not start.new:
        return {}
    learnt = predict(final, pictures, size, square=square)
    apart = None
    if search is not None:
        apart = predict(search.network, [pictures[place] for place in held_out], size, square=square)
    new = judged(start.names, start.new, learnt, apart, held_out)
    if missed := [each for each in new if not each.learnt]:
        raise NothingLearntError(
            f"a new keypoint was not learnt, so no engine is written: {'; '.join(each.in_words() for each in missed)}. Label "
            f"it on more frames, or leave it out (--drop '{missed[0].name}')"
        )
    report: dict[str, Any] = {"new": [asdict(each) for each in new]}
    if distances:
        report["distances"] = {"learnt": learnt.followed(start.names, distances, clips)}
        if apart is not None:
            theirs = [clips[place] for place in held_out]
            report["distances"]["held_out"] = apart.followed(start.names, distances, theirs)
    return report


def _before_and_after(start: AdaptStart, search: StepSearch, pictures: Sequence[Picture]) -> dict[str, Any]:
    """Return the errors on the held-out pictures before and after, and whether the scores were calibrated on them."""
    size, square = start.recipe.size, start.recipe.square
    unit = {"frames": len(pictures), "unit": "camera pixels"}
    old = predict(start.network, pictures, size, square=square).camera_distance
    old[:, list(start.new)] = np.nan
    before = unit | error_summary(old, start.names)
    new = predict(search.network, pictures, size, square=square).camera_distance
    labels = int((~np.isnan(new)).sum())
    if labels < FEWEST_TO_CALIBRATE:
        return {"before": before, "after": unit | error_summary(new, start.names), "calibrated": False}
    evaluation = evaluate(search.network, pictures, start.names, size, square=square)
    return {"before": before, "after": evaluation.metrics, "calibrated": evaluation.calibrated}
