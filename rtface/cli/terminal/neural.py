"""Neural predictions on a terminal: each component now, its uncertainty and its last seconds, the state, the age."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

import numpy as np
from rich.console import Group
from rich.table import Table
from rich.text import Text

from rtface.cli.terminal.screen import plain_table
from rtface.core.clock import NS_PER_MS, NS_PER_S
from rtface.publish.neural import NeuralMessage

_SHOWN = 8
_CELLS = 40
_CELL_NS = NS_PER_S // 5
_BARS = "▁▂▃▄▅▆▇█"
_COLOURS = ("cyan", "magenta", "yellow", "green", "blue", "red", "white", "bright_black")


def neural_map(message: NeuralMessage) -> dict[str, Any]:
    """Return what a prediction says, for JSON."""
    return {
        name: getattr(message, name)
        for name in (
            *("encoder", "simulated", "kind", "outputs", "uncertainty", "neurons", "chosen", "state"),
            *("probability", "look_ahead_ns", "delay_ns", "warm", "strange", "unusual", "score"),
        )
    }


class NeuralView:
    """Shows the newest prediction and those of the last 8 s.

    Parameters
    ----------
    shown : int
        Components, at most.
    """

    def __init__(self, shown: int = _SHOWN) -> None:
        self._most = shown
        self._newest: NeuralMessage | None = None
        self._cells: deque[tuple[int, np.ndarray, int, int | None]] = deque(maxlen=_CELLS)
        self._largest = np.zeros(0)

    def take(self, messages: Iterable[NeuralMessage]) -> None:
        """Take predictions in their order."""
        for message in messages:
            before = self._newest
            if before is not None and (before.session, before.model) != (message.session, message.model):
                self._cells.clear()
                self._largest = np.zeros(0)
            self._newest = message
            if message.warm:
                self._keep(message)

    def _keep(self, message: NeuralMessage) -> None:
        """Add to the cell of the message's time: a sum of outputs, their number, the last state."""
        outputs = message.outputs[: self._most].astype(np.float64)
        if not self._largest.size:
            self._largest = np.full(len(outputs), 1e-6)
        cell = message.exposure_ns // _CELL_NS
        if self._cells and self._cells[-1][0] == cell:
            _, total, count, _ = self._cells.pop()
            self._cells.append((cell, total + outputs, count + 1, message.state))
        else:
            self._cells.append((cell, outputs, 1, message.state))
        _, total, count, _ = self._cells[-1]
        np.maximum(self._largest, np.abs(total / count), out=self._largest)

    def render(self) -> list[Any]:
        """Return what is to be shown; nothing before the first prediction."""
        newest = self._newest
        if newest is None:
            return []
        parts: list[Any] = []
        if newest.simulated:
            parts.append(
                Text(
                    "SIMULATED neurons, made up from a simulated mouse: no prediction of any brain",
                    "bold yellow",
                )
            )
        parts += [self._table(newest)]
        if newest.probability is not None:
            parts.append(self._states(newest))
        parts.append(Text(_foot(newest), "" if newest.warm and not newest.unusual else "yellow"))
        return [Group(*parts)]

    def _table(self, newest: NeuralMessage) -> Table:
        table = plain_table("neural", right=("now", "± error"))
        table.add_column(f"last {_CELLS * _CELL_NS / NS_PER_S:g} s", no_wrap=True)
        name = "pc" if newest.kind == "components" else "neuron"
        for index in range(min(self._most, len(newest.outputs))):
            now = f"{newest.outputs[index]:+.2f}" if newest.warm else "-"
            error = f"{newest.uncertainty[index]:.2f}"
            table.add_row(f"{name}{index + 1}", now, error, Text(self._trace(index), "cyan"))
        return table

    def _trace(self, index: int) -> str:
        """Return one component's last cells as bars; a cell without a prediction is blank."""
        if not self._cells:
            return ""
        last = self._cells[-1][0]
        bars = [" "] * _CELLS
        for cell, total, count, _ in self._cells:
            place = _CELLS - 1 - (last - cell)
            if place >= 0:
                height = 0.5 + 0.5 * total[index] / count / self._largest[index]
                bars[place] = _BARS[min(len(_BARS) - 1, int(height * len(_BARS)))]
        return "".join(bars)

    def _states(self, newest: NeuralMessage) -> Text:
        assert newest.probability is not None
        text = Text("state  ")
        for state, probability in enumerate(newest.probability.tolist()):
            style = _COLOURS[state % len(_COLOURS)]
            text.append(f"{state} ", f"bold {style}" if state == newest.state else "dim")
            text.append(_BARS[min(len(_BARS) - 1, int(probability * len(_BARS)))] + " ", style)
        text.append(" ")
        last = self._cells[-1][0] if self._cells else 0
        ribbon = [("·", "dim")] * _CELLS
        for cell, _, _, was in self._cells:
            place = _CELLS - 1 - (last - cell)
            if place >= 0 and was is not None:
                ribbon[place] = (str(was % 10), _COLOURS[was % len(_COLOURS)])
        for character, style in ribbon:
            text.append(character, style)
        return text


def _foot(newest: NeuralMessage) -> str:
    age = "unknown" if newest.age_ns is None else f"{newest.age_ns / NS_PER_MS:.1f} ms"
    warm = "" if newest.warm else "; warming up"
    unusual = ": a face that the encoder was not trained on" if newest.unusual else " (usual below 1)"
    return (
        f"{newest.encoder}: age {age}, look-ahead {newest.look_ahead_ns / NS_PER_S:g} s, score {newest.score:.2f}, "
        f"out of distribution {newest.strange:.2f}{unusual}{warm}"
    )
