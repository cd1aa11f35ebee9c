"""Small recordings with a known encoding in the layout of Facemap's public data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas
from numpy.typing import NDArray

from support.neural_recording import NAMES, make_session

BAD = {"not finite": 1, "empty": 3, "constant": 2}
COMPONENTS = 12


def write_deposit(root: Path, recordings: int = 2, seconds: float = 240.0, neurons: int = 60) -> list[str]:
    """Write them: keypoints of every second one are a pandas table, of the others filtered; return their names."""
    for folder in ("neural_data", "cam", "proc/keypoints"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    names = []
    for number in range(recordings):
        mouse = f"TX{number + 1}_2021_03_{number + 4:02d}"
        # Of different lengths, as recordings are: a file is known by its number of frames too.
        arrays = make_session(seconds + 10 * number, neurons, seed=number)
        write_neurons(root / "neural_data" / f"spont_{mouse}_1_spks.npz", arrays)
        keypoints = root / "proc" / "keypoints"
        if number % 2 == 0:
            write_table(keypoints / f"cam0_{mouse}_FacemapPose.h5", arrays["keypoints"])
        else:
            write_filtered(keypoints / f"kpfilt_cam0_{mouse}.npy", arrays["keypoints"])
        write_processed(root / "cam" / f"cam0_{mouse}_proc.npy", arrays["keypoints"], number)
        names.append(f"spont_{mouse}_1")
    return names


def write_neurons(path: Path, arrays: dict[str, NDArray[Any]], **changed: Any) -> None:
    """Write neurons of which the first six are bad, camera times that are one short, and running that is one short."""
    spks = arrays["spks"].copy()
    spks[0, 7] = np.nan
    spks[1:4] = 0
    spks[4:6] = 2.5
    kept = {
        "spks": spks,
        "xpos": arrays["xpos"],
        "ypos": arrays["ypos"],
        "tcam": arrays["tcam"][:-1],
        "tneural": arrays["tneural"],
        "run": arrays["run"][:-1],
    } | changed
    np.savez(path, **{name: value for name, value in kept.items() if value is not None})


def write_table(path: Path, xy: NDArray[Any]) -> None:
    """Write keypoints as the pandas table of the deposit."""
    columns = pandas.MultiIndex.from_product(
        [["Facemap"], NAMES, ["x", "y", "likelihood"]], names=["scorer", "bodyparts", "coords"]
    )
    values = np.concatenate([xy, np.ones((*xy.shape[:2], 1), np.float32)], axis=2).reshape(len(xy), -1)
    pandas.DataFrame(values, columns=columns).to_hdf(path, key="df_with_missing", mode="w")


def write_filtered(path: Path, xy: NDArray[Any]) -> None:
    """Write keypoints as the paper's filter leaves them."""
    _save(path, {"xy": xy, "keypoint_labels": list(NAMES)})


def write_processed(path: Path, xy: NDArray[Any], seed: int = 0, **changed: Any) -> None:
    """Write Facemap's processing: movie components that are mixtures of the coordinates, and noise."""
    random = np.random.default_rng([seed, 7])
    flat = xy.reshape(len(xy), -1)
    flat = (flat - flat.mean(axis=0)) / flat.std(axis=0)
    film = flat @ random.normal(0, 1, (flat.shape[1], COMPONENTS)) + random.normal(
        0, 0.5, (len(xy), COMPONENTS)
    )
    kept = {
        "movSVD": [film.astype(np.float32)],
        "motSVD": [],
        "running": [],
        "pupil": [{"area": np.abs(film[:, 0]), "area_smooth": np.abs(film[:, 1])}],
        "filenames": [["cam0.avi"]],
        "Ly": [480],
    } | changed
    _save(path, kept)


def _save(path: Path, kept: dict[str, Any]) -> None:
    np.save(path, np.array(kept, dtype=object), allow_pickle=True)
