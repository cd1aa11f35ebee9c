"""The figures of the pages: written from the results, and checked."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from support.paths import REPOSITORY

from bench import figures


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the pages that may be changed, with the results of the repository."""
    for page in figures.PAGES:
        (tmp_path / page).parent.mkdir(exist_ok=True)
        shutil.copyfile(REPOSITORY / page, tmp_path / page)
    shutil.copytree(figures.RESULTS, tmp_path / "bench" / "results")
    monkeypatch.setattr(figures, "REPOSITORY", tmp_path)
    monkeypatch.setattr(figures, "RESULTS", tmp_path / "bench" / "results")
    return tmp_path


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["figures.py", *arguments])
    return int(figures.main())


def test_the_pages_hold_what_the_results_give(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, "--check") == 0


def test_a_page_that_says_something_else_is_found_and_written_anew(
    copied: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = copied / "README.md"
    before = page.read_text(encoding="utf-8")
    stale = before.replace("| p50 ", "| p50 999", 1)
    assert stale != before
    page.write_text(stale, encoding="utf-8")
    assert run(monkeypatch, "--check") == 1
    assert "| p50 999" in capsys.readouterr().out
    assert page.read_text(encoding="utf-8") == stale
    assert run(monkeypatch) == 0
    assert page.read_text(encoding="utf-8") == before


def test_a_block_that_is_on_no_page_is_told(
    copied: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (copied / "README.md").write_text("no figures", encoding="utf-8")
    assert run(monkeypatch, "--check") == 1
    assert "headline" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (
            "{{ latency: stages/nowhere/p50_ms | .2f }}",
            "latency.json has no 'stages/nowhere/p50_ms', at 'nowhere'",
        ),
        ("{{ versus_facemap: cases/7/case }}", "at '7'"),
        ("{{ latency.svg }}", "not understood"),
        ("{{ replay.png }}", "there is no replay.png"),
    ],
)
def test_a_place_that_names_nothing_is_refused(template: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        figures.filled(template, REPOSITORY)


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ("<!-- figures: nothing -->\n<!-- end figures -->", "no block is called 'nothing'"),
        ("<!-- figures: latency -->\n", "without its <!-- end figures -->"),
    ],
)
def test_a_wrong_marker_is_refused(page: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        figures.rendered(page, REPOSITORY, {"latency": "words\n"})
