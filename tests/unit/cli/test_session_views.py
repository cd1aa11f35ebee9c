"""``rtface session certificate``, ``compare`` and ``overlay``: what the page of the sessions does, at a terminal."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from support.recorded_loop import Loop, record_loop
from typer.testing import CliRunner

from rtface.cli.app import app
from rtface.core.clock import ManualClock
from rtface.core.errors import RtfaceError
from rtface.record.seal.openings import OPENINGS_NAME, openings

FRAMES = 400


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Loop:
    return record_loop(
        tmp_path_factory.mktemp("sealed"),
        FRAMES,
        alike_ns=10_000_000,
        sealed=True,
        pictures="lossless",
        clock=ManualClock(10**12 - 50_000_000),
    )


Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run() -> Run:
    def call(*arguments: object) -> tuple[int, str]:
        result = CliRunner().invoke(app, [str(each) for each in arguments])
        if isinstance(result.exception, RtfaceError):
            return result.exception.exit_code, str(result.exception)
        return result.exit_code, result.stdout

    return call


def test_the_certificate_as_text_and_as_json(sealed: Loop, run: Run) -> None:
    code, text = run("session", "certificate", sealed.folder)
    assert code == 0
    assert text.startswith("LATENCY CERTIFICATE")
    code, text = run("session", "certificate", sealed.folder, "--json")
    assert (code, json.loads(text)["stages"]["end_to_end"]["n"]) == (0, FRAMES)
    assert run("session", "certificate", sealed.folder / "no")[0] == 8


def test_two_sessions(sealed: Loop, run: Run) -> None:
    code, text = run("session", "compare", sealed.folder, sealed.folder)
    assert code == 0
    assert "no setting differs" in text
    assert "the rules are the same" in text
    code, text = run("session", "compare", sealed.folder, sealed.folder, "--json")
    assert json.loads(text)["settings"] == []


def test_an_overlay_of_a_stretch(sealed: Loop, run: Run, tmp_path: Path) -> None:
    out = tmp_path / "x.mp4"
    code, text = run("session", "overlay", sealed.folder, "--from", 0.5, "--to", 1, "--out", out)
    assert (code, text.strip()) == (0, str(out))
    assert out.stat().st_size > 1000
    assert run("session", "overlay", sealed.folder, "--out", out)[0] == 2
    assert (
        run("session", "overlay", sealed.folder, "--from", 0.5, "--to", 0.6, "--out", out, "--overwrite")[0]
        == 0
    )


def test_nothing_is_told_before_somebody_unblinds_and_then_it_is_written_down(
    sealed: Loop, run: Run, tmp_path: Path
) -> None:
    for command in (
        ("certificate", sealed.folder),
        ("compare", sealed.folder, sealed.folder),
        ("overlay", sealed.folder, "--out", tmp_path / "y.mp4"),
    ):
        code, text = run("session", *command, "--unblind")
        assert (code, "was not opened" in text) == (2, True)
    assert not (sealed.folder / OPENINGS_NAME).exists()
    assert run("session", "unblind", sealed.folder, "--as", "anna")[0] == 0
    assert "sham" not in run("session", "compare", sealed.folder, sealed.folder)[1]
    assert "sham" in run("session", "compare", sealed.folder, sealed.folder, "--unblind")[1]
    assert [each["what"] for each in openings(sealed.folder)] == [
        "rtface session unblind",
        *["rtface session compare --unblind"] * 2,
    ]
