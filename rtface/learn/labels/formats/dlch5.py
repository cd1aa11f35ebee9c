"""DeepLabCut's h5 tables, opened only after a look at what they would run.

They are pandas' files, whose reader unpickles attributes of a file without asking. A file from elsewhere could so
run any code; one whose pickles name any function or class is refused before pandas sees it.
"""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from rtface.core.errors import DataError
from rtface.core.extras import needing
from rtface.learn.labels.formats.plainpickle import names_code

_KEY = "df_with_missing"


def read_h5_table(path: Path) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]], NDArray[np.float64]]:
    """Return columns, index and values of a DeepLabCut h5.

    Returns
    -------
    columns : list of tuple of str
        Scorer, body part and coordinate; with the individual after the scorer for several animals.
    index : list of tuple of str
        Each row's path, whole or in parts.
    values : ndarray, shape (len(index), len(columns)), float64

    Raises
    ------
    DataError
        The file cannot be read, is not such a table, or holds pickled objects.
    """
    with needing("lab", DataError):
        import pandas
        import tables  # noqa: F401  (pandas imports it late)
    try:
        _refuse_code(path)
        with pandas.HDFStore(str(path), mode="r") as store:
            keys = [key.strip("/") for key in store]
            if _KEY not in keys and len(keys) != 1:
                raise DataError(f"{path} holds no table {_KEY}; there is {', '.join(keys) or 'none'}")
            frame = store.get(_KEY if _KEY in keys else keys[0])
        values = np.asarray(frame.to_numpy(), np.float64)
        columns = [_texts(column) for column in frame.columns]
        index = [_texts(row) for row in frame.index]
    except DataError:
        raise
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # PyTables and pandas raise all kinds for a file that is not theirs.
        raise DataError(f"{path} is no h5 table of DeepLabCut's: {error}") from error
    return columns, index, values


def _texts(value: object) -> tuple[str, ...]:
    return tuple(str(part) for part in value) if isinstance(value, tuple) else (str(value),)


def _refuse_code(path: Path) -> None:
    with h5py.File(path, "r") as file:
        nodes: list[h5py.Group | h5py.Dataset] = [file]
        seen = set()
        while nodes:
            node = nodes.pop()
            identity = h5py.h5o.get_info(node.id).addr
            if identity in seen:
                continue
            seen.add(identity)
            for name, value in node.attrs.items():
                _refuse_pickle(path, f"{node.name}@{name}", value)
            if isinstance(node, h5py.Dataset):
                if h5py.check_vlen_dtype(node.dtype) is not None:
                    raise DataError(f"{path} is refused: {node.name} holds pickled objects; use the csv")
                continue
            for name in node:
                if isinstance(node.get(name, getlink=True), h5py.ExternalLink):
                    raise DataError(f"{path} is refused: {node.name}/{name} points to another file")
                if not isinstance(node[name], h5py.Group | h5py.Dataset):
                    raise DataError(f"{path} is refused: {node.name}/{name} is neither group nor table")
                nodes.append(node[name])


def _refuse_pickle(path: Path, place: str, value: object) -> None:
    for item in np.asarray(value, object).ravel() if not isinstance(value, h5py.Empty) else ():
        data = item.encode("utf-8", "surrogateescape") if isinstance(item, str) else item
        if isinstance(data, bytes) and (code := names_code(data)):
            raise DataError(
                f"{path} is refused: opening it would run code, for {place} names {code}; use the csv"
            )
