"""Conditions: what they mean, in three values, and what is refused, with its place."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtface.core.clock import NS_PER_MS
from rtface.decide.expression import compile_expression
from rtface.decide.syntax import ExpressionError, parse

NAMES = ("pad.amplitude", "nose.speed", "eye.blink", "rule.calm")


def value(text: str, *values: float, scores: tuple[float, ...] = (0.9, 0.8, 0.7, 0.6)) -> bool | None:
    given_ = [*values, *[0.0] * (len(NAMES) - len(values))]
    ages = [1_000 * NS_PER_MS - 5 * NS_PER_MS * index for index in range(len(NAMES))]
    return compile_expression(text, NAMES).evaluate(given_, scores, ages, 1_002 * NS_PER_MS)


@pytest.mark.parametrize(
    ("text", "truth"),
    [
        ("pad.amplitude > 3", True),
        ("pad.amplitude >= 4 and nose.speed <= 100", True),
        ("pad.amplitude > 4", False),
        ("pad.amplitude == 4 and pad.amplitude != 5", True),
        ("not pad.amplitude > 3 or eye.blink == 1", False),
        ("not (pad.amplitude > 3 and eye.blink == 1)", True),
        ("2 < pad.amplitude < 5", True),
        ("2 < pad.amplitude < 3", False),
        ("pad.amplitude + 2 * nose.speed - 4 == 200", True),
        ("-pad.amplitude / 2 == -2", True),
        ("(pad.amplitude - 1) * 2 == 6", True),
        ("nose.speed / pad.amplitude / 5 == 5", True),
        ("2 - 1 - 1 == 0", True),
        ("abs(-pad.amplitude) == 4", True),
        ("max(pad.amplitude, nose.speed, 7) == 100 and min(1, 2) == 1", True),
        ("score(nose.speed) == 0.8", True),
        ("age_ms(nose.speed) == 7 and age_ms(pad.amplitude) < 2.5", True),
        ("pad.amplitude > 3.5e0 and .5 < 1.", True),
        ("eye.blink == 1 or nose.speed > 99 and pad.amplitude > 9", False),  # and binds closer
        ("nose.speed / eye.blink > 1", None),
        ("nose.speed / eye.blink > 1 or pad.amplitude > 3", True),
        ("nose.speed / eye.blink > 1 and pad.amplitude > 4", False),
        ("nose.speed / eye.blink > 1 and pad.amplitude > 3", None),
        ("nose.speed / eye.blink > 1 or pad.amplitude > 4", None),
        ("not nose.speed / eye.blink > 1", None),
        ("max(1, nose.speed / eye.blink) > 0", None),
    ],
)
def test_what_conditions_mean(text: str, truth: bool | None) -> None:
    assert value(text, 4.0, 100.0, 0.0) is truth


@pytest.mark.parametrize("unknown", [math.nan, math.inf, -math.inf])
def test_what_is_no_finite_number_is_unknown(unknown: float) -> None:
    assert value("pad.amplitude > 3", unknown) is None
    assert value("pad.amplitude != pad.amplitude", unknown) is None
    assert value("pad.amplitude - pad.amplitude == 0", unknown) is None
    assert value("pad.amplitude > 3 and nose.speed > 5", unknown, 0.0) is False
    assert value("pad.amplitude > 3 or nose.speed < 5", unknown, 0.0) is True


@pytest.mark.parametrize(
    ("text", "column", "said"),
    [
        ("pad.amplitud > 3", 1, "did you mean pad.amplitude?"),
        ("pad.amplitude > 3 and nose.sped > 1", 23, "did you mean nose.speed?"),
        ("pad.amplitude", 1, "a comparison is needed here"),
        ("pad.amplitude and nose.speed > 1", 1, "a comparison is needed here"),
        ("(pad.amplitude > 1) + 2 > 3", 2, "a number is needed here"),
        ("pad.amplitude = 3", 15, "write =="),
        ("pad.amplitude > 3 && nose.speed > 1", 19, "write and"),
        ("pad.amplitude > 3 | nose.speed > 1", 19, "write or"),
        ("!(pad.amplitude > 3)", 1, "write not"),
        ("pad.amplitude ** 2 > 3", 15, "write x * x"),
        ("(pad.amplitude > 3", 1, "never closed"),
        ("pad.amplitude > 3)", 18, ") is not expected here"),
        ("pad.amplitude >", 16, "the condition ends here"),
        ("", 1, "the condition ends here"),
        ("sqrt(pad.amplitude) > 1", 1, "no function is called sqrt"),
        ("abs > 1", 1, "abs needs brackets"),
        ("abs(1, 2) > 1", 1, "abs takes one number"),
        ("max(1) > 1", 1, "max takes two numbers or more"),
        ("score(pad.amplitude + 1) > 1", 7, "score takes one name"),
        ("__import__('os').system('true')", 12, "has no meaning here"),
        ("pad.amplitude > 1e999", 17, "too large"),
        ("pad.amplitude > 3 nose.speed", 19, "nose.speed is not expected here"),
        ("lambda: 1 > 0", 7, "has no meaning here"),
        ("(" * 70 + "1 > 0" + ")" * 70, 65, "nested more than 64 deep"),
        ("not " * 70 + "1 > 0", 257, "nested more than 64 deep"),
        ("1" + " + 1" * 70 + " > 0", 1, "nested more than 64 deep"),
        ("1 > 0" + " " * 1000, 1001, "longer than 1000"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(text: str, column: int, said: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_expression(text, NAMES)
    assert said in str(caught.value)
    assert caught.value.column == column
    assert str(caught.value).splitlines()[-1].strip() == "^"


def test_names_come_in_the_order_of_their_first_mention() -> None:
    made = compile_expression("nose.speed > 1 and 2 < pad.amplitude and nose.speed < 9", NAMES)
    assert made.names == ("nose.speed", "pad.amplitude")
    assert made.indices == (1, 0)


def test_out_of_distribution_is_the_value_that_is_given_and_recorded_as_strange() -> None:
    names = ("pad.amplitude", "neural.strange")
    made = compile_expression("neural.ood < 1 and score(neural.ood) > 0.5 and neural.strange < 2", names)
    assert (made.names, made.indices) == (("neural.strange",), (1,))
    assert made.evaluate([0.0, 0.5], [0.0, 1.0], [0, 0], 0) is True
    assert made.evaluate([0.0, 1.5], [1.0, 1.0], [0, 0], 0) is False
    with pytest.raises(ExpressionError, match=r"no feature is called neural\.odd; did you mean neural\.ood"):
        compile_expression("neural.odd < 1", names)
    with pytest.raises(ExpressionError, match=r"no feature is called neural\.ood"):
        compile_expression("neural.ood < 1", names[:1])


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60) | st.text("abcx.()<>=!&|+-*/ 01andort,", max_size=80))
def test_any_text_is_a_condition_or_a_refusal_never_anything_else(text: str) -> None:
    column = 1
    try:
        compile_expression(text, NAMES).evaluate([1.0] * 4, [1.0] * 4, [0] * 4, 0)
    except ExpressionError as error:
        column = error.column
    assert 1 <= column <= len(text) + 1


NUMBERS = st.recursive(
    st.sampled_from(["a", "b", "1", "2.5", "0"]),
    lambda inner: (
        st.tuples(inner, st.sampled_from(["+", "-", "*"]), inner).map(lambda each: f"({' '.join(each)})")
        | inner.map(lambda each: f"abs({each})")
        | st.tuples(inner, inner).map(lambda each: f"max({', '.join(each)})")
    ),
    max_leaves=6,
)
CONDITIONS = st.recursive(
    st.tuples(NUMBERS, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), NUMBERS).map(" ".join),
    lambda inner: (
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(lambda each: f"({' '.join(each)})")
        | inner.map(lambda each: f"not ({each})")
    ),
    max_leaves=6,
)


@settings(max_examples=200, deadline=None)
@given(CONDITIONS, st.floats(-9, 9), st.floats(-9, 9))
def test_where_all_is_known_a_condition_means_what_python_s_own_would(text: str, a: float, b: float) -> None:
    ours = compile_expression(text, ("a", "b")).evaluate([a, b], [1.0, 1.0], [0, 0], 0)
    scope: dict[str, Any] = {"a": a, "b": b, "abs": abs, "max": max, "__builtins__": {}}
    assert ours is eval(text, scope)


def test_a_tree_is_walked_from_left_to_right() -> None:
    assert [
        node.text for node in parse("a > 1 and (b < c or not d == 2)").walk() if node.kind == "name"
    ] == list("abcd")
