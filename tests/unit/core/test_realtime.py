from __future__ import annotations

import os
import threading

import pytest

from rtface.core.realtime import prefer_this_thread


def test_a_thread_is_preferred_where_the_system_allows_it_and_no_other() -> None:
    before, inside = os.sched_getscheduler(0), []

    def run() -> None:
        inside.extend([prefer_this_thread(), os.sched_getscheduler(0)])

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert inside in (["fifo", os.SCHED_FIFO], ["normal", before])
    assert os.sched_getscheduler(0) == before


def test_without_the_privilege_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    assert prefer_this_thread() == "normal"
