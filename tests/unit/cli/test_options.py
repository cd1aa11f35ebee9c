"""Records of options: each field is an option of its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.testing import CliRunner

from rtface.cli.options import BackendOptions, JsonOption, PrecisionOptions, grouped

given: dict[str, Any] = {}


@dataclass(frozen=True)
class _Where:
    source: Annotated[Path, typer.Argument(help="Where from.")]
    names: Annotated[list[str] | None, typer.Option("--name")] = None


@grouped
def _command(
    *,
    first: Annotated[int, typer.Argument()],
    where: _Where,
    backend: PrecisionOptions,
    as_json: JsonOption = False,
) -> None:
    """Do it."""
    given.update(first=first, where=where, backend=backend, as_json=as_json)


def call(*arguments: str) -> str:
    app = typer.Typer()
    app.command()(_command)
    given.clear()
    result = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200", "TERM": "dumb"})
    assert result.exit_code in (0, 2)
    return result.output


def test_each_field_is_an_option_or_an_argument_in_its_place() -> None:
    call("3", "a.avi", "--name", "x", "--name", "y", "--backend", "openvino", "--threads", "2", "--json")
    assert given == {
        "first": 3,
        "where": _Where(Path("a.avi"), ["x", "y"]),
        "backend": PrecisionOptions(backend="openvino", threads=2),
        "as_json": True,
    }
    call("3", "a.avi")
    assert given["where"] == _Where(Path("a.avi"))
    assert given["backend"] == PrecisionOptions()


def test_a_field_without_a_default_is_asked_for_and_all_are_in_the_help() -> None:
    assert "source" in call("3").lower()
    assert not given
    shown = call("--help")
    for text in ("Do it.", "Where from.", "--name", "--backend", "--precision", "--json"):
        assert text in shown


def test_they_become_settings() -> None:
    assert BackendOptions("torch", 3, "cuda:0").settings().model_dump() == {
        "name": "torch",
        "precision": "engine",
        "threads": 3,
        "device": "cuda:0",
    }
    assert PrecisionOptions(precision="bf16").settings().precision == "bf16"
