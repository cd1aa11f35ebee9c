"""`rtface run`: how it ends."""

from __future__ import annotations

import threading
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest
from typer.testing import CliRunner

from rtface.cli.app import app
from rtface.cli.terminal import serving
from rtface.core.errors import CameraLostError, DataError


class FakeService:
    """A service whose record has failed by the time that it is closed."""

    fault, failure = "", None
    has_loop = False

    def __init__(self, rig: Any) -> None:
        self.record_fault = ""

    def __enter__(self) -> FakeService:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.record_fault = self.fault


@pytest.mark.parametrize(
    ("fault", "failure", "code"),
    [
        ("", None, 0),
        ("the disk is full", None, DataError.exit_code),
        ("the disk is full", CameraLostError("gone"), CameraLostError.exit_code),
    ],
)
@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_run_whose_record_failed_does_not_end_well(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
    failure: Exception | None,
    code: int,
    options: list[str],
) -> None:
    def serve(service: Any, wish: threading.Event, seconds: float | None, **named: Any) -> None:
        if failure is not None:
            raise failure

    class Service(FakeService):
        pass

    Service.fault = fault
    monkeypatch.setattr(serving, "Service", Service)
    monkeypatch.setattr("rtface.cli.run.serve", serve)
    monkeypatch.setattr("rtface.cli.run.announce", lambda service: None)
    (tmp_path / "rig.yaml").write_text("camera: {kind: simulated}\n")
    done = CliRunner().invoke(app, ["run", str(tmp_path / "rig.yaml"), *options])
    assert getattr(done.exception, "exit_code", done.exit_code) == code
