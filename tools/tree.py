"""The files of this checkout, and packages made of them alike wherever and whenever that is done."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent


def git(*words: str) -> str:
    """Return what ``git WORDS`` prints in this checkout."""
    done = subprocess.run(["git", *words], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    return done.stdout


def committed_at() -> int:
    """Return when the newest commit was made, in seconds of Unix time: the date of every file in a package."""
    return int(git("log", "-1", "--format=%ct"))


def copied(to: Path) -> Path:
    """Copy the files that git does not ignore into a new folder, and return it."""
    for name in filter(None, git("ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")):
        if (REPOSITORY / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(REPOSITORY / name, to / name)
    return to


def packed(folder: Path, epoch: int) -> list[Path]:
    """Build wheel and sdist of the project in a folder into its ``dist``, and return them, sorted by name.

    Parameters
    ----------
    folder : Path
        It has a pyproject.toml for hatchling, which is run from this environment: nothing is fetched.
    epoch : int
        The time that every file in the packages has, in seconds of Unix time.

    Raises
    ------
    RuntimeError
        hatchling failed; with what it said.
    """
    environment = os.environ | {"SOURCE_DATE_EPOCH": str(epoch)}
    command = [sys.executable, "-m", "hatchling", "build"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"hatchling failed in {folder}:\n{done.stdout}{done.stderr}")
    return sorted((folder / "dist").iterdir())
