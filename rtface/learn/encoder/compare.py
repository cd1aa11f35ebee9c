"""An encoder beside linear regressions, on one recording and the same samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rtface.acquire.recording import source_settings
from rtface.acquire.sampling import played
from rtface.analyse.baselines import keypoint_baselines, video_baseline
from rtface.analyse.splits import Split, hold_back
from rtface.analyse.svd import decompose
from rtface.analyse.targets import Targets
from rtface.core.errors import DataError
from rtface.core.records import Image
from rtface.encode.bundle import EncoderBundle
from rtface.learn.encoder.from_recording import HELD_BACK
from rtface.learn.encoder.optimise import within
from rtface.learn.encoder.recording import Recording, RecordingFiles, read_recording
from rtface.learn.encoder.scoring import explained_by_peers, predict, score_prediction, split_samples
from rtface.learn.resumable import StartProgress, no_progress
from rtface.networks.build import build_encoder
from rtface.networks.encoder import EncoderNetwork

_RATE_OFF = 0.02
_NAN = float("nan")


def encoder_network(bundle: EncoderBundle) -> EncoderNetwork:
    """Return a bundle's network in torch, in evaluation mode."""
    network = build_encoder(bundle.manifest.architecture)
    network.load_state_dict({name: torch.from_numpy(value) for name, value in bundle.weights.items()})
    return network.eval()


def evaluate_encoder(
    bundle: EncoderBundle,
    files: RecordingFiles,
    *,
    baselines: bool = True,
    video: Path | None = None,
    progress: StartProgress = no_progress,
    stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any] | None:
    """Score an encoder, and regressions fitted to the training part of the recording, on its test part.

    Parameters
    ----------
    bundle : EncoderBundle
    files : RecordingFiles
        A recording of the neurons that the encoder was fitted to; all its keypoints are read.
    baselines : bool
        Whether to fit the regressions from keypoints.
    video : Path, optional
        Whose motion energy is a further baseline.
    progress, stop : callable
        As of `rtface.learn.encoder.from_recording.fit_encoder`; `stop` is called between the parts.

    Returns
    -------
    dict or None
        ``results``: for each its name and the figures of `score_prediction`; None where `stop` ended it.

    Raises
    ------
    DataError
        The recording cannot be read, or is not one of the encoder's neurons, keypoints and rates.
    """
    manifest = bundle.manifest
    rate = manifest.frame_rate_hz if manifest.training.get("resampled") else None
    recording = _arranged(read_recording(replace(files, exclude=(), rate=rate)), bundle, files)
    sources = {source["sha256"] for source in manifest.training.get("sources", ())}
    known = hashes_of(recording) <= sources
    frames = recording.frames_at(manifest.delay_s)
    network = encoder_network(bundle)
    parts = split_samples(
        str(manifest.training.get("split", "strict")),
        len(frames),
        network.window / recording.frame_rate,
        recording.neural_rate,
    )
    step = progress("normalising", len(recording.raw))
    normaliser = bundle.normaliser(recording.frame_rate)
    inputs = normaliser.run(recording.raw, lambda done: step(done, _NAN))
    past, ahead = network.past, network.look_ahead
    split = Split(*(within(part, frames, len(inputs), past, ahead) for part in (parts.train, parts.test)))
    if len(split.test) < 2:
        raise DataError(f"{files.neurons}: too few samples whose window lies within the recording")
    targets = Targets(bundle.readout.mean, bundle.readout.sd, bundle.readout.basis)
    step = progress("explainable variance", 2)
    explainable = explained_by_peers(recording, split, lambda done, total: step(done, _NAN))
    predictions = [(f"encoder {manifest.name}", predict(network, inputs, frames[split.test]))]
    values = targets.of(recording.neurons, np.arange(len(frames)))
    per_sample = recording.frame_rate / recording.neural_rate
    held = hold_back(split.train, HELD_BACK, int(np.ceil(network.window / per_sample)) + 1)
    chosen = np.maximum(frames, 0)
    if baselines and not stop():
        step = progress("regressions", 4)
        for done, each in enumerate(
            keypoint_baselines(inputs, chosen, values, split, held, per_sample, network.window)
        ):
            predictions.append(each)
            step(done + 1, _NAN)
            if stop():
                break
    if video is not None and not stop():
        step = progress("motion energy", 2 * len(recording.raw))
        found = decompose(
            lambda: _frames(video, stop), len(recording.raw), progress=lambda done, _: step(done, _NAN)
        )
        if stop():
            return None
        if len(found.traces) != len(recording.raw):
            raise DataError(
                f"{video} has {len(found.traces)} frames, {files.keypoints} stands for {len(recording.raw)}"
            )
        predictions.append(
            (
                "reduced rank, motion energy",
                video_baseline(found.traces, chosen, values, split, held, per_sample),
            )
        )
    if stop():
        return None
    remarks = list(recording.remarks)
    if not known:
        remarks.append("not the recording that the encoder learnt from")
    report: dict[str, Any] = {
        "encoder": manifest.name,
        "sha256": bundle.sha256,
        "learnt_from_it": known,
        "split": manifest.training.get("split", "strict"),
        "remarks": remarks,
        "results": [
            {"name": name, **score_prediction(predicted, targets, recording, split.test, explainable)}
            for name, predicted in predictions
        ],
    }
    if explainable is not None:
        report["explainable_mean"] = round(explainable.mean, 4)
    return report


def hashes_of(recording: Recording) -> set[str]:
    """Return the hashes of a recording's files."""
    return {str(source["sha256"]) for source in recording.sources.values()}


def _arranged(recording: Recording, bundle: EncoderBundle, files: RecordingFiles) -> Recording:
    """Return a recording with the encoder's keypoints in its order; refuse one that is not of its neurons."""
    manifest = bundle.manifest
    if missing := [name for name in manifest.keypoints if name not in recording.keypoints]:
        raise DataError(
            f"{files.keypoints} has no keypoint {missing[0]!r} that was ever seen: the encoder needs it"
        )
    if len(recording.neurons) != manifest.targets.neurons:
        raise DataError(
            f"{files.neurons}: spks has {len(recording.neurons)} neurons, the encoder {manifest.name} knows "
            f"{manifest.targets.neurons}: it reads out those that it was fitted to"
        )
    if abs(recording.frame_rate / manifest.frame_rate_hz - 1) > _RATE_OFF:
        raise DataError(
            f"{files.keypoints} has {recording.frame_rate:.4g} frames a second, the encoder {manifest.name} was "
            f"fitted at {manifest.frame_rate_hz:.4g}"
        )
    places = [recording.keypoints.index(name) for name in manifest.keypoints]
    columns = [column for place in places for column in (2 * place, 2 * place + 1)]
    first = 2 * len(recording.keypoints)
    columns += [first + recording.extras.index(name) for name in manifest.extras]
    return replace(
        recording,
        keypoints=manifest.keypoints,
        extras=manifest.extras,
        raw=np.ascontiguousarray(recording.raw[:, columns]),
    )


def _frames(video: Path, stop: Callable[[], bool]) -> Iterator[Image]:
    with played(source_settings(video)) as (_, frames):
        for image, _ in frames:
            if stop():
                return
            yield image
