"""Which reader a file is for, by its first bytes."""

from __future__ import annotations

import zipfile
from pathlib import Path

from rtface.core.errors import DataError
from rtface.learn.study.contents import Content, Stated, content_of
from rtface.learn.study.hdf5_files import hdf5_content
from rtface.learn.study.matlab import Matlab5Arrays
from rtface.learn.study.numpy_files import NpzArrays, npy_content
from rtface.learn.study.nwb import is_nwb, nwb_content

_HDF5 = b"\x89HDF\r\n\x1a\n"
_USER_BLOCK = 512
_ENDINGS = (".npz", ".npy", ".h5", ".hdf5", ".nwb", ".mat")


def recognise(path: Path, stated: Stated) -> Content | None:
    """Return what a file holds, None if nothing that a study needs.

    Raises
    ------
    DataError
        The file is of a kind that a study needs, and damaged or not consistent.
    """
    try:
        with path.open("rb") as file:
            begin = file.read(_USER_BLOCK + len(_HDF5))
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    if begin.startswith(b"\x93NUMPY"):
        return npy_content(path)
    if begin.startswith(b"PK\x03\x04") and _holds_arrays(path):
        return content_of(NpzArrays(path), stated)
    if begin.startswith(_HDF5) or begin[_USER_BLOCK:] == _HDF5:
        return nwb_content(path, stated) if is_nwb(path) else hdf5_content(path, stated)
    if begin.startswith(b"MATLAB 5.0"):
        return content_of(Matlab5Arrays(path), stated)
    if not begin and path.suffix.lower() in _ENDINGS:
        raise DataError(f"{path} is empty")
    return None


def _holds_arrays(path: Path) -> bool:
    """Return whether a zip archive is numpy's: others are documents and programs."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith(".npy") for name in archive.namelist())
    except zipfile.BadZipFile:
        if path.suffix.lower() == ".npz":
            raise DataError(f"{path} breaks off or is damaged") from None
        return False
