"""A study in words and tables, with its pictures: ``report.md``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rtface.core.errors import DataError
from rtface.core.files import printable
from rtface.learn.study.pictures import draw_curves, draw_groups, draw_models

PAGE = "report.md"

_NOTHING = "-"
_NULL = (
    "The tuned linear model, fitted and judged alike after the activity was moved in time by a tenth to nine tenths of the "
    "recording: what slow signals that share nothing would explain."
)
_CURVES = (
    "Keypoints alone. Fewer neurons have other components, which hold more private noise: their curve is not that of a "
    "fixed target. Fewer minutes are the first ones of the training part."
)


def write_page(folder: Path, report: Mapping[str, Any], command: str) -> None:
    """Write the page of a study and its pictures into its folder; `DataError` where that cannot be.

    Parameters
    ----------
    folder : Path
    report : mapping
        As `rtface.learn.study.run.run_study` returns it.
    command : str
        What made it.
    """
    sessions, over, simulated = report["sessions"], report["over_sessions"], report["simulated"]
    try:
        draw_models(folder / "models.png", over, simulated)
        curves = any(found.get("by_neurons") or found.get("by_minutes") for found in sessions.values())
        if curves:
            draw_curves(folder / "curves.png", sessions, simulated)
        groups = any(found.get("without") for found in sessions.values())
        if groups:
            draw_groups(folder / "groups.png", sessions, simulated)
        lines = [*_head(report, command), *_models(over), *_nulls(sessions)]
        if curves:
            lines += [
                "## By neurons and minutes",
                "",
                "![curves by neurons and minutes](curves.png)",
                "",
                *_curve_words(),
            ]
        if groups:
            lines += [
                "## Without groups of keypoints",
                "",
                "![variance lost without each group](groups.png)",
                "",
            ]
        lines += [*_population(over), *_each(sessions)]
        (folder / PAGE).write_text(printable("\n".join(lines)) + "\n", encoding="utf-8")
    except OSError as error:
        raise DataError(f"the page in {folder} cannot be written: {error.strerror or error}") from error


def _head(report: Mapping[str, Any], command: str) -> list[str]:
    count = report["over_sessions"]["n"]
    kind = (
        "SIMULATED recordings: they show how good a method is, and nothing of the brain"
        if report["simulated"]
        else "recordings"
    )
    split = {
        "strict": "strict split: gaps of the network's window on both sides of each test block, nothing fitted to test samples",
        "published": "published split: three samples of gap on one side, components fitted to all samples",
    }[report["split"]]
    lines = ["# Behaviour to neurons", "", f"Of {count} {kind}. Network: {report['network']}; {split}.", ""]
    return lines + (["```", command, "```", ""] if command else [])


def _models(over: Mapping[str, Any]) -> list[str]:
    lines = ["## Models", "", "Variance explained of all components together, on held-out time.", ""]
    rows = [
        (name, found["n"], _value(found["mean"]), _interval(found)) for name, found in over["models"].items()
    ]
    lines += _table(("model", "n", "mean", "95 % interval"), rows)
    lines += ["![variance explained by model](models.png)", ""]
    if over["differences"]:
        differences = [
            (name, found["n"], _value(found["mean"], True), _interval(found), _p(found["p"]))
            for name, found in over["differences"].items()
        ]
        lines += ["Differences within recordings:", ""]
        lines += _table(("difference", "n", "mean", "95 % interval", "p, signed rank"), differences)
        if any(found["p"] is None for found in over["differences"].values()):
            lines += ["Under 6 recordings no signed-rank test can reach 0.05: no p is given.", ""]
    return lines


def _nulls(sessions: Mapping[str, Any]) -> list[str]:
    rows = []
    for name, found in sessions.items():
        for kind, models in found["models"].items():
            null, tuned = models["linear"]["null"], models["linear"]["tuned"]["variance_explained"]
            above = "yes" if tuned > null["most"] else "**no**"
            rows.append((name, kind, _value(tuned), _value(null["mean"]), _value(null["most"]), above))
    return [
        "## Against the null",
        "",
        _NULL,
        "",
        *_table(("recording", "from", "explained", "null, mean", "null, most", "above the null"), rows),
    ]


def _population(over: Mapping[str, Any]) -> list[str]:
    rows = [
        (name, found["n"], _value(found["mean"]), _interval(found))
        for name, found in over["population"].items()
    ]
    if not rows:
        return []
    words = "Of the clusters of neurons and the states of the network's latents; each recording's page shows them."
    return ["## Clusters and states", "", words, "", *_table(("value", "n", "mean", "95 % interval"), rows)]


def _each(sessions: Mapping[str, Any]) -> list[str]:
    lines = ["## Recordings", ""]
    rows = [
        (
            f"[{name}]({name}/report.md)",
            found["neurons"],
            sum(found["dropped"].values()),
            f"{found['minutes']:.1f}",
            len(found["keypoints"]),
            _NOTHING if found["film"] is None else f"{found['film'][1]} {found['film'][0]}",
            _value(found["peers"]["mean"]),
        )
        for name, found in sessions.items()
    ]
    heads = ("recording", "neurons", "dropped", "minutes", "keypoints", "components", "explained by peers")
    lines += _table(heads, rows)
    for name, found in sessions.items():
        told = [*found["remarks"], *(f"{name}: left out: {each}" for each in found["report"]["left_out"])]
        told += [f"{name}: peers: {found['peers']['left_out']}"] if "left_out" in found["peers"] else []
        told += [
            f"{name}: {each['minutes']:.1f} minutes: {each['left_out']}"
            for each in found.get("too_short", ())
        ]
        lines += [f"- {each}" for each in told]
    return [*lines, ""]


def _curve_words() -> list[str]:
    return [
        _CURVES,
        "",
    ]


def _table(heads: Iterable[str], rows: Iterable[Iterable[Any]]) -> list[str]:
    heads = list(heads)
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    return [*lines, *("| " + " | ".join(map(str, row)) + " |" for row in rows), ""]


def _value(value: float | None, signed: bool = False) -> str:
    return _NOTHING if value is None else f"{value:+.3f}" if signed else f"{value:.3f}"


def _interval(found: Mapping[str, Any]) -> str:
    return _NOTHING if found["low"] is None else f"{found['low']:.3f} to {found['high']:.3f}"


def _p(value: float | None) -> str:
    return _NOTHING if value is None else f"{value:.2g}"
