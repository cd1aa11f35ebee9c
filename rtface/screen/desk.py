"""What the pages work on: a folder, and what may be done there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from rtface.core.errors import UsageError
from rtface.screen.jobs import Job, Jobs


@dataclass(frozen=True)
class Desk:
    """The folder that the pages read and write, and the jobs that run in it.

    Attributes
    ----------
    folder : Path
        Recordings, label sets, runs, rigs and sessions of a lab; absolute. Nothing outside it is read or written.
    jobs : Jobs
    show : callable
        Shows a rig that was started here, by its name and the address where its service takes commands.
    """

    folder: Path
    jobs: Jobs
    show: Callable[[str, str], None] = lambda name, control: None

    def path(self, name: str) -> Path:
        """Return the path that a page names, relative to the folder.

        Raises
        ------
        UsageError
            It is not a path, or leads out of the folder, by a link too.
        """
        if not name or "\0" in name or len(name) > 1_000:
            raise UsageError("a path is named, relative to the folder of this screen")
        path = (self.folder / name).resolve()
        if not path.is_relative_to(self.folder.resolve()):
            raise UsageError(f"{name}: outside the folder of this screen, {self.folder}")
        return path

    def free(self, name: str) -> str:
        """Return a name like this one of which there is nothing in the folder yet."""
        names = (f"{name.rstrip('/')}-{each}" for each in count(2))
        return next(each for each in names if not self.path(each).exists())

    def working_on(self, kind: str, field: str, name: str) -> Job | None:
        """Return a job of a kind that runs or waits, and of which a field of `Job.about` is that name."""
        found = (job for job in self.jobs.list() if job.kind == kind and job.about.get(field) == name)
        return next((job for job in found if not job.over), None)

    def name(self, path: Path) -> str:
        """Return what a page calls a path of the folder."""
        return path.resolve().relative_to(self.folder.resolve()).as_posix()
