"""The encoders' architectures as a table of arrays: names and shapes, without torch.

The names are those of the parameters of `rtface.networks.facemap_encoder` and `.causal_encoder` (the former are
Facemap's own), so that both sides mean the same array by one. A test holds the two together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from rtface.core.errors import EngineError

READOUT_WIDTH = 128
"""Of all but the last dense layer of a Facemap readout, where it has several."""


class Layout(NamedTuple):
    """What an architecture is made of.

    Attributes
    ----------
    shapes : dict of str to tuple of int
        Name of each array and its shape.
    past, look_ahead : int
        Frames before and after the present one that an output depends on.
    inputs, latents, outputs : int
        Widths.
    """

    shapes: dict[str, tuple[int, ...]]
    past: int
    look_ahead: int
    inputs: int
    latents: int
    outputs: int


_FACEMAP: dict[str, Any] = {
    "mixed": None,
    "filters": 10,
    "taps": 201,
    "hidden": 50,
    "latents": 256,
    "identity": False,
    "core_layers": 2,
    "readout_layers": 1,
    "rectify_filters": True,
    "rectify_latents": True,
    "look_ahead": None,
}
_CAUSAL: dict[str, Any] = {
    "fast_taps": 50,
    "fast_bumps": 8,
    "units": 32,
    "slow_taps": 150,
    "slow_frames": (0.0, 4.0, 12.0, 30.0, 60.0),
    "linear_bumps": 10,
    "hidden": 64,
    "latents": 256,
    "dropout": 0.0,
    "look_ahead": 0,
}
DEFAULTS: dict[str, dict[str, Any]] = {"facemap": _FACEMAP, "causal": _CAUSAL}
"""Arguments that an architecture may leave out, by its name."""


def complete(architecture: Mapping[str, Any]) -> dict[str, Any]:
    """Return an architecture with all its arguments.

    Raises
    ------
    EngineError
        Its name is unknown, an argument is missing or unknown.
    """
    name = architecture.get("name")
    if name not in DEFAULTS:
        raise EngineError(f"the encoder {name!r} is unknown to this rtface; there are: {', '.join(DEFAULTS)}")
    defaults = DEFAULTS[name]
    given = {key: value for key, value in architecture.items() if key != "name"}
    if missing := [key for key in ("inputs", "outputs") if key not in given]:
        raise EngineError(f"the architecture of the encoder {name} lacks {missing[0]}")
    if unknown := [key for key in given if key not in defaults and key not in ("inputs", "outputs")]:
        raise EngineError(f"the encoder {name} has no argument {unknown[0]!r}")
    return {"name": name, **defaults, **given}


def layout(architecture: Mapping[str, Any]) -> Layout:
    """Return the arrays of an architecture of one animal.

    Raises
    ------
    EngineError
        As `complete`, or the arguments are not numbers that make a network.
    """
    given = complete(architecture)
    try:
        return _facemap(given) if given["name"] == "facemap" else _causal(given)
    except (TypeError, ValueError) as error:
        raise EngineError(f"the encoder {given['name']} cannot be made of {given}: {error}") from error


def _facemap(given: Mapping[str, Any]) -> Layout:
    inputs, taps, latents, outputs = (int(given[key]) for key in ("inputs", "taps", "latents", "outputs"))
    shapes: dict[str, tuple[int, ...]] = {}
    mixed = inputs
    if not given["identity"]:
        mixed = int(given["mixed"] or inputs)
        _dense(shapes, "core.features.linear0.0", mixed, inputs)
    shapes["core.features.wavelet0.weight"] = (int(given["filters"]), 1, taps)
    width = int(given["filters"]) * mixed
    for layer in range(1, int(given["core_layers"])):
        _dense(shapes, f"core.features.linear{layer}.0", int(given["hidden"]), width)
        width = int(given["hidden"])
    _dense(shapes, "core.features.latent.0", latents, width)
    width, last = latents, int(given["readout_layers"]) - 1
    for layer in range(last + 1):
        columns = outputs if layer == last else READOUT_WIDTH
        _dense(shapes, f"readout.features.linear{layer}", columns, width)
        width = columns
    ahead = taps // 2 if given["look_ahead"] is None else int(given["look_ahead"])
    return Layout(shapes, taps - 1 - ahead, ahead, inputs, latents, outputs)


def _causal(given: Mapping[str, Any]) -> Layout:
    inputs, units, latents, outputs = (int(given[key]) for key in ("inputs", "units", "latents", "outputs"))
    fast, slow, averages = int(given["fast_taps"]), int(given["slow_taps"]), len(given["slow_frames"])
    window, ahead = fast + slow - 1, int(given["look_ahead"])
    shapes: dict[str, tuple[int, ...]] = {
        "fast_basis": (int(given["fast_bumps"]), fast),
        "linear_basis": (int(given["linear_bumps"]), window),
        "slow": (averages, slow),
    }
    _dense(shapes, "fast", units, inputs * int(given["fast_bumps"]))
    _dense(shapes, "hidden", int(given["hidden"]), units * averages + inputs * int(given["linear_bumps"]))
    _dense(shapes, "latent", latents, int(given["hidden"]))
    _dense(shapes, "readout", outputs, latents)
    return Layout(shapes, window - 1 - ahead, ahead, inputs, latents, outputs)


def _dense(shapes: dict[str, tuple[int, ...]], name: str, outputs: int, inputs: int) -> None:
    shapes[f"{name}.weight"] = (outputs, inputs)
    shapes[f"{name}.bias"] = (outputs,)
