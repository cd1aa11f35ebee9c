"""Encoders by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from rtface.core.errors import EngineError, UsageError
from rtface.networks.encoder import CausalEncoder, EncoderNetwork, FacemapEncoder

ENCODERS: dict[str, Callable[..., EncoderNetwork]] = {"facemap": FacemapEncoder, "causal": CausalEncoder}


def build_encoder(architecture: Mapping[str, Any], seed: int = 0) -> EncoderNetwork:
    """Build an encoder of random weights that hang on the seed alone.

    Parameters
    ----------
    architecture : mapping
        ``name``, one of `ENCODERS`, and the arguments of its class.
    seed : int

    Raises
    ------
    EngineError
        The name is unknown or the arguments do not fit.
    """
    arguments = dict(architecture)
    name = arguments.pop("name", None)
    if name not in ENCODERS:
        raise EngineError(f"the encoder {name!r} is unknown to this rtface; it knows {', '.join(ENCODERS)}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            return ENCODERS[name](**arguments)
        except (TypeError, UsageError) as error:
            raise EngineError(f"the encoder {name} cannot be built of {arguments}: {error}") from error
