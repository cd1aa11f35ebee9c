"""Nobody who commands over the network is recorded as the operator, as rtface or as an output."""

from __future__ import annotations

import pytest

from rtface.config import OutputSettings
from rtface.config.yamlfile import kinds_of
from rtface.publish.authors import author
from rtface.publish.commands import who_in


@pytest.mark.parametrize(
    "name", ["Ada", "ada@rig", "Zoë", "Müller", "coop", "Logan", "bonsai-2", "Dr. Gates", "linear track"]
)
def test_names_of_people_and_programs_stay(name: str) -> None:
    assert author(name) == name
    assert who_in({"who": name}) == name


@pytest.mark.parametrize(
    "name",
    [
        "operator",
        "operator ada@rig",
        "Operator",
        " OPERATOR",
        "o p e r a t o r",
        "operator\u200b",
        "\u200boperator",
        "оperator",
        "ｏｐｅｒａｔｏｒ",
        "0perat0r",
        "óperator",
        "rtface",
        "RTFace",
        "gate",
        "log",
        "client:operator",
        "Ada\noperator",
    ],
)
def test_names_that_could_be_somebody_elses_are_marked(name: str) -> None:
    assert author(name) == f"client:{name}"


@pytest.mark.parametrize("name", kinds_of(OutputSettings))
def test_names_of_outputs_are_marked(name: str) -> None:
    assert author(name) == f"client:{name}"


def test_a_key_says_who_it_is_whatever_its_holder_says() -> None:
    assert who_in({"who": "operator"}, "laptop") == "laptop"
    assert who_in({"who": "Ada"}, "laptop") == "laptop"
    assert who_in({"who": "Ada"}, "operator") == "client:operator"
