"""``python -m rtface.screen.jobs.runner FOLDER``: waits for a job's turn, runs its command, and writes how it ended.

It is a process of its own in a session of its own: it outlives the server that began it. A stop is asked for by a file, so
that no server ever sends a signal to a number that may be another process by now. The command gets SIGINT first, and its
whole group SIGKILL some seconds later; what a command leaves behind ends with it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from rtface.core.clock import NS_PER_MS, NS_PER_S, SYSTEM_CLOCK
from rtface.core.files import write_json
from rtface.screen.jobs.job import (
    BEGUN,
    ELSEWHERE,
    ENDED,
    PROGRESS,
    STDERR,
    STDOUT,
    STOP,
    WHAT,
    WORK,
    is_alive,
    locked,
    now,
    read_json,
)

_LOOK_NS = 100 * NS_PER_MS
"""Between two looks at whether to stop, or whose turn it is."""


def main(folder: Path) -> None:
    """Run the job of a folder to its end.

    Parameters
    ----------
    folder : Path
        The lock of its file ``alive`` is held by this process, which inherited it.
    """
    for number in (signal.SIGINT, signal.SIGTERM):  # not ignored: the command would inherit that
        signal.signal(number, lambda *_: (folder / STOP).touch())
    what = read_json(folder / WHAT)
    assert what is not None
    code: int | None = None
    try:
        if not what["waits"] or _has_turn(folder, int(what["at_once"])):
            command = [*what["program"], "--progress", str(folder / PROGRESS), *what["argv"]]
            code = _run(folder, command, Path(what["cwd"]), what["stop_after_s"])
    finally:
        write_json(folder / ENDED, {"code": code, "at": now()})


def _has_turn(folder: Path, at_once: int) -> bool:
    """Return True when fewer than so many earlier jobs that wait for each other are left; False where it was stopped."""
    earlier = [each for each in folder.parent.iterdir() if each.name < folder.name and (each / WHAT).exists()]
    earlier = [each for each in earlier if (read_json(each / WHAT) or {}).get("waits")]
    while not (folder / STOP).exists():
        earlier = [each for each in earlier if not (each / ENDED).exists() and is_alive(each)]
        if len(earlier) < at_once:
            return True
        _pause()
    return False


def _run(folder: Path, command: list[str], cwd: Path, stop_after_s: float) -> int:
    if sys.platform == "win32":
        raise NotImplementedError(ELSEWHERE)
    work = locked(folder / WORK)
    with (folder / STDOUT).open("ab") as out, (folder / STDERR).open("ab") as err:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            process_group=0,
            pass_fds=(work,),
            env={**os.environ, "NO_COLOR": "1", "COLUMNS": "120"},
        )
    os.close(work)
    write_json(folder / BEGUN, {"at": now(), "pid": process.pid, "runner": os.getpid()})
    asked_ns: int | None = None
    while not _has_ended(process):
        if asked_ns is None and (folder / STOP).exists():
            asked_ns = SYSTEM_CLOCK.now_ns()
            _signal_group(process.pid, signal.SIGINT)
        if asked_ns is not None and SYSTEM_CLOCK.now_ns() - asked_ns > stop_after_s * NS_PER_S:
            _signal_group(process.pid, signal.SIGKILL)
        _pause()
    _signal_group(process.pid, signal.SIGKILL)  # the number is still the command's: it was not waited for
    return process.wait()


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Whether a command has ended; its number stays taken, where the system has a way."""
    if sys.platform != "linux":
        return process.poll() is not None
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None


def _pause() -> None:
    SYSTEM_CLOCK.sleep_until_ns(SYSTEM_CLOCK.now_ns() + _LOOK_NS)


def _signal_group(group: int, number: int) -> None:
    if sys.platform == "win32":
        raise NotImplementedError(ELSEWHERE)
    with suppress(
        ProcessLookupError, PermissionError
    ):  # of its own processes macOS says so where all are ended
        os.killpg(group, number)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
