"""What commands print with ``--json``, held against their schemas."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from jsonschema import Draft202012Validator

from rtface.cli.terminal.documents import Schema, schemas
from rtface.core.files import plain


def items(text: str) -> Any:
    """Return the list or the map by names that a command printed."""
    return json.loads(text)["items"]


def checked(make: Callable[[Schema, Any], dict[str, Any]]) -> Callable[[Schema, Any], dict[str, Any]]:
    """Return what makes a document, and fails where that is not what its schema promises."""

    def document(schema: Schema, value: Any) -> dict[str, Any]:
        made = make(schema, value)
        Draft202012Validator(schema.as_json_schema()).validate(plain(made))
        return made

    return document


def check_documents(arguments: Sequence[object], printed: str, errors: str) -> None:
    """Fail where what was printed is not what the command's schema promises; nothing without ``--json``."""
    words = [str(each) for each in arguments]
    if "--json" not in words or "--help" in words:
        return
    known = {each.id: each for each in schemas().values()}
    name = max(
        (name for name in schemas() if words[: len(name.split())] == name.split()), key=len, default=None
    )
    for line in printed.splitlines():
        document = json.loads(line)
        schema = known[document["schema"]]
        assert name is not None
        assert schema.name.startswith(name), f"{schema.name} is printed by {name}"
        Draft202012Validator(schema.as_json_schema()).validate(document)
    for line in errors.splitlines():
        if line.startswith('{"schema"'):
            Draft202012Validator(schemas()["error"].as_json_schema()).validate(json.loads(line))
