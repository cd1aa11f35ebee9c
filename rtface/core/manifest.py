"""Folders with a manifest: what all manifests share, and reading one with errors that name file and field."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rtface.core.errors import EngineError

NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]*$"
"""Of the names of engines and encoders."""

_Model = TypeVar("_Model", bound=BaseModel)


class ManifestPart(BaseModel):
    """A part of a manifest: unknown fields are refused, and nothing changes once it is checked."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class FileEntry(ManifestPart):
    """A file beside the manifest."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    bytes: int = Field(ge=1)


def read_manifest(path: Path, model: type[_Model], missing: str = "") -> _Model:
    """Read and check the manifest of an engine or an encoder.

    Parameters
    ----------
    path : Path
        The file.
    model : type of BaseModel
        What it holds.
    missing : str
        Added to the message where the file cannot be read.

    Raises
    ------
    EngineError
        It cannot be read or breaks a rule; the message names the file and each field.
    """
    try:
        return model.model_validate_json(path.read_bytes())
    except OSError as error:
        raise EngineError(f"{path} cannot be read: {error.strerror}{missing}") from error
    except ValidationError as error:
        reasons = "; ".join(
            f"{'.'.join(str(part) for part in item['loc']) or 'manifest'}: {item['msg']}"
            for item in error.errors()
        )
        raise EngineError(f"{path}: {reasons}") from error
