from __future__ import annotations

import inspect

import pytest

from rtface.core import errors
from rtface.core.errors import (
    CameraError,
    CameraLostError,
    CameraSettingError,
    ControlError,
    RtfaceError,
    UsageError,
)

ALL = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, BaseException)]


@pytest.mark.parametrize("kind", ALL)
def test_every_error_is_of_the_tree_and_ends_the_process_with_a_status(kind: type[RtfaceError]) -> None:
    assert issubclass(kind, RtfaceError)
    assert 1 <= kind.exit_code <= 9
    assert kind.__doc__


def test_only_errors_of_a_kind_share_a_status() -> None:
    statuses = {kind.exit_code for kind in RtfaceError.__subclasses__()}
    assert statuses == {2, 3, 4, 5, 6, 7, 8, 9}
    assert RtfaceError.exit_code == 1
    assert UsageError.exit_code == 2
    assert CameraLostError.exit_code == CameraSettingError.exit_code == CameraError.exit_code == 4


def test_a_refused_command_carries_its_reason() -> None:
    error = ControlError("busy", "somebody else commands")
    assert error.code == "busy"
    assert str(error) == "somebody else commands"
