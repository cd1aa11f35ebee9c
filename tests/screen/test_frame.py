"""The frame of all pages: links and cookies, the bar, a rig that comes and goes."""

from __future__ import annotations

from support.screens import Visit


def test_the_bar_says_how_the_rig_is(visit: Visit) -> None:
    visit.enter()
    visit.wait(lambda: visit.text("#bar .state") == "No loop", "the state")
    assert "decides nothing" in visit.text("#bar .why")
    assert visit.errors() == []


def test_a_dialog_does_not_outlive_its_page(visit: Visit) -> None:
    visit.enter()
    visit.run("const d = document.createElement('dialog'); document.body.append(d); d.showModal()")
    visit.go("sessions")
    visit.wait(lambda: not visit.all("dialog[open]"), "no dialog")
