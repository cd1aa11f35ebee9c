"""``rtface where``: which files and folders are used."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rtface.cli.options import JsonOption
from rtface.cli.terminal.screen import print_json, print_line
from rtface.live.doctor.places import UsedPlace, places


def where(
    rig: Annotated[Path | None, typer.Argument(help="A rig's YAML file, for what it names.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show which files and folders are used, of what comes with rtface, of this user and of a rig, and who says so.

    Each with whether it is there. Nothing is made, and of keys only the folder is named.
    """
    found = places(rig)
    if as_json:
        print_json([each.as_dict() for each in found])
        return
    for each in found:
        _print(each)


def _print(place: UsedPlace) -> None:
    there = "" if place.there else "  (not there)"
    print_line(f"{place.what}{there}")
    print_line(f"  {place.path}")
    print_line(f"  {place.given_by}")
