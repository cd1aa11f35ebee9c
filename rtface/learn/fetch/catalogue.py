"""The public label sets that are known: `catalogue.yaml`, checked."""

from __future__ import annotations

import re
from importlib.resources import files
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rtface.core.errors import DataError, UsageError, nearest
from rtface.core.manifest import NAME_PATTERN
from rtface.learn.labels.set_record import is_non_commercial

Layout = Literal["lightning-pose", "facemap", "any"]

SHA256_PATTERN = r"^[0-9a-fA-F]{64}$"


class SetEntry(BaseModel):
    """What is known of a public label set.

    Attributes
    ----------
    title : str
    pages : tuple of str
        Where people find it.
    licence : str
        Its SPDX name, or in words.
    licence_url, citation : str
    layout : str
        How its files lie: ``lightning-pose``, ``facemap`` (refined data), or ``any`` that labels are read from.
    url, sha256 : str or None
        Of one archive, where they are known.
    how : str
        How people get it where there is no one address.
    renames : dict of str to str
        Its names of keypoints to ours.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str = Field(min_length=1)
    pages: tuple[str, ...] = ()
    licence: str = Field(min_length=1)
    licence_url: str = ""
    citation: str = ""
    layout: Layout = "any"
    url: str | None = None
    sha256: str | None = Field(None, pattern=SHA256_PATTERN)
    how: str = ""
    renames: dict[str, str] = Field(default_factory=dict)

    @property
    def non_commercial(self) -> bool:
        """Whether the licence forbids commercial use."""
        return is_non_commercial(self.licence)


def catalogue() -> dict[str, SetEntry]:
    """Return all known sets by name.

    Raises
    ------
    DataError
        The catalogue is damaged; the entry and the field are named.
    """
    file = files("rtface.learn.fetch").joinpath("catalogue.yaml")
    return parse_catalogue(file.read_text(encoding="utf-8"), "catalogue.yaml")


def parse_catalogue(text: str, where: str) -> dict[str, SetEntry]:
    """Return the sets that a catalogue's text holds; `DataError` names the entry and the field that is wrong."""
    try:
        read = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise DataError(f"{where} cannot be read: {error}") from error
    if not isinstance(read, dict):
        raise DataError(f"{where} holds no entries")
    entries = {}
    for name, fields in read.items():
        if not re.fullmatch(NAME_PATTERN, str(name)):
            raise DataError(f"{where}: {name!r} cannot be a set's name: small letters, digits, and . _ -")
        try:
            entries[str(name)] = SetEntry.model_validate(fields)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(map(str, first["loc"]))
            raise DataError(f"{where}: {name}: {field or 'entry'}: {first['msg']}") from error
    return entries


def entry_of(name: str, *, licence: str | None = None) -> SetEntry:
    """Return a set's entry, or one of a set that the catalogue has not, under a licence that is named.

    Raises
    ------
    UsageError
        It is unknown and no licence is named, or it is known and another licence is named.
    """
    known = catalogue()
    if name in known:
        if licence is not None and licence != known[name].licence:
            raise UsageError(
                f"{name} is under {known[name].licence}: --licence is for sets that are not in the catalogue"
            )
        return known[name]
    if licence is None:
        raise UsageError(
            f"no set is named {name!r}{nearest(name, known)}; one that is not in the catalogue needs --url and --licence, as "
            "its page states it"
        )
    return SetEntry(title=name, licence=licence)
