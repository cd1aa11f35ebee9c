"""From the poses of several cameras to decisions: features of each, rules over all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from rtface.core.decision import Decision
from rtface.core.features import NEVER_NS, VIEW, Features
from rtface.core.records import Pose
from rtface.decide.calls import CALLS, OF_CAMERAS, call_by_name
from rtface.decide.errors import RulesError, kept_in, raise_all
from rtface.decide.evaluator import SAME_PICTURES, RuleEvaluator
from rtface.decide.features.bank import FeatureBank
from rtface.decide.multibank import MultiRuleBank
from rtface.decide.plausibility import Plausibility
from rtface.decide.rulebank import GRACE_NS
from rtface.decide.rules import RulesFile
from rtface.decide.viewdoubt import ViewDoubt

OF_POSE = SAME_PICTURES, VIEW
"""What rules are given of each camera beside its features, behind its name."""


@dataclass(frozen=True, slots=True)
class RuleCamera:
    """What rules must know of a camera.

    Attributes
    ----------
    name : str
    keypoints : tuple of str
        Its engine's, in the order of its poses.
    rate_hz : float or None
        Frames per second.
    frame : (int, int) or None
        Width and height of its frames, where they are known.
    """

    name: str
    keypoints: tuple[str, ...]
    rate_hz: float | None
    frame: tuple[int, int] | None = None


class Names(NamedTuple):
    """Names and units of the features of all cameras."""

    names: tuple[str, ...]
    units: tuple[str, ...]


class _Camera:
    """One camera: its features, the places of its values among all, and what is doubted of its frames."""

    def __init__(self, camera: RuleCamera, bank: FeatureBank, first: int, rules: RulesFile) -> None:
        self.bank = bank
        self.place = slice(first, first + len(bank.names))
        given = rules.input
        if given is not None and camera.frame is not None:
            given = given.model_copy(update={"width": camera.frame[0], "height": camera.frame[1]})
        self.plausibility = None if given is None else Plausibility(given)
        self.view = ViewDoubt(None if given is None else given.min_view)


class MultiEvaluator(MultiRuleBank):
    """The features and rules of a file, for several engines and cameras; else as `rtface.decide.evaluator.RuleEvaluator`.

    Parameters
    ----------
    rules : RulesFile
        With the times of yoked and matched schedules read. Names of features begin with the camera's (``left.pad``).
    cameras : sequence of RuleCamera
    grace_ns, alike_ns : int
        As for `RuleBank`.

    Attributes
    ----------
    rules : RulesFile
        With all that follows from the cameras written out.
    bank : Names
        Of the features of all cameras.
    cameras : tuple of RuleCamera
    features : Features
        Of all cameras as they are now, borrowed.
    blind_rules : frozenset of str
    blind : bool

    Raises
    ------
    RulesError
        The rules do not fit the engines or the cameras, or are wrong in themselves.
    """

    def __init__(
        self,
        rules: RulesFile,
        cameras: Sequence[RuleCamera],
        *,
        grace_ns: int = GRACE_NS,
        alike_ns: int = 0,
    ) -> None:
        self.cameras = tuple(cameras)
        self.rules = rules = rules.for_cameras({each.name: each.rate_hz for each in cameras})
        schedules = {name: rule.schedule for name, rule in rules.rules.items()}
        self.blind_rules = frozenset(
            name for name, each in schedules.items() if each is not None and each.blind
        )
        self.blind = bool(self.blind_rules)
        banks = banks_of(rules, cameras)
        self._of_name: dict[str, _Camera] = {}
        names: list[str] = []
        units: list[str] = []
        for camera in cameras:
            bank = banks[camera.name]
            self._of_name[camera.name] = _Camera(camera, bank, len(names), rules)
            names += bank.names
            units += bank.units
        self.bank = Names(tuple(names), tuple(units))
        self.features = _unknown(len(names))
        self.given_names = given_names(cameras, rules)
        self._given = _unknown(len(self.given_names))
        super().__init__(
            rules.rules,
            self.bank.names,
            [camera.name for camera in cameras],
            extra_names=self.given_names,
            grace_ns=grace_ns,
            alike_ns=alike_ns,
            says_light=rules.input is not None,
            baseline=rules.baseline,
        )

    def evaluate(self, pose: Pose, now_ns: int, extra: Features | None = None) -> list[Decision]:
        """Decide on a pose of a camera at `now_ns`; no feature takes in what cannot be believed.

        Parameters
        ----------
        pose : Pose
            `FrameMeta.camera` says of which camera.
        now_ns : int
        extra : Features or None
            The values of `OF_POSE`; from the pose when None.
        """
        frame = pose.frame
        self._of(frame.camera)
        camera = self._of_name[frame.camera]
        same, view_ok = self._of_pose(pose, extra)
        doubt = None if camera.plausibility is None else camera.plausibility.doubt(pose, same)
        view = camera.view.doubt(pose, view_ok)  # each, so that the last known view is remembered
        doubt = doubt or view
        if doubt is None:
            new, at = camera.bank.update(pose), camera.place
            self.features.values[at] = new.values
            self.features.scores[at] = new.scores
            self.features.exposure_ns[at] = new.exposure_ns
        return self.camera_frame(
            frame.camera, frame.frame_id, frame.exposure_ns, now_ns, self.features, self._given, doubt
        )

    def features_of(self, camera: str) -> Features:
        """Return the features of a camera as they are now; views of those of all."""
        at, every = self._of_name[camera].place, self.features
        return Features(every.values[at], every.scores[at], every.exposure_ns[at])

    def given_of(self, extra: Features | None) -> Features | None:
        """Return the further values as rules see them: of all cameras, as they are now."""
        return self._given if self.given_names else None

    def bank_of(self, camera: str) -> FeatureBank:
        """Return the features of a camera."""
        return self._of_name[camera].bank

    def call(self, name: str, now_ns: int, **arguments: Any) -> list[Decision]:
        """Call a method that no frame makes; as `RuleEvaluator.call`, and ``lost`` and ``back`` of a `camera`."""
        return call_by_name(self, (*CALLS, *OF_CAMERAS), name, now_ns, arguments)

    def _of_pose(self, pose: Pose, extra: Features | None) -> tuple[int, float]:
        """Return how many pictures were the same and how well the view is known, and put both among the given."""
        if extra is None:
            same, view_ok = float(pose.same_pictures), pose.view_ok
        else:
            same, view_ok = extra.values.tolist()
        if self.given_names:
            at = len(OF_POSE) * list(self._of_name).index(pose.frame.camera)
            here = slice(at, at + len(OF_POSE))
            self._given.values[here] = same, view_ok
            self._given.scores[here] = 1.0
            self._given.exposure_ns[here] = pose.frame.exposure_ns
        return (1 if same != same else int(same)), view_ok


Evaluator = RuleEvaluator | MultiEvaluator
"""Features and rules of a rig, of one camera or several."""


def given_names(cameras: Sequence[RuleCamera], rules: RulesFile) -> tuple[str, ...]:
    """Return the names of what rules are given beside features; none where they believe every frame."""
    if rules.input is None:
        return ()
    return tuple(f"{camera.name}.{name}" for camera in cameras for name in OF_POSE)


def banks_of(rules: RulesFile, cameras: Sequence[RuleCamera]) -> dict[str, FeatureBank]:
    """Return the features of each camera.

    Raises
    ------
    RulesError
        All that does not fit, at once.
    """
    known = {camera.name for camera in cameras}
    refused: list[RulesError] = []
    for name in rules.features:
        camera, point, _ = name.partition(".")
        if not point or camera not in known:
            of = ", ".join(f"{each}." for each in sorted(known))
            with kept_in(refused):
                raise RulesError(
                    f"the feature's name must begin with a camera's and a point: {of}", "features", name
                )
    found: dict[str, FeatureBank] = {}
    for each in cameras:
        specs = {
            name: spec for name, spec in rules.features.items() if name.partition(".")[:2] == (each.name, ".")
        }
        with kept_in(refused):
            found[each.name] = FeatureBank(specs, each.keypoints, each.rate_hz, each.name)
    raise_all(refused)
    return found


def _unknown(count: int) -> Features:
    return Features(np.full(count, math.nan), np.zeros(count), np.full(count, NEVER_NS, dtype=np.int64))
