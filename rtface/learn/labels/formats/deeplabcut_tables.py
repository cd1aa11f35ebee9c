"""DeepLabCut's labels as pandas' tables: h5 files, opened only after a check of what they would run, and new ones.

pandas unpickles attributes of an h5 file unconditionally. A file from elsewhere could so run any code; one whose pickles
name any function or class is refused before pandas opens it. The only module here that needs pandas.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from rtface.core.errors import DataError
from rtface.core.extras import needing
from rtface.learn.labels.formats.deeplabcut_csv import label_csv
from rtface.learn.labels.formats.plainpickle import names_code
from rtface.record.formats.deeplabcut import KEY, LEVELS
from rtface.record.formats.pandas_store import put_for_all_pandas


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
        pandas is not installed, or the file cannot be read, is not such a table, or holds pickled objects.
    """
    pandas = _pandas()
    try:
        _refuse_code(path)
        with pandas.HDFStore(str(path), mode="r") as store:
            keys = [key.strip("/") for key in store]
            if KEY not in keys and len(keys) != 1:
                raise DataError(f"{path} holds no table {KEY}; there is {', '.join(keys) or 'none'}")
            frame = store.get(KEY if KEY in keys else keys[0])
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


def write_labels(
    stem: Path,
    scorer: str,
    images: Sequence[tuple[str, ...]],
    keypoints: Sequence[str],
    xy: NDArray[np.floating[Any]],
) -> None:
    """Write labels as DeepLabCut and napari open them, as ``STEM.csv`` and as ``STEM.h5``.

    Parameters
    ----------
    stem : Path
        The files' name without its ending.
    scorer : str
        Who labelled.
    images : sequence of tuple of str
        N images' paths, in parts.
    keypoints : sequence of str
        Names, K of them.
    xy : ndarray, shape (N, K, 2)
        Pixels of the images; NaN where there is no label.

    Raises
    ------
    DataError
        pandas is not installed.
    OSError
        A file cannot be written.
    """
    pandas = _pandas()
    table = pandas.DataFrame(
        xy.reshape(len(images), -1).astype(np.float64),
        index=pandas.MultiIndex.from_tuples(images),
        columns=pandas.MultiIndex.from_product([[scorer], keypoints, ["x", "y"]], names=LEVELS),
    )
    stem.with_suffix(".csv").write_text(
        label_csv(scorer, images, keypoints, xy), encoding="utf-8", newline="\n"
    )
    with pandas.HDFStore(stem.with_suffix(".h5"), mode="w") as store:
        put_for_all_pandas(store, KEY, table)


def _pandas() -> Any:
    with needing("lab", DataError):
        import pandas
        import tables  # noqa: F401  (pandas imports it late)
    return pandas


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
