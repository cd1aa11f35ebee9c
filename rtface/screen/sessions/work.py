"""What a page has done to sessions in processes of their own: verify, replay, export, overlay videos; as commands of rtface."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from rtface.core.errors import UsageError
from rtface.record import formats
from rtface.screen.desk import Desk
from rtface.screen.jobs import Job

EXPORTS, OVERLAYS = "exports", "overlays"
"""Folders of the workspace that results go to."""
LONGEST_S = 3600.0
"""Of an overlay video, in seconds of the session."""
MOST_AT_ONCE = 500
"""Sessions that one job verifies."""


def verify_job(desk: Desk, names: list[str]) -> Job:
    """Check records; light and sham stay untold, as of any job that a page begins and others see.

    Raises
    ------
    UsageError
        There are none, too many, or no more jobs are taken.
    """
    if not 0 < len(names) <= MOST_AT_ONCE:
        raise UsageError(f"1 to {MOST_AT_ONCE} sessions are verified at once, not {len(names)}")
    title = f"Verify {_last(names[0])}" if len(names) == 1 else f"Verify {len(names)} sessions"
    about = {"sessions": names}
    return desk.jobs.start("verify", ["session", "verify", "--json", "--", *names], title=title, about=about)


def replay_job(desk: Desk, name: str, *, network: bool) -> Job:
    """Run features and rules again, and the network too where that is asked for."""
    argv = ["replay", *(["--network"] if network else []), "--json", "--", name]
    what = "Replay network and rules of" if network else "Replay the rules of"
    return desk.jobs.start("replay", argv, title=f"{what} {_last(name)}", about={"sessions": [name]})


def export_job(desk: Desk, name: str, form: str, *, unblind: bool) -> Job:
    """Write poses, decisions, pulses and values into a folder of the workspace.

    Raises
    ------
    UsageError
        There is no such format, or no more jobs are taken.
    """
    chosen = formats.choose(Path(), form)
    out = f"{EXPORTS}/{_last(name)}{'-unblinded' if unblind else ''}"
    desk.path(out)
    argv = ["session", "export", "--out", out, "--format", chosen.name, "--overwrite"]
    argv += [*(["--unblind"] if unblind else []), "--", name]
    about = {"sessions": [name], "folder": out}
    return desk.jobs.start("export", argv, title=f"Export {_last(name)}", about=about)


def overlay_job(desk: Desk, name: str, begin_s: float, end_s: float, speed: float, *, unblind: bool) -> Job:
    """Write a stretch as a video into a folder of the workspace.

    Raises
    ------
    UsageError
        The stretch or the speed is none, or no more jobs are taken.
    """
    if not (math.isfinite(begin_s) and math.isfinite(end_s) and 0 < end_s - begin_s <= LONGEST_S):
        raise UsageError(f"an overlay shows up to {LONGEST_S:g} s, not from {begin_s:g} s to {end_s:g} s")
    if not 0.01 <= speed <= 100:
        raise UsageError(f"the speed is 0.01 to 100, not {speed:g}")
    told = "-unblinded" if unblind else ""
    out = f"{OVERLAYS}/{_last(name)}_{begin_s:.3f}-{end_s:.3f}s_x{speed:g}{told}.mp4"
    desk.path(out).parent.mkdir(exist_ok=True)
    argv = ["session", "overlay", "--out", out, "--from", f"{begin_s:.6f}", "--to", f"{end_s:.6f}"]
    argv += ["--speed", f"{speed:g}", "--overwrite", *(["--unblind"] if unblind else []), "--", name]
    about: dict[str, Any] = {"sessions": [name], "file": out}
    return desk.jobs.start("overlay", argv, title=f"Overlay video of {_last(name)}", about=about)


def overlay_file(desk: Desk, name: str) -> Path:
    """Return an overlay video that is there.

    Raises
    ------
    UsageError
        It is none.
    """
    path = desk.path(name)
    if path.suffix != ".mp4" or path.parent != desk.path(OVERLAYS) or not path.is_file():
        raise UsageError("there is no such overlay video")
    return path


def _last(name: str) -> str:
    return Path(name).name
