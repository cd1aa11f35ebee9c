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
from rtface.core.records import Losses
from rtface.core.status import CameraStatus, PipelineState, PipelineStatus, PtpStatus
from rtface.live.busy import BusyMachine


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


@pytest.mark.parametrize(("view_ok", "text"), [(0.8, "view known (0.80)"), (0.1, "UNKNOWN VIEW (0.10)")])
def test_the_headline_says_whether_the_view_is_known(view_ok: float, text: str) -> None:
    status = PipelineStatus(PipelineState.RUNNING, 100.0, 5, Losses(), {}, None, view_ok=view_ok)
    assert f"; {text}; lost: camera 0" in serving._headline(status, BusyMachine())


def test_the_headline_says_what_does_not_hold_of_the_camera() -> None:
    camera = CameraStatus(("A is not B",), "it stands still", 0, PtpStatus("Slave", -1500), 3)
    losses = Losses(missed_triggers=3)
    status = PipelineStatus(PipelineState.RUNNING, 0.0, 5, losses, {}, None, camera=camera, waits_s=12.4)
    assert serving._headline(status, BusyMachine()).endswith(
        "publish 0; triggers missed: 3; CAMERA: A is not B; exposures are times of arrival: it stands still; "
        "PTP Slave -1.5 us; waits for a trigger for 12 s"
    )
