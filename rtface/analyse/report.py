"""One report of a recording: what is explained, which neurons, which states, how far ahead."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface.analyse.cluster_scores import (
    cluster_traces,
    locality,
    relation,
    scored_cluster_traces,
    trace_correlation,
)
from rtface.analyse.clusters import Method, find_clusters
from rtface.analyse.explained import by_column, variance_explained
from rtface.analyse.figures import Pictures
from rtface.analyse.forecast import compare
from rtface.analyse.hmm import FitOptions, choose_states, decoded, filtered, fit_states, reordered
from rtface.analyse.page import page
from rtface.analyse.populationfile import ActivityPredictions, Recorded
from rtface.analyse.ridge.own_prediction import RIDGE, last_seen, predict_by_ridge
from rtface.analyse.splits import published
from rtface.analyse.targets import fit_targets
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
_PASSAGE_S = 60.0


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
    forecast : bool
        Whether keypoints are forecast.
    """

    clusters: int = 100
    method: Method = "auto"
    states: int | None = None
    fit: FitOptions = field(default_factory=FitOptions)
    seed: int = 0
    forecast: bool = True


def write_report(
    recorded: Recorded,
    folder: Path,
    predictions: ActivityPredictions | None = None,
    latents: FloatArray | None = None,
    options: ReportOptions | None = None,
    command: str = "",
    progress: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Write pictures, ``report.json`` and ``report.md`` into a folder.

    Without predictions a ridge regression from the recording's keypoints makes them, and the latents too (of a simulated
    population the true ones are taken). A part whose data are not there is left out and listed as such.

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
    progress : callable
        Called with the name of each part as it begins.

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
    by_ridge = ""
    own: FloatArray | None = None
    if predictions is None and recorded.keypoints is not None:
        progress(RIDGE)
        try:
            predictions, own = predict_by_ridge(recorded)
        except DataError as error:
            by_ridge = f": {error}"
    if latents is None and own is not None:
        latents = own
    if latents is not None and len(latents) != len(recorded.tcam):
        raise DataError(f"{len(latents)} frames of latents, but {len(recorded.tcam)} camera times")
    report: dict[str, Any] = {
        "simulated": recorded.simulated,
        "neurons": len(recorded.spks),
        "samples": len(recorded.tneural),
        "seconds": round(float(np.ptp(recorded.tneural)), 1),
        "latents": None
        if latents is None
        else "true ones"
        if true_latents
        else f"what {RIDGE} predicts of the components"
        if latents is own
        else "given",
        "left_out": [],
    }
    if predictions is None:
        report["left_out"].append(f"components: no predictions were given{by_ridge}")
    else:
        progress("components")
        report["components"] = _components(recorded, predictions, pictures)
    progress("clusters of neurons")
    report["clusters"] = _clusters(recorded, predictions, latents, options, pictures, report["left_out"])
    if latents is None:
        report["left_out"].append("states: no latents were given")
    else:
        report["states"] = _states(recorded, latents, options, pictures, progress)
    if recorded.keypoints is None:
        report["left_out"].append("forecast: the recording holds no keypoints")
    elif options.forecast:
        progress("forecast of keypoints")
        report["forecast"] = _forecast(recorded, pictures)
    report["pictures"] = [f"{name}.png" for name in pictures.names]
    plain: dict[str, Any] = _plain(report)
    write_json(folder / "report.json", plain)
    (folder / "report.md").write_text(page(plain, command), encoding="utf-8")
    return plain


def _components(recorded: Recorded, predictions: ActivityPredictions, pictures: Pictures) -> dict[str, Any]:
    explained = by_column(predictions.real, predictions.predicted)
    together = variance_explained(predictions.real, predictions.predicted)
    neurons = _are_neurons(recorded, predictions)
    seconds = recorded.tneural[predictions.samples]
    pictures.traces(predictions.real, predictions.predicted, seconds, "neuron" if neurons else "component")
    ridge = None if predictions.ridge is None else by_column(predictions.real, predictions.ridge)
    pictures.explained(
        explained,
        predictions.ceiling,
        predictions.method,
        ridge,
        predictions.null,
        "neuron" if neurons else "principal component of the population",
    )
    found: dict[str, Any] = {
        "predicted_by": predictions.method,
        "components": len(explained),
        "of": "neurons" if neurons else "components",
        "variance_explained": together,
        "first_components": explained[:8],
    }
    if predictions.ridge is not None:
        found["ridge"] = variance_explained(predictions.real, predictions.ridge)
    if predictions.null_together is not None:
        null = predictions.null_together
        found["null"] = {"shifts": len(null), "mean": float(null.mean()), "most": float(null.max())}
    if predictions.ceiling is not None:
        variance = predictions.real.var(axis=0, dtype=np.float64)
        most = float((predictions.ceiling * variance).sum() / variance.sum())
        found |= {"ceiling": most, "of_ceiling": together / most}
    return found


def _are_neurons(recorded: Recorded, predictions: ActivityPredictions) -> bool:
    """Return whether what is predicted are the neurons themselves, as of few."""
    return predictions.readout is None and predictions.real.shape[1] == len(recorded.spks)


def _clusters(
    recorded: Recorded,
    predictions: ActivityPredictions | None,
    latents: FloatArray | None,
    options: ReportOptions,
    pictures: Pictures,
    left_out: list[str],
) -> dict[str, Any] | None:
    count = min(options.clusters, len(recorded.spks) // 10)
    if count < 4:
        left_out.append(f"clusters: {len(recorded.spks)} neurons are too few")
        return None
    every = np.arange(recorded.spks.shape[1])
    size = min(_COMPONENTS, min(recorded.spks.shape) - 1)
    targets = fit_targets(recorded.spks, every, size, seed=options.seed, fewest=0)
    assert targets.basis is not None
    courses = targets.of(recorded.spks, every)
    loadings = targets.basis * np.linalg.norm(courses, axis=0)
    clusters = find_clusters(loadings, courses, count, options.method, options.seed)
    xpos, ypos = recorded.xpos, recorded.ypos
    if xpos is not None and ypos is not None:
        local = locality(xpos, ypos, clusters.labels, clusters.count)
    else:
        local = np.full(clusters.count, np.nan)
        left_out.append("locality of clusters: the recording holds no places of its neurons")
    traces = scored_cluster_traces(targets, recorded.spks, clusters.labels, clusters.count)
    known = None if predictions is None else predictions.readout
    if predictions is not None and known is None and _are_neurons(recorded, predictions):
        known = np.eye(len(recorded.spks), dtype=np.float32)
    if predictions is not None and known is not None:
        source, samples = predictions.method, predictions.samples
        readout = cluster_traces(known, clusters.labels, clusters.count)
        predicted = readout @ predictions.predicted.T
    elif latents is not None:
        source = "ridge regression from the latents"
        predicted, samples = _by_latents(traces, latents, recorded)
    else:
        left_out.append(
            "predictability of clusters: neither predictions with their readout nor latents were given"
        )
        return {"method": clusters.method, "clusters": clusters.count, "locality": local}
    correlation = trace_correlation(traces[:, samples], predicted)
    result = {
        "method": clusters.method,
        "clusters": clusters.count,
        "predicted_by": source,
        "mean_correlation": float(np.nanmean(correlation)),
        "locality": local,
        "correlation": correlation,
    }
    if xpos is not None and ypos is not None:
        found = relation(local, correlation, seed=options.seed)
        pictures.clusters(xpos, ypos, clusters.labels, local, correlation, found, clusters.method)
        result["locality_against_predictability"] = {"spearman": found.rho, "p": found.p, "n": found.n}
    return result


def _by_latents(
    traces: FloatArray, latents: FloatArray, recorded: Recorded
) -> tuple[FloatArray, NDArray[np.int64]]:
    """Return cluster traces (C, M) predicted from the latents of the last frame before each sample, and the samples."""
    frame = np.clip(np.searchsorted(recorded.tcam, recorded.tneural, side="right") - 1, 0, len(latents) - 1)
    at = latents[frame].astype(np.float64)
    split = published(len(at))
    train, test = split.train, split.test
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
    progress: Callable[[str], None],
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    number = options.states
    if number is None:
        progress("number of states")
        choice = choose_states(latents, CANDIDATES, options.fit)
        pictures.choice(choice)
        number = choice.chosen
        found["still_rising"] = choice.rising
        found["tried"] = dict(zip(map(str, choice.states), choice.gain.mean(axis=0).tolist(), strict=True))
    progress(f"{number} states")
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
    result = compare(last_seen(recorded.keypoints), names, rate)
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
