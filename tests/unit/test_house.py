"""The house that rtface is: rooms that explain themselves, and one name for one thing (docs/decisions/0001)."""

from __future__ import annotations

import ast
import re
import tomllib
from collections import defaultdict
from pathlib import Path

import pytest
from support.paths import BENCH, REPOSITORY

PACKAGE = REPOSITORY / "rtface"
ROOMS = sorted({path.parent for root in (PACKAGE, BENCH) for path in root.rglob("*.py")})
FIRMWARES_OWN = {PACKAGE / "stimulate" / "gate" / f"{name}.py" for name in ("protocol", "codes")}
"""Tables whose names come from the firmware's header."""


def modules(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*.py") if path.name not in ("__init__.py", "__main__.py")]


def test_no_class_name_is_defined_twice() -> None:
    places = defaultdict(list)
    for path in sorted(set(PACKAGE.rglob("*.py")) - FIRMWARES_OWN):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(f"{path.relative_to(PACKAGE)}:{node.lineno}")
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


def chosen_late(factory: Path) -> set[str]:
    """Return the modules of rtface that the functions of a factory import, and that it names in full."""
    found = set()
    for node in ast.walk(ast.parse(factory.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.col_offset and (node.module or "").startswith("rtface."):
            found.add(str(node.module))
        if isinstance(node, ast.Constant) and re.fullmatch(r"(rtface\.)[\w.]+", str(node.value)):
            found.add(str(node.value))
    return found


@pytest.mark.parametrize(
    "factory", ["acquire/factory.py", "stimulate/factory.py", "track/backends/factory.py"]
)
def test_what_a_factory_chooses_from_never_imports_another_of_them(factory: str) -> None:
    """By a contract of import-linter, whose list must have them all."""
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    lists = [set(each["modules"]) for each in contracts if each["type"] == "independence"]
    chosen = chosen_late(PACKAGE / factory)
    assert len(chosen) > 3
    assert any(chosen <= each for each in lists), sorted(chosen)


def test_few_modules_lie_beside_the_rooms() -> None:
    assert len(modules(PACKAGE)) <= 4


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: str(room.relative_to(REPOSITORY)))
def test_a_room_has_at_most_twenty_modules_and_each_says_what_it_is(room: Path) -> None:
    assert len(modules(room)) <= 20
    for path in room.glob("*.py"):
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), path
