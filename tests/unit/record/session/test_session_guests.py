"""The record keeps every field of what other rooms hand it: a field that is added there must be added here."""

from __future__ import annotations

import dataclasses

from rtface.core.decision import Action, Decision, Reason, RuleStatus
from rtface.core.features import NEVER_NS
from rtface.core.outputs import OutputEvent, OutputReason, OutputState, Report
from rtface.core.records import Pulse
from rtface.record.session import entries, rows
from rtface.record.session.coding import decode, encode
from rtface.record.session.guests import decision_entry, reply_entry
from rtface.record.session.verify import _ANSWERS, _LIT


def names(kind: type) -> set[str]:
    return {each.name for each in dataclasses.fields(kind)}


def test_every_field_of_a_decision_is_kept() -> None:
    assert names(entries.DecisionEntry) - {"t_ns", "number"} == names(Decision) - {"now_ns"}
    made = Decision(
        "r", None, 1, 2, RuleStatus.ARMED, RuleStatus.FIRING, Action.SHAM, Reason.SCHEDULE, Pulse(1, 2, 3, 0.5), 4,
        (("a", 1.0, 0.5, 6),), True,
    )  # fmt: skip
    back = decode(entries.DecisionEntry.kind, encode(decision_entry(made, 7)))
    assert back == entries.DecisionEntry(
        1, 7, "r", None, 2, "armed", "firing", "sham", "schedule",
        {"on_ns": 1, "period_ns": 2, "count": 3, "amplitude": 0.5}, 4, (("a", 1.0, 0.5, 6),), True,
    )  # fmt: skip
    assert made.as_dict()["pulse"] == back.pulse


def test_never_is_the_same_in_both_rooms() -> None:
    assert rows.NEVER_NS == NEVER_NS


def test_every_field_of_a_report_is_kept() -> None:
    assert names(entries.GateReplyEntry) - {"output"} == names(Report)
    made = Report(3, OutputEvent.REFUSED, 4, OutputState.ARMED, OutputReason.TOO_LONG, 5, 6, {"limit": 7})
    back = decode(entries.GateReplyEntry.kind, encode(reply_entry(made, "gate")))
    assert back == entries.GateReplyEntry(4, 3, "gate", "refused", "armed", "too_long", 5, 6, {"limit": 7})
    assert {each.value for each in OutputEvent} >= _ANSWERS | _LIT | {"light_off", "train_ended", "sent"}
