"""The session on a rented GPU, rehearsed: what it needs, what it leaves behind, and that it ends in time."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from support.paths import REPOSITORY

from bench.gpu import session
from bench.gpu.session import Step, run, steps
from bench.gpu.wheels import FOR_ALL_STEPS, FOR_RTFACE

NOT_THERE = (
    *(
        "openvino",
        "h5py",
        "av",
        "harvesters",
        "genicam",
        "serial",
        "rich",
        "typer",
        "matplotlib",
        "scipy",
        "sklearn",
    ),
    *("pandas", "tables", "onnxruntime", "tensorrt_rtx", "xdist"),
)
"""Of rtface's packages those that neither the machine nor the wheels bring."""


def python(*words: str) -> tuple[str, ...]:
    return (sys.executable, "-c", *words)


def test_every_step_can_be_imported_where_only_torch_and_the_wheels_are() -> None:
    told = subprocess.run(
        python(
            "import sys\n"
            f"for name in {NOT_THERE!r}: sys.modules[name] = None\n"
            "from bench.gpu import session, step\n"
            "print(session.check_imports())"
        ),
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        check=False,
    )
    assert told.stdout.strip() == "{}", told.stderr


def test_the_wheels_are_for_one_python_and_pinned_where_they_are_compiled() -> None:
    names = [each.partition("==")[0] for each in (*FOR_RTFACE, *FOR_ALL_STEPS)]
    assert len(names) == len(set(names)), "two of one stop the installation"
    assert {"pydantic", "pydantic-core", "pyzmq"} <= set(names)
    assert not {"torch", "numpy", "opencv-python-headless", "msgpack"} & set(names), "they are there"


@pytest.fixture
def rehearsed(tmp_path: Path) -> dict[str, Any]:
    pytest.importorskip("torch")
    if shutil.which("g++") is None:
        pytest.skip("a rehearsal needs g++")
    folder = tmp_path / "out"
    command = ["bash", "bench/gpu_session.sh", str(folder), "--rehearse", "--only", "look", "kernels"]
    environment = os.environ | {"PYTHON": sys.executable, "WHEELS": str(tmp_path / "none")}
    done = subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(path.name for path in folder.iterdir()) == ["log.txt", "session.json"]
    whole: dict[str, Any] = json.loads((folder / "session.json").read_text(encoding="utf-8"))
    return whole


def test_a_rehearsal_says_so_and_holds_the_kernels_against_numpy(rehearsed: dict[str, Any]) -> None:
    assert rehearsed["rehearsal"] is True
    assert "no figure in it is a GPU's" in rehearsed["note"]
    assert rehearsed["machine"]["cores"] > 0
    look, kernels = rehearsed["steps"]
    assert (look["name"], kernels["name"]) == ("look", "kernels")
    assert all(each["rehearsal"] and each["exit_code"] == 0 for each in (look, kernels))
    assert look["result"]["gpus"] == ["cuda:0: Emulated GPU (sm_89, driver CUDA 12.4)"]
    assert look["result"]["settings"]["allow_tf32"] is False
    assert kernels["result"]["images"] == 3 * 5 * 2 * 2


def test_the_steps_of_a_real_session_fit_and_each_kind_is_there() -> None:
    real = steps(False, "/usr/bin/compute-sanitizer")
    names = [each.name for each in real]
    assert names[:4] == ["look", "kernels", "kernels_sanitized", "graph"]
    assert [name for name in names if name.startswith("threads")] == [f"threads_{n}" for n in range(1, 6)]
    assert names[-6:] == ["1000_hz", "200_hz", "facemap", "parity", "restarts", "busy_threads"]
    assert real[2].command[0] == "/usr/bin/compute-sanitizer"
    for each in real:
        if "pytest" in each.command:
            assert each.command[each.command.index("-m", 3) + 1] == "gpu"
        assert "--rehearse" not in each.command
    assert "kernels_sanitized" not in [each.name for each in steps(False, None)]


def test_what_a_step_found_is_kept_even_if_it_fails() -> None:
    write = "import json, sys; json.dump({'result': 1}, open(sys.argv[1], 'w')); print('said'); sys.exit(3)"
    log = StringIO()
    found = run(Step("one", python(write, "{file}"), 60), 60, log)
    assert (found["exit_code"], found["result"], found["timed_out"]) == (3, 1, False)
    assert found["output"] == "said\n"
    assert "=== one: exit code 3\nsaid" in log.getvalue()


def test_tests_that_are_all_skipped_are_no_success() -> None:
    found = run(Step("tests", python("print('66 skipped')"), 60, " passed"), 60, StringIO())
    assert found["exit_code"] != 0
    assert "nothing was done" in found["output"]
    assert run(Step("tests", python("print('66 passed')"), 60, " passed"), 60, StringIO())["exit_code"] == 0


def test_a_step_that_takes_too_long_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    child = tmp_path / "child"
    forever = "import time\nwhile True: time.sleep(60)"
    start = (
        "import subprocess, sys, time; "
        f"child = subprocess.Popen([sys.executable, '-c', {forever!r}]); "
        f"open({str(child)!r}, 'w').write(str(child.pid)); child.wait()"
    )
    found = run(Step("long", python(start), 600), 3.0, StringIO())
    assert found["timed_out"]
    assert found["limit_s"] == 3.0, "what is left of the session"
    if child.exists():
        status = Path("/proc", child.read_text(), "status")
        assert not status.exists() or "Z (zombie)" in status.read_text(encoding="utf-8")


def session_of(
    monkeypatch: pytest.MonkeyPatch, folder: Path, planned: tuple[Step, ...], *words: str
) -> tuple[Any, dict[str, Any]]:
    monkeypatch.setattr(session, "steps", lambda rehearse, sanitizer: planned)
    monkeypatch.setattr(sys, "argv", ["session", str(folder), *words])
    with pytest.raises(SystemExit) as ended:
        session.main()
    return ended.value.code, json.loads((folder / "session.json").read_text(encoding="utf-8"))


def test_a_step_that_fails_does_not_end_the_others(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    copy = f"import shutil; shutil.copy({str(tmp_path / 'session.json')!r}, {str(tmp_path / 'seen')!r})"
    planned = (Step("bad", python("raise SystemExit(1)"), 60), Step("good", python(copy), 60))
    code, whole = session_of(monkeypatch, tmp_path, planned)
    assert code == 1
    assert [(each["name"], each["exit_code"]) for each in whole["steps"]] == [("bad", 1), ("good", 0)]
    seen = json.loads((tmp_path / "seen").read_text(encoding="utf-8"))
    assert [each["name"] for each in seen["steps"]] == ["bad"], "on record before the next one begins"


def test_when_the_time_is_over_it_says_what_was_not_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    code, whole = session_of(monkeypatch, tmp_path, (Step("one", python("pass"), 60),), "--seconds", "0.5")
    assert (code, whole["steps"], whole["not_run"]) == (True, [], ["one"])


def test_nothing_is_measured_where_a_package_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(session, "NEEDED", ("json", "no_such_package"))
    code, whole = session_of(monkeypatch, tmp_path, (Step("one", python("pass"), 60),))
    assert "no_such_package" in code
    assert list(whole["missing"]) == ["no_such_package"]
    assert whole["steps"] == []
