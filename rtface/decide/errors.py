"""What is wrong with a rules file, and where in it; all of it at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rtface.core.errors import ConfigError


class RulesError(ConfigError):
    """A setting of a rules file does not fit the engine, the camera or another setting.

    Parameters
    ----------
    problem : str
        What is wrong, and what would be right.
    *at : str
        Its place, such as ``"rules", "whisk", "when"``; whoever read the file adds name and line.

    Attributes
    ----------
    each : tuple of RulesError
        All that is wrong, where several things are; else this error alone.
    """

    def __init__(self, problem: str, *at: str) -> None:
        super().__init__(f"{'.'.join(at)}: {problem}" if at else problem)
        self.problem, self.at = problem, at
        self.each: tuple[RulesError, ...] = (self,)


@contextmanager
def kept_in(found: list[RulesError]) -> Iterator[None]:
    """Keep what the block refuses, and go on after it."""
    try:
        yield
    except RulesError as error:
        found += error.each


def raise_all(found: list[RulesError]) -> None:
    """Raise what was kept as one error, if there is any."""
    if found:
        whole = RulesError("\n".join(map(str, found)))
        whole.each = tuple(found)
        raise whole
