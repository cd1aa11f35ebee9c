"""DeepLabCut's prediction files, csv and HDF5, as its own readers and their many followers expect them.

Columns have three levels, scorer, bodyparts and coords (x, y, likelihood); the index is the frame number; the
key of the HDF5 file is ``df_with_missing``. Layout as in DeepLabCut 2 and 3. Coordinates are pixels of the full
frame. The likelihood is our score. The csv is what pandas would write, to the byte; only HDF5 needs pandas.
"""

from __future__ import annotations

import csv
import io
import secrets
from array import array
from collections.abc import Iterable, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface.core.errors import DataError
from rtface.core.extras import needing
from rtface.core.records import FloatArray
from rtface.record.formats.base import atomic_file, from_rows, rows_by_frame
from rtface.record.formats.pandas_store import put_for_all_pandas
from rtface.record.table import PoseTable

LEVELS = ("scorer", "bodyparts", "coords")
COORDS = ("x", "y", "likelihood")
KEY = "df_with_missing"
SCORER_PREFIX = "rtface_"

_ROWS_AT_ONCE = 1000
_MISSING = frozenset(("", "NA", "N/A", "n/a", "<NA>", "NULL", "null", "None"))
"""What stands in a csv for no number, beside what Python reads as NaN."""


class DeepLabCutCsv:
    """Text: three header rows, then one row a frame."""

    name = "deeplabcut-csv"
    endings: tuple[str, ...] = (".csv",)
    packages: tuple[str, ...] = ()

    def write(self, table: PoseTable, path: Path, *, overwrite: bool = False) -> None:
        """Write the table; see `KeypointFormat.write`. Numbers read back as the same float32."""
        values = _values(table, path)
        with atomic_file(path, overwrite=overwrite) as out:
            out.write(_text(zip(LEVELS, *_columns(table), strict=True)))
            for first in range(0, len(values), _ROWS_AT_ONCE):
                cells = values[first : first + _ROWS_AT_ONCE].astype(str)
                cells[cells == "nan"] = ""
                out.write(_text((row, *each) for row, each in enumerate(cells.tolist(), first)))

    def read(self, path: Path) -> PoseTable:
        """Read a file of predictions; see `KeypointFormat.read`."""
        frames, values = array("q"), array("f")
        try:
            with path.open(newline="", encoding="utf-8") as file:
                rows = csv.reader(file)
                heads = [row for _, row in zip(LEVELS, rows, strict=False)]
                if len(heads) < len(LEVELS) or len(set(map(len, heads))) != 1:
                    raise DataError(f"{path}: no DeepLabCut file: it begins with no three rows of one length")
                levels, *columns = zip(*heads, strict=True)
                layout = _Layout(path, levels, columns)
                for frame, *cells in filter(None, rows):
                    if len(cells) != len(columns):
                        raise DataError(
                            f"{path}, line {rows.line_num}: {len(cells)} values for {len(columns)} columns"
                        )
                    frames.append(_frame_number(path, frame))
                    values.extend(_numbers(path, rows.line_num, columns, cells))
        except (OSError, ValueError, OverflowError, csv.Error) as error:
            raise DataError(f"cannot read {path} as a DeepLabCut csv file: {error}") from error
        found = np.array(values, np.float32).reshape(len(frames), len(columns))
        return layout.table(np.array(frames, np.int64), found)


class DeepLabCutHdf5:
    """A pandas table in HDF5."""

    name = "deeplabcut-h5"
    endings: tuple[str, ...] = (".h5", ".hdf5")
    packages: tuple[str, ...] = ("pandas", "tables")

    def write(self, table: PoseTable, path: Path, *, overwrite: bool = False) -> None:
        """Write the table; see `KeypointFormat.write`."""
        pd = _pandas()
        columns = pd.MultiIndex.from_tuples(_columns(table), names=LEVELS)
        frame = pd.DataFrame(_values(table, path), columns=columns)
        frame.index = np.arange(len(frame))
        with atomic_file(path, overwrite=overwrite) as out:
            memory: dict[str, Any] = {"driver": "H5FD_CORE", "driver_core_backing_store": 0}
            with pd.HDFStore(f"rtface-{secrets.token_hex(8)}", mode="w", **memory) as store:
                layout = "table" if len(frame) else "fixed"  # as a table, pandas writes no file for no rows
                put_for_all_pandas(store, KEY, frame, layout)
                store.flush()
                out.write(store.root._v_file.get_file_image())  # noqa: SLF001  PyTables' documented name

    def read(self, path: Path) -> PoseTable:
        """Read a file of predictions; see `KeypointFormat.read`.

        pandas keeps parts of such files as pickles: read only files whose origin you trust.
        """
        pd = _pandas()
        try:
            frame = pd.read_hdf(path, key=KEY)
        except KeyError as error:
            raise DataError(f"{path}: no key {KEY}; this is not a DeepLabCut file") from error
        except (OSError, ValueError, TypeError, AttributeError, RuntimeError) as error:
            raise DataError(f"cannot read {path} as a DeepLabCut HDF5 file: {error}") from error
        if not isinstance(frame, pd.DataFrame):
            raise DataError(f"{path}: {KEY} is no table")
        layout = _Layout(path, frame.columns.names, [tuple(map(str, column)) for column in frame.columns])
        if len(frame) and frame.index.dtype.kind not in "iu":
            _frame_number(path, frame.index[0])
        try:
            values = frame.to_numpy(np.float32)
        except (ValueError, TypeError) as error:
            raise DataError(f"{path}: not all columns are numbers: {error}") from error
        return layout.table(frame.index.to_numpy().astype(np.int64), values)


def _pandas() -> Any:
    with needing("lab", DataError):
        import pandas
        import tables  # noqa: F401  (pandas imports it late)
    return pandas


def _columns(table: PoseTable) -> list[tuple[str, str, str]]:
    return [(SCORER_PREFIX + table.engine, name, coord) for name in table.names for coord in COORDS]


def _values(table: PoseTable, path: Path) -> FloatArray:
    """Return pixels and likelihood by frame and column, shape (F, 3 K), float32."""
    xy, score = rows_by_frame(table, path, table.score)
    return np.concatenate([xy, score[:, :, None]], axis=2).reshape(len(score), 3 * len(table.names))


def _text(rows: Iterable[Iterable[object]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode("utf-8")


def _frame_number(path: Path, index: object) -> int:
    try:
        return int(str(index))
    except ValueError:
        raise DataError(f"{path}: the index must be frame numbers, found {index!r}") from None


def _numbers(path: Path, line: int, columns: Sequence[tuple[str, ...]], cells: Sequence[str]) -> list[float]:
    numbers: list[float] = []
    try:
        for cell in cells:
            numbers.append(np.nan if cell in _MISSING else float(cell))
    except ValueError as error:
        _, name, coord = columns[len(numbers)]
        raise DataError(f"{path}, line {line}: column {name}, {coord} is not numbers: {error}") from error
    return numbers


class _Layout:
    """The columns of a file, checked to be one animal's predictions.

    Parameters
    ----------
    path : Path
        For messages.
    levels : sequence
        Names of the columns' levels.
    columns : sequence of tuple of str
        Scorer, body part and coordinate of each column.

    Raises
    ------
    DataError
        Something is not as it should be; the message names the file and the column.
    """

    def __init__(self, path: Path, levels: Sequence[Any], columns: Sequence[tuple[str, ...]]) -> None:
        if tuple(levels) != LEVELS:
            hint = "; files of several animals are not read" if "individuals" in levels else ""
            found = ", ".join(map(str, levels))
            raise DataError(f"{path}: columns must have the levels {', '.join(LEVELS)}, found {found}{hint}")
        scorers = list(dict.fromkeys(scorer for scorer, _, _ in columns))
        if len(scorers) != 1:
            raise DataError(f"{path}: scorer must be one, found {len(scorers)}")
        self._path, self._scorer = path, scorers[0]
        self._names = tuple(dict.fromkeys(name for _, name, _ in columns))
        places = {(name, coord): place for place, (_, name, coord) in enumerate(columns)}
        if len(places) < len(columns):
            twice = next(column for place, column in enumerate(columns) if column in columns[:place])
            raise DataError(f"{path}: column {twice} is twice there")
        for name, coord in product(self._names, COORDS):
            if (name, coord) not in places:
                hint = "; a file of labels has none, only predictions do" if coord == "likelihood" else ""
                raise DataError(f"{path}: {name} has no column {coord}{hint}")
        self._places = [[places[name, coord] for coord in COORDS] for name in self._names]

    def table(self, frame_id: NDArray[np.int64], values: FloatArray) -> PoseTable:
        """Return the table of frames, shape (N,), whose numbers must rise, and their values, shape (N, columns)."""
        if len(frame_id) and (frame_id[0] < 0 or (np.diff(frame_id) <= 0).any()):
            raise DataError(f"{self._path}: the frame numbers of the index must rise from 0 or more")
        found = values[:, self._places]
        return from_rows(
            self._names,
            frame_id,
            found[:, :, :2].copy(),
            found[:, :, 2].copy(),
            engine=self._scorer.removeprefix(SCORER_PREFIX),
            score_definition="likelihood of the file",
        )
