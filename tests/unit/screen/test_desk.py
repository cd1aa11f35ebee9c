"""What the pages work on: nothing outside the folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from rtface.core.errors import UsageError
from rtface.screen.desk import Desk
from rtface.screen.jobs import Jobs


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    (tmp_path / "lab" / "sets").mkdir(parents=True)
    (tmp_path / "secret").touch()
    (tmp_path / "lab" / "link").symlink_to(tmp_path)
    (tmp_path / "lab" / "inside").symlink_to(tmp_path / "lab" / "sets")
    return Desk(tmp_path / "lab", Jobs(tmp_path / "lab"))


@pytest.mark.parametrize("name", ["sets", "sets/new", "./sets", "sets/../sets", "inside/a", "a b/ä"])
def test_what_lies_inside_is_named_and_named_back(desk: Desk, name: str) -> None:
    path = desk.path(name)
    assert path.is_relative_to(desk.folder)
    assert desk.path(desk.name(path)) == path


@pytest.mark.parametrize(
    "name",
    ["", "..", "../secret", "/etc/passwd", "sets/../../secret", "link/secret", "a\0b", "x" * 1001, "link"],
)
def test_what_leads_out_is_refused(desk: Desk, name: str) -> None:
    with pytest.raises(UsageError):
        desk.path(name)
