"""A workspace with sessions of all sorts, and what a browser asks of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount
from starlette.testclient import TestClient
from support.recorded_loop import RULES, Loop, record_loop
from support.waits import wait_until

from rtface.core.clock import ManualClock
from rtface.core.errors import RtfaceError
from rtface.decide.rulebank import ALIKE_NS
from rtface.decide.rules import RulesFile
from rtface.record.session import LOG_NAME
from rtface.screen.desk import Desk
from rtface.screen.jobs import Jobs
from rtface.screen.sessions.routes import routes

FRAMES = 1500
BEGAN_NS = 10**12 - 50_000_000
"""A moment before the first pose of `record_loop`."""
DRAWN = json.loads(RulesFile.model_validate(RULES).of_session(4711).model_dump_json())


@dataclass
class Lab:
    """A workspace as a browser sees it."""

    folder: Path
    client: TestClient
    plain: str
    sealed: str
    loops: dict[str, Loop]
    jobs: Jobs

    def get(self, what: str, status: int = 200, **asked: Any) -> Any:
        """Ask for something; return the answer's JSON."""
        answer = self.client.get(f"/api/sessions/{what}", params=asked)
        assert answer.status_code == status, answer.text
        return answer.json()

    def post(self, what: str, status: int = 200, **said: Any) -> Any:
        """Have something done; return the answer's JSON."""
        answer = self.client.post(f"/api/sessions/{what}", json=said)
        assert answer.status_code == status, answer.text
        return answer.json()


def _refused(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"error": {"kind": type(error).__name__, "text": str(error)}}, 400)


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Loop]]:
    root = tmp_path_factory.mktemp("lab")
    loops = {
        "plain": record_loop(
            root / "mouse 1" / "sessions", FRAMES, pictures="lossless", clock=ManualClock(BEGAN_NS)
        ),
        "sealed": record_loop(
            root / "mouse 2",
            FRAMES,
            DRAWN,
            alike_ns=ALIKE_NS,
            sealed=True,
            pictures="h264",
            clock=ManualClock(BEGAN_NS),
        ),
    }
    cut = root / "cut"
    cut.mkdir()
    log = (loops["plain"].folder / LOG_NAME).read_bytes()
    (cut / LOG_NAME).write_bytes(log[: len(log) // 2])
    for name, data in (("nothing", b"no log at all" * 10), ("empty", b"")):
        (root / name).mkdir()
        (root / name / LOG_NAME).write_bytes(data)
    damaged = root / "damaged"
    damaged.mkdir()
    (damaged / LOG_NAME).write_bytes(log[:90_000] + bytes([log[90_000] ^ 1]) + log[90_001:])
    (root / ".hidden").mkdir()
    (root / ".hidden" / LOG_NAME).write_bytes(log)
    return root, loops


@pytest.fixture
def lab(recorded: tuple[Path, dict[str, Loop]], tmp_path: Path) -> Iterator[Lab]:
    made, loops = recorded
    root = tmp_path / "lab"
    shutil.copytree(made, root)
    desk = Desk(root, Jobs(root))
    app = Starlette(
        routes=[Mount("/api/sessions", routes=routes(desk))], exception_handlers={RtfaceError: _refused}
    )
    plain = f"mouse 1/sessions/{loops['plain'].folder.name}"
    sealed = f"mouse 2/{loops['sealed'].folder.name}"
    yield Lab(root, TestClient(app), plain, sealed, loops, desk.jobs)
    wait_until(lambda: all(each.over for each in desk.jobs.list()))
