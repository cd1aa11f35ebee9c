"""The encoder and its baselines on real neurons: they know more of them than of shuffled trials."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.encoder import ibl

SHUFFLES = 199


@pytest.mark.parametrize("recording", ["trials", "segment"])
def test_real_neurons_are_predicted_better_than_shuffled_trials(shared_data: Path, recording: str) -> None:
    read = {"trials": ibl.read_trials, "segment": ibl.read_segment}[recording]
    trials = read(shared_data / "ibl_behaviour_and_spikes")
    methods = ibl.methods_of(trials, epochs=30)
    chosen = {name: methods[name] for name in ("ridge", "reduced rank 4", "causal encoder")}
    told = ibl.judge_trials(trials, chosen, SHUFFLES)
    for name in chosen:
        assert told[name]["p"] <= 0.01
        assert told[name]["correlation"] > told[name]["shuffled_mean"] + 2.5 * told[name]["shuffled_sd"]


def test_other_trials_behaviour_predicts_nothing(shared_data: Path) -> None:
    trials = ibl.read_trials(shared_data / "ibl_behaviour_and_spikes")
    shift = 100 * 60
    moved = ibl.Trials(
        ibl.np.roll(trials.inputs, shift, axis=0),
        trials.frames,
        trials.activity,
        trials.encoders,
        trials.window,
        trials.block,
    )
    told = ibl.judge_trials(moved, {"ridge": ibl.methods_of(moved, 1)["ridge"]}, SHUFFLES)
    assert told["ridge"]["p"] > 0.01
