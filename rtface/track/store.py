"""Engines on disk: find, load, check and write them.

A reference is the name of an engine or else the path of its folder. Names are those in the user's own folder (where
`rtface engines import` puts engines; RTFACE_ENGINES names another) and, after them, those shipped with rtface.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from rtface.core import manifest as sidecar
from rtface.core.errors import EngineError, nearest
from rtface.core.files import file_hash, folder_written_whole, write_json
from rtface.core.manifest import NAME_PATTERN, FileEntry
from rtface.track.manifest import (
    WEIGHTS_FILE,
    DecodeSpec,
    InputSpec,
    LevelsSpec,
    Manifest,
    ResampleSpec,
    preprocessing_hash,
)

DEFAULT_ENGINE = "face-3-int8"
MANIFEST_FILE = "manifest.json"


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine whose files were found and agree with its manifest."""

    folder: Path
    manifest: Manifest

    def file(self, name: str) -> Path:
        """Return the path of one of the engine's files.

        Raises
        ------
        EngineError
            The manifest names no such file.
        """
        if name not in self.manifest.files:
            raise EngineError(f"the engine {self.manifest.name} ({self.folder}) has no {name}")
        return self.folder / name

    @property
    def sha256(self) -> str:
        """Hash that identifies the engine: of its manifest, which holds the hashes of its files."""
        return file_hash(self.folder / MANIFEST_FILE)


def user_folder() -> Path:
    """Return the folder of the user's own engines; it may not exist yet."""
    if named := os.environ.get("RTFACE_ENGINES"):
        return Path(named)
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "rtface" / "engines"


def shipped_folder() -> Path:
    """Return the folder of the engines that come with rtface: in the wheel, or beside the source tree."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "engines"
    return installed if installed.is_dir() else package.parent / "engines"


def installed_engines() -> dict[str, Path]:
    """Return the folders of all engines that can be named; the user's own come before shipped ones."""
    return {
        manifest.parent.name: manifest.parent
        for root in (shipped_folder(), user_folder())
        for manifest in sorted(root.glob(f"*/{MANIFEST_FILE}"))
    }


def find_engine(reference: str) -> Path:
    """Return the folder of an engine from its name or its path.

    Raises
    ------
    EngineError
        There is none; the message names the nearest.
    """
    engines = installed_engines()
    name = DEFAULT_ENGINE if reference == "default" else reference
    if name in engines:
        return engines[name]
    path = Path(reference)
    if (path / MANIFEST_FILE).is_file():
        return path
    if path.is_dir() or os.sep in reference:
        raise EngineError(f"{reference} is not an engine: it holds no {MANIFEST_FILE}")
    hint = nearest(name, engines) or "; there are: none"
    raise EngineError(f"no engine is named {name!r}{hint}")


def load_engine(reference: str) -> Engine:
    """Find an engine and check every file against its manifest.

    Parameters
    ----------
    reference : str
        A name, ``default``, or the path of an engine's folder.

    Raises
    ------
    EngineError
        The engine is missing, malformed, incomplete or was changed since it was made.
    """
    folder = find_engine(reference)
    manifest = read_manifest(folder / MANIFEST_FILE)
    for name, entry in manifest.files.items():
        path = folder / name
        if not path.is_file():
            raise EngineError(f"{path} is missing: the engine {manifest.name} is incomplete")
        if (size := path.stat().st_size) != entry.bytes:
            raise EngineError(
                f"{path} has {size} bytes, its manifest says {entry.bytes}: damaged or replaced"
            )
        if file_hash(path) != entry.sha256:
            raise EngineError(f"{path} does not have the hash its manifest says: damaged or replaced")
    return Engine(folder, manifest)


def read_manifest(path: Path) -> Manifest:
    """Read and check a manifest.

    Raises
    ------
    EngineError
        It cannot be read or breaks a rule; the message names file and field.
    """
    return sidecar.read_manifest(path, Manifest)


def exported_from(engine: Engine) -> Engine:
    """Return the engine that this one was exported from, which must still be installed and unchanged.

    Raises
    ------
    EngineError
        The engine was not exported from another, or that one is gone or was changed.
    """
    training = engine.manifest.training
    name = training.get("exported_from")
    if not isinstance(name, str):
        raise EngineError(
            f"{engine.manifest.name} was not exported from another engine: there is no parity to check"
        )
    reference = load_engine(name)
    if reference.sha256 != training.get("exported_from_sha256"):
        raise EngineError(f"{name} is not the engine that {engine.manifest.name} was exported from any more")
    return reference


def trainable_source(engine: Engine) -> Engine:
    """Return the engine whose weights can be trained: itself, or the one it was exported from.

    Raises
    ------
    EngineError
        There is none, or it is gone or was changed.
    """
    if WEIGHTS_FILE in engine.manifest.files:
        return engine
    if "exported_from" not in engine.manifest.training:
        raise EngineError(
            f"{engine.manifest.name} has no {WEIGHTS_FILE}, so it cannot be trained; adapt an engine that has"
        )
    return trainable_source(exported_from(engine))


def check_new(folder: Path, *, overwrite: bool = False) -> None:
    """Refuse a folder that `write_engine` would refuse: before the work that the engine takes, not after it.

    Raises
    ------
    EngineError
        The folder exists, or its name cannot be an engine's.
    """
    if re.fullmatch(NAME_PATTERN, folder.name) is None:
        raise EngineError(
            f"{folder.name!r} cannot be an engine's name: small letters, digits, and . _ - after the first"
        )
    if folder.exists() and not overwrite:
        raise EngineError(f"{folder} exists already; choose another name, or replace it by --overwrite")


def write_engine(
    folder: Path,
    files: Mapping[str, Path],
    fields: Mapping[str, Any],
    *,
    more: Callable[[Path], None] = lambda fresh: None,
    overwrite: bool = False,
) -> Engine:
    """Make an engine's folder from its files and the fields of its manifest.

    The folder appears complete or not at all.

    Parameters
    ----------
    folder : Path
        Where the engine shall lie; its name is the engine's name.
    files : mapping of str to Path
        Name in the engine to the file to copy.
    fields : mapping
        `Manifest`'s fields, less ``name``, ``files`` and ``preprocessing_sha256``, which are worked out here.
    more : callable
        Given the new folder, with its manifest, puts what else belongs into it.
    overwrite : bool
        Replace an engine that is there.

    Raises
    ------
    EngineError
        The folder exists, cannot be written, or the fields make no manifest.
    """
    check_new(folder, overwrite=overwrite)
    try:
        with folder_written_whole(folder, replace=overwrite) as fresh:
            for name, source in files.items():
                shutil.copyfile(source, fresh / name)
            _write_manifest(fresh, folder.name, tuple(files), fields)
            more(fresh)
    except OSError as error:
        raise EngineError(f"the engine {folder} cannot be written: {error}") from error
    return load_engine(str(folder))


def _write_manifest(folder: Path, name: str, files: tuple[str, ...], fields: Mapping[str, Any]) -> None:
    entries = {
        file: FileEntry(sha256=file_hash(folder / file), bytes=(folder / file).stat().st_size)
        for file in files
    }
    try:
        digest = preprocessing_hash(
            InputSpec.model_validate(fields.get("input")),
            LevelsSpec.model_validate(fields.get("normalise", {})),
            ResampleSpec.model_validate(fields.get("resample")),
            DecodeSpec.model_validate(fields.get("decode")),
        )
        complete = Manifest(**{**fields, "name": name, "files": entries, "preprocessing_sha256": digest})
    except ValidationError as error:
        raise EngineError(f"no engine {name} can be made of this: {error}") from error
    write_json(folder / MANIFEST_FILE, complete.model_dump(mode="json"))
