"""What a progress bar shows, as lines for a program that follows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.commandline import run

from rtface.cli.terminal.progress import follow_in, progress_bar, progress_bars
from rtface.cli.terminal.training import training_bars
from rtface.core.errors import DataError


@pytest.fixture
def followed(tmp_path: Path) -> Iterator[Path]:
    file = tmp_path / "progress.jsonl"
    follow_in(file)
    yield file
    follow_in(None)


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def test_the_first_and_the_last_are_written_whatever_the_pace(followed: Path) -> None:
    with progress_bar("reading", 100, unit="frames", quiet=True) as update:
        for done in range(1, 101):
            update(done)
    written = lines(followed)
    assert (written[0]["done"], written[-1]["done"]) == (1, 100)
    assert {(each["what"], each["unit"], each["total"]) for each in written} == {("reading", "frames", 100)}
    assert len(written) < 100
    assert written[-1]["left_s"] == 0
    assert written[0]["left_s"] is None  # one place tells no pace


def test_each_part_of_a_training_with_its_loss(followed: Path) -> None:
    with training_bars(quiet=True) as begin:
        search = begin("search", 20)
        search(11, float("nan"))  # gone on with from a checkpoint
        search(12, 0.25)
        begin("final", 5)(5, 0.123456)
    first, second, last = lines(followed)
    assert (first["what"], first["done"], "loss" in first) == ("search", 11, False)
    assert (second["what"], second["done"], second["loss"]) == ("search", 12, 0.25)
    assert (last["what"], last["done"], last["total"], last["loss"]) == ("final", 5, 5, 0.12346)


def test_each_part_has_its_own_count_and_one_that_counts_nothing_its_name(followed: Path) -> None:
    with progress_bars(quiet=True) as show:
        show("the reference", 0, 2)
        show("the reference", 2, 2)
        show("trials", 1, 3, unit="trials")
        show("the view", 0, 0)
    assert [(each["what"], each["unit"], each["done"], each["total"]) for each in lines(followed)] == [
        ("the reference", "frames", 0, 2),
        ("the reference", "frames", 2, 2),
        ("trials", "trials", 1, 3),
        ("the view", "", 0, None),
    ]


def test_what_is_done_is_written_where_the_work_fails(followed: Path) -> None:
    def work() -> None:
        with progress_bar("work", 3, quiet=True) as update:
            update(1)
            update(2)
            raise DataError("a fault")

    with pytest.raises(DataError):
        work()
    assert lines(followed)[-1]["done"] == 2


def test_nothing_is_written_unasked(tmp_path: Path) -> None:
    with progress_bar("work", 3, quiet=True) as update:
        update(1)
    assert list(tmp_path.iterdir()) == []


def test_the_option_holds_for_one_command(tmp_path: Path) -> None:
    file = tmp_path / "p.jsonl"
    assert run("--progress", file, "config", "schema").returncode == 0
    assert file.read_text(encoding="utf-8") == ""
    with progress_bar("work", 3, quiet=True) as update:
        update(1)
    assert file.read_text(encoding="utf-8") == ""


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    ended = run("--progress", tmp_path / "no" / "p.jsonl", "config", "schema")
    assert ended.returncode == 8
    assert "--progress" in ended.stderr


def test_what_follows_the_steps_is_named(followed: Path) -> None:
    with training_bars(quiet=True) as begin:
        begin("final", 5)(5, 0.1)
        begin("writing the engine", 0)(1, 0.1)
    last = lines(followed)[-1]
    assert (last["what"], last["unit"], last["done"], last["total"], last["left_s"]) == (
        "writing the engine",
        "",
        0,
        None,
        None,
    )
