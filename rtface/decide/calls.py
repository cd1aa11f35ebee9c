"""Calls of the rules that no frame makes, by their names and with plain arguments, as a session records them."""

from __future__ import annotations

from typing import Any

from rtface.core.decision import Decision, Reason
from rtface.core.errors import UsageError

CALLS = ("begin", "tick", "arm", "disarm", "fault", "clear", "began", "ended", "baseline")
"""Methods of `rtface.decide.rulebank.RuleBank`."""

OF_CAMERAS = ("lost", "back")
"""Further methods of `rtface.decide.multibank.MultiRuleBank`."""


def call_by_name(
    rules: object, allowed: tuple[str, ...], name: str, now_ns: int, arguments: dict[str, Any]
) -> list[Decision]:
    """Call a method by its name.

    Parameters
    ----------
    rules : RuleBank
    allowed : tuple of str
        The methods that there are.
    name : str
    now_ns : int
        The present time.
    arguments : dict
        Its further arguments; a reason by its value.

    Raises
    ------
    UsageError
        There is no such call, or its arguments are others.
    """
    if name not in allowed:
        raise UsageError(f"the rules' evaluator has no call {name!r}; it has {', '.join(allowed)}")
    try:
        if "reason" in arguments:
            arguments = arguments | {"reason": Reason(arguments["reason"])}
        decisions: list[Decision] = getattr(rules, name)(now_ns, **arguments)
    except (TypeError, ValueError) as error:
        raise UsageError(f"the call {name} of the rules' evaluator does not take that: {error}") from error
    return decisions
