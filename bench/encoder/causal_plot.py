"""What an encoder loses by knowing less of the past, nothing of the future, or all of it late: as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rtface.core.drawing import new_figure


def draw_causality(result: Mapping[str, Any], path: Path) -> None:
    """Draw the explained variance against the window, the delay and the look-ahead.

    Parameters
    ----------
    result : mapping
        ``window``, ``delay`` and ``look_ahead``: each a list of mappings of ``family``, ``seconds`` and
        ``variance_explained`` (one a seed); ``ceiling``, a number or None; ``title``.
    path : Path
        The picture's file; its ending decides the kind.
    """
    figure = new_figure(11, 3.8, dpi=130)
    panels = (
        ("window", "window (s), past frames alone"),
        ("delay", "delay: age of the newest frame (s)"),
        ("look_ahead", "look-ahead (s), so much later known"),
    )
    for axes, (what, label) in zip(figure.subplots(1, 3, sharey=True), panels, strict=True):
        for family in dict.fromkeys(row["family"] for row in result[what]):
            rows = [row for row in result[what] if row["family"] == family]
            middle = [float(np.mean(row["variance_explained"])) for row in rows]
            seconds = [row["seconds"] for row in rows]
            (line,) = axes.plot(seconds, middle, "o-", label=family, markersize=4)
            for place, row in zip(seconds, rows, strict=True):
                _seeds(axes, place, row["variance_explained"], line.get_color())
        if result.get("ceiling") is not None:
            axes.axhline(result["ceiling"], color="0.4", linestyle="--", linewidth=1, label="ceiling (known)")
        axes.set_xlabel(label)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_ylim(bottom=0)
        if what == "window":
            axes.set_ylabel("variance explained (held out)")
            axes.legend(fontsize=8, frameon=False, loc="lower right")
    figure.suptitle(result["title"], fontsize=9)
    figure.savefig(path)


def _seeds(axes: Any, place: float, values: Sequence[float], colour: Any) -> None:
    axes.plot([place] * len(values), values, ".", color=colour, markersize=2)
