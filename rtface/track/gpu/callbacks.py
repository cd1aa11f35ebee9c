"""What TensorRT calls back: its messages, kept for errors, and the progress of a build.

Classes of TensorRT's cannot be named before it is imported, so they are derived from in functions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_MOST_REASONS = 5

Progress = Callable[[str, int, int], bool]
"""Called with a phase of the build, its steps done and all its steps; False stops the build."""


def make_logger(trt: Any) -> Any:
    """Return a logger of TensorRT's that keeps warnings and errors."""

    class Collector(trt.ILogger):  # type: ignore[misc]  # the package has no types
        """Keeps warnings and errors, each with its severity."""

        def __init__(self) -> None:
            super().__init__()
            self.messages: list[tuple[int, str]] = []

        def log(self, severity: Any, message: str) -> None:
            if int(severity) <= int(trt.ILogger.WARNING):
                self.messages.append((int(severity), message))

        def reasons(self) -> str:
            """Return the errors, or else the warnings, and forget them."""
            errors = [text for severity, text in self.messages if severity <= int(trt.ILogger.ERROR)]
            kept = list(dict.fromkeys(errors or [text for _, text in self.messages]))
            self.messages.clear()
            return "; ".join(kept[:_MOST_REASONS]) or "it gives no reason"

    return Collector()


def make_monitor(trt: Any, progress: Progress) -> Any:
    """Return a monitor of TensorRT's that hands progress on; it has `stopped` and what was `raised`."""

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]  # the package has no types
        """No exception may pass through TensorRT's C++ frames: it is kept, and the build stopped."""

        def __init__(self) -> None:
            super().__init__()
            self.raised: BaseException | None = None
            self.stopped = False
            self._steps: dict[str, int] = {}

        def phase_start(self, phase: str, parent: str | None, steps: int) -> None:
            self._steps[phase] = steps

        def step_complete(self, phase: str, step: int) -> bool:
            try:
                self.stopped = self.stopped or not progress(phase, step + 1, self._steps.get(phase, step + 1))
            except BaseException as error:
                self.raised, self.stopped = error, True
            return not self.stopped

        def phase_finish(self, phase: str) -> None:
            self._steps.pop(phase, None)

    return Monitor()
