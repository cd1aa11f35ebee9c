"""From a pose to decisions: features and rules together, as the live loop, the dry run and the replay use them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from rtface.core.decision import Decision
from rtface.core.features import VIEW, Features
from rtface.core.records import Pose
from rtface.decide.calls import CALLS, call_by_name
from rtface.decide.features.bank import FeatureBank
from rtface.decide.plausibility import Plausibility
from rtface.decide.rulebank import GRACE_NS, RuleBank
from rtface.decide.rules import RulesFile
from rtface.decide.viewdoubt import ViewDoubt

SAME_PICTURES = "picture.same"
"""Name of a further value: `Pose.same_pictures`."""


class RuleEvaluator(RuleBank):
    """The features and rules of a file, for one engine and one camera.

    Parameters
    ----------
    rules : RulesFile
        With the times of yoked and matched schedules read.
    keypoints : tuple of str
        The engine's, in the order of its poses.
    rate_hz : float or None
        The camera's frames per second; needed for rhythms alone.
    extra_names : sequence of str
        As for `RuleBank`; with `SAME_PICTURES` among them a picture that stands still is seen by its pixels, too, and with
        `VIEW` what the engine says of the view is taken from them, not from the pose.
    grace_ns, alike_ns : int
        As for `RuleBank`.
    frame : (int, int) or None
        Width and height of the camera's frames, where they are known.

    Attributes
    ----------
    rules : RulesFile
        With all that follows from the camera written out.
    bank : FeatureBank
    features : Features
        Of the newest frame, borrowed until the next.
    blind_rules : frozenset of str
        The rules whose schedule hides from everybody which trials are shams.
    blind : bool
        Whether there is any.

    Raises
    ------
    RulesError
        The rules do not fit the engine or the camera, or are wrong in themselves.
    """

    def __init__(
        self,
        rules: RulesFile,
        keypoints: tuple[str, ...],
        rate_hz: float | None,
        *,
        extra_names: Sequence[str] = (),
        grace_ns: int = GRACE_NS,
        alike_ns: int = 0,
        frame: tuple[int, int] | None = None,
    ) -> None:
        self.rules = rules = rules.for_camera(rate_hz, frame)
        schedules = {name: rule.schedule for name, rule in rules.rules.items()}
        self.blind_rules = frozenset(
            name for name, each in schedules.items() if each is not None and each.blind
        )
        self.blind = bool(self.blind_rules)
        self.bank = FeatureBank(rules.features, keypoints, rate_hz)
        self.features: Features = self.bank.newest
        given = rules.input
        self._plausibility = None if given is None else Plausibility(given)
        self._view_at = extra_names.index(VIEW) if VIEW in extra_names else None
        self._view = ViewDoubt(None if given is None else given.min_view)
        self._same = extra_names.index(SAME_PICTURES) if SAME_PICTURES in extra_names else None
        super().__init__(
            rules.rules,
            self.bank.names,
            extra_names=extra_names,
            grace_ns=grace_ns,
            alike_ns=alike_ns,
            says_light=given is not None,
            baseline=rules.baseline,
        )

    def evaluate(self, pose: Pose, now_ns: int, extra: Features | None = None) -> list[Decision]:
        """Decide on a pose at `now_ns`; decisions and times as in `frame`. No feature takes in what cannot be believed."""
        doubt = None
        if self._plausibility is not None:
            doubt = self._plausibility.doubt(pose, self._same_pictures(extra))
        view = self._view.doubt(
            pose, self._view_ok(pose, extra)
        )  # each, so that the last known view is remembered
        doubt = doubt or view
        if doubt is None:
            self.features = self.bank.update(pose)
        frame = pose.frame
        return self.frame(frame.frame_id, frame.exposure_ns, now_ns, self.features, extra, doubt)

    def _same_pictures(self, extra: Features | None) -> int:
        same = math.nan if self._same is None or extra is None else float(extra.values[self._same])
        return 1 if same != same else int(same)

    def _view_ok(self, pose: Pose, extra: Features | None) -> float:
        """Return what was recorded, in a replay of a session; else the pose's own."""
        return pose.view_ok if self._view_at is None or extra is None else float(extra.values[self._view_at])

    def features_of(self, camera: str) -> Features:
        """Return the features that a frame of a camera, the only one, was decided on; borrowed until the next."""
        return self.features

    def bank_of(self, camera: str) -> FeatureBank:
        """Return the features of a camera, the only one."""
        return self.bank

    def given_of(self, extra: Features | None) -> Features | None:
        """Return the further values as rules see them: those that came with the frame."""
        return extra

    def call(self, name: str, now_ns: int, **arguments: Any) -> list[Decision]:
        """Call a method that no frame makes, by its name and with plain arguments, as a session records them.

        Parameters
        ----------
        name : str
            ``begin``, ``tick``, ``arm``, ``disarm``, ``fault``, ``clear``, ``began``, ``ended`` or ``baseline``.
        now_ns : int
            The present time.
        **arguments
            The method's further arguments; a reason by its value.

        Raises
        ------
        UsageError
            There is no such call, or its arguments are others.
        """
        return call_by_name(self, CALLS, name, now_ns, arguments)
