"""The table of a rule's states: whole, and safe in every cell; walked at random as well."""

from __future__ import annotations

import re
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.paths import DOCS

from rtface.core.decision import Action, Reason, RuleStatus
from rtface.decide.transitions import REQUESTS, TABLE, RuleEvent, step

CELLS = list(product(RuleStatus, RuleEvent))
LIT = (Action.FIRE, Action.SHAM)


def test_every_state_has_every_event() -> None:
    assert set(TABLE) == set(CELLS)


@pytest.mark.parametrize(("state", "event"), CELLS)
def test_each_cell_is_safe(state: RuleStatus, event: RuleEvent) -> None:
    cell = step(state, event)
    ready = state in (RuleStatus.ARMED, RuleStatus.WITHHELD)
    assert (cell.action is Action.FIRE) is (ready and event is RuleEvent.PASSED)
    assert (cell.action is Action.SHAM) is (ready and event is RuleEvent.SHAM)
    assert (cell.action is Action.CATCH) is (ready and event is RuleEvent.CATCH)
    if cell.state is RuleStatus.FIRING:
        assert cell.action in LIT or state is RuleStatus.FIRING
    if state is RuleStatus.FIRING and cell.state is not RuleStatus.FIRING:
        assert cell.action is Action.CANCEL or event is RuleEvent.ENDED
    if event in REQUESTS:
        assert cell.action is not Action.NONE
        assert cell.reason is not None or (ready and event is RuleEvent.REFUSED)
    if cell.action is Action.WITHHOLD:
        assert cell.state is (RuleStatus.WITHHELD if ready else state)
    if event is RuleEvent.DISARM:
        assert cell.state in (RuleStatus.DISARMED, RuleStatus.FAULT)
    if event in (RuleEvent.FAULT, RuleEvent.OVERDUE):
        assert cell.state is RuleStatus.FAULT
    if state is RuleStatus.FAULT and cell.state is not RuleStatus.FAULT:
        assert (event, cell.state) == (RuleEvent.CLEAR, RuleStatus.DISARMED)
    if state is RuleStatus.DISARMED and cell.state in (
        RuleStatus.ARMED,
        RuleStatus.WITHHELD,
        RuleStatus.REFRACTORY,
    ):
        assert event in (RuleEvent.ARM, RuleEvent.ARM_RESTING)
    if event is RuleEvent.CLEAR:
        assert cell.state is (RuleStatus.DISARMED if state is RuleStatus.FAULT else state)
    if state is RuleStatus.REFRACTORY and cell.state is RuleStatus.ARMED:
        assert event is RuleEvent.RESTED


@given(st.lists(st.sampled_from(RuleEvent), max_size=60))
def test_no_walk_lights_without_an_arming_after_the_last_disarming_or_fault(walk: list[RuleEvent]) -> None:
    state, armed, faulted, lit = RuleStatus.DISARMED, False, False, False
    for event in walk:
        cell = step(state, event)
        if event in (RuleEvent.ARM, RuleEvent.ARM_RESTING):
            armed = armed or not faulted
        elif event is RuleEvent.DISARM:
            armed = False
        elif event in (RuleEvent.FAULT, RuleEvent.OVERDUE):
            armed, faulted = False, True
        elif event is RuleEvent.CLEAR:
            faulted = False
        if cell.action in LIT:
            assert armed
            assert not faulted
            assert not lit
        lit = (
            (lit or cell.action in LIT) and cell.action is not Action.CANCEL and event is not RuleEvent.ENDED
        )
        state = cell.state
        assert lit is (state is RuleStatus.FIRING)


def test_the_page_shows_the_table_as_it_is() -> None:
    page = (DOCS / "rules.md").read_text("utf-8")
    rows = re.findall(
        r"^\| `(\w+)` \|(.*)\|$", page.split("<!-- machine -->")[1].split("<!-- end machine -->")[0], re.M
    )
    assert [name for name, _ in rows] == [event.value for event in RuleEvent]
    for name, cells in rows:
        said = [each.strip() for each in cells.split("|")]
        assert said == [in_words(state, RuleEvent(name)) for state in RuleStatus], name


def in_words(state: RuleStatus, event: RuleEvent) -> str:
    cell = step(state, event)
    action = f"**{cell.action.value}**" if cell.action in LIT else cell.action.value
    said = [] if cell.action is Action.NONE else [action]
    if cell.state is not state:
        said.append(f"→ {cell.state.value}")
    return " ".join(said) or "-"


def test_every_reason_stands_on_the_page() -> None:
    page = (DOCS / "rules.md").read_text("utf-8")
    assert [reason.value for reason in Reason if f"| `{reason.value}` |" not in page] == []
