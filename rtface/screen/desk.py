"""What every page's server part is given: the workspace and its jobs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rtface.core.errors import UsageError
from rtface.screen.jobs import Jobs


@dataclass(frozen=True)
class Desk:
    """What a page works on.

    Attributes
    ----------
    folder : Path
        The workspace: all that a page reads or writes of its own accord is within.
    jobs : Jobs
    read_only : bool
        Whether nothing may be changed.
    """

    folder: Path
    jobs: Jobs
    read_only: bool = False

    def path(self, named: str) -> Path:
        """Return the place in the workspace that a browser names; `UsageError` where it is not within."""
        whole = (self.folder / named).resolve()
        if not whole.is_relative_to(self.folder.resolve()):
            raise UsageError(f"{named} is not within the workspace {self.folder}")
        return whole
