"""The one shape of what commands print with ``--json``: a document that names its schema, as `schemas.yaml` has them all.

A document is a JSON object on a line of its own. Its first field, ``schema``, is ``rtface.cli/NAME/VERSION``, NAME being the
command with points for spaces; beside it are the record's fields, or ``items`` where the command prints a list, or a map by
names. An error is a document, too, on standard error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import typer
import yaml

from rtface.core.errors import RtfaceError

ERROR = "error"
"""Name of an error's schema."""
SCHEMAS = Path(__file__).parents[1] / "schemas.yaml"

_PREFIX = "rtface.cli"
_PATIENCE = "it is a fault of rtface: report it, with the lines above"

_command: str | None = None


@dataclass(frozen=True, slots=True)
class Schema:
    """What a command prints with ``--json``.

    Attributes
    ----------
    name : str
        The command, or what else is printed.
    version : int
        Changes when a field goes, or means another thing.
    form : str
        ``record``, ``lines`` (records as they come), ``list`` or ``names`` (a map of records by name).
    fields : mapping of str to str
        Types of the record's promised fields, as JSON calls them; ``T|null``: null or absent, too.
    """

    name: str
    version: int
    form: Literal["record", "lines", "list", "names"]
    fields: Mapping[str, str]

    @property
    def id(self) -> str:
        """What a document's field ``schema`` says."""
        return f"{_PREFIX}/{self.name.replace(' ', '.')}/{self.version}"

    def document(self, value: Any) -> dict[str, Any]:
        """Return what is printed of a value: the record, or the list or map."""
        if self.form in ("list", "names"):
            return {"schema": self.id, "items": value}
        return {"schema": self.id, **value}

    def as_json_schema(self) -> dict[str, Any]:
        """Return it as a JSON Schema of a document."""
        record: dict[str, Any] = {
            "type": "object",
            "properties": {name: {"type": kind.split("|")} for name, kind in self.fields.items()},
            "required": [name for name, kind in self.fields.items() if not kind.endswith("|null")],
        }
        whole = dict(record)
        if self.form == "list":
            whole = {"type": "object", "properties": {"items": {"type": "array", "items": record}}}
        elif self.form == "names":
            whole = {
                "type": "object",
                "properties": {"items": {"type": "object", "additionalProperties": record}},
            }
        needed = ["items"] if self.form in ("list", "names") else record["required"]
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": f"rtface {self.name}",
            **whole,
            "properties": {"schema": {"const": self.id}, **whole["properties"]},
            "required": ["schema", *needed],
        }


@cache
def schemas() -> Mapping[str, Schema]:
    """Return all of them, by name."""
    read = yaml.safe_load(SCHEMAS.read_text(encoding="utf-8"))
    return {name: Schema(name, **given) for name, given in read.items()}


def json_asked(context: typer.Context, value: bool) -> bool:
    """Take note of ``--json``, and of the command that it was given to; the callback of that option."""
    global _command
    words: list[str] = []
    at: Any = context
    while at.parent is not None:
        words.insert(0, at.info_name)
        at = at.parent
    _command = " ".join(words) if value else None
    return value


def begin(arguments: Sequence[str]) -> None:
    """Take note of a command line before it is understood, so that what is wrong with it can be told as JSON."""
    global _command
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    _command = "" if "--json" in options else None


def document(value: Any, part: str = "") -> Any:
    """Return what the running command prints of a value; a value that no ``--json`` asked for is printed as it is.

    Parameters
    ----------
    value
        A record, or what the command's form says.
    part : str
        What the command prints, where it can be more than one thing.
    """
    if not _command:
        return value
    return schemas()[f"{_command} {part}".strip()].document(value)


def error_document(error: BaseException) -> dict[str, Any] | None:
    """Return what is told of an error where ``--json`` was asked for, else None."""
    if _command is None:
        return None
    fault: dict[str, Any] = {"command": _command or None, "kind": type(error).__name__, "text": str(error)}
    if isinstance(error, RtfaceError):
        fault |= {"do": error.what_to_do, "exit_code": error.exit_code}
        if code := getattr(error, "code", ""):
            fault["code"] = code
    elif (
        in_words := getattr(error, "format_message", None)
    ) is not None:  # of the command line's own package
        fault |= {"kind": "UsageError", "text": in_words(), "do": "rtface COMMAND --help", "exit_code": 2}
    else:
        fault |= {"do": _PATIENCE, "exit_code": 1}
    return schemas()[ERROR].document(fault)
