"""The pages: links, files, commands, options and Python names that they mention are there."""

from __future__ import annotations

import importlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from support.paths import DOCS, REPOSITORY

from rtface.cli.app import app

PAGES = sorted(
    (
        *REPOSITORY.glob("*.md"),
        *DOCS.glob("*.md"),
        *DOCS.glob("clients/*.md"),
        REPOSITORY / "bench/README.md",
        REPOSITORY / "engines/README.md",
    )
)
MARKED = re.compile(r"```(\w*)\n(.*?)```", re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
SHELL = re.compile(r"```sh\n(.*?)```|^((?: {4}[^\n]+\n)+)|`(rtface [^`\n]+)`", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"(?:^ *|&& |=\S+ )rtface ((?:[^#\n\\]|\\\n)+)", re.MULTILINE)
NO_COMMAND = {"keypoints"}
"""`rtface keypoints` is what a file of ours says that it is."""
FILE = re.compile(r"`((?:[a-z_]+/)+[\w.-]+\.\w+)`")


@pytest.fixture(params=PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def page(request: pytest.FixtureRequest) -> Path:
    return Path(request.param)


def anchors(text: str) -> set[str]:
    heads = re.findall(r"^#+ (.+)$", MARKED.sub("", text), re.MULTILINE)
    return {
        re.sub(r"[^\w -]", "", re.sub(r"[`*]", "", head)).strip().lower().replace(" ", "-") for head in heads
    }


def test_links_lead_somewhere(page: Path) -> None:
    lost = []
    for link in LINK.findall(MARKED.sub("", page.read_text(encoding="utf-8"))):
        target, _, anchor = link.partition("#")
        if "://" in target:
            continue
        file = page if not target else page.parent / target
        if not file.exists() or (anchor and anchor not in anchors(file.read_text(encoding="utf-8"))):
            lost.append(link)
    assert lost == []


def test_files_of_the_architecture_are_there() -> None:
    files = FILE.findall((DOCS / "architecture.md").read_text(encoding="utf-8"))
    assert len(files) > 40
    lost = [
        each
        for each in files
        if "NAME" not in each
        and not ((REPOSITORY / each).exists() or (REPOSITORY / "rtface" / each).exists())
    ]
    assert lost == []


def commands(text: str) -> Iterator[list[str]]:
    for parts in SHELL.findall(text):
        for line in COMMAND.findall("".join(parts)):
            words = shlex.split(line.replace("\\\n", " ").replace("'", ""))
            if "..." not in words and words[0] not in NO_COMMAND:
                yield words


COMMANDS: Any = typer.main.get_command(app)


def unknown(words: list[str]) -> str | None:
    """Return the first word of a command that rtface does not have."""
    command = COMMANDS
    while hasattr(command, "commands") and words and words[0].islower() and not words[0].startswith("-"):
        if words[0] not in command.commands:
            return words[0]
        command = command.commands[words.pop(0)]
    options = {name for each in command.params for name in (*each.opts, *each.secondary_opts)} | {"--help"}
    return next((word for word in words if word.startswith("--") and word.split("=")[0] not in options), None)


def test_commands_and_options_are_there(page: Path) -> None:
    wrong = {" ".join(words): unknown(list(words)) for words in commands(page.read_text(encoding="utf-8"))}
    assert {line: word for line, word in wrong.items() if word is not None} == {}


def test_a_command_that_is_not_there_is_found() -> None:
    (found,) = commands("```sh\nrtface replay --nothing x  # words\n```")
    assert unknown(found) == "--nothing"
    (found,) = commands("`rtface nothing`")
    assert unknown(found) == "nothing"


def test_python_on_the_page_imports_what_is_there(page: Path) -> None:
    lost = []
    for language, code in MARKED.findall(page.read_text(encoding="utf-8")):
        if language != "python":
            continue
        compile(code, str(page), "exec")
        for module, names in re.findall(r"^from (rtface[\w.]*) import (.+)$", code, re.MULTILINE):
            there = importlib.import_module(module)
            lost += [
                f"{module}.{name}" for name in names.split(", ") if not hasattr(there, name.split(" as ")[0])
            ]
    assert lost == []
