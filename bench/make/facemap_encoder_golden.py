"""Makes `tests/data/facemap_encoder_golden.npz`: what Facemap's encoder says with random weights of ours.

python -m bench.make.facemap_encoder_golden --facemap-python PEER/bin/python
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.result import add_facemap_python, parser_of
from rtface.learn.encoder.facemap_weights import read_facemap_encoder

REPOSITORY = Path(__file__).resolve().parents[2]
REFERENCE = REPOSITORY / "bench" / "facemap" / "encoder_reference.py"
TARGET = REPOSITORY / "tests" / "data" / "facemap_encoder_golden.npz"

FRAMES = 260
CASES: tuple[dict[str, Any], ...] = (
    {"n_in": 5, "n_out": 7},
    {"n_in": 4, "n_kp": 3, "n_out": 6, "n_animals": 2, "n_latents": 24, "n_core_layers": 3},
    {"n_in": 4, "n_out": 6, "identity": True, "n_latents": 24, "n_out_layers": 2, "n_med": 11},
    {"n_in": 4, "n_out": 6, "kernel_size": 51, "n_filt": 6, "n_latents": 24, "n_core_layers": 1},
)
"""Arguments of Facemap's network."""


def shapes_of(arguments: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Return the names and shapes of the arrays of a weight file, as the layout of Facemap's files is known."""
    given: dict[str, Any] = {
        "n_kp": None,
        "n_filt": 10,
        "kernel_size": 201,
        "n_core_layers": 2,
        "n_latents": 256,
        "n_med": 50,
    }
    given |= {"n_animals": 1, "identity": False, "n_out_layers": 1} | arguments
    mixed = given["n_in"] if given["n_kp"] is None or given["identity"] else given["n_kp"]
    layers: list[tuple[str, int, int]] = []
    if not given["identity"]:
        layers.append(("core.features.linear0.0", mixed, given["n_in"]))
    width = given["n_filt"] * mixed
    for layer in range(1, given["n_core_layers"]):
        layers.append((f"core.features.linear{layer}.0", given["n_med"], width))
        width = given["n_med"]
    layers.append(("core.features.latent.0", given["n_latents"], width))
    for animal in range(given["n_animals"]):
        ending = f"_{animal}" if given["n_animals"] > 1 else ""
        width = given["n_latents"]
        for layer in range(given["n_out_layers"]):
            columns = given["n_out"] if layer == given["n_out_layers"] - 1 else 128
            layers.append((f"readout.features.linear{layer}{ending}", columns, width))
            width = columns
    shapes: dict[str, tuple[int, ...]] = {
        "core.features.wavelet0.weight": (given["n_filt"], 1, given["kernel_size"])
    }
    for name, columns, width in layers:
        shapes |= {f"{name}.weight": (columns, width), f"{name}.bias": (columns,)}
    return shapes


def main() -> None:
    """Draw weights and inputs, let Facemap compute, and write all to one file."""
    parser = parser_of(__doc__)
    add_facemap_python(parser)
    options = parser.parse_args()
    torch.manual_seed(7)
    cases = []
    for arguments in CASES:
        state = {
            name: torch.randn(shape) / np.sqrt(shape[-1]) if len(shape) > 1 else 0.3 * torch.randn(shape)
            for name, shape in shapes_of(arguments).items()
        }
        inputs = torch.randn(FRAMES, arguments["n_in"])
        animal = arguments.get("n_animals", 1) - 1
        cases.append({"arguments": arguments, "state": state, "inputs": inputs, "animal": animal})
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        torch.save(cases, work / "cases.pt")
        subprocess.run(
            [
                options.facemap_python,
                REFERENCE,
                work / "cases.pt",
                work / "out.npz",
            ],
            check=True,
            env=os.environ | {"HOME": folder, "PYTHONPATH": ""},
        )
        with np.load(work / "out.npz") as said:
            arrays: dict[str, Any] = dict(said)
    for number, case in enumerate(cases):
        arrays |= {f"{number}/state/{name}": value.numpy() for name, value in case["state"].items()}
        arrays[f"{number}/inputs"] = case["inputs"].numpy()
        arrays[f"{number}/animal"] = np.array(case["animal"])
    arrays["arguments"] = json.dumps(CASES)
    np.savez_compressed(TARGET, **arrays)
    for number in range(len(CASES)):
        with tempfile.TemporaryDirectory() as folder:
            torch.save(cases[number]["state"], Path(folder) / "weights.pth")
            network, _ = read_facemap_encoder(Path(folder) / "weights.pth")
        with torch.no_grad():
            outputs, latents = network(cases[number]["inputs"], cases[number]["animal"])
        off = max(
            float(np.abs(outputs.numpy() - arrays[f"{number}/outputs"]).max()),
            float(np.abs(latents.numpy() - arrays[f"{number}/latents"]).max()),
        )
        print(f"case {number}: largest difference {off:.2g}")


if __name__ == "__main__":
    main()
