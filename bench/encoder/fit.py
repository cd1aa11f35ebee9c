"""How long does an encoder take to fit, and in what memory? A session of noise with a few shared latents.

The time hangs on sizes and not on what the numbers mean, so the session is drawn at random. Each part is timed; the
memory is the process's peak.

    python -m bench.encoder.fit --neurons 50000 --seconds 3600
"""

from __future__ import annotations

import json
import resource
import tempfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.result import RESULTS, parser_of, write
from rtface.core.clock import SYSTEM_CLOCK
from rtface.learn.encoder.from_recording import EncoderRequest, fit_encoder
from rtface.learn.encoder.recording import RecordingFiles

RATE, NEURAL_RATE, POINTS, LATENTS = 50, 3, 14, 40


def write_session(path: Path, neurons: int, seconds: float, seed: int = 0) -> None:
    """Write an npz session in float32, a block of neurons at a time."""
    random = np.random.default_rng(seed)
    frames, samples = round(seconds * RATE), round(seconds * NEURAL_RATE)
    steps = random.normal(0, 1, (frames, 2 * POINTS)).astype(np.float32)
    places = np.empty_like(steps)
    places[0] = steps[0]
    for frame in range(1, frames):
        places[frame] = 0.95 * places[frame - 1] + steps[frame]
    tneural = np.arange(samples) / NEURAL_RATE
    at = np.minimum((tneural * RATE).astype(int), frames - 1)
    shared = np.abs(places[at] @ random.normal(size=(2 * POINTS, LATENTS))).astype(np.float32)
    shared /= shared.std(axis=0)
    spks = np.empty((neurons, samples), np.float32)
    for first in range(0, neurons, 1000):
        block = spks[first : first + 1000]
        block[:] = random.standard_normal(block.shape, np.float32) * 2
        block += (
            random.standard_normal((len(block), LATENTS), np.float32) @ shared.T / np.float32(LATENTS**0.5)
        )
    np.savez(
        path,
        spks=spks,
        tneural=tneural,
        tcam=np.arange(frames) / RATE,
        xpos=random.uniform(0, 2000, neurons),
        ypos=random.uniform(0, 2000, neurons),
        keypoints=200 + places.reshape(frames, POINTS, 2),
        keypoint_names=[f"point{index}" for index in range(POINTS)],
    )


def main() -> None:
    """Write a session, fit it in this process, and write what it took."""
    parser = parser_of(__doc__)
    parser.add_argument("--neurons", type=int, default=50_000)
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--work", type=Path, help="folder for the session; else a temporary one")
    parser.add_argument("--out", type=Path, default=RESULTS / "encoder_fit.json")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory(dir=options.work) as folder:
        session = Path(folder) / "session.npz"
        if (process := _forked(lambda: write_session(session, options.neurons, options.seconds))) != 0:
            raise SystemExit(f"the session could not be written: {process}")
        parts: list[tuple[str, int]] = []

        def begin(what: str, steps: int) -> Callable[[int, float], None]:
            parts.append((what, SYSTEM_CLOCK.now_ns()))
            return lambda done, loss: None

        began = SYSTEM_CLOCK.now_ns()
        order = EncoderRequest(
            files=RecordingFiles(session, session), encoder=Path(folder) / "enc", run=Path(folder) / "run"
        )
        fitted = fit_encoder(order, progress=begin)
        ended = SYSTEM_CLOCK.now_ns()
    assert fitted is not None
    starts = [("reading", began), *parts, ("", ended)]
    result: dict[str, Any] = {
        "neurons": options.neurons,
        "seconds_of_recording": options.seconds,
        "threads": options.threads,
        "fit_s": round((ended - began) * 1e-9, 1),
        "parts_s": {name: round((after - start) * 1e-9, 1) for (name, start), (_, after) in pairwise(starts)},
        "epochs": fitted.report["training"]["epochs"],
        "peak_memory_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
    }
    print(json.dumps(result, indent=2))
    write(options.out, result)


def _forked(work: Callable[[], None]) -> int | None:
    """Run something in a process of its own, so that its memory does not count; return its exit code."""
    import multiprocessing

    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join()
    return process.exitcode


if __name__ == "__main__":
    main()
