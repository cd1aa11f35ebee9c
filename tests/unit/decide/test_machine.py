"""The table of a rule's states: whole, and safe in every cell; walked at random as well."""

from __future__ import annotations

import re
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.paths import DOCS

from rtface.core.decision import Action, Reason, State
from rtface.decide.transitions import TABLE, WISHES, Event, step

CELLS = list(product(State, Event))
LIT = (Action.FIRE, Action.SHAM)


def test_every_state_knows_every_event() -> None:
    assert set(TABLE) == set(CELLS)


@pytest.mark.parametrize(("state", "event"), CELLS)
def test_each_cell_is_safe(state: State, event: Event) -> None:
    cell = step(state, event)
    ready = state in (State.ARMED, State.WITHHELD)
    assert (cell.action is Action.FIRE) is (ready and event is Event.PASSED)
    assert (cell.action is Action.SHAM) is (ready and event is Event.SHAM)
    assert (cell.action is Action.CATCH) is (ready and event is Event.CATCH)
    if cell.state is State.FIRING:
        assert cell.action in LIT or state is State.FIRING
    if state is State.FIRING and cell.state is not State.FIRING:
        assert cell.action is Action.CANCEL or event is Event.ENDED
    if event in WISHES:
        assert cell.action is not Action.NONE
        assert cell.reason is not None or (ready and event is Event.REFUSED)
    if cell.action is Action.WITHHOLD:
        assert cell.state is (State.WITHHELD if ready else state)
    if event is Event.DISARM:
        assert cell.state in (State.DISARMED, State.FAULT)
    if event in (Event.FAULT, Event.OVERDUE):
        assert cell.state is State.FAULT
    if state is State.FAULT and cell.state is not State.FAULT:
        assert (event, cell.state) == (Event.CLEAR, State.DISARMED)
    if state is State.DISARMED and cell.state in (State.ARMED, State.WITHHELD, State.REFRACTORY):
        assert event in (Event.ARM, Event.ARM_RESTING)
    if event is Event.CLEAR:
        assert cell.state is (State.DISARMED if state is State.FAULT else state)
    if state is State.REFRACTORY and cell.state is State.ARMED:
        assert event is Event.RESTED


@given(st.lists(st.sampled_from(Event), max_size=60))
def test_no_walk_lights_without_an_arming_after_the_last_disarming_or_fault(walk: list[Event]) -> None:
    state, armed, faulted, lit = State.DISARMED, False, False, False
    for event in walk:
        cell = step(state, event)
        if event in (Event.ARM, Event.ARM_RESTING):
            armed = armed or not faulted
        elif event is Event.DISARM:
            armed = False
        elif event in (Event.FAULT, Event.OVERDUE):
            armed, faulted = False, True
        elif event is Event.CLEAR:
            faulted = False
        if cell.action in LIT:
            assert armed
            assert not faulted
            assert not lit
        lit = (lit or cell.action in LIT) and cell.action is not Action.CANCEL and event is not Event.ENDED
        state = cell.state
        assert lit is (state is State.FIRING)


def test_the_page_shows_the_table_as_it_is() -> None:
    page = (DOCS / "rules.md").read_text("utf-8")
    rows = re.findall(
        r"^\| `(\w+)` \|(.*)\|$", page.split("<!-- machine -->")[1].split("<!-- end machine -->")[0], re.M
    )
    assert [name for name, _ in rows] == [event.value for event in Event]
    for name, cells in rows:
        said = [each.strip() for each in cells.split("|")]
        assert said == [in_words(state, Event(name)) for state in State], name


def in_words(state: State, event: Event) -> str:
    cell = step(state, event)
    action = f"**{cell.action.value}**" if cell.action in LIT else cell.action.value
    said = [] if cell.action is Action.NONE else [action]
    if cell.state is not state:
        said.append(f"→ {cell.state.value}")
    return " ".join(said) or "-"


def test_every_reason_stands_on_the_page() -> None:
    page = (DOCS / "rules.md").read_text("utf-8")
    assert [reason.value for reason in Reason if f"| `{reason.value}` |" not in page] == []
