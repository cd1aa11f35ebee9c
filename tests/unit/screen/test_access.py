"""Links that open once, and the cookies of those who came in by them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rtface.core.clock import NS_PER_S, wall_ns
from rtface.screen import access
from rtface.screen.access import DAY_S, MOST_LINKS, MOST_VISITORS, Access


def test_a_link_opens_once_and_another_never() -> None:
    doors = Access()
    token = doors.new_link()
    cookie = doors.enter(token)
    assert cookie is not None
    assert cookie != token
    assert doors.enter(token) is None
    assert doors.enter("") is None
    found = doors.visitor(cookie)
    assert found is not None
    assert not found.read_only
    assert doors.visitor(token) is None
    assert doors.visitor("") is None


def test_a_guest_stays_one() -> None:
    doors = Access()
    guest = doors.new_link(read_only=True)
    assert not doors.lets_act(guest)
    assert doors.lets_act(doors.new_link())
    cookie = doors.enter(guest)
    assert cookie is not None
    found = doors.visitor(cookie)
    assert found is not None
    assert found.read_only


def test_links_and_visitors_are_bounded_and_the_oldest_go() -> None:
    doors = Access()
    tokens = [doors.new_link() for _ in range(MOST_LINKS + 1)]
    assert doors.enter(tokens[0]) is None
    assert doors.enter(tokens[1]) is not None
    cookies = [doors.enter(doors.new_link()) for _ in range(MOST_VISITORS + 1)]
    assert doors.visitor(str(cookies[0])) is None
    assert doors.visitor(str(cookies[-1])) is not None


def test_visitors_are_kept_over_a_restart_as_hashes_in_a_file_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "kept" / "1.json"
    doors = Access(path)
    cookie = doors.enter(doors.new_link(read_only=True))
    assert cookie is not None
    assert cookie not in path.read_text(encoding="utf-8")
    assert path.stat().st_mode & 0o077 == 0
    found = Access(path).visitor(cookie)
    assert found is not None
    assert found.read_only


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": 1}', '{"a": [1]}', '{"a": [false, "x"]}', "\x00"])
def test_a_file_that_is_none_of_ours_lets_nobody_in(tmp_path: Path, text: str) -> None:
    path = tmp_path / "1.json"
    path.write_text(text, encoding="utf-8")
    assert Access(path).visitor("a") is None


def test_nobody_is_kept_for_longer_than_a_day_whatever_the_file_says(tmp_path: Path) -> None:
    path = tmp_path / "1.json"
    cookie = "made"
    forever = {access._hash(cookie): [False, wall_ns() / NS_PER_S + 100 * DAY_S]}
    path.write_text(json.dumps(forever), encoding="utf-8")
    assert Access(path).visitor(cookie) is None


def test_a_cookie_ends_a_day_after_it_was_last_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    now = [1_000_000.0]
    monkeypatch.setattr(access, "wall_ns", lambda: now[0] * NS_PER_S)
    doors = Access(tmp_path / "1.json")
    cookie = doors.enter(doors.new_link())
    assert cookie is not None
    for _ in range(5):
        now[0] += 0.9 * DAY_S
        assert doors.visitor(cookie) is not None
        assert Access(tmp_path / "1.json").visitor(cookie) is not None
    now[0] += 1.1 * DAY_S
    assert doors.visitor(cookie) is None


def test_a_disk_that_is_full_keeps_nobody_out(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    doors = Access(tmp_path / "file" / "1.json")
    cookie = doors.enter(doors.new_link())
    assert cookie is not None
    assert doors.visitor(cookie) is not None
