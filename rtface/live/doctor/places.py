"""Which files and folders rtface uses, and who says so."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from rtface.acquire.genicam.gentl import PRODUCERS_VARIABLE
from rtface.config.rigfile import load_rig
from rtface.core.files import cache_folder
from rtface.stimulate.gate.firmware import IMAGE
from rtface.track.parity import parity_folder
from rtface.track.store import find_engine, shipped_folder, user_folder

VARIABLES = {
    "RTFACE_ENGINES": "folder of this user's engines, and of the proofs of parity",
    "RTFACE_CACHE": "folder of what can be made anew",
    PRODUCERS_VARIABLE: "folders of GenTL producers",
    "XDG_DATA_HOME": "folder of this user's data, in which rtface/engines is used",
    "XDG_CACHE_HOME": "folder of this user's cache, in which rtface is used",
    "NO_COLOR": "no colours on a terminal",
    "COLUMNS": "width of a terminal",
}
"""Variables of the environment that rtface or its libraries obey, and what each says."""


@dataclass(frozen=True, slots=True)
class UsedPlace:
    """A file, a folder or a variable that is used.

    Attributes
    ----------
    what : str
        What lies there, in a word or two.
    path : str
        Where; a variable's value.
    given_by : str
        Who says so: a variable, a line of the rig's file, or rtface by itself.
    there : bool
        Whether there is something; of a variable, whether it is set.
    """

    what: str
    path: str
    given_by: str
    there: bool

    def as_dict(self) -> dict[str, Any]:
        """Return it in JSON's types."""
        return asdict(self)


def places(rig: Path | None = None, environment: Mapping[str, str] = os.environ) -> list[UsedPlace]:
    """Return what is used of rtface's own, of this user's, and of a rig's; nothing is made.

    Parameters
    ----------
    rig : Path or None
        The rig's file.
    environment : mapping of str to str
        The variables that are looked at.

    Raises
    ------
    ConfigError
        The rig's file cannot be read.
    EngineError
        The rig's engine is not there.
    """
    engines = "RTFACE_ENGINES" if environment.get("RTFACE_ENGINES") else "XDG_DATA_HOME, or ~/.local/share"
    cache = "RTFACE_CACHE" if environment.get("RTFACE_CACHE") else "XDG_CACHE_HOME, or ~/.cache"
    found = [
        _at("engines that come with rtface", shipped_folder(), "rtface"),
        _at("firmware of the gate", IMAGE, "rtface"),
        _at("engines of this user", user_folder(), engines),
        _at("proofs of parity", parity_folder(), engines),
        _at("public label sets", user_folder().parent / "label-sets", engines),
        *(
            _at(what, cache_folder(name), cache)
            for name, what in (
                ("plans", "cache: plans of engines for a GPU"),
                ("gate", "cache: the gate's emulator, as it was built"),
                ("screen", "cache: what opens the screen of this user"),
            )
        ),
    ]
    if rig is not None:
        loaded = load_rig(rig)
        found += [
            _at("configuration", rig, "named"),
            _at("engine", find_engine(loaded.engine), f"{rig}: engine"),
        ]
        found += [_at(name, path, f"{rig}: {name}") for name, path in _paths(loaded)]
    found += [
        UsedPlace(f"variable {name}", environment[name], f"the environment: {meaning}", True)
        for name, meaning in VARIABLES.items()
        if environment.get(name)
    ]
    return found


def _at(what: str, path: Path, given_by: str) -> UsedPlace:
    return UsedPlace(what, str(path.absolute()), given_by, path.exists())


def _paths(settings: BaseModel, prefix: str = "") -> Iterator[tuple[str, Path]]:
    """Give each file and folder that settings name, by the setting: camera, rules, keys, session, encoder, ..."""
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, Path):
            yield f"{prefix}{name}", value
        elif isinstance(value, BaseModel):
            yield from _paths(value, f"{prefix}{name}.")
        elif isinstance(value, Mapping):
            for key, each in value.items():
                if isinstance(each, BaseModel):
                    yield from _paths(each, f"{prefix}{name}.{key}.")
