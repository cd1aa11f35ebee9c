"""Which rigs a screen shows, and where they are reached."""

from __future__ import annotations

from pathlib import Path

import pytest

from rtface.core.defaults import LOOPBACK_CONTROL
from rtface.core.errors import AddressError, RtfaceError, UsageError
from rtface.screen.riglink import as_reached
from rtface.screen.rigs import shown_rigs


def test_without_a_name_it_is_the_service_of_this_machine() -> None:
    assert [(each.control, each.named) for each in shown_rigs([], None)] == [(LOOPBACK_CONTROL, False)]
    assert shown_rigs([LOOPBACK_CONTROL], None)[0].named


def test_a_rig_is_named_by_its_address_or_its_file(tmp_path: Path) -> None:
    path = tmp_path / "left.yaml"
    path.write_text(
        "camera: {kind: simulated}\npublish: {control: 'tcp://127.0.0.1:6000', keypoints: 'tcp://127.0.0.1:6001'}\n",
        encoding="utf-8",
    )
    one, other = shown_rigs([str(path), "tcp://127.0.0.1:7000"], None)
    assert (one.name, one.control) == ("left", "tcp://127.0.0.1:6000")
    assert other.name == other.control == "tcp://127.0.0.1:7000"


def test_a_rig_is_called_the_same_whatever_stands_beside_it_and_never_as_another() -> None:
    a, b = "tcp://127.0.0.1:7000", "tcp://127.0.0.1:7001"
    first = shown_rigs([a, b], None)
    second = shown_rigs([b], None)
    assert second[0].id == first[1].id
    assert first[0].id != first[1].id


@pytest.mark.parametrize("where", ["left", "left.txt", "", "127.0.0.1:7000"])
def test_what_is_neither_is_named(where: str) -> None:
    with pytest.raises(UsageError, match="neither"):
        shown_rigs([where], None)


def test_the_same_service_twice_is_refused() -> None:
    with pytest.raises(UsageError, match="twice"):
        shown_rigs(["tcp://127.0.0.1:7000", "tcp://127.0.0.1:7000"], None)


@pytest.mark.parametrize(
    "where", ["tcp://127.0.0.1:*", "tcp://127.0.0.1", "http://127.0.0.1:1", "tcp://:1", "x://y"]
)
def test_an_address_that_cannot_be_reached_is_refused_when_it_is_named(where: str) -> None:
    with pytest.raises(AddressError, match="cannot be reached"):
        shown_rigs([where], None)


def test_keys_that_are_none_are_named(tmp_path: Path) -> None:
    with pytest.raises(RtfaceError):
        shown_rigs(["tcp://127.0.0.1:7000"], tmp_path)[0].client_keys()


@pytest.mark.parametrize(
    ("bound", "control", "reached"),
    [
        ("tcp://127.0.0.1:1", "tcp://127.0.0.1:2", "tcp://127.0.0.1:1"),
        ("tcp://0.0.0.0:1", "tcp://lab:2", "tcp://lab:1"),
        ("tcp://[::]:1", "tcp://[fe80::1]:2", "tcp://[fe80::1]:1"),
        ("tcp://*:1", "tcp://lab:2", "tcp://lab:1"),
        ("tcp://192.0.2.1:1", "tcp://lab:2", "tcp://192.0.2.1:1"),
        ("ipc:///a", "tcp://lab:2", "ipc:///a"),
        ("tcp://0.0.0.0:1", "ipc:///a", "tcp://127.0.0.1:1"),
        ("", "tcp://lab:2", ""),
    ],
)
def test_an_address_is_said_as_it_is_reached(bound: str, control: str, reached: str) -> None:
    assert as_reached(bound, control) == reached
