"""The error of a rules file: what is wrong, and where in it."""

from __future__ import annotations

from rtface.core.errors import ConfigError


class RulesError(ConfigError):
    """A setting of a rules file does not fit the engine, the camera or another setting.

    Parameters
    ----------
    problem : str
        What is wrong, and what would be right.
    *at : str
        Its place, such as ``"rules", "whisk", "when"``; whoever read the file adds name and line.
    """

    def __init__(self, problem: str, *at: str) -> None:
        super().__init__(f"{'.'.join(at)}: {problem}" if at else problem)
        self.problem, self.at = problem, at
