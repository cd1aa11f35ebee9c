"""What a study's recordings say together: one value a recording, means with intervals, and paired tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy.stats import t, wilcoxon

_FEWEST = 2
_FEWEST_TESTED = 6
"""Pairs below which the signed-rank test cannot reach 0.05, whatever they are."""

Found = Mapping[str, Any]

MODELS: dict[str, Callable[[Found], Any]] = {
    f"{model}, {kind}": (lambda found, kind=kind, path=path: _deep(found, "models", kind, *path))  # type: ignore[misc]
    for kind in ("keypoints", "movie", "behaviour")
    for model, path in (
        ("linear as published", ("linear", "published", "variance_explained")),
        ("linear tuned", ("linear", "tuned", "variance_explained")),
        ("network", ("network", "variance_explained")),
    )
}
"""What is compared, by its name: the variance explained of all components on held-out time."""

PAIRS = (
    ("linear tuned, keypoints", "linear as published, keypoints"),
    ("linear tuned, movie", "linear as published, movie"),
    ("network, keypoints", "linear tuned, keypoints"),
    ("network, movie", "linear tuned, movie"),
    ("linear tuned, keypoints", "linear tuned, movie"),
    ("network, keypoints", "network, movie"),
    ("network, keypoints", "linear as published, movie"),
)


def over_sessions(sessions: Mapping[str, Found]) -> dict[str, Any]:
    """Return means over recordings with 95 % intervals (Student's t), and paired differences of the models.

    Parameters
    ----------
    sessions : mapping of str to mapping
        What was found of each recording.

    Returns
    -------
    dict
        ``models`` and ``population``: of each value ``n``, ``mean``, ``low``, ``high``, ``values``; ``differences``: of each
        pair that also, with ``p`` of Wilcoxon's signed-rank test (None under 6 pairs, where it cannot reach 0.05).
    """
    values = {name: [_number(read(found)) for found in sessions.values()] for name, read in MODELS.items()}
    values = {name: each for name, each in values.items() if np.isfinite(each).any()}
    population = {
        "locality against predictability (Spearman)": (
            "report",
            "clusters",
            "locality_against_predictability",
            "spearman",
        ),
        "mean correlation of clusters": ("report", "clusters", "mean_correlation"),
        "states": ("report", "states", "states"),
        "entropy production of the states (nats a jump)": (
            "report",
            "states",
            "irreversibility",
            "entropy_production",
        ),
        "the same of reversible surrogates": (
            "report",
            "states",
            "irreversibility",
            "reversible_surrogates_mean",
        ),
    }
    kept = {
        name: [_number(_deep(found, *path)) for found in sessions.values()]
        for name, path in population.items()
    }
    differences = {}
    for one, other in PAIRS:
        if one in values and other in values:
            both = np.array(values[one]) - np.array(values[other])
            if np.isfinite(both).any():
                differences[f"{one} - {other}"] = {**summary(both), "p": signed_rank(both)}
    return {
        "n": len(sessions),
        "models": {name: summary(each) for name, each in values.items()},
        "differences": differences,
        "population": {name: summary(each) for name, each in kept.items() if np.isfinite(each).any()},
    }


def summary(values: Any) -> dict[str, Any]:
    """Return count, mean and the 95 % interval of values of which some may be NaN; no interval of fewer than two."""
    every = np.asarray(values, np.float64)
    known = every[np.isfinite(every)]
    low = high = float("nan")
    if len(known) >= _FEWEST:
        half = float(t.ppf(0.975, len(known) - 1) * known.std(ddof=1) / np.sqrt(len(known)))
        low, high = float(known.mean()) - half, float(known.mean()) + half
    mean = float(known.mean()) if len(known) else float("nan")
    return {"n": len(known), "mean": mean, "low": low, "high": high, "values": every.tolist()}


def signed_rank(differences: Any) -> float | None:
    """Return the two-sided p of Wilcoxon's signed-rank test; None under 6 differences that are not 0."""
    known = np.asarray(differences, np.float64)
    known = known[np.isfinite(known) & (known != 0)]
    return float(wilcoxon(known).pvalue) if len(known) >= _FEWEST_TESTED else None


def _deep(found: Any, *path: str) -> Any:
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)
