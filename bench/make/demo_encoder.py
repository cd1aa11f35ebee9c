"""Make the encoder that comes with rtface for `rtface demo --encoder`: of a SIMULATED population, from simulated pictures.

The simulated mouse of the demo (seed 0) is filmed from its second hour on, which no demo reaches, and tracked by the
default engine. Simulated neurons follow its true keypoints (`rtface.analyse.simulated_population`); the encoder learns
them from the tracked ones, and a state model learns the encoder's latents. Some minutes on one core; the seeds make it
the same again on one machine. Needs `pip install 'rtface[train,analyse]'`.

    python -m bench.make.demo_encoder [--seconds 900] [--out rtface/encode/data/simulated-mouse]
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.result import parser_of
from rtface.analyse.behaviour import HEIGHT, WIDTH, Behaviour
from rtface.analyse.hmm import FitOptions, fit_states
from rtface.analyse.population import PopulationParameters
from rtface.analyse.populationfile import write_population
from rtface.analyse.simulated_population import simulate_population
from rtface.config import BackendSettings
from rtface.core.records import FACEMAP_KEYPOINTS, FloatArray
from rtface.encode.bundle import EncoderBundle, write_encoder
from rtface.encode.manifest import STATES_FILE
from rtface.learn.encoder.compare import encoder_network
from rtface.learn.encoder.from_recording import EncoderRequest, fit_encoder
from rtface.learn.encoder.recording import RecordingFiles, read_recording
from rtface.simulate.face import MouseFace
from rtface.track.backends.factory import engine_for
from rtface.track.pictures import PictureTracker

OUT = Path(__file__).resolve().parents[2] / "rtface" / "encode" / "data" / "simulated-mouse"
RATE_HZ = 50.0
BEGINS_S = 3600
NEURONS = 400
COMPONENTS = 24
STATES = 4
LEFT_OUT = "paw"


def film(seconds: float, seed: int) -> tuple[FloatArray, FloatArray, tuple[str, ...]]:
    """Return true and tracked keypoints, shape (T, 15, 2), and their names."""
    face = MouseFace(WIDTH, HEIGHT, RATE_HZ, seed)
    settings = BackendSettings(name="openvino")
    engine = engine_for("default", settings)
    frames, first = round(seconds * RATE_HZ), round(BEGINS_S * RATE_HZ)
    true = np.empty((frames, len(FACEMAP_KEYPOINTS), 2), np.float32)
    tracked = np.empty_like(true)
    picture = np.empty((HEIGHT, WIDTH), np.uint8)
    with PictureTracker(engine, settings) as tracker:
        for index in range(frames):
            face.render(first + index, picture)
            true[index] = face.truth(first + index)
            tracked[index] = tracker.track(picture).xy
            if index % 3000 == 0:
                print(f"filmed and tracked {index} of {frames} frames", flush=True)
    return true, tracked, tuple(point.name for point in engine.manifest.skeleton)


def neurons_of(true: FloatArray, seed: int, path: Path) -> None:
    """Write a simulated population that follows the true keypoints."""
    kept = [index for index, name in enumerate(FACEMAP_KEYPOINTS) if name != LEFT_OUT]
    behaviour = Behaviour(
        tuple(FACEMAP_KEYPOINTS[index] for index in kept),
        true[:, kept],
        RATE_HZ,
        np.zeros(len(true), np.int8),
        simulated=True,
    )
    write_population(simulate_population(PopulationParameters(neurons=NEURONS, seed=seed), behaviour), path)


def finished(bundle: EncoderBundle, files: RecordingFiles, out: Path, seed: int) -> EncoderBundle:
    """Return the encoder with states of its latents, marked as simulated, without the ONNX file."""
    recording = read_recording(files)
    inputs = bundle.normaliser().run(recording.raw)
    with torch.no_grad():
        _, latents = encoder_network(bundle)(torch.from_numpy(inputs))
    warm = latents.numpy()[bundle.manifest.past_frames :]
    states = fit_states(warm, STATES, FitOptions(features=8, every=10, seed=seed))
    fields: dict[str, Any] = bundle.manifest.model_dump(mode="json", exclude={"name", "files"})
    fields["training"] |= {"simulated": True}
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder) / STATES_FILE
        states.save(kept)
        inputs_there, readout = bundle.inputs, bundle.readout
        return write_encoder(
            out,
            fields,
            weights=bundle.weights,
            inputs={name: np.asarray(getattr(inputs_there, name)) for name in inputs_there.__annotations__},
            readout={name: getattr(readout, name) for name in readout.__annotations__},
            files={STATES_FILE: kept},
            overwrite=True,
        )


def main() -> None:
    """Film, simulate, fit, write."""
    parser = parser_of(__doc__)
    parser.add_argument("--seconds", type=float, default=900.0)
    parser.add_argument("--seed", type=int, default=0, help="of mouse, population and training")
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        true, tracked, names = film(given.seconds, given.seed)
        times = np.arange(len(tracked)) / RATE_HZ
        np.savez(folder / "tracked.npz", keypoints=tracked, keypoint_names=np.array(names), tcam=times)
        neurons_of(true, given.seed, folder / "population.npz")
        files = RecordingFiles(folder / "tracked.npz", folder / "population.npz", exclude=(LEFT_OUT,))
        order = EncoderRequest(
            files=files,
            encoder=folder / "fitted",
            run=folder / "run",
            components=COMPONENTS,
            description="SIMULATED: neurons that were made up from a simulated mouse's face, for rtface demo --encoder",
            licence="BSD-3-Clause",
        )
        fitted = fit_encoder(order)
        assert fitted is not None
        bundle = finished(fitted.bundle, files, given.out, given.seed)
    size = sum(path.stat().st_size for path in bundle.folder.iterdir())
    metrics = bundle.manifest.metrics
    print(
        f"{bundle.folder}: {size / 1e3:.0f} kB, explains {metrics['variance_explained']} of {COMPONENTS} components"
    )


if __name__ == "__main__":
    main()
