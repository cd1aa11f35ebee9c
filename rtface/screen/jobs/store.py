"""The jobs of a workspace: begun, listed, found again, stopped."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from rtface.core.errors import DataError, UsageError
from rtface.core.files import write_json
from rtface.screen.jobs.job import (
    ALIVE,
    AVAILABLE,
    BEGUN,
    ELSEWHERE,
    PROGRESS,
    STDERR,
    STDOUT,
    STOP,
    WHAT,
    WORK,
    Job,
    for_people,
    is_locked,
    locked,
    now,
    read_job,
    read_json,
    tail,
)

FOLDER = Path(".rtface", "jobs")
"""Where the jobs lie in a workspace."""

_KIND = re.compile(r"[a-z][a-z0-9-]{0,30}")
_ID = re.compile(r"[0-9]{6}-[a-z][a-z0-9-]{0,30}")
_LOCK = "lock"
_LEFT_ALONE = ("/bin/sh", "-c", '"$@" &', "sh")
"""Begins a process that is nobody's child: none that a server would have to wait for, and none that ends with it."""


class Jobs:
    """The jobs of a workspace. Any number of these, in any number of processes, may stand for the same workspace.

    Parameters
    ----------
    folder : Path
        The workspace: where the commands run. Nothing is written before the first job.
    at_once : int
        How many of those jobs that take turns run at once: trainings use all cores.
    most : int
        Jobs that may run or wait; one more is refused.
    kept : int
        Ended jobs whose folders are kept.
    stop_after_s : float
        Seconds from SIGINT to SIGKILL.
    program : sequence of str
        What stands before ``--progress FILE`` and the command.
    """

    def __init__(
        self,
        folder: Path,
        *,
        at_once: int = 1,
        most: int = 20,
        kept: int = 200,
        stop_after_s: float = 60.0,
        program: Sequence[str] = (sys.executable, "-m", "rtface"),
    ) -> None:
        self.workspace = folder
        self._folder = folder.absolute() / FOLDER
        self._at_once, self._most, self._kept, self._stop_after_s = at_once, most, kept, stop_after_s
        self._program = [*program]

    def start(
        self,
        kind: str,
        argv: Sequence[str],
        *,
        title: str,
        about: Mapping[str, Any],
        waits: bool = True,
    ) -> Job:
        """Begin a job, or put it behind those that are waiting.

        Parameters
        ----------
        kind : str
            What it does, in a word: small letters, digits, hyphens.
        argv : sequence of str
            The command without ``rtface``; paths in it are relative to the workspace.
        title : str
            For people.
        about : mapping
            What the page wants to find again with it, of JSON's types.
        waits : bool
            Whether it takes its turn: for what uses all cores. What takes seconds need not.

        Raises
        ------
        UsageError
            There are too many jobs already, or the kind is no such word.
        DataError
            The workspace cannot be written.
        """
        if not AVAILABLE:
            raise UsageError(
                f"on this system the pages start no work; run in a terminal: {' '.join(map(str, (*self._program, *argv)))}"
            )
        if not _KIND.fullmatch(kind):
            raise UsageError(f"a job's kind is a word of small letters, digits and hyphens, not {kind!r}")
        what = {
            "kind": kind,
            "title": title,
            "argv": [str(part) for part in argv],
            "about": dict(about),
            "program": self._program,
            "cwd": str(self.workspace.absolute()),
            "waits": waits,
            "at_once": self._at_once,
            "stop_after_s": self._stop_after_s,
            "asked_at": now(),
        }
        try:
            with self._alone():
                alive = [job for job in self.list() if not job.over]
                if len(alive) >= self._most:
                    raise UsageError(
                        f"{len(alive)} jobs run or wait, and no more are taken: stop one, or wait for one to end"
                    )
                self._forget()
                folder = self._new_folder(kind, what)
                self._begin(folder)
        except OSError as error:
            raise DataError(f"a job cannot be begun in {self._folder}: {error.strerror or error}") from error
        return read_job(folder)

    def list(self, most: int | None = None) -> Sequence[Job]:
        """Return the jobs that are kept, the latest first, so many or all. One whose files are damaged is left out."""
        found: list[Job] = []
        for folder in reversed(self._folders()):
            if len(found) == most:
                break
            with suppress(DataError):
                found.append(read_job(folder))
        return found

    def get(self, name: str) -> Job:
        """Return a job; `UsageError` where there is none of that name."""
        return read_job(self._of(name))

    def stop(self, name: str) -> Job:
        """Ask a job to stop, and return it as it is then: it may take seconds to end. One that is over stays as it is."""
        folder = self._of(name)
        if not read_job(folder).over:
            (folder / STOP).touch()
            if not is_locked(folder / ALIVE) and is_locked(folder / WORK):
                _kill_orphan(folder)
        return self.get(name)

    def output(self, name: str, *, most: int = 20_000) -> str:
        """Return the end of what a job wrote for people (standard error), at most so many bytes."""
        return for_people(tail(self._of(name) / STDERR, most))

    def result(self, name: str, *, most: int = 4_000_000) -> Any:
        """Return what the last line of a job's standard output tells; None where it is no JSON, or longer than that."""
        lines = tail(self._of(name) / STDOUT, most).splitlines()
        try:
            return _told(json.loads(lines[-1])) if lines else None
        except ValueError:
            return None

    def results(self, name: str, *, most: int = 4_000_000) -> Sequence[Any]:
        """Return what every whole line of the end of a job's standard output tells that is JSON, in order."""
        found = []
        for line in tail(self._of(name) / STDOUT, most).splitlines():
            with suppress(ValueError):
                found.append(_told(json.loads(line)))
        return found

    def progress(
        self, name: str, since: int = 0, *, most: int = 256_000
    ) -> tuple[Sequence[dict[str, Any]], int]:
        """Return the lines of a job's progress from a place on, and the place to go on from.

        Parameters
        ----------
        name : str
        since : int
            In bytes: 0, or what was returned before.
        most : int
            Bytes to read at once; what is beyond comes with the next call.
        """
        try:
            with (self._of(name) / PROGRESS).open("rb") as file:
                file.seek(max(0, since))
                whole, end, _ = file.read(most).rpartition(b"\n")
        except FileNotFoundError:
            return [], max(0, since)
        lines = []
        for line in whole.splitlines():
            with suppress(ValueError):
                lines.append(json.loads(line))
        return lines, max(0, since) + len(whole) + len(end)

    def _of(self, name: str) -> Path:
        folder = self._folder / name
        if not _ID.fullmatch(name) or not (folder / WHAT).exists():
            raise UsageError(f"there is no job {name!r}")
        return folder

    def _folders(self) -> Sequence[Path]:
        if not self._folder.exists():
            return []
        return sorted(each for each in self._folder.iterdir() if _ID.fullmatch(each.name))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self._folder.mkdir(parents=True, exist_ok=True)
        handle = locked(self._folder / _LOCK)
        try:
            yield
        finally:
            os.close(handle)

    def _new_folder(self, kind: str, what: Mapping[str, Any]) -> Path:
        numbers = [int(each.name[:6]) for each in self._folders()]
        folder = self._folder / f"{max(numbers, default=0) + 1:06d}-{kind}"
        folder.mkdir()
        write_json(folder / WHAT, what)
        return folder

    def _begin(self, folder: Path) -> None:
        alive = locked(folder / ALIVE)  # from here on the job lives; its runner inherits the lock
        try:
            with (folder / STDERR).open("ab") as said:
                subprocess.run(
                    [*_LEFT_ALONE, sys.executable, "-m", "rtface.screen.jobs.runner", str(folder)],
                    cwd=self.workspace,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=said,
                    start_new_session=True,
                    pass_fds=(alive,),
                    check=True,
                )
        except subprocess.CalledProcessError as error:
            raise DataError(f"a job cannot be begun in {self._folder}: {error}") from error
        finally:
            os.close(alive)

    def _forget(self) -> None:
        """Delete the oldest ended jobs beyond those that are kept."""
        over = [job.id for job in self.list() if job.over]
        for name in over[self._kept - 1 :]:
            shutil.rmtree(self._folder / name, ignore_errors=True)


def _told(document: Any) -> Any:
    """Return what a document of a command says, without the name of its schema: a record, a list or a map by names."""
    if not isinstance(document, dict) or "schema" not in document:
        return document
    if set(document) == {"schema", "items"}:
        return document["items"]
    return {name: value for name, value in document.items() if name != "schema"}


def _kill_orphan(folder: Path) -> None:
    """End a command whose runner was killed. Its lock is held, so its group's number is still its own."""
    if sys.platform == "win32":
        raise NotImplementedError(ELSEWHERE)
    if begun := read_json(folder / BEGUN):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(int(begun["pid"]), signal.SIGKILL)
