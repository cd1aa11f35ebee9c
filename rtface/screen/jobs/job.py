"""What a job's folder says: all of a job is in its folder, so that any process can tell how it stands.

| in ``<workspace>/.rtface/jobs/<id>/`` | what |
|---|---|
| ``what.json`` | what was asked for |
| ``alive`` | locked by the job's runner for as long as it lives |
| ``work`` | locked by the command for as long as it, or a process that it left behind, lives |
| ``begun.json`` | since when the command runs, and its process; absent while the job waits for its turn |
| ``stop.json`` | somebody asked it to stop |
| ``stdout``, ``stderr``, ``progress.jsonl`` | what the command wrote, the latter as of `rtface.cli.terminal.progress` |
| ``ended.json`` | the exit code; written last |

Locks tell who lives, not numbers of processes: the kernel takes a lock away with its process, and gives no number twice
the same lock.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from rtface.core.clock import utc
from rtface.core.errors import DataError
from rtface.core.files import read_fields

with suppress(ImportError):  # not on Windows
    import fcntl

AVAILABLE = sys.platform != "win32"
"""Whether this system has what jobs stand on: locks that a process inherits, and groups of processes."""
ELSEWHERE = "there are no jobs on this system: whoever begins one looks at AVAILABLE first"
"""What another system is told."""

WHAT, BEGUN, STOP, ENDED = "what.json", "begun.json", "stop.json", "ended.json"
ALIVE, WORK = "alive", "work"
STDOUT, STDERR, PROGRESS = "stdout", "stderr", "progress.jsonl"

_SAID = 2000
"""Bytes of the end of standard error in which a failed job's reason is sought."""
_WAITS = range(20, 25)
"""Exit codes with which a command that did what it can waits for a person."""
_LAST = 4096
"""Bytes of the end of the progress in which its last line is sought."""


class JobState(StrEnum):
    """How a job stands."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Job:
    """A command of rtface that runs, waits or has run.

    Attributes
    ----------
    id : str
        Its folder's name; later ones sort behind earlier ones.
    kind : str
        What it does, in a word.
    title : str
        For people.
    argv : tuple of str
        The command without ``rtface``.
    about : dict
        What a page wants to find again with it.
    waits : bool
        Whether it takes its turn among others that do.
    state : JobState
    stopping : bool
        Somebody asked it to stop, and it still lives.
    asked_at, begun_at, ended_at : str or None
        In UTC, ISO 8601.
    code : int or None
        Exit code, negative for a signal; None where there is none.
    reason : str
        Why it failed, was stopped or lost; else empty.
    progress : dict or None
        The last line of its progress.
    """

    id: str
    kind: str
    title: str
    argv: tuple[str, ...]
    about: dict[str, Any]
    waits: bool
    state: JobState
    stopping: bool
    asked_at: str
    begun_at: str | None
    ended_at: str | None
    code: int | None
    reason: str
    progress: dict[str, Any] | None

    @property
    def over(self) -> bool:
        """Whether it will change no more."""
        return self.state not in (JobState.WAITING, JobState.RUNNING)

    def as_dict(self) -> dict[str, Any]:
        """Return it in JSON's types."""
        return asdict(self)


def read_job(folder: Path) -> Job:
    """Return the job of a folder.

    Raises
    ------
    DataError
        The folder says nothing of a job, or is damaged.
    """
    what = read_json(folder / WHAT)
    if what is None:
        raise DataError(f"{folder} is no job")
    ended = read_json(folder / ENDED)
    if ended is None and not is_alive(folder):
        ended = read_json(folder / ENDED)  # it may have ended between the two looks
    begun = read_json(folder / BEGUN)
    stop = (folder / STOP).exists()
    state, reason = _state(folder, ended, begun=begun is not None, stop=stop)
    try:
        return Job(
            id=folder.name,
            kind=str(what["kind"]),
            title=str(what["title"]),
            argv=tuple(map(str, what["argv"])),
            about=dict(what["about"]),
            waits=bool(what["waits"]),
            state=state,
            stopping=stop and state in (JobState.WAITING, JobState.RUNNING),
            asked_at=str(what["asked_at"]),
            begun_at=None if begun is None else str(begun["at"]),
            ended_at=None if ended is None else str(ended["at"]),
            code=None if ended is None else ended["code"],
            reason=reason,
            progress=_last_progress(folder / PROGRESS),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{folder}: {error!r}: the job's files are damaged; delete that folder") from error


def _state(folder: Path, ended: Mapping[str, Any] | None, *, begun: bool, stop: bool) -> tuple[JobState, str]:
    if ended is None:
        if is_alive(folder):
            return (JobState.RUNNING if begun else JobState.WAITING), ""
        if stop:
            return JobState.STOPPED, "stopped by a person"
        return JobState.LOST, "its process is gone without a word: the machine or the process was killed"
    if ended["code"] == 0 or ended["code"] in _WAITS:
        return JobState.DONE, ""
    if stop:
        return JobState.STOPPED, "stopped by a person"
    said = for_people(tail(folder / STDERR, _SAID)).strip().splitlines()
    errors = [number for number, line in enumerate(said) if line.startswith("error:")]
    text = "\n".join(said[errors[-1] :] if errors else said[-1:])
    return JobState.FAILED, text or f"it ended with exit code {ended['code']} and said nothing"


def now() -> str:
    """Return the time for a label."""
    return utc().isoformat(timespec="seconds")


def is_alive(folder: Path) -> bool:
    """Whether a job's runner or its command lives."""
    return is_locked(folder / ALIVE) or is_locked(folder / WORK)


def is_locked(file: Path) -> bool:
    """Whether a living process holds the lock of a file. Several may ask at once."""
    if sys.platform == "win32":
        raise NotImplementedError(ELSEWHERE)
    try:
        handle = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def locked(file: Path) -> int:
    """Return a handle of a file, made if need be, that holds its lock until it and its copies in other processes are closed."""
    if sys.platform == "win32":
        raise NotImplementedError(ELSEWHERE)
    handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(handle, fcntl.LOCK_EX)
    return handle


def read_json(file: Path) -> dict[str, Any] | None:
    """Return the fields of a file that is written whole; None where it is not there; `DataError` where it is damaged."""
    try:
        return read_fields(file)
    except DataError as error:
        if isinstance(error.__cause__, FileNotFoundError | NotADirectoryError):
            return None
        raise


def tail(file: Path, most: int) -> str:
    """Return the end of a text file, at most so many bytes of it; nothing where there is none."""
    try:
        with file.open("rb") as opened:
            opened.seek(max(0, os.fstat(opened.fileno()).st_size - most))
            return opened.read(most).decode("utf-8", "replace")
    except FileNotFoundError:
        return ""


def for_people(text: str) -> str:
    """Return what a command wrote on standard error without its documents, which are for programs."""
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith('{"schema"'))


def _last_progress(file: Path) -> dict[str, Any] | None:
    whole, _, _ = tail(file, _LAST).rpartition("\n")
    for line in reversed(whole.splitlines()):
        with suppress(ValueError):
            if isinstance(read := json.loads(line), dict):
                return read
    return None
