"""Pictures of a report; those of simulated data are stamped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rtface.core.drawing import new_figure
from rtface.core.records import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from rtface.analyse.cluster_scores import Relation
    from rtface.analyse.forecast import Comparison
    from rtface.analyse.hmm import StateCounts
    from rtface.analyse.transitions import Irreversibility, Lifetimes

_DPI = 110
_REAL, _PREDICTED, _GREY, _ACCENT = "0.25", "C0", "0.7", "C3"
_MOST_TRACES, _TRACE_SAMPLES = 8, 200


class Pictures:
    """Draws into one folder.

    Parameters
    ----------
    folder : Path
        Where the PNG files go.
    simulated : bool
        Whether every picture is to be stamped.
    """

    def __init__(self, folder: Path, simulated: bool) -> None:
        self._folder, self._simulated = folder, simulated
        self.names: list[str] = []

    @contextmanager
    def _drawing(
        self, name: str, rows: int, columns: int, width: float, height: float
    ) -> Iterator[list[Axes]]:
        figure = new_figure(width, height)
        axes = np.atleast_1d(figure.subplots(rows, columns)).ravel().tolist()
        for each in axes:
            each.spines[["top", "right"]].set_visible(False)
        yield axes
        if self._simulated:
            figure.suptitle("SIMULATED", x=0.995, ha="right", color=_ACCENT, fontsize=8, fontweight="bold")
        figure.savefig(self._folder / f"{name}.png", dpi=_DPI)
        self.names.append(name)

    def traces(
        self, real: FloatArray, predicted: FloatArray, seconds: NDArray[np.float64], what: str = "component"
    ) -> None:
        """Draw the first components over a stretch of test time, real (S, C) under predicted."""
        count = min(_MOST_TRACES, real.shape[1])
        shown = slice(0, min(len(real), _TRACE_SAMPLES))
        # Test time comes in blocks: a gap breaks the line.
        step = np.median(np.diff(seconds)) if len(seconds) > 1 else 1.0
        gaps = np.flatnonzero(np.diff(seconds[shown]) > 1.5 * step) + 1
        with self._drawing("traces", 1, 1, 7.5, 0.8 + 0.55 * count) as (axes,):
            for row in range(count):
                size = max(float(real[:, row].std()), 1e-9)
                for values, colour, width in ((real, _REAL, 0.9), (predicted, _PREDICTED, 1.3)):
                    line = values[shown, row] / (5 * size) - row
                    label = ("recorded" if colour == _REAL else "predicted") if row == 0 else None
                    x, y = np.arange(len(line), dtype=float) * step, line.astype(float)
                    axes.plot(
                        np.insert(x, gaps, np.nan),
                        np.insert(y, gaps, np.nan),
                        color=colour,
                        lw=width,
                        label=label,
                    )
            for gap in gaps:
                axes.axvline((gap - 0.5) * step, color=_GREY, lw=0.6, ls=":")
            axes.set_yticks(-np.arange(count), [f"{what} {row + 1}" for row in range(count)])
            axes.set_xlabel("held-out time (s); dotted: from one test block to the next")
            axes.spines["left"].set_visible(False)
            axes.tick_params(axis="y", length=0)
            axes.legend(loc="upper left", ncols=2, frameon=False, bbox_to_anchor=(0, 1.08))

    def learning(self, held_back: Sequence[float], best: int) -> None:
        """Draw a training's loss on held-back samples by epoch, and the epoch whose weights were kept."""
        with self._drawing("learning", 1, 1, 4.4, 3) as (axes,):
            axes.plot(np.arange(1, len(held_back) + 1), held_back, "o-", ms=3, lw=1.2, color=_PREDICTED)
            axes.axvline(best, color=_ACCENT, lw=0.8, ls="--", label=f"kept: epoch {best}")
            axes.axhline(1, color="k", lw=0.5, ls=":", label="the mean explains nothing")
            axes.set_xlabel("epoch")
            axes.set_ylabel("loss on held-back samples\n(part of the variance not explained)")
            axes.legend(frameon=False, fontsize=8)

    def explained(
        self,
        explained: NDArray[np.float64],
        ceiling: NDArray[np.float64] | None,
        method: str = "predicted",
        ridge: NDArray[np.float64] | None = None,
        null: NDArray[np.float64] | None = None,
        what: str = "principal component of the population",
    ) -> None:
        """Draw the variance explained of each component, under its ceiling, beside ridge's and its null where known."""
        number = np.arange(1, len(explained) + 1)
        with self._drawing("explained", 1, 1, 5, 3.2) as (axes,):
            if ceiling is not None:
                axes.plot(number, ceiling, color=_GREY, lw=1.2, label="ceiling: all that behaviour explains")
            if null is not None:
                low, high = np.nanpercentile(null, (5, 95), axis=0)
                words = f"ridge, activity moved in time ({len(null)} shifts, 5 to 95 %)"
                axes.fill_between(number, low, high, color=_GREY, alpha=0.6, lw=0, label=words)
            if ridge is not None:
                axes.plot(number, ridge, color="C1", lw=1.0, ls="--", label="ridge, causal filters")
            axes.plot(number, explained, color=_PREDICTED, lw=1.2, label=method)
            axes.axhline(0, color="k", lw=0.5)
            axes.set_xscale("log")
            axes.set_ylim(min(-0.05, max(-0.3, float(np.nanmin(explained)))), 1)
            axes.set_xlabel(what)
            axes.set_ylabel("variance explained, held-out time")
            axes.legend(frameon=False, fontsize=8)

    def clusters(
        self,
        xpos: FloatArray,
        ypos: FloatArray,
        labels: NDArray[np.int64],
        locality: NDArray[np.float64],
        score: NDArray[np.float64],
        found: Relation,
        method: str,
    ) -> None:
        """Draw predictability against locality, and where the most local and the most spread cluster lie."""
        order = np.argsort(locality)
        with self._drawing("clusters", 1, 3, 10, 3.4) as (scatter, *maps):
            scatter.scatter(locality, score, s=14, color=_PREDICTED, alpha=0.8, lw=0)
            scatter.set_xlabel("locality index (nats)")
            scatter.set_ylabel("correlation, real and predicted trace")
            scatter.set_title(
                rf"{found.n} clusters ({method}), $\rho$ = {found.rho:.2f}, p = {found.p:.2g}", fontsize=9
            )
            for axes, cluster, words in zip(
                maps, (order[0], order[-1]), ("most spread", "most local"), strict=True
            ):
                inside = labels == cluster
                few = np.random.default_rng(0).permutation(len(xpos))[:5000]
                axes.scatter(xpos[few] / 1000, ypos[few] / 1000, s=1, color="0.85", lw=0, rasterized=True)
                axes.scatter(
                    xpos[inside] / 1000, ypos[inside] / 1000, s=3, color=_ACCENT, lw=0, rasterized=True
                )
                axes.set_title(
                    f"{words}: index {locality[cluster]:.2f}, r = {score[cluster]:.2f}", fontsize=9
                )
                axes.set_aspect("equal")
                axes.set_xlabel("x (mm)")
                axes.set_ylabel("y (mm)")

    def choice(self, choice: StateCounts) -> None:
        """Draw the likelihood of held-out time by number of states."""
        mean = choice.gain.mean(axis=0)
        error = choice.gain.std(axis=0, ddof=1) / np.sqrt(len(choice.gain))
        with self._drawing("state_number", 1, 1, 4, 3) as (axes,):
            axes.errorbar(choice.states, mean, error, color=_PREDICTED, marker="o", ms=4, capsize=2)
            chosen = f"knee: {choice.chosen}" if choice.rising else f"chosen: {choice.chosen}"
            axes.axvline(choice.chosen, color=_ACCENT, lw=0.8, ls="--", label=chosen)
            axes.set_xlabel("states")
            axes.set_ylabel("held-out log-likelihood over\none Gaussian (nats a step)")
            axes.legend(frameon=False, loc="lower right")

    def states(
        self, jumps: NDArray[np.float64], life: Lifetimes, curve: NDArray[np.float64], step_s: float
    ) -> None:
        """Draw sorted jumps, lifetimes and concentration; states are in the order of the matrix."""
        states = len(jumps)
        number = np.arange(1, states + 1)
        with self._drawing("states", 1, 3, 10, 3.2) as (matrix, times, near):
            edges = (0.5, states + 0.5, states + 0.5, 0.5)
            brightest = max(0.01, float(jumps.max()))
            image = matrix.imshow(jumps, cmap="magma", vmin=0, vmax=brightest, extent=edges)
            matrix.figure.colorbar(image, ax=matrix, label="probability of the jump", shrink=0.8)
            matrix.set_xlabel("to state")
            matrix.set_ylabel("from state")
            ticks = number if states <= 12 else number[:: -(-states // 10)]
            matrix.set_xticks(ticks)
            matrix.set_yticks(ticks)
            times.bar(number - 0.2, life.geometric * step_s, 0.4, color=_GREY, label="from self-transition")
            times.bar(number + 0.2, life.empirical * step_s, 0.4, color=_PREDICTED, label="mean of visits")
            times.set_xlabel("state")
            times.set_ylabel("lifetime (s)")
            times.set_ylim(
                0,
                1.3
                * float(np.nanmax(np.where(np.isfinite(life.geometric), life.geometric, np.nan)))
                * step_s,
            )
            times.set_xticks(ticks)
            times.legend(frameon=False, fontsize=8)
            steps = np.arange(1, states)
            near.plot(steps, curve, "o-", ms=4, color=_PREDICTED, label="these states")
            near.plot(steps, steps / (states - 1), color=_GREY, ls="--", label="jumps by chance")
            near.set_ylim(0, 1.02)
            near.set_xlabel("nearest states in the order")
            near.set_ylabel("probability that the jump goes there")
            near.legend(frameon=False, fontsize=8, loc="lower right")

    def arrow(self, found: Irreversibility) -> None:
        """Draw the entropy production of the path against that of its reversible surrogates."""
        with self._drawing("arrow_of_time", 1, 1, 4.6, 3) as (axes,):
            axes.hist(found.surrogates, 30, color=_GREY, label="reversible surrogates")
            axes.axvline(found.entropy_production, color=_PREDICTED, lw=2, label="the path, either way")
            axes.axvline(found.shuffled, color="k", lw=1, ls=":", label="visits shuffled")
            axes.set_xlabel("entropy production (nats a jump)")
            axes.set_ylabel("surrogates")
            axes.set_title(f"p = {found.p:.2g}", fontsize=9)
            axes.legend(frameon=False, fontsize=8)

    def passage(
        self,
        features: NDArray[np.float64],
        probability: NDArray[np.float64],
        truth: NDArray[np.integer] | None,
        step_s: float,
    ) -> None:
        """Draw features (S, D) and the filtered probabilities of the states (S, K) over a stretch of time."""
        time = np.arange(len(features)) * step_s
        with self._drawing("states_in_time", 2, 1, 7.5, 3.6) as (above, below):
            shown = features[:, :6] / features.std(axis=0)[:6]
            above.plot(time, shown - 4 * np.arange(shown.shape[1]), lw=0.8)
            above.set_yticks(-4 * np.arange(shown.shape[1]), [str(row + 1) for row in range(shown.shape[1])])
            above.set_ylabel("feature")
            above.set_xlim(0, time[-1])
            states = probability.shape[1]
            image = below.imshow(
                probability.T,
                aspect="auto",
                cmap="Greys",
                vmin=0,
                vmax=1,
                interpolation="nearest",
                extent=(0, time[-1] + step_s, states + 0.5, 0.5),
            )
            below.figure.colorbar(image, ax=below, label="probability", pad=0.01)
            if truth is not None:
                for edge in np.flatnonzero(np.diff(truth)):
                    below.axvline((edge + 1) * step_s, color=_ACCENT, lw=0.6)
            below.set_yticks(range(1, states + 1))
            below.set_ylabel("state")
            below.set_xlabel("time (s)" + ("; red: true changes" if truth is not None else ""))

    def forecast(self, result: Comparison) -> None:
        """Draw the variance explained of the future by lag, one panel a group of keypoints."""
        count = len(result.groups)
        with self._drawing("forecast", 1, count, 2.5 * count + 0.6, 3.2) as panels:
            for row, (axes, group) in enumerate(zip(panels, result.groups, strict=True)):
                axes.plot(result.seconds, result.hold[row], color=_GREY, label="last position")
                axes.plot(result.seconds, result.kalman[row], color="C1", ls="--", label="Kalman, live path")
                axes.plot(result.seconds, result.forecast[row], color=_PREDICTED, lw=1.8, label="forecast")
                axes.axhline(0, color="k", lw=0.5)
                if np.isfinite(result.half_s[row]):
                    axes.axvline(result.half_s[row], color=_ACCENT, lw=0.8, ls=":")
                axes.set_xscale("log")
                axes.set_ylim(-0.5, 1.02)
                half = (
                    f"half after {result.half_s[row]:.2g} s"
                    if np.isfinite(result.half_s[row])
                    else "half not reached"
                )
                axes.set_title(f"{group}: {half}", fontsize=9)
                axes.set_xlabel("ahead (s)")
                if row == 0:
                    axes.set_ylabel("variance explained of the future")
                    handles = axes.get_legend_handles_labels()
                    axes.figure.legend(
                        *handles, loc="outside lower center", ncols=3, frameon=False, fontsize=8
                    )
