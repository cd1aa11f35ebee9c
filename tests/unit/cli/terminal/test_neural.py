from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
from rich.console import Console

from rtface.cli.terminal.neural import NeuralView
from rtface.publish.neural import NeuralMessage

MESSAGE = NeuralMessage(
    frame_id=0,
    exposure_ns=0,
    encoder="cortex",
    model="m",
    simulated=False,
    kind="components",
    outputs=np.zeros(2, np.float32),
    uncertainty=np.array([0.25, 1.5], np.float32),
    neurons=None,
    chosen=None,
    state=None,
    probability=None,
    look_ahead_ns=2_000_000_000,
    delay_ns=0,
    warm=True,
    strange=0.5,
    score=0.9,
    age_ns=7_500_000,
)


def at(seconds: float, *outputs: float, **changes: object) -> NeuralMessage:
    changed = replace(
        MESSAGE, exposure_ns=round(seconds * 1e9), outputs=np.array(outputs or (0, 0), np.float32)
    )
    return replace(changed, **changes)  # type: ignore[arg-type]


def shown(*messages: NeuralMessage) -> str:
    view = NeuralView()
    view.take(messages)
    console = Console(width=120, file=io.StringIO(), record=True)
    for part in view.render():
        console.print(part)
    return console.export_text()


def row(text: str, name: str) -> str:
    return next(line for line in text.splitlines() if line.startswith(name))


def test_nothing_is_shown_before_anything_is_said() -> None:
    assert NeuralView().render() == []


def test_each_component_has_its_value_its_error_and_its_last_seconds() -> None:
    said = [at(0.2 * step, step - 2, 2 - step) for step in range(5)]
    text = shown(*said)
    one, two = row(text, "pc1"), row(text, "pc2")
    assert "+2.00" in one
    assert "0.25" in one
    assert one.rstrip().endswith("▁▃▅▇█")
    assert "-2.00" in two
    assert two.rstrip().endswith("█▇▅▃▁")
    assert "cortex: age 7.5 ms, look-ahead 2 s, score 0.90, out of distribution 0.50 (usual below 1)" in text
    assert "SIMULATED" not in text
    assert "state" not in text


def test_a_time_without_predictions_is_blank_and_old_ones_go() -> None:
    assert row(shown(at(0, 1, 1), at(0.6, 1, 1)), "pc1").rstrip().endswith("█  █")
    assert row(shown(at(0, 1, 1), at(60, -1, 1)), "pc1").count("█") == 0


def test_predictions_of_one_cell_are_averaged() -> None:
    text = shown(at(0.0, 1, 0), at(0.21, 1, 0), at(0.25, -1, 0))
    assert row(text, "pc1").rstrip().endswith("█▅")


def test_a_simulated_population_is_marked_and_ood_or_cold_predictions_too() -> None:
    assert "SIMULATED neurons" in shown(at(0, simulated=True))
    assert "out of distribution 1.50: a face that the encoder was not trained on" in shown(at(0, strange=1.5))
    text = shown(at(0, 5, 5, warm=False))
    assert "warming up" in text
    assert "+5.00" not in text


def test_states_are_shown_as_they_followed_each_other() -> None:
    two = np.array([0.9, 0.1], np.float32)
    said = [at(0.2 * step, state=int(step % 3 == 0), probability=two) for step in range(4)]
    said[-1] = replace(said[-1], state=0)
    assert row(shown(*said), "state").rstrip().endswith("1000")


def test_another_session_begins_anew() -> None:
    text = shown(at(0, 100, 1, session="a"), at(0.2, 1, 1, session="b"))
    assert row(text, "pc1").rstrip().endswith(" █")
