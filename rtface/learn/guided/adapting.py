"""The steps of a guided way that need torch: the look at labels before time is spent on them, and the training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from rtface.learn.guided.check import LabelCheck, check_labels
from rtface.learn.guided.way import Attempt, GuidedWay
from rtface.learn.labels.labelset import LabelSet
from rtface.learn.resumable import StartProgress, no_progress
from rtface.learn.tracker.adapt import Adapted, adapt
from rtface.learn.tracker.adapt_request import AdaptPlan, AdaptRequest
from rtface.learn.tracker.fine_tune import TUNING
from rtface.track.store import user_folder


def check_attempt(way: GuidedWay, labels: LabelSet) -> LabelCheck:
    """Look at labels before time is spent on them, and begin an attempt.

    Raises
    ------
    UsageError
        It is not said what is to become of some keypoint.
    DataError
        There are more frames than adapting is made for.
    """
    found = check_labels(labels, way.engine(), way.start.changes, way.start.crop, way.settings)
    way.begin_attempt(labels, found.as_dict())
    return found


def adapt_attempt(
    way: GuidedWay,
    labels: LabelSet,
    attempt: Attempt,
    *,
    progress: StartProgress = no_progress,
    stop: Callable[[], bool] = lambda: False,
    announce: Callable[[AdaptPlan], None] = lambda plan: None,
) -> Adapted | None:
    """Adapt the engine of a way; goes on from where an earlier training of the attempt was stopped. As of `adapt`.

    An engine that this attempt did not make is never replaced: the attempt then takes another name.
    """
    attempt = way.with_free_name(attempt)
    target, start = user_folder() / attempt.engine, way.start
    request = AdaptRequest(
        engine=way.engine(),
        labels=labels,
        folder=target,
        run=attempt.run,
        changes=start.changes,
        crop=start.crop,
        recipe=replace(TUNING, seed=start.seed, steps=start.steps or TUNING.steps),
        mark=attempt.id,
        # Its own, by its name: written, and then stopped before its report.
        overwrite=target.exists(),
    )
    return adapt(request, progress=progress, stop=stop, announce=announce)
