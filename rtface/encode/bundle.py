"""An encoder on disk: a folder with a manifest and arrays, checked when it is loaded. torch is not needed.

| file | what it holds |
|---|---|
| ``encoder.json`` | the manifest |
| ``weights.npz`` | the network's arrays, under the names of `rtface.encode.architecture` |
| ``inputs.npz`` | ``mean``, ``sd``: reference of the raw inputs; ``usual_mean``, ``usual``, ``usual_limit``: those trained on |
| ``readout.npz`` | ``mean``, ``sd`` of the neurons; ``basis`` from components to them; ``residual_sd`` of the outputs |
| ``model.onnx`` | the network for other tools, where it was exported |
| ``states.npz`` | a state model of the latents (`rtface.encode.states`), where there is one |
"""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from rtface.core import manifest as sidecar
from rtface.core.defaults import SIMULATED_ENCODER
from rtface.core.errors import EngineError
from rtface.core.files import file_hash, folder_written_whole, write_json
from rtface.core.manifest import FileEntry
from rtface.core.records import FloatArray
from rtface.encode.architecture import layout
from rtface.encode.manifest import (
    INPUTS_FILE,
    MANIFEST_FILE,
    READOUT_FILE,
    WEIGHTS_FILE,
    EncoderManifest,
)
from rtface.encode.normalise import Normaliser

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class EncoderInputs:
    """What is known of the inputs, D columns.

    Attributes
    ----------
    mean, sd : ndarray, shape (D,), float64
        Reference of the raw values; see `rtface.encode.normalise.Normaliser`.
    usual_mean : ndarray, shape (D,), float32
        Mean of the normalised inputs that were trained on.
    usual : ndarray, shape (D, D), float32
        Turns their deviation from it into one of unit covariance: `distance`.
    usual_limit : float
        Distance that one in a thousand of them exceeded.
    """

    mean: NDArray[np.float64]
    sd: NDArray[np.float64]
    usual_mean: FloatArray
    usual: FloatArray
    usual_limit: float

    def distance(self, inputs: FloatArray) -> float:
        """Return how far normalised inputs (D,) are from those trained on: their root mean squared unit deviation."""
        off = self.usual @ (inputs - self.usual_mean)
        return float(np.sqrt(off @ off / len(off)))


@dataclass(frozen=True, eq=False)
class Readout:
    """From outputs to neurons.

    Attributes
    ----------
    mean, sd : ndarray, shape (N,), float32
        Of the neurons; z * sd + mean is activity in the recording's unit.
    basis : ndarray, shape (N, C), float32, or None
        z-scored neurons are basis @ outputs; None: they are the outputs.
    residual_sd : ndarray, shape (C,), float32
        Of each output's error on samples that were not trained on.
    """

    mean: FloatArray
    sd: FloatArray
    basis: FloatArray | None
    residual_sd: FloatArray


@dataclass(frozen=True, eq=False)
class EncoderBundle:
    """An encoder whose files were found and agree with its manifest."""

    folder: Path
    manifest: EncoderManifest
    weights: Mapping[str, FloatArray]
    inputs: EncoderInputs
    readout: Readout

    @property
    def sha256(self) -> str:
        """Hash that identifies the encoder: of its manifest, which holds the hashes of its files."""
        return file_hash(self.folder / MANIFEST_FILE)

    def normaliser(self, rate_hz: float | None = None) -> Normaliser:
        """Return what turns raw keypoints into inputs, at rest; `rate_hz`: the camera's, else the training's."""
        manifest = self.manifest
        return Normaliser(
            manifest.normalise.rules(),
            len(manifest.keypoints),
            rate_hz or manifest.frame_rate_hz,
            self.inputs.mean,
            self.inputs.sd,
        )


def find_encoder(path: Path) -> Path:
    """Return an encoder's folder: that which comes with rtface for its name, else the path itself."""
    shipped = Path(__file__).resolve().parent / "data"
    return shipped / SIMULATED_ENCODER if str(path) == SIMULATED_ENCODER else path


def load_encoder(folder: Path) -> EncoderBundle:
    """Load an encoder and check every file and every array against its manifest.

    Raises
    ------
    EngineError
        It is missing, malformed, incomplete or was changed since it was made; the message names file and field.
    """
    manifest = read_manifest(folder / MANIFEST_FILE)
    for name, entry in manifest.files.items():
        path = folder / name
        if not path.is_file():
            raise EngineError(f"{path} is missing: the encoder {manifest.name} is incomplete")
        if (size := path.stat().st_size) != entry.bytes:
            raise EngineError(
                f"{path} has {size} bytes, its manifest says {entry.bytes}: damaged or replaced"
            )
        if file_hash(path) != entry.sha256:
            raise EngineError(f"{path} does not have the hash its manifest says: damaged or replaced")
    plan = layout(manifest.architecture)
    for given, found, what in (
        (manifest.past_frames, plan.past, "past_frames"),
        (manifest.look_ahead_frames, plan.look_ahead, "look_ahead_frames"),
        (manifest.columns, plan.inputs, "the number of inputs"),
        (manifest.latents, plan.latents, "latents"),
        (manifest.targets.count, plan.outputs, "targets.count"),
    ):
        if given != found:
            raise EngineError(
                f"{folder / MANIFEST_FILE}: {what} is {given}, but its architecture has {found}"
            )
    columns, outputs, neurons = plan.inputs, plan.outputs, manifest.targets.neurons
    weights = _arrays(folder / WEIGHTS_FILE, plan.shapes)
    inputs = _arrays(
        folder / INPUTS_FILE,
        {
            "mean": (columns,),
            "sd": (columns,),
            "usual_mean": (columns,),
            "usual": (columns, columns),
            "usual_limit": (),
        },
    )
    shapes: dict[str, tuple[int, ...]] = {"mean": (neurons,), "sd": (neurons,), "residual_sd": (outputs,)}
    if manifest.targets.kind == "components":
        shapes["basis"] = (neurons, outputs)
    readout = {
        name: array.astype(np.float32, copy=False)
        for name, array in _arrays(folder / READOUT_FILE, shapes).items()
    }
    return EncoderBundle(
        folder,
        manifest,
        {name: array.astype(np.float32, copy=False) for name, array in weights.items()},
        EncoderInputs(
            inputs["mean"].astype(np.float64),
            inputs["sd"].astype(np.float64),
            inputs["usual_mean"].astype(np.float32),
            inputs["usual"].astype(np.float32),
            float(inputs["usual_limit"]),
        ),
        Readout(readout["mean"], readout["sd"], readout.get("basis"), readout["residual_sd"]),
    )


def read_manifest(path: Path) -> EncoderManifest:
    """Read and check an encoder's manifest.

    Raises
    ------
    EngineError
        It cannot be read or breaks a rule; the message names file and field.
    """
    return sidecar.read_manifest(path, EncoderManifest, "; an encoder is a folder with that file")


def check_new(folder: Path, *, overwrite: bool = False) -> None:
    """Refuse a folder that `write_encoder` would refuse: before the work that the encoder takes.

    Raises
    ------
    EngineError
        It exists; or what exists is no encoder and is never replaced.
    """
    if not folder.exists():
        return
    if not (folder / MANIFEST_FILE).is_file():
        raise EngineError(f"{folder} exists and is no encoder: choose another name")
    if not overwrite:
        raise EngineError(f"{folder} exists already; choose another name, or replace it by --overwrite")


def write_encoder(
    folder: Path,
    fields: Mapping[str, Any],
    *,
    weights: Arrays,
    inputs: Arrays,
    readout: Arrays,
    files: Mapping[str, Path] | None = None,
    overwrite: bool = False,
) -> EncoderBundle:
    """Make an encoder's folder, complete or not at all, and load it.

    Parameters
    ----------
    folder : Path
        Its name is the encoder's name.
    fields : mapping
        `EncoderManifest`'s fields, less ``name`` and ``files``.
    weights, inputs, readout : mapping of str to ndarray
        The arrays of the files; see the module.
    files : mapping of str to Path, optional
        Further files to copy, by their names there.
    overwrite : bool
        Replace an encoder that is there.

    Raises
    ------
    EngineError
        The folder exists or cannot be written, or the parts make no encoder.
    """
    check_new(folder, overwrite=overwrite)
    try:
        with folder_written_whole(folder, replace=overwrite) as fresh:
            for name, arrays in ((WEIGHTS_FILE, weights), (INPUTS_FILE, inputs), (READOUT_FILE, readout)):
                np.savez(fresh / name, **dict[str, Any](arrays))
            for name, source in (files or {}).items():
                shutil.copyfile(source, fresh / name)
            _write_manifest(fresh, folder.name, fields)
            load_encoder(fresh)
    except OSError as error:
        raise EngineError(f"the encoder {folder} cannot be written: {error}") from error
    return load_encoder(folder)


def _write_manifest(folder: Path, name: str, fields: Mapping[str, Any]) -> None:
    entries = {
        path.name: FileEntry(sha256=file_hash(path), bytes=path.stat().st_size)
        for path in sorted(folder.iterdir())
    }
    try:
        complete = EncoderManifest.model_validate({**fields, "name": name, "files": entries})
    except ValidationError as error:
        raise EngineError(f"no encoder {name} can be made of this: {error}") from error
    write_json(folder / MANIFEST_FILE, complete.model_dump(mode="json"))


def _arrays(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, NDArray[Any]]:
    """Return the arrays of an npz file; exactly those, finite, of those shapes."""
    try:
        with np.load(path, allow_pickle=False) as kept:
            found = {name: kept[name] for name in kept.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise EngineError(f"{path} cannot be read: {error}") from error
    if found.keys() != shapes.keys():
        off = sorted(found.keys() ^ shapes.keys())
        raise EngineError(f"{path} {'lacks' if off[0] in shapes else 'has the unknown'} {off[0]}")
    for name, array in found.items():
        if array.shape != shapes[name]:
            raise EngineError(f"{path}: {name} has the shape {array.shape}, not {shapes[name]}")
        if array.dtype.kind != "f" or not np.isfinite(array).all():
            raise EngineError(f"{path}: {name} is not of finite floating-point numbers")
    return found
