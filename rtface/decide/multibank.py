"""The rules of a session with several cameras: each rule rests on the frames of some of them, and waits for none.

A rule is looked at on each frame of a camera that it names. It is judged by the stalest of its cameras: the oldest of their
newest exposures, the longest gap, a doubt about any of them. Nothing is decided on it before each of them has sent a frame.
A rule that names no camera is judged by each frame that comes, alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rtface.core.decision import Decision, Reason, RuleStatus
from rtface.core.errors import UsageError
from rtface.core.features import Features
from rtface.decide.rulebank import RuleBank
from rtface.decide.rules import BaselineSpec, RuleSpec
from rtface.decide.rulestate import RuleState
from rtface.decide.transitions import RuleEvent
from rtface.decide.values import FrameOrder, FramePosition


class CameraFrames:
    """Where the frames of one camera stand.

    Attributes
    ----------
    newest : FramePosition or None
        The newest frame; None before the first.
    doubt : Reason or None
        Why it cannot be believed.
    gone : bool
        The camera is lost, and not back.
    barred : bool
        It was lost, and nobody has armed since it is back: what rests on it is withheld.
    """

    __slots__ = ("barred", "doubt", "gone", "newest", "order")

    def __init__(self, camera: str) -> None:
        self.order = FrameOrder(camera)
        self.newest: FramePosition | None = None
        self.doubt: Reason | None = None
        self.gone = self.barred = False


class MultiRuleBank(RuleBank):
    """All rules of a session with several cameras; else as `RuleBank`.

    Parameters
    ----------
    rules : mapping of str to RuleSpec
    names : sequence of str
        Of the features, those of a camera beginning with its name and a point.
    cameras : sequence of str
    extra_names : sequence of str
        Likewise.
    grace_ns, alike_ns, says_light, baseline
        As for `RuleBank`.
    """

    def __init__(
        self,
        rules: Mapping[str, RuleSpec],
        names: Sequence[str],
        cameras: Sequence[str],
        *,
        extra_names: Sequence[str] = (),
        grace_ns: int,
        alike_ns: int = 0,
        says_light: bool = True,
        baseline: BaselineSpec | None = None,
    ) -> None:
        super().__init__(
            rules,
            names,
            extra_names=extra_names,
            grace_ns=grace_ns,
            alike_ns=alike_ns,
            says_light=says_light,
            baseline=baseline,
        )
        self._cameras = {name: CameraFrames(name) for name in cameras}
        self._barred_at_rest: set[str] = set()
        of_place = {
            at: frozenset({name.partition(".")[0]} & set(cameras)) for at, name in enumerate(self.names)
        }
        self.needs: dict[str, frozenset[str]] = {}
        for rule in self._by_need:  # a rule stands after those that it names
            of_place[rule.place] = self.needs[rule.name] = frozenset().union(
                *(of_place[at] for at in rule.indices)
            )
        self._other_places = {
            camera: [at for at in of_place if of_place[at] != {camera}] for camera in cameras
        }

    @property
    def lost_cameras(self) -> tuple[str, ...]:
        """Those that are lost and not back."""
        return tuple(name for name, each in self._cameras.items() if each.gone)

    def camera_frame(
        self,
        camera: str,
        frame_id: int,
        exposure_ns: int,
        now_ns: int,
        features: Features,
        extra: Features | None = None,
        doubt: Reason | None = None,
    ) -> list[Decision]:
        """Decide on a frame of a camera.

        Parameters
        ----------
        camera : str
        frame_id, exposure_ns, now_ns, doubt
            As of `RuleBank.frame`.
        features, extra : Features
            Of all cameras, as they are now.
        """
        found = self._advance(now_ns)
        frames = self._of(camera)
        frame = frames.order.position(frame_id, exposure_ns)
        if frame.newer:
            frames.newest, frames.doubt = frame, doubt
        values = self._values
        values.load(features, extra)
        judged: dict[str, tuple[FramePosition, Reason | None, bool] | None] = {}
        for rule in self._by_need:
            judged[rule.name] = seen = self._judged(rule, camera, frame, doubt)
            if seen is not None and frame.newer:
                together, why, lit = seen
                if self._says_light or not lit:
                    rule.look(values, now_ns, together, why, lit=lit)
            values.put_truth(rule.place, rule.request.holding, exposure_ns)
        for rule in self._rules.values():
            seen = judged[rule.name]
            if seen is None:
                continue
            together, why, lit = seen
            found += self._scheduled(rule, now_ns, together, why)
            if self._says_light or not lit:
                found += self._requested(rule, now_ns, together, why)
        if self.baselines.wanted and frame.newer:
            # what the other cameras showed was taken with their own frames
            self._take_baseline(frame, doubt, self._other_places[camera])
        return found

    def lost(self, now_ns: int, camera: str) -> list[Decision]:
        """Take it that a camera is lost: what rests on it is withheld until it is back and somebody arms, and light ends."""
        found = self._advance(now_ns)
        frames = self._of(camera)
        frames.gone = frames.barred = True
        for rule in self._rules.values():
            if camera in self.needs[rule.name]:
                found += self._bar(rule, now_ns)
        return found

    def back(self, now_ns: int, camera: str) -> list[Decision]:
        """Take it that a lost camera is back; while the session is armed what rests on it stays withheld."""
        found = self._advance(now_ns)
        frames = self._of(camera)
        frames.gone, frames.barred = False, frames.barred and self.armed
        return found

    def arm(self, now_ns: int) -> list[Decision]:
        """Let rules fire, those too that rest on a camera that was lost and is back."""
        for frames in self._cameras.values():
            frames.barred = frames.gone
        return super().arm(now_ns)

    def _advance(self, now_ns: int) -> list[Decision]:
        """Let time pass; what a lost camera withholds and was at rest is withheld once it has rested."""
        found = super()._advance(now_ns)
        for name in sorted(self._barred_at_rest):
            rule = self._rules[name]
            if rule.state is RuleStatus.REFRACTORY:
                continue
            self._barred_at_rest.discard(name)
            if rule.state is RuleStatus.ARMED and any(
                self._cameras[each].barred for each in self.needs[name]
            ):
                found += self._step(rule, RuleEvent.REFUSED, Reason.CAMERA_LOST, now_ns)
        return found

    def _of(self, camera: str) -> CameraFrames:
        if camera not in self._cameras:
            raise UsageError(f"no camera is called {camera!r}; there are {', '.join(self._cameras)}")
        return self._cameras[camera]

    def _judged(
        self, rule: RuleState, camera: str, frame: FramePosition, doubt: Reason | None
    ) -> tuple[FramePosition, Reason | None, bool] | None:
        """Return what a rule is judged by, a doubt, and whether a light may show; None where the frame is none of its."""
        needs = self.needs[rule.name]
        if not needs:
            return frame, doubt, frame.newer and rule.in_light(frame.exposure_ns, self._lights)
        if camera not in needs:
            return None
        exposure_ns, missing = frame.exposure_ns, frame.missing
        lit = rule.in_light(exposure_ns, self._lights)
        why = Reason.CAMERA_LOST if self._cameras[camera].barred else doubt
        for name, frames in self._cameras.items():
            if name == camera or name not in needs:
                continue
            other = frames.newest
            if other is None:
                return None
            exposure_ns, missing = min(exposure_ns, other.exposure_ns), max(missing, other.missing)
            lit = lit or rule.in_light(other.exposure_ns, self._lights)
            if frames.barred:
                why = Reason.CAMERA_LOST
            why = why or frames.doubt
        together = frame._replace(exposure_ns=exposure_ns, missing=missing)
        return together, why, frame.newer and lit

    def _bar(self, rule: RuleState, now_ns: int) -> list[Decision]:
        """End what a rule does, and withhold it, since a camera that it needs is lost."""
        found: list[Decision] = []
        if rule.state is RuleStatus.FIRING:
            found += self._step(rule, RuleEvent.DISARM, Reason.CAMERA_LOST, now_ns)
            resting = RuleEvent.ARM_RESTING if now_ns < rule.rest_ns else RuleEvent.ARM
            found += self._step(rule, resting, Reason.CAMERA_LOST, now_ns)
        if rule.state in (RuleStatus.ARMED, RuleStatus.WITHHELD):
            found += self._step(rule, RuleEvent.REFUSED, Reason.CAMERA_LOST, now_ns)
        elif rule.state is RuleStatus.REFRACTORY:
            self._barred_at_rest.add(rule.name)
        rule.request.withheld_for = rule.in_flash.withheld_for = Reason.CAMERA_LOST
        return found
