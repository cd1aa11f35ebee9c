"""DeepLabCut's prediction files, csv and HDF5, as its own readers and their many followers expect them.

Columns have three levels, scorer, bodyparts and coords (x, y, likelihood); the index is the frame number; the
key of the HDF5 file is ``df_with_missing``. Layout as in DeepLabCut 2 and 3. Coordinates are pixels of the full
frame. The likelihood is our score.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rtface.core.errors import DataError
from rtface.core.records import FloatArray
from rtface.record.formats.base import atomic_file, from_rows, rows_by_frame
from rtface.record.table import PoseTable

if TYPE_CHECKING:
    import pandas as pd

LEVELS = ("scorer", "bodyparts", "coords")
COORDS = ("x", "y", "likelihood")
KEY = "df_with_missing"
SCORER_PREFIX = "rtface_"


class DeepLabCutCsv:
    """Text: three header rows, then one row a frame."""

    name = "deeplabcut-csv"
    endings = "*.csv"

    def write(self, table: PoseTable, path: Path, *, overwrite: bool = False) -> None:
        """Write the table; see `KeypointFormat.write`. Numbers read back as the same float32."""
        with atomic_file(path, overwrite=overwrite) as out:
            to_frame(table, path).to_csv(out, encoding="utf-8", lineterminator="\n")

    def read(self, path: Path) -> PoseTable:
        """Read a file of predictions; see `KeypointFormat.read`."""
        import pandas as pd

        try:
            frame = pd.read_csv(
                path,
                header=[0, 1, 2],
                index_col=0,
                low_memory=False,
                encoding="utf-8",
            )
        except (OSError, ValueError, IndexError) as error:
            raise DataError(f"cannot read {path} as a DeepLabCut csv file: {error}") from error
        return to_table(frame, path)


class DeepLabCutHdf5:
    """A pandas table in HDF5."""

    name = "deeplabcut-h5"
    endings = "*.h5, *.hdf5"

    def write(self, table: PoseTable, path: Path, *, overwrite: bool = False) -> None:
        """Write the table; see `KeypointFormat.write`."""
        import pandas as pd

        frame = to_frame(table, path)
        with atomic_file(path, overwrite=overwrite) as out:
            memory: dict[str, Any] = {"driver": "H5FD_CORE", "driver_core_backing_store": 0}
            with pd.HDFStore(f"rtface-{secrets.token_hex(8)}", mode="w", **memory) as opened:
                store: Any = opened
                layout = "table" if len(frame) else "fixed"  # as a table, pandas writes no file for no rows
                store.put(KEY, frame, format=layout, track_times=False)
                store.flush()
                out.write(store.root._v_file.get_file_image())  # noqa: SLF001  PyTables' documented name

    def read(self, path: Path) -> PoseTable:
        """Read a file of predictions; see `KeypointFormat.read`.

        pandas keeps parts of such files as pickles: read only files whose origin you trust.
        """
        import pandas as pd

        try:
            frame = pd.read_hdf(path, key=KEY)
        except KeyError as error:
            raise DataError(f"{path}: no key {KEY}; this is not a DeepLabCut file") from error
        except (OSError, ValueError, TypeError, AttributeError, RuntimeError) as error:
            raise DataError(f"cannot read {path} as a DeepLabCut HDF5 file: {error}") from error
        return to_table(frame, path)


def to_frame(table: PoseTable, path: Path) -> pd.DataFrame:
    """Return DeepLabCut's table: index 0 to F - 1 by frame, 3 K columns of float32 in pixels and likelihood."""
    import pandas as pd

    xy, score = rows_by_frame(table, path, table.score)
    values = np.concatenate([xy, score[:, :, None]], axis=2).reshape(len(score), 3 * len(table.names))
    columns = pd.MultiIndex.from_product([[SCORER_PREFIX + table.engine], table.names, COORDS], names=LEVELS)
    return pd.DataFrame(values, index=np.arange(len(values)), columns=columns)


def to_table(frame: Any, path: Path) -> PoseTable:
    """Check that what pandas read is DeepLabCut's table of one animal's predictions, and take it apart.

    Raises
    ------
    DataError
        Something is not as it should be; the message names the file and the column or the row.
    """
    import pandas as pd

    if not isinstance(frame, pd.DataFrame) or tuple(frame.columns.names) != LEVELS:
        found = ", ".join(map(str, frame.columns.names)) if isinstance(frame, pd.DataFrame) else "no table"
        hint = "; files of several animals are not read" if "individuals" in found else ""
        raise DataError(f"{path}: columns must have the levels {', '.join(LEVELS)}, found {found}{hint}")
    scorers = list(dict.fromkeys(map(str, frame.columns.get_level_values(0))))
    names = tuple(dict.fromkeys(map(str, frame.columns.get_level_values(1))))
    if len(scorers) != 1:
        raise DataError(f"{path}: scorer must be one, found {len(scorers)}")
    if frame.columns.has_duplicates:
        raise DataError(f"{path}: column {frame.columns[frame.columns.duplicated()][0]} is twice there")
    values = np.empty((len(frame), len(names), 3), np.float32)
    for point, name in enumerate(names):
        for coord, label in enumerate(COORDS):
            values[:, point, coord] = _column(frame, path, (scorers[0], name, label))
    frame_id = _frame_numbers(frame, path)
    xy, score = values[:, :, :2].copy(), values[:, :, 2].copy()
    engine = scorers[0].removeprefix(SCORER_PREFIX)
    return from_rows(names, frame_id, xy, score, engine=engine, score_definition="likelihood of the file")


def _column(frame: pd.DataFrame, path: Path, key: tuple[str, str, str]) -> FloatArray:
    if key not in frame.columns:
        hint = "; a file of labels has none, only predictions do" if key[2] == "likelihood" else ""
        raise DataError(f"{path}: {key[1]} has no column {key[2]}{hint}")
    try:
        column: FloatArray = frame[key].to_numpy(dtype=np.float32)
    except (ValueError, TypeError) as error:
        raise DataError(f"{path}: column {key[1]}, {key[2]} is not numbers: {error}") from error
    return column


def _frame_numbers(frame: pd.DataFrame, path: Path) -> np.ndarray[Any, np.dtype[np.int64]]:
    if not len(frame):
        return np.empty(0, np.int64)
    if frame.index.dtype.kind not in "iu":
        raise DataError(f"{path}: the index must be frame numbers, found {frame.index[0]!r}")
    numbers = frame.index.to_numpy().astype(np.int64)
    if numbers[0] < 0 or (np.diff(numbers) <= 0).any():
        raise DataError(f"{path}: the frame numbers of the index must rise from 0 or more")
    return numbers
