"""Outputs of Facemap's own encoder network for given weights: the reference that rtface's loader is compared with.

Run by the Python of an environment that has Facemap and not rtface; `bench.make.facemap_encoder_golden` starts it. Facemap's
module of networks imports its windows, which need Qt; an empty module stands in for them.
"""

import argparse
import importlib.metadata
import json
import sys
import types

import numpy as np
import torch

windows = types.ModuleType("facemap.gui")
setattr(windows, "help_windows", types.ModuleType("facemap.gui.help_windows"))  # noqa: B010
sys.modules["facemap.gui"] = windows
sys.modules["facemap.gui.help_windows"] = getattr(windows, "help_windows")  # noqa: B009

from facemap.neural_prediction.neural_model import KeypointsNetwork  # noqa: E402


def main() -> None:
    """Build each case's network, give it its weights and inputs, and write what it says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", help="file saved by torch: a list of dicts arguments, state, inputs, animal")
    parser.add_argument("out", help="npz file to write")
    options = parser.parse_args()
    arrays = {}
    for number, case in enumerate(torch.load(options.cases, weights_only=True)):
        network = KeypointsNetwork(**case["arguments"]).eval()
        network.load_state_dict(case["state"], strict=True)
        with torch.no_grad():
            outputs, latents = network(case["inputs"][None], animal_id=case["animal"])
        arrays[f"{number}/outputs"] = outputs[0].numpy()
        arrays[f"{number}/latents"] = latents[0].numpy()
    versions = {name: importlib.metadata.version(name) for name in ("facemap", "torch", "numpy")}
    np.savez(options.out, versions=json.dumps(versions), **arrays)


if __name__ == "__main__":
    main()
