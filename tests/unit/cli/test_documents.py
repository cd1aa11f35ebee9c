"""One shape of JSON for every command, errors too."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from jsonschema import Draft202012Validator, ValidationError
from support.commandline import run
from support.documents import items
from support.paths import DOCS

from rtface.cli.app import app
from rtface.cli.terminal.documents import Schema, schemas
from rtface.core import errors


def commands(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Give every command, and every group, by its words."""
    if words:
        yield " ".join(words), command
    for name, each in getattr(command, "commands", {}).items():
        yield from commands(each, (*words, name))


ALL = dict(commands(typer.main.get_command(app)))
WITH_JSON = sorted(
    name for name, each in ALL.items() if any("--json" in option.opts for option in each.params)
)


@pytest.mark.parametrize("name", WITH_JSON)
def test_every_command_that_prints_json_has_a_schema_that_json_schema_allows(name: str) -> None:
    Draft202012Validator.check_schema(schemas()[name].as_json_schema())


def test_every_schema_is_a_commands_or_that_of_errors() -> None:
    assert {name for name in schemas() if name not in WITH_JSON} == {"error", "learn fetch list"}


def test_the_page_names_every_schema_and_its_version() -> None:
    text = (DOCS / "json.md").read_text(encoding="utf-8")
    text = text.partition("## What each command prints")[2]
    rows = [
        tuple(cell.strip(" `") for cell in line.split("|")[1:4])
        for line in text.splitlines()
        if line.startswith("| `")
    ]
    assert sorted(rows) == sorted((name, str(each.version), each.form) for name, each in schemas().items())


@pytest.mark.parametrize("name", ALL)
def test_h_is_help_for_every_command(name: str) -> None:
    shown = run(*name.split(), "-h")
    assert shown.returncode == 0
    assert f"rtface {name}" in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "kind", "words"),
    [
        (("run", "nowhere.yaml", "--json"), 3, "ConfigError", "nowhere.yaml"),
        (("run", "--json"), 2, "UsageError", "Missing argument"),
        (("run", "rig.yaml", "--json", "--nonsense"), 2, "UsageError", "--nonsense"),
        (("session", "show", "nowhere", "--json"), 8, "DataError", "nowhere"),
        (("session", "verify", "nowhere", "neither", "--json"), 8, "DataError", "nowhere"),
        (("nonsense", "--json"), 2, "UsageError", "nonsense"),
    ],
)
def test_an_error_is_a_document_on_standard_error(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    code: int,
    kind: str,
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = run(*arguments)
    told = [json.loads(line) for line in ended.stderr.splitlines() if line.startswith("{")]
    assert (ended.returncode, ended.stdout) == (code, "")
    assert told
    assert told[0]["schema"] == "rtface.cli/error/1"
    assert (told[0]["exit_code"], told[0]["kind"]) == (code, kind)
    assert words in told[0]["text"]
    assert told[0]["do"]


def test_without_json_an_error_is_words_alone(tmp_path: Path) -> None:
    ended = run("run", tmp_path / "nowhere.yaml")
    assert ended.stderr.startswith("error:")
    assert "{" not in ended.stderr


def test_a_word_behind_two_hyphens_asks_for_nothing(tmp_path: Path) -> None:
    assert "schema" not in run("session", "show", "--", "--json").stderr


@pytest.mark.parametrize(
    "kind", [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, Exception)]
)
def test_every_kind_of_error_says_what_helps(kind: type[errors.RtfaceError]) -> None:
    assert kind is errors.RtfaceError or kind.what_to_do != errors.RtfaceError.what_to_do


def test_a_program_can_ask_for_the_schema_of_what_it_reads() -> None:
    told = json.loads(run("schema", "engines", "list").stdout)
    printed = json.loads(run("engines", "list", "--json").stdout)
    Draft202012Validator(told).validate(printed)
    del printed["items"][
        "face-general" if "face-general" in printed["items"] else next(iter(printed["items"]))
    ]["name"]
    with pytest.raises(ValidationError):
        Draft202012Validator(told).validate(printed)
    assert set(items(run("schema", "--json").stdout)) == set(schemas())
    assert run("schema", "engines", "lost").returncode == 2


def test_what_is_printed_is_held_against_its_schema_in_every_test() -> None:
    with pytest.raises(ValidationError):
        Schema("x", 1, "record", {"n": "integer"}).document({"n": "one"})
