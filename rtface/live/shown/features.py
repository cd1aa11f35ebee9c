"""Features and rules of the newest frame, published for who looks on and only while somebody does."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

import numpy as np

from rtface.core.clock import NS_PER_S
from rtface.core.errors import WireError
from rtface.core.features import NEVER_NS, Features
from rtface.core.records import Pose
from rtface.decide.baseline import Spread
from rtface.decide.description import thresholds
from rtface.decide.multi import Evaluator
from rtface.live.neural import PREFIX
from rtface.publish.features import MAX_FEATURES, FeaturesMessage

_EARLY = 0.999
_log = logging.getLogger(__name__)


class FeatureFeed:
    """Sends features and rules now and then. Belongs to the processing thread.

    Parameters
    ----------
    send : callable
        Publishes a message.
    wanted : callable
        Whether somebody takes them; asked once a frame.
    per_second : float
        Messages a second at most; none when 0.
    """

    def __init__(
        self, send: Callable[[FeaturesMessage], None], wanted: Callable[[], bool], per_second: float
    ) -> None:
        self._send, self._wanted = send, wanted
        self._every_ns = round(_EARLY / per_second * NS_PER_S) if per_second else None
        self._sent_ns = NEVER_NS

    def publish(self, evaluator: Evaluator, pose: Pose, given: Features | None) -> None:
        """Publish what stands on a pose that the evaluator was just given, if somebody takes it and it is time.

        Of a blinded session the rules are left out, as in the status; the values are of the pose alone.
        """
        every_ns, exposure_ns = self._every_ns, pose.frame.exposure_ns
        if every_ns is None or not self._wanted() or 0 <= exposure_ns - self._sent_ns < every_ns:
            return
        self._sent_ns = exposure_ns
        try:
            self._send(_message(evaluator, pose, given))
        except WireError as error:  # too many rules, or too long ones, for one message
            self._every_ns = None
            _log.error("features are not published any more: %s", error)


def _message(evaluator: Evaluator, pose: Pose, given: Features | None) -> FeaturesMessage:
    bank, own = evaluator.bank, evaluator.features
    names, units = bank.names, bank.units
    values, scores = own.values.copy(), own.scores.copy()
    if given is not None:
        further = evaluator.names[len(names) : len(names) + len(given.values)]
        places = [place for place, name in enumerate(further) if not name.startswith(PREFIX)]
        names = (*names, *(further[place] for place in places))
        units = (*units, *["1"] * len(places))
        values = np.concatenate((values, given.values[places]))
        scores = np.concatenate((scores, given.scores[places]))
    states = {} if evaluator.blind else evaluator.states
    views = evaluator.views if states else {}
    return FeaturesMessage(
        frame_id=pose.frame.frame_id,
        exposure_ns=pose.frame.exposure_ns,
        names=names[:MAX_FEATURES],
        units=units[:MAX_FEATURES],
        values=values[:MAX_FEATURES],
        scores=scores[:MAX_FEATURES],
        rules={name: {"state": state.value} | views[name].as_dict() for name, state in states.items()},
        camera=pose.frame.camera,
    )


class Thresholds:
    """The numbers that each rule compares values with, found anew only when a baseline changes."""

    def __init__(self) -> None:
        self._spreads: Mapping[str, Spread] | None = None
        self._found: dict[str, dict[str, list[tuple[float, bool]]]] = {}

    def of(self, evaluator: Evaluator) -> dict[str, dict[str, list[tuple[float, bool]]]]:
        """Return, by rule and by the value's name, limits and whether each is one of the rule's beginning."""
        spreads = evaluator.baselines.spreads()
        if spreads != self._spreads:
            self._spreads = spreads
            rules = evaluator.rules.rules
            self._found = {name: thresholds(rule, spreads) for name, rule in rules.items()}
        return self._found
