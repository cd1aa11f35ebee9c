"""All that only a GPU can show, in nine minutes: ``bash bench/gpu_session.sh FOLDER`` runs this.

FOLDER gets session.json, which is written anew after each step, and log.txt. So whatever ends the session early, all steps
until then are on record; and it is one file, since a rented machine may give few back. Steps are in the order in which the
first failure teaches most. A step that fails does not end the others. The exit code is 1 if one did.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

REPOSITORY = Path(__file__).resolve().parents[2]
WHOLE_S = 540.0
NEEDED = (
    *(
        "torch",
        "numpy",
        "cv2",
        "msgpack",
        "pydantic",
        "zmq",
        "yaml",
        "onnx",
        "pytest",
        "psutil",
        "hypothesis",
    ),
    *(
        "rtface.bench.gpu",
        "rtface.bench.random_engine",
        "rtface.track.backends.torch_cuda",
        "rtface.track.verify",
    ),
)
"""Imported before the first second of measuring."""

_TESTS = ("tests/gpu/test_gpu.py", "tests/contract/test_stages.py", "tests/contract/test_backends.py")
_TAIL = 3000
NOTHING_DONE = 5
FILE = "{file}"
"""Of a command: where it writes what it found."""


@dataclass(frozen=True, slots=True)
class Step:
    """A step: its name, its command, the most seconds that it may take, and what it must say to have done anything."""

    name: str
    command: tuple[str, ...]
    limit_s: float
    says: str = ""


def steps(rehearse: bool, sanitizer: str | None) -> tuple[Step, ...]:
    """Return the steps in their order."""
    python = (sys.executable, "-m")

    def own(name: str, limit_s: float, *before: str) -> Step:
        flag = ("--rehearse",) if rehearse else ()
        part = name.removesuffix("_sanitized")
        return Step(name, (*before, *python, "bench.gpu.step", part, FILE, *flag), limit_s)

    def tests(name: str, limit_s: float, which: str, files: Sequence[str] = _TESTS) -> Step:
        chosen = ("-k", f"emulated-torch-cuda and {which}") if rehearse else ("-m", "gpu", "-k", which)
        options = (
            "-c",
            "bench/gpu/pytest.ini",
            "--rootdir",
            ".",
            "-q",
            "-rs",
            "--maxfail=5",
            "-p",
            "no:cacheprovider",
        )
        return Step(name, (*python, "pytest", *options, *chosen, *files), limit_s, " passed")

    checked = (
        () if sanitizer is None else (own("kernels_sanitized", 60, sanitizer, "--error-exitcode", "86"),)
    )
    two = "two_threads"
    return (
        own("look", 40),
        own("kernels", 40),
        *checked,
        own("graph", 50),
        tests("tests", 90, f"not {two}"),
        *(tests(f"threads_{number}", 30, two, _TESTS[:1]) for number in range(1, 2 if rehearse else 6)),
        own("1000_hz", 140),
        own("200_hz", 65),
        own("facemap", 60),
        own("parity", 60),
        own("restarts", 70),
        own("busy_threads", 50),
    )


def check_imports() -> dict[str, str]:
    """Import all that any step needs; return what could not be, with the reason."""
    missing = {}
    for name in NEEDED:
        try:
            importlib.import_module(name)
        except Exception as error:  # a package of another Python fails in ways of its own
            missing[name] = f"{type(error).__name__}: {error}"
    return missing


def run(step: Step, left_s: float, log: IO[str]) -> dict[str, Any]:
    """Run a step for at most its limit, or what is left of the session, and return what came of it."""
    limit_s, began = min(step.limit_s, left_s), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        file, output = Path(folder, "result.json"), Path(folder, "output.txt")
        command = [str(file) if word == FILE else word for word in step.command]
        with output.open("w", encoding="utf-8") as told:
            process = subprocess.Popen(
                command, cwd=REPOSITORY, stdout=told, stderr=subprocess.STDOUT, start_new_session=True
            )
            try:
                code, timed_out = process.wait(limit_s), False
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                code, timed_out = process.wait(), True
        text = output.read_text(encoding="utf-8", errors="replace")
        if code == 0 and step.says not in text:
            code, text = NOTHING_DONE, f"{text}\nnothing was done: it does not say{step.says}\n"
        log.write(f"\n=== {step.name}: exit code {code}{', its time was over' if timed_out else ''}\n{text}")
        log.flush()
        found = {"name": step.name, "command": " ".join(command[1:]), "limit_s": limit_s, "exit_code": code}
        found |= {
            "timed_out": timed_out,
            "seconds": round(time.monotonic() - began, 1),
            "output": text[-_TAIL:],
        }
        return found | (json.loads(file.read_text(encoding="utf-8")) if file.exists() else {})


def main() -> None:
    """Run all steps, or those that are named."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--rehearse", action="store_true", help="on the CPU, with an emulated GPU: no figure is a GPU's"
    )
    parser.add_argument("--only", nargs="+", metavar="STEP", help="some of the steps")
    parser.add_argument("--seconds", type=float, default=WHOLE_S, help="of the whole session")
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    whole: dict[str, Any] = {
        "question": "what only a GPU can show",
        "rehearsal": asked.rehearse,
        "note": "a rehearsal on the CPU with an emulated GPU: no figure in it is a GPU's"
        if asked.rehearse
        else "",
        "missing": check_imports(),
        "steps": [],
        "not_run": [],
    }
    _write(asked.folder, whole)
    if whole["missing"]:
        sys.exit(f"these cannot be imported, nothing was measured: {whole['missing']}")
    from rtface.core.machine import run_facts

    whole |= run_facts()
    planned = steps(asked.rehearse, None if asked.rehearse else shutil.which("compute-sanitizer"))
    with (asked.folder / "log.txt").open("w", encoding="utf-8") as log:
        for step in planned:
            left_s = asked.seconds - (time.monotonic() - began)
            if asked.only and step.name not in asked.only:
                continue
            if left_s < 1:
                whole["not_run"].append(step.name)
                continue
            found = run(step, left_s, log)
            whole["steps"].append(found)
            whole["seconds"] = round(time.monotonic() - began, 1)
            _write(asked.folder, whole)
            verdict = (
                "ok" if found["exit_code"] == 0 else found.get("error", f"exit code {found['exit_code']}")
            )
            print(f"{step.name:18} {found['seconds']:6.1f} s  {verdict}", flush=True)
    _write(asked.folder, whole)
    print(
        f"{asked.folder / 'session.json'}: {whole.get('seconds', 0)} s, not run: {whole['not_run'] or 'none'}"
    )
    sys.exit(bool(whole["not_run"]) or any(each["exit_code"] for each in whole["steps"]))


def _write(folder: Path, whole: dict[str, Any]) -> None:
    """Write the record whole or not at all; without rtface, whose packages may be what is missing."""
    fresh = folder / ".session.json.part"
    fresh.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    fresh.replace(folder / "session.json")


if __name__ == "__main__":
    main()
