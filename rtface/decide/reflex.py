"""From a pose to decisions: features and rules together, as the live loop, the dry run and the replay use them."""

from __future__ import annotations

from collections.abc import Sequence

from rtface.decide.decisions import Decision
from rtface.decide.engine import GRACE_NS, Decider
from rtface.decide.features import FeatureBank, Features
from rtface.decide.rules import RulesFile
from rtface.records import Pose


class Reflex:
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
        As for `Decider`.
    grace_ns : int
        As for `Decider`.

    Attributes
    ----------
    bank : FeatureBank
    decider : Decider
        For everything that is not a frame: `tick`, `arm`, `disarm`, `fault`, `clear`, `began`, `ended`.
    features : Features
        Of the newest frame, borrowed until the next.

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
    ) -> None:
        self.rules = rules
        self.bank = FeatureBank(rules.features, keypoints, rate_hz)
        self.decider = Decider(rules.rules, self.bank.names, extra_names=extra_names, grace_ns=grace_ns)
        self.features: Features = self.bank.newest

    def take(self, pose: Pose, now_ns: int, extra: Features | None = None) -> list[Decision]:
        """Decide on a pose at `now_ns`; decisions and times as in `Decider.frame`."""
        self.features = self.bank.update(pose)
        frame = pose.frame
        return self.decider.frame(frame.frame_id, frame.exposure_ns, now_ns, self.features, extra)
