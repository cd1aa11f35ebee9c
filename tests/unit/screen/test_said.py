"""What a request says is checked where it is read, and a wrong field is named."""

from __future__ import annotations

import math
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from rtface.core.errors import UsageError
from rtface.screen.said import Said, got, posted


@pytest.mark.parametrize(("value", "expected"), [(7, 7), ("7", 7), ("-7", -7), (0, 0)])
def test_a_whole_number_may_come_from_a_body_or_in_the_letters_of_an_address(
    value: Any, expected: int
) -> None:
    assert Said({"n": value}).whole("n", least=-10) == expected


@pytest.mark.parametrize(
    "value", [True, 1.5, "1.5", "1_0", "seven", "٣", "9" * 30, 10**30, math.inf, -1, "-1", [], {}, "0x7"]
)
def test_what_is_no_whole_number_in_range_is_refused_by_name(value: Any) -> None:
    with pytest.raises(UsageError, match=r"^n is a whole number"):
        Said({"n": value}).whole("n", 3)


@pytest.mark.parametrize("value", [None, ""])
def test_what_is_not_there_has_its_default_or_is_missed(value: Any) -> None:
    said = Said({"n": value})
    assert (said.whole("n", 3), said.number("n", 2.5), said.text("n", "")) == (3, 2.5, "")
    for read in (said.whole, said.number, said.text):
        with pytest.raises(UsageError, match=r"^n is missing$"):
            read("n")
    assert said.texts("n") == []
    assert said.texts_by_name("n") == {}


@pytest.mark.parametrize("value", [True, "nan", math.nan, "inf", 1e12, "x", []])
def test_what_is_no_number_is_refused_by_name(value: Any) -> None:
    with pytest.raises(UsageError, match=r"^t is a number"):
        Said({"t": value}).number("t", 0.0)


def test_texts_are_texts_of_a_bounded_length() -> None:
    for value in (7, ["x"], "x" * 3_000, "a\0b"):
        with pytest.raises(UsageError, match="name is a text"):
            Said({"name": value}).text("name")
    for value in ("x", [1], {"a": "b"}):
        with pytest.raises(UsageError, match="names is a"):
            Said({"names": value}).texts("names")
    assert Said({"names": {"a": "", "b": "c"}}).texts_by_name("names") == {"a": "", "b": "c"}


def test_a_flag_is_true_or_it_is_not_set() -> None:
    assert [Said({"yes": value}).flag("yes") for value in (True, False, 1, "true", None)] == [True] + [
        False
    ] * 4


def test_a_route_gives_its_handler_what_was_said_and_answers_in_json_whatever_numbers_there_are() -> None:
    routes = [
        got("/{place}", lambda said: {"place": said.text("place"), "n": said.whole("n", 0), "not": math.nan}),
        posted("/{place}", lambda said: {"place": said.text("place"), "who": said.text("who")}),
    ]
    client = TestClient(Starlette(routes=routes))
    assert client.get("/a?n=2&place=b").json() == {"place": "a", "n": 2, "not": None}
    assert client.post("/a", json={"who": "ann", "place": "b"}).json() == {"place": "a", "who": "ann"}
