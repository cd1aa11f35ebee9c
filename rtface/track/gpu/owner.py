"""What was taken from a GPU, and how it is given back."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

_log = logging.getLogger(__name__)


class Owner(ExitStack):
    """What was taken from a GPU, given back in reverse; one failure does not keep the rest from being given back."""

    def gives_back(self, step: Callable[[], Any]) -> None:
        """Remember how to give something back."""

        def surely() -> None:
            try:
                step()
            except Exception as error:  # of a GPU that has failed nearly anything may come
                _log.warning("while giving back what was taken from the GPU: %s", error)

        self.callback(surely)
