"""Facemap's keypoint file: ``/Facemap/<keypoint>/{x, y, likelihood}``, each float32 of one value a frame.

Layout from Facemap 1.0 (Syeda et al., Nature Neuroscience 2024). Coordinates are pixels of the full frame, the
row is the frame number. Facemap's reader needs all 15 of its names, so all are written; other keypoints are
written beside them, where it does not read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from rtface.core.errors import DataError
from rtface.core.records import FACEMAP_KEYPOINTS
from rtface.record.formats.base import from_rows, read_array, reading_hdf5, rows_by_frame, write_hdf5
from rtface.record.table import PoseTable

GROUP = "Facemap"
MEANING = "likelihood_definition"
LEGACY = "Facemap's legacy likelihood"
SCORE = "rtface score"


class Facemap:
    """The file that Facemap's own tracker writes beside a video."""

    name = "facemap"
    endings: tuple[str, ...] = ("_FacemapPose.h5",)
    packages: tuple[str, ...] = ()

    def write(self, table: PoseTable, path: Path, *, overwrite: bool = False) -> None:
        """Write the table; see `KeypointFormat.write`.

        The likelihood is Facemap's legacy likelihood where the table has it, else our score; the attribute
        ``likelihood_definition`` of the group says which. A keypoint of Facemap's that the table has not is NaN
        with likelihood 0.
        """
        if wrong := [name for name in table.names if "/" in name or name == "."]:
            raise DataError(f"{path}: {wrong[0]!r} cannot be a keypoint's name in a Facemap file")
        legacy = table.likelihood
        xy, values = rows_by_frame(table, path, table.score if legacy is None else legacy)
        values[:, ~np.asarray(table.trained, dtype=bool)] = 0
        meaning = f"{SCORE}: {table.score_definition}" if legacy is None else LEGACY
        columns = {name: (xy[:, k, 0], xy[:, k, 1], values[:, k]) for k, name in enumerate(table.names)}
        nowhere, never = np.full(len(xy), np.nan, np.float32), np.zeros(len(xy), np.float32)
        others = [name for name in table.names if name not in FACEMAP_KEYPOINTS]

        def fill(file: Any) -> None:
            group = file.create_group(GROUP)
            group.attrs[MEANING] = meaning
            group.attrs["engine"] = table.engine
            for name in (*FACEMAP_KEYPOINTS, *others):
                x, y, likelihood = columns.get(name, (nowhere, nowhere, never))
                group[f"{name}/x"], group[f"{name}/y"], group[f"{name}/likelihood"] = x, y, likelihood

        write_hdf5(path, fill, overwrite=overwrite)

    def read(self, path: Path) -> PoseTable:
        """Read a file that Facemap or rtface wrote; see `KeypointFormat.read`.

        The score holds what the file calls likelihood. Where that is Facemap's (0.5 or more), it is in
        `PoseTable.likelihood` too.
        """
        import h5py

        with reading_hdf5(path) as file:
            group = file.get(GROUP)
            if not isinstance(group, h5py.Group) or not len(group):
                raise DataError(f"{path}: no group /{GROUP} with keypoints in it")
            known = [name for name in FACEMAP_KEYPOINTS if name in group]
            names = (*known, *(name for name in group if name not in known))
            meaning = str(group.attrs.get(MEANING, LEGACY))
            engine = str(group.attrs.get("engine", ""))
            columns = []
            rows: int | None = None
            for name in names:
                point = group.get(name)
                if not isinstance(point, h5py.Group):
                    raise DataError(f"{path}: /{GROUP}/{name} is not a group")
                for coord in ("x", "y", "likelihood"):
                    columns.append(read_array(path, point, coord, "f", (rows,)))
                    rows = len(columns[-1])
        values = np.stack(columns, axis=1).astype(np.float32).reshape(-1, len(names), 3)
        xy, score = values[:, :, :2].copy(), values[:, :, 2].copy()
        legacy = score.copy() if meaning == LEGACY else None
        frame_id = np.arange(len(values), dtype=np.int64)
        definition = meaning.removeprefix(f"{SCORE}: ")
        return from_rows(
            names, frame_id, xy, score, likelihood=legacy, engine=engine, score_definition=definition
        )
