"""One report of a recording: what is explained, which neurons, which states, how far ahead."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.extmath import randomized_svd

from rtface.analyse.clusters import Method, find_clusters
from rtface.analyse.figures import Pictures
from rtface.analyse.forecast import compare
from rtface.analyse.hmm import FitOptions, choose_states, decoded, filtered, fit_states, reordered
from rtface.analyse.page import page
from rtface.analyse.populationfile import Recorded
from rtface.analyse.populations import cluster_traces, locality, relation, trace_scores
from rtface.analyse.transitions import (
    concentration,
    forward_runs,
    irreversibility,
    jump_path,
    lifetimes,
    reversal,
    sequence_order,
    without_self,
)
from rtface.core.errors import DataError
from rtface.core.files import write_json
from rtface.core.records import FloatArray

Float = NDArray[np.float64]

CANDIDATES = (2, 3, 4, 5, 6, 8, 10, 12)
_COMPONENTS = 128
_SEGMENTS, _TRAIN_PART, _GAP = 10, 0.75, 3
_PASSAGE_S = 60.0
_MOST_COMPONENTS = 512


@dataclass(frozen=True, eq=False)
class Predictions:
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
    """

    real: FloatArray
    predicted: FloatArray
    samples: NDArray[np.int64]
    readout: FloatArray | None = None
    ceiling: Float | None = None


@dataclass(frozen=True)
class ReportOptions:
    """What goes into a report.

    Attributes
    ----------
    clusters : int
        Of neurons; fewer where a cluster would have under 10 neurons.
    method : str
        How they are found.
    states : int or None
        Of the latents; chosen on held-out time when None.
    fit : FitOptions
        Of the states.
    seed : int
        Of all that is drawn by chance.
    """

    clusters: int = 100
    method: Method = "auto"
    states: int | None = None
    fit: FitOptions = field(default_factory=FitOptions)
    seed: int = 0


def read_predictions(path: Path, samples: int) -> Predictions:
    """Read predictions of a recording of so many neural samples.

    Raises
    ------
    DataError
        The file is missing, no ``.npz``, lacks an array, or its shapes do not go together.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as loaded:
            arrays: Mapping[str, NDArray[Any]] = {name: loaded[name] for name in loaded.files}
    except (OSError, ValueError, EOFError, AttributeError, TypeError) as error:
        raise DataError(f"{path}: {error}") from error
    for name in ("Y_test", "Y_pred_test", "itest"):
        if name not in arrays:
            raise DataError(f"{path}: no array {name!r}; it holds {', '.join(sorted(arrays)) or 'nothing'}")
    real, predicted, index = arrays["Y_test"], arrays["Y_pred_test"], arrays["itest"].ravel().astype(np.int64)
    if real.ndim != 2 or real.shape != predicted.shape or len(index) != len(real):
        raise DataError(
            f"{path}: Y_test {real.shape}, Y_pred_test {predicted.shape} and itest {index.shape} do not go together"
        )
    if index.size and (index.min() < 0 or index.max() >= samples):
        raise DataError(f"{path}: itest goes to {index.max()}, but the recording has {samples} samples")
    return Predictions(
        real.astype(np.float32),
        predicted.astype(np.float32),
        index,
        arrays["U"].astype(np.float32) if "U" in arrays else None,
        arrays["ceiling"].astype(np.float64) if "ceiling" in arrays else None,
    )


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


def write_report(
    recorded: Recorded,
    folder: Path,
    predictions: Predictions | None = None,
    latents: FloatArray | None = None,
    options: ReportOptions | None = None,
    command: str = "",
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Write pictures, ``report.json`` and ``report.md`` into a folder.

    A part whose data are not there is left out and said to be: components need predictions, states need latents
    (those of an encoder; the true ones of a simulated population when absent), the forecast needs keypoints.

    Parameters
    ----------
    recorded : Recorded
        The population.
    folder : Path
        Made where it is missing; files of a report in it are replaced.
    predictions : Predictions, optional
        Of an encoder.
    latents : ndarray, shape (T, L), optional
        At each camera frame.
    options : ReportOptions, optional
        What to do.
    command : str
        What made it, for the reader.
    say : callable
        Told what is being done.

    Returns
    -------
    dict
        What ``report.json`` holds.
    """
    options = options or ReportOptions()
    folder.mkdir(parents=True, exist_ok=True)
    pictures = Pictures(folder, recorded.simulated)
    truth = recorded.truth
    true_latents = latents is None and "latents" in truth
    latents = truth["latents"] if true_latents else latents
    if latents is not None and len(latents) != len(recorded.tcam):
        raise DataError(f"{len(latents)} frames of latents, but {len(recorded.tcam)} camera times")
    report: dict[str, Any] = {
        "simulated": recorded.simulated,
        "neurons": len(recorded.spks),
        "samples": len(recorded.tneural),
        "seconds": round(float(np.ptp(recorded.tneural)), 1),
        "latents": None if latents is None else "true ones" if true_latents else "given",
        "left_out": [],
    }
    if predictions is None:
        report["left_out"].append("components: no predictions were given")
    else:
        say("components")
        report["components"] = _components(recorded, predictions, pictures)
    say("clusters of neurons")
    report["clusters"] = _clusters(recorded, predictions, latents, options, pictures, report["left_out"])
    if latents is None:
        report["left_out"].append("states: no latents were given")
    else:
        report["states"] = _states(recorded, latents, options, pictures, say)
    if recorded.keypoints is None:
        report["left_out"].append("forecast: the recording holds no keypoints")
    else:
        say("forecast of keypoints")
        report["forecast"] = _forecast(recorded, pictures)
    report["pictures"] = [f"{name}.png" for name in pictures.names]
    plain: dict[str, Any] = _plain(report)
    write_json(folder / "report.json", plain)
    (folder / "report.md").write_text(page(plain, command), encoding="utf-8")
    return plain


def held_out(samples: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return training and test samples: in each of ten segments three quarters, a gap of 3, and the rest."""
    train, test = [], []
    for segment in np.array_split(np.arange(samples), _SEGMENTS):
        cut = int(len(segment) * _TRAIN_PART)
        train.append(segment[:cut])
        test.append(segment[cut + _GAP :])
    return np.concatenate(train), np.concatenate(test)


def _components(recorded: Recorded, predictions: Predictions, pictures: Pictures) -> dict[str, Any]:
    left = ((predictions.real - predictions.predicted) ** 2).mean(axis=0, dtype=np.float64)
    variance = predictions.real.var(axis=0, dtype=np.float64)
    explained = 1 - left / np.maximum(variance, 1e-12)
    pictures.traces(predictions.real, predictions.predicted, recorded.tneural[predictions.samples])
    pictures.explained(explained, predictions.ceiling)
    together = float(1 - left.sum() / variance.sum())
    found: dict[str, Any] = {
        "components": len(explained),
        "variance_explained": together,
        "first_components": explained[:8],
    }
    if predictions.ceiling is not None:
        most = float((predictions.ceiling * variance).sum() / variance.sum())
        found |= {"ceiling": most, "of_ceiling": together / most}
    return found


def _clusters(
    recorded: Recorded,
    predictions: Predictions | None,
    latents: FloatArray | None,
    options: ReportOptions,
    pictures: Pictures,
    left_out: list[str],
) -> dict[str, Any] | None:
    count = min(options.clusters, len(recorded.spks) // 10)
    if count < 4:
        left_out.append(f"clusters: {len(recorded.spks)} neurons are too few")
        return None
    spks = recorded.spks - recorded.spks.mean(axis=1, keepdims=True)
    spks /= np.maximum(spks.std(axis=1, keepdims=True), 1e-6)
    size = min(_COMPONENTS, min(spks.shape) - 1)
    left, values, right = randomized_svd(spks, size, n_iter=3, random_state=options.seed)
    clusters = find_clusters(left * values, right.T * values, count, options.method, options.seed)
    local = locality(recorded.xpos, recorded.ypos, clusters.labels, clusters.count)
    traces = cluster_traces(spks, clusters.labels, clusters.count)
    if predictions is not None and predictions.readout is not None:
        source, samples = "the encoder's predictions", predictions.samples
        readout = cluster_traces(predictions.readout, clusters.labels, clusters.count)
        predicted = readout @ predictions.predicted.T
    elif latents is not None:
        source = "ridge regression from the latents"
        predicted, samples = _by_latents(traces, latents, recorded)
    else:
        left_out.append(
            "predictability of clusters: neither predictions with their readout nor latents were given"
        )
        return {"method": clusters.method, "clusters": clusters.count, "locality": local}
    scores = trace_scores(traces[:, samples], predicted)
    found = relation(local, scores.correlation, seed=options.seed)
    pictures.clusters(
        recorded.xpos, recorded.ypos, clusters.labels, local, scores.correlation, found, clusters.method
    )
    return {
        "method": clusters.method,
        "clusters": clusters.count,
        "predicted_by": source,
        "locality_against_predictability": {"spearman": found.rho, "p": found.p, "n": found.n},
        "mean_correlation": float(np.nanmean(scores.correlation)),
        "locality": local,
        "correlation": scores.correlation,
    }


def _by_latents(
    traces: FloatArray, latents: FloatArray, recorded: Recorded
) -> tuple[FloatArray, NDArray[np.int64]]:
    """Return cluster traces (C, M) predicted from the latents of the last frame before each sample, and the samples."""
    frame = np.clip(np.searchsorted(recorded.tcam, recorded.tneural, side="right") - 1, 0, len(latents) - 1)
    at = latents[frame].astype(np.float64)
    train, test = held_out(len(at))
    mean, scale = at[train].mean(axis=0), np.maximum(at[train].std(axis=0), 1e-9)
    at = np.c_[(at - mean) / scale, np.ones(len(at))]
    gram = at[train].T @ at[train] / len(train) + 1e-3 * np.eye(at.shape[1])
    weights = np.linalg.solve(gram, at[train].T @ traces[:, train].T / len(train))
    return (at[test] @ weights).T.astype(np.float32), test


def _states(
    recorded: Recorded,
    latents: FloatArray,
    options: ReportOptions,
    pictures: Pictures,
    say: Callable[[str], None],
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    number = options.states
    if number is None:
        say("number of states")
        choice = choose_states(latents, CANDIDATES, options.fit)
        pictures.choice(choice)
        number = choice.chosen
        found["still_rising"] = choice.rising
        found["tried"] = dict(zip(map(str, choice.states), choice.gain.mean(axis=0).tolist(), strict=True))
    say(f"{number} states")
    model = fit_states(latents, number, options.fit)
    model = reordered(model, sequence_order(without_self(model.transition), options.seed))
    step_s = model.every * float(np.median(np.diff(recorded.tcam)))
    path, order = decoded(model, latents), np.arange(number)
    jumps, life = without_self(model.transition), lifetimes(model.transition, path)
    curve = concentration(jumps, order)
    pictures.states(jumps, life, curve, step_s)
    shown = slice(0, min(len(latents), int(_PASSAGE_S / step_s) * model.every))
    probability = filtered(model, latents[shown])[model.every - 1 :: model.every]
    means = latents[shown].reshape(len(probability), model.every, -1).mean(axis=1)
    mood = recorded.truth.get("state")
    pictures.passage(
        model.features(means), probability, None if mood is None else mood[shown][:: model.every], step_s
    )
    found |= {
        "states": number,
        "step_s": step_s,
        "lifetime_s": life.empirical * step_s,
        "lifetime_geometric_s": life.geometric * step_s,
        "concentration": curve,
        "forward_runs": np.bincount(forward_runs(path, order))[2:],
        "reversal": vars(reversal(jumps)),
    }
    if len(jump_path(path)) > 3:
        arrow = irreversibility(path, number, seed=options.seed)
        pictures.arrow(arrow)
        found["irreversibility"] = {
            "entropy_production": arrow.entropy_production,
            "reversible_surrogates_mean": float(arrow.surrogates.mean()),
            "shuffled": arrow.shuffled,
            "backwards": arrow.backwards,
            "p": arrow.p,
        }
    if mood is not None and mood.any():
        from sklearn.metrics import adjusted_rand_score

        middle = mood[model.every // 2 :: model.every][: len(path)]
        found["adjusted_rand_index"] = float(adjusted_rand_score(middle, path))
    return found


def _forecast(recorded: Recorded, pictures: Pictures) -> dict[str, Any] | None:
    assert recorded.keypoints is not None
    names = recorded.keypoint_names or tuple(f"point {index}" for index in range(recorded.keypoints.shape[1]))
    rate = 1 / float(np.median(np.diff(recorded.tcam)))
    result = compare(recorded.keypoints, names, rate)
    pictures.forecast(result)
    return {
        group: {
            "half_s": result.half_s[row],
            "seconds": result.seconds,
            "forecast": result.forecast[row],
            "last_position": result.hold[row],
            "kalman": result.kalman[row],
        }
        for row, group in enumerate(result.groups)
    }


def _plain(value: Any) -> Any:
    """Return a value as JSON holds it: numbers of 4 digits, null for what is not finite."""
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float | np.floating):
        return float(f"{value:.4g}") if np.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value
