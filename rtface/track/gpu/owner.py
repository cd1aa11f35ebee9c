"""What was taken from a GPU, and how it is given back."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from rtface.track.gpu.driver.lost import keep_if_lost

_log = logging.getLogger(__name__)


class Owner(ExitStack):
    """What was taken from a GPU, given back in reverse; one failure does not keep the rest from being given back.

    Once the GPU is lost (`rtface.track.gpu.driver.lost`), nothing is given back: each step would call its driver again.
    """

    def gives_back(self, step: Callable[[], Any]) -> None:
        """Remember how to give something back."""

        def surely() -> None:
            if keep_if_lost(step):
                return
            try:
                step()
            except Exception as error:  # of a GPU that has failed nearly anything may come
                _log.warning("while giving back what was taken from the GPU: %s", error)

        self.callback(surely)
