"""Files of a population: its recording, an encoder's predictions of it, and latents.

A recording is an ``.npz`` file in the layout of Facemap's neural data: ``spks`` (neurons x time), ``tcam``,
``tneural``, ``xpos``, ``ypos``, ``run``; and of a simulated one ``keypoints``, ``keypoint_names``, ``simulated``,
``about`` (JSON) and what is true of it (``truth_...``, see `Population.truth`).
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from rtface.analyse.population import Population
from rtface.analyse.traces import Traces
from rtface.core.errors import DataError
from rtface.core.files import written_whole
from rtface.core.records import FloatArray
from rtface.record.formats.base import atomic_file


@dataclass(frozen=True, eq=False)
class Recorded:
    """A recording of a population, as read from a file.

    Attributes
    ----------
    spks : ndarray or StoredTraces, shape (N, S), float32
        Deconvolved traces.
    tcam, tneural : ndarray, shape (T,) and (S,), float64
        Times in seconds.
    xpos, ypos : ndarray, shape (N,), float32, or None
        Places in micrometres, where they are known.
    run : ndarray, shape (S,) or one more or less, float32, or None
        Running speed.
    simulated : bool
        Whether the file is marked as simulated.
    keypoints : ndarray, shape (T, K, 2), float32, or None
        Where the file holds them.
    keypoint_names : tuple of str
        Their names.
    truth : dict
        Arrays of a simulated one, without the ``truth_`` of their names.
    about : str
        JSON of what was simulated, or "".
    """

    spks: Traces
    tcam: NDArray[np.float64]
    tneural: NDArray[np.float64]
    xpos: FloatArray | None = None
    ypos: FloatArray | None = None
    run: FloatArray | None = None
    simulated: bool = False
    keypoints: FloatArray | None = None
    keypoint_names: tuple[str, ...] = ()
    truth: dict[str, NDArray[Any]] = field(default_factory=dict)
    about: str = ""


@dataclass(frozen=True, eq=False)
class ActivityPredictions:
    """What an encoder predicted of held-out samples, as Facemap's scripts store it.

    Attributes
    ----------
    real, predicted : ndarray, shape (M, C), float32
        Components (``Y_test``, ``Y_pred_test``).
    samples : ndarray, shape (M,), int64
        Neural samples that they are of (``itest``).
    readout : ndarray, shape (N, C), float32, or None
        From components to normalised neurons (``U``), where the file has it.
    ceiling : ndarray, shape (C,), float64, or None
        The most that behaviour could explain, of a simulated population.
    method : str
        What predicted.
    ridge : ndarray, shape (M, C), float32, or None
        What a ridge regression predicts of the same samples (``Y_ridge_test``).
    null : ndarray, shape (n, C), float64, or None
        Variance explained by that regression of activity that was moved in time (``null_by_output``).
    null_together : ndarray, shape (n,), float64, or None
        The same of all components jointly (``null_together``).
    """

    real: FloatArray
    predicted: FloatArray
    samples: NDArray[np.int64]
    readout: FloatArray | None = None
    ceiling: NDArray[np.float64] | None = None
    method: str = "the predictions given"
    ridge: FloatArray | None = None
    null: NDArray[np.float64] | None = None
    null_together: NDArray[np.float64] | None = None


def write_population(
    population: Population,
    path: Path,
    *,
    overwrite: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Write a simulated session; traces go to the file block by block and are never held together.

    Parameters
    ----------
    population : Population
        What to write.
    path : Path
        Ends in ``.npz``.
    overwrite : bool
        Whether a file of that name may be replaced.
    progress : callable
        Called with the neurons done and to do.

    Raises
    ------
    DataError
        The file is there already, or cannot be written.
    """
    if path.suffix != ".npz":
        raise DataError(f"{path}: a population's file ends in .npz")
    whole = {
        "tcam": population.tcam,
        "tneural": population.tneural,
        "xpos": population.xpos,
        "ypos": population.ypos,
        "run": population.run,
        "keypoints": population.keypoints,
        "keypoint_names": np.array(population.behaviour.names),
        "simulated": np.array(True),
        "about": np.array(population.about()),
        **population.truth(),
    }
    neurons, samples = len(population.rate), len(population.tneural)
    with (
        atomic_file(path, overwrite=overwrite) as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive,
    ):
        for name, array in whole.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                npy.write_array(entry, np.asarray(array), allow_pickle=False)
        with archive.open("spks.npy", "w", force_zip64=True) as entry:
            header = {"descr": "<f4", "fortran_order": False, "shape": (neurons, samples)}
            npy.write_array_header_1_0(entry, header)
            for part, traces in population.blocks():
                entry.write(np.ascontiguousarray(traces, "<f4").data.cast("B"))
                progress(part.stop, neurons)


def read_population(path: Path) -> Recorded:
    """Read a recording: Facemap's neural data, or a simulated session.

    Raises
    ------
    DataError
        The file is missing, is no ``.npz``, holds pickles, lacks an array, or its shapes do not go together. The
        message names file and array.
    """
    arrays = _arrays(path, "spks", "tcam", "tneural")
    spks = arrays["spks"]
    if spks.ndim != 2 or spks.dtype.kind not in "fiu":
        raise DataError(f"{path}: spks is {spks.dtype} of shape {spks.shape}, not numbers of neurons x time")
    neurons, samples = spks.shape
    for name, length in (("tneural", samples), ("xpos", neurons), ("ypos", neurons)):
        if name in arrays and arrays[name].shape != (length,):
            raise DataError(
                f"{path}: {name} has shape {arrays[name].shape}, but spks has {neurons} neurons x {samples} times"
            )
    keypoints = arrays.get("keypoints")
    if keypoints is not None and keypoints.shape[:1] != arrays["tcam"].shape:
        raise DataError(
            f"{path}: {len(keypoints)} frames of keypoints but {len(arrays['tcam'])} camera times"
        )
    return Recorded(
        spks=spks.astype(np.float32, copy=False),
        tcam=arrays["tcam"].astype(np.float64, copy=False),
        tneural=arrays["tneural"].astype(np.float64, copy=False),
        **{
            name: arrays[name].astype(np.float32, copy=False)
            for name in ("xpos", "ypos", "run")
            if name in arrays
        },
        simulated=bool(arrays.get("simulated", False)),
        keypoints=keypoints,
        keypoint_names=tuple(arrays["keypoint_names"].tolist()) if "keypoint_names" in arrays else (),
        truth={
            name.removeprefix("truth_"): each for name, each in arrays.items() if name.startswith("truth_")
        },
        about=str(arrays.get("about", "")),
    )


def read_predictions(path: Path, samples: int) -> ActivityPredictions:
    """Read predictions of a recording of so many neural samples.

    Raises
    ------
    DataError
        The file is missing, no ``.npz``, lacks an array, or its shapes do not go together.
    """
    arrays = _arrays(path, "Y_test", "Y_pred_test", "itest")
    real, predicted, index = arrays["Y_test"], arrays["Y_pred_test"], arrays["itest"].ravel().astype(np.int64)
    if real.ndim != 2 or real.shape != predicted.shape or len(index) != len(real):
        raise DataError(
            f"{path}: Y_test {real.shape}, Y_pred_test {predicted.shape} and itest {index.shape} do not go together"
        )
    ridge, null = arrays.get("Y_ridge_test", real), arrays.get("null_by_output", real[:1])
    if ridge.shape != real.shape or null.ndim != 2 or null.shape[1] != real.shape[1]:
        raise DataError(
            f"{path}: Y_ridge_test {ridge.shape} and null_by_output {null.shape} do not go with Y_test {real.shape}"
        )
    if index.size and (index.min() < 0 or index.max() >= samples):
        raise DataError(f"{path}: itest goes to {index.max()}, but the recording has {samples} samples")
    return ActivityPredictions(
        real.astype(np.float32),
        predicted.astype(np.float32),
        index,
        arrays["U"].astype(np.float32) if "U" in arrays else None,
        arrays["ceiling"].astype(np.float64) if "ceiling" in arrays else None,
        str(arrays.get("method", ActivityPredictions.method)),
        arrays["Y_ridge_test"].astype(np.float32) if "Y_ridge_test" in arrays else None,
        arrays["null_by_output"].astype(np.float64) if "null_by_output" in arrays else None,
        arrays["null_together"].astype(np.float64) if "null_together" in arrays else None,
    )


def write_predictions(path: Path, predictions: ActivityPredictions) -> None:
    """Write predictions as `read_predictions` reads them; `DataError` where the file cannot be written."""
    arrays: dict[str, NDArray[Any] | None] = {
        "Y_test": predictions.real,
        "Y_pred_test": predictions.predicted,
        "itest": predictions.samples,
        "U": predictions.readout,
        "ceiling": predictions.ceiling,
        "method": np.array(predictions.method),
        "Y_ridge_test": predictions.ridge,
        "null_by_output": predictions.null,
        "null_together": predictions.null_together,
    }
    known: dict[str, Any] = {name: array for name, array in arrays.items() if array is not None}
    try:
        with written_whole(path) as fresh, fresh.open("wb") as file:
            np.savez(file, **known)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror or error}") from error


def read_latents(path: Path) -> FloatArray:
    """Read latents, camera frames x latents, from an ``.npy`` file; `DataError` for anything else."""
    try:
        latents = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: {error}") from error
    if not isinstance(latents, np.ndarray) or latents.ndim != 2 or latents.dtype.kind != "f":
        raise DataError(f"{path}: not one array of frames x latents")
    if not np.isfinite(latents).all():
        raise DataError(f"{path}: frame {int(np.argwhere(~np.isfinite(latents))[0, 0])} is not finite")
    return latents.astype(np.float32, copy=False)


def _arrays(path: Path, *needed: str) -> dict[str, NDArray[Any]]:
    """Return the arrays of an ``.npz`` file, the needed ones among them."""
    try:
        with path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                raise DataError(f"{path}: one array, not an .npz file of several")
            arrays = {name: loaded[name] for name in loaded.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: {error}") from error
    for name in needed:
        if name not in arrays:
            raise DataError(f"{path}: no array {name!r}; it holds {', '.join(sorted(arrays)) or 'nothing'}")
    return arrays
