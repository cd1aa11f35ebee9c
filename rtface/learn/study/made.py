"""Simulated recordings in the layout of Facemap's public data, its oddities among them: to try a study on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from rtface.analyse.population import Population, PopulationParameters
from rtface.analyse.simulated_population import Film, simulate_population
from rtface.analyse.svd import decompose
from rtface.core.errors import DataError
from rtface.core.extras import is_installed
from rtface.core.records import FloatArray, Image

BAD = {"constant": 2, "not finite": 1, "empty": 3}
"""Neurons of each recording of which nothing can be predicted, by why."""

_SIDE = 64
_KEY = "df_with_missing"


def write_made_study(
    root: Path,
    recordings: int = 2,
    neurons: int = 300,
    seconds: float = 300.0,
    components: int = 40,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[str]:
    """Write recordings of simulated mice as the authors' deposit holds theirs.

    ``neural_data/spont_MOUSE_DATE_1_spks.npz`` with camera times that are one short and a running speed that is one short;
    ``cam/cam0_MOUSE_DATE_proc.npy`` with the movie's components; ``proc/keypoints/``: of every second recording filtered
    keypoints (``kpfilt_cam0_...npy``), of the others a pandas table (``cam0_..._FacemapPose.h5``), where pandas is
    installed. Some neurons are bad (`BAD`).

    Parameters
    ----------
    root : Path
        A new folder, or an empty one.
    recordings, neurons : int
        How many; neurons of each, the bad ones among them.
    seconds : float
        Of each.
    components : int
        Of the film, at most.
    seed : int
        Of the first; the same seed gives the same arrays.
    progress : callable
        Called with the recordings done and to do.

    Returns
    -------
    list of str
        The recordings' names.

    Raises
    ------
    DataError
        The folder is not empty, or cannot be written.
    """
    try:
        if root.exists() and any(root.iterdir()):
            raise DataError(f"{root} is not empty; choose another folder")
        for folder in ("neural_data", "cam", "proc/keypoints"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        names = []
        for number in range(recordings):
            progress(number, recordings)
            population = simulate_population(
                PopulationParameters(
                    neurons=neurons, seconds=seconds, clusters=10, noise=0.2, seed=seed + number
                )
            )
            mouse = f"SIM{number + 1}_2026_11_{number + 1:02d}"
            _write(root, mouse, population, components, tabled=number % 2 == 0)
            names.append(f"spont_{mouse}_1")
        progress(recordings, recordings)
    except OSError as error:
        raise DataError(f"{root} cannot be written: {error.strerror or error}") from error
    return names


def _write(root: Path, mouse: str, population: Population, components: int, *, tabled: bool) -> None:
    spks = population.traces()
    first = 0
    for why, value in (("constant", 1.0), ("not finite", np.nan), ("empty", 0.0)):
        spks[first : first + BAD[why], 5 if why == "not finite" else slice(None)] = value
        first += BAD[why]
    np.savez(
        root / "neural_data" / f"spont_{mouse}_1_spks.npz",
        spks=spks,
        xpos=population.xpos,
        ypos=population.ypos,
        tcam=population.tcam[:-1],
        tneural=population.tneural,
        run=population.run[: spks.shape[1] - 1],
        simulated=np.array(True),
    )
    frames = _frames(population)
    film = decompose(lambda: frames, len(population.tcam), components, "movie")
    processed: dict[str, Any] = {
        "movSVD": [film.traces],
        "motSVD": [],
        "pupil": [],
        "running": [],
        "Ly": [_SIDE],
        "Lx": [_SIDE],
        "filenames": [[f"cam0_{mouse}.avi"]],
    }
    np.save(root / "cam" / f"cam0_{mouse}_proc.npy", np.array(processed, dtype=object), allow_pickle=True)
    names, xy = population.behaviour.names, population.keypoints
    folder = root / "proc" / "keypoints"
    if tabled and is_installed("tables"):
        _write_table(folder / f"cam0_{mouse}_FacemapPose.h5", names, xy)
        return
    kept: dict[str, Any] = {"xy": xy, "keypoint_labels": list(names)}
    np.save(folder / f"kpfilt_cam0_{mouse}.npy", np.array(kept, dtype=object), allow_pickle=True)


def _write_table(path: Path, names: tuple[str, ...], xy: FloatArray) -> None:
    import pandas

    columns = pandas.MultiIndex.from_product(
        [["Facemap"], names, ["x", "y", "likelihood"]], names=["scorer", "bodyparts", "coords"]
    )
    values = np.concatenate([xy, np.full((*xy.shape[:2], 1), 0.95, np.float32)], axis=2)
    pandas.DataFrame(values.reshape(len(xy), -1), columns=columns).to_hdf(path, key=_KEY, mode="w")


def _frames(population: Population) -> list[Image]:
    film = Film(population, _SIDE, _SIDE)
    frames = [np.empty((_SIDE, _SIDE), np.uint8) for _ in population.tcam]
    for index, frame in enumerate(frames):
        film.render(index, frame)
    return frames
