"""What a browser reads and asks of jobs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient
from support.job_waits import long_until

from rtface.core.errors import UsageError
from rtface.screen.desk import Desk
from rtface.screen.jobs import Jobs
from rtface.screen.jobs.routes import routes

pytestmark = pytest.mark.timeout(900)

WAITS = "import sys, json; open(sys.argv[2], 'a').write('{\"done\": 1}\\n'); print(json.dumps({'engine': 'a'})); input()"


def test_jobs_are_listed_read_and_stopped(tmp_path: Path) -> None:
    jobs = Jobs(
        tmp_path,
        program=(sys.executable, "-c", "import time\n" + WAITS.replace("input()", "time.sleep(1000)")),
    )
    client = TestClient(Starlette(routes=[Mount("/api/jobs", routes=routes(Desk(tmp_path, jobs)))]))
    assert client.get("/api/jobs").json() == {"jobs": []}
    job = jobs.start("teach", ["--x"], title="Adapt", about={"set": "a"})
    long_until(lambda: jobs.get(job.id).progress is not None)
    assert [each["id"] for each in client.get("/api/jobs").json()["jobs"]] == [job.id]
    read = client.get(f"/api/jobs/{job.id}").json()
    assert (read["job"]["state"], read["progress"], read["next"]) == ("running", [{"done": 1}], 12)
    assert client.get(f"/api/jobs/{job.id}?since=12").json()["progress"] == []
    assert client.get(f"/api/jobs/{job.id}/stop").status_code == 405
    assert client.post(f"/api/jobs/{job.id}/stop").json()["job"]["stopping"]
    long_until(lambda: jobs.get(job.id).over)
    assert client.get(f"/api/jobs/{job.id}").json()["job"]["state"] == "stopped"
    with pytest.raises(UsageError, match="since"):
        client.get(f"/api/jobs/{job.id}?since=-1")
    with pytest.raises(UsageError, match="no job"):
        client.get("/api/jobs/000009-teach")
    long_until(lambda: jobs.list() != [] and not jobs._ours)
