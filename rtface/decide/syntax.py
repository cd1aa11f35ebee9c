"""The grammar of a rule's conditions: text to a tree, by hand, with nothing evaluated on the way.

::

    condition  := both ("or" both)*
    both       := negation ("and" negation)*
    negation   := "not" negation | comparison
    comparison := sum (("<" | "<=" | ">" | ">=" | "==" | "!=") sum)*
    sum        := product (("+" | "-") product)*
    product    := signed (("*" | "/") signed)*
    signed     := ("-" | "+") signed | atom
    atom       := NUMBER | NUMBER spread | NAME | spread | FUNCTION "(" arguments ")" | "(" condition ")"
    spread     := ("baseline" | "sd") ["(" NAME ")"]

A chain such as ``2 < nose.speed < 9`` holds when each of its comparisons does. ``3 sd`` is three times ``sd``; without a
name in brackets ``baseline`` and ``sd`` are those of the one name on the other side of their comparison.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from rtface.core.errors import ConfigError, nearest

MOST_CHARACTERS = 1000
DEEPEST = 64
"""Nesting of brackets, signs and operators."""

OF_VALUES = ("abs", "min", "max")
OF_BASELINE = ("baseline", "sd")
OF_NAMES = ("score", "age_ms", *OF_BASELINE)
FUNCTIONS = OF_VALUES + OF_NAMES
ALIASES = {"neural.ood": "neural.strange"}
"""Names that conditions may use, each with the name under which its value is given and recorded."""

_WORDS = ("and", "or", "not")
_MEANT = {
    "&&": "and",
    "&": "and",
    "||": "or",
    "|": "or",
    "!": "not",
    "=": "==",
    "=>": ">=",
    "=<": "<=",
    "<>": "!=",
}
_TOKEN = re.compile(
    r"(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z0-9_]+)*)"
    r"|(?P<operator>\*\*|=>|=<|<>|<=|>=|==|!=|&&|\|\||[-+*/<>()=!&|,])"
    r"|(?P<space>\s+)"
)
_COMPARISONS = frozenset({"<", "<=", ">", ">=", "==", "!="})


class ExpressionError(ConfigError):
    """A condition cannot be read; the message shows the place.

    Parameters
    ----------
    problem : str
        What is wrong, and what would be right.
    text : str
        The condition.
    column : int
        Where, from 1.
    """

    def __init__(self, problem: str, text: str, column: int) -> None:
        line = re.sub(r"\s", " ", text)
        start = max(0, column - 60)
        shown = line[start : start + 110]
        super().__init__(f"{problem} (column {column})\n    {shown}\n    {' ' * (column - 1 - start)}^")
        self.column = column


class Token(NamedTuple):
    """A word of the text; `column` counts from 1."""

    kind: str
    text: str
    column: int


@dataclass(frozen=True, slots=True)
class Node:
    """A part of a condition.

    Attributes
    ----------
    kind : str
        ``number``, ``name``, ``compare``, ``and``, ``or``, ``not``, ``negative``, one of ``+ - * /`` or a function; of
        ``baseline`` and ``sd`` the part is their name.
    column : int
        Where it begins, from 1.
    parts : tuple of Node
        What it is made of.
    truth : bool
        Whether it is true or false, rather than a number.
    depth : int
        Of the tree from here down.
    value : float
        Of a number.
    text : str
        Of a name.
    operators : tuple of str
        Of a chain of comparisons.
    """

    kind: str
    column: int
    parts: tuple[Node, ...] = ()
    truth: bool = False
    depth: int = 1
    value: float = math.nan
    text: str = ""
    operators: tuple[str, ...] = ()

    def walk(self) -> Iterator[Node]:
        """Yield this part and all below it, from left to right."""
        yield self
        for part in self.parts:
            yield from part.walk()

    def as_text(self) -> str:
        """Return a number as it may be written; ``baseline`` and ``sd`` without their names."""
        inner = [part.as_text() for part in self.parts]
        match self.kind:
            case "number":
                return f"{self.value:g}"
            case "name":
                return self.text
            case "baseline" | "sd":
                return self.kind
            case "negative":
                return f"-{inner[0]}"
            case "*" if self.parts[0].kind == "number" and self.parts[1].kind == "sd":
                return f"{inner[0]} sd"
            case "+" | "-" | "*" | "/":
                return f"{inner[0]} {self.kind} {inner[1]}"
            case _:
                return f"{self.kind}({', '.join(inner)})"


def parse(text: str, *, truth: bool = True) -> Node:
    """Return a condition as a tree; or, where `truth` is False, a number.

    Raises
    ------
    ExpressionError
        It is not of the grammar, longer than 1000 characters or nested too deeply, or a number stands where true or
        false is needed, or the other way round.
    """
    if len(text) > MOST_CHARACTERS:
        raise ExpressionError(f"longer than {MOST_CHARACTERS} characters", text, MOST_CHARACTERS + 1)
    parser = _Parser(text)
    node = parser.condition()
    parser.expect_end()
    parser.refuse_of_nothing(node)
    return parser.needs(node, truth=truth)


def words_in(text: str) -> tuple[str, ...]:
    """Return all words of a condition, whether or not it can be read."""
    return tuple(found.group() for found in _TOKEN.finditer(text) if found.lastgroup == "name")


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(_tokens(text))
        self._at = 0
        self._open = 0

    @property
    def _next(self) -> Token:
        return self._tokens[self._at]

    def _take(self) -> Token:
        token = self._next
        self._at += token.kind != "end"
        return token

    def _error(self, problem: str, column: int) -> ExpressionError:
        return ExpressionError(problem, self._text, column)

    def _is(self, *texts: str) -> bool:
        return self._next.kind in ("operator", "word") and self._next.text in texts

    def _make(
        self,
        kind: str,
        column: int,
        *parts: Node,
        truth: bool = False,
        operators: tuple[str, ...] = (),
    ) -> Node:
        depth = 1 + max(part.depth for part in parts)
        if depth > DEEPEST:
            raise self._error(f"nested more than {DEEPEST} deep", column)
        return Node(kind, column, parts, truth, depth, operators=operators)

    def needs(self, node: Node, *, truth: bool) -> Node:
        if node.truth is not truth:
            raise self._error(
                "a comparison is needed here, such as pad.amplitude > 4"
                if truth
                else "a number is needed here, not a comparison",
                node.column,
            )
        return node

    def expect_end(self) -> None:
        token = self._next
        if token.kind != "end":
            raise self._error(f"{token.text} is not expected here", token.column)

    def refuse_of_nothing(self, node: Node) -> None:
        """Refuse a ``baseline`` or ``sd`` that belongs to no name."""
        for part in node.walk():
            if part.kind in OF_BASELINE and not part.parts:
                raise self._error(
                    f"{part.kind} is that of the one name that it is compared with, as in pad.amplitude > baseline + 3 sd; "
                    f"elsewhere write {part.kind}(NAME)",
                    part.column,
                )

    def condition(self) -> Node:
        return self._joined("or", self._both)

    def _both(self) -> Node:
        return self._joined("and", self._negation)

    def _joined(self, word: str, part: object) -> Node:
        assert callable(part)
        parts = [part()]
        while self._is(word):
            self.needs(parts[-1], truth=True)
            self._take()
            parts.append(self.needs(part(), truth=True))
        return parts[0] if len(parts) == 1 else self._make(word, parts[0].column, *parts, truth=True)

    def _negation(self) -> Node:
        if not self._is("not"):
            return self._comparison()
        column = self._take().column
        with_in = self._deeper(column)
        inner = self.needs(self._negation(), truth=True)
        self._open = with_in
        return self._make("not", column, inner, truth=True)

    def _deeper(self, column: int) -> int:
        """Count one more open bracket, sign or not; return the count before."""
        before = self._open
        self._open += 1
        if self._open > DEEPEST:
            raise self._error(f"nested more than {DEEPEST} deep", column)
        return before

    def _comparison(self) -> Node:
        parts, operators = [self._sum()], []
        while self._is(*_COMPARISONS):
            self.needs(parts[-1], truth=False)
            operators.append(self._take().text)
            parts.append(self.needs(self._sum(), truth=False))
        if not operators:
            return parts[0]
        parts = [_of_neighbour(part, parts[max(0, at - 1) : at + 2]) for at, part in enumerate(parts)]
        return self._make("compare", parts[0].column, *parts, truth=True, operators=tuple(operators))

    def _sum(self) -> Node:
        return self._chain(("+", "-"), self._product)

    def _product(self) -> Node:
        return self._chain(("*", "/"), self._signed)

    def _chain(self, operators: tuple[str, str], part: object) -> Node:
        assert callable(part)
        node: Node = part()
        while self._is(*operators):
            self.needs(node, truth=False)
            operator = self._take().text
            node = self._make(operator, node.column, node, self.needs(part(), truth=False))
        return node

    def _signed(self) -> Node:
        if not self._is("-", "+"):
            return self._atom()
        token = self._take()
        before = self._deeper(token.column)
        inner = self.needs(self._signed(), truth=False)
        self._open = before
        return self._make("negative", token.column, inner) if token.text == "-" else inner

    def _atom(self) -> Node:
        token = self._take()
        if token.kind == "number":
            number = Node("number", token.column, value=self._number(token))
            if self._next.kind == "name" and self._next.text == "sd":
                return self._make("*", token.column, number, self._spread(self._take()))
            return number
        if token.kind == "name":
            if token.text in OF_BASELINE:
                return self._spread(token)
            if self._is("("):
                return self._call(token)
            if token.text in FUNCTIONS:
                raise self._error(f"{token.text} needs brackets: {token.text}(...)", token.column)
            return Node("name", token.column, text=token.text)
        if token.text == "(":
            before = self._deeper(token.column)
            inner = self.condition()
            self._open = before
            self._close(token)
            return inner
        what = "the condition ends here" if token.kind == "end" else f"{token.text} is not expected here"
        raise self._error(f"{what}; a number, a name or ( is", token.column)

    def _spread(self, word: Token) -> Node:
        return self._call(word) if self._is("(") else Node(word.text, word.column)

    def _number(self, token: Token) -> float:
        value = float(token.text)
        if not math.isfinite(value):
            raise self._error(f"{token.text} is too large", token.column)
        return value

    def _call(self, name: Token) -> Node:
        if name.text not in FUNCTIONS:
            raise self._error(
                f"no function is called {name.text}{nearest(name.text, FUNCTIONS)}", name.column
            )
        bracket = self._take()
        before = self._deeper(bracket.column)
        arguments = [self.condition()]
        while self._is(","):
            self._take()
            arguments.append(self.condition())
        self._open = before
        self._close(bracket)
        if name.text in OF_NAMES:
            if len(arguments) != 1 or arguments[0].kind != "name":
                raise self._error(
                    f"{name.text} takes one name, such as {name.text}(pad.amplitude)", bracket.column + 1
                )
        else:
            for argument in arguments:
                self.needs(argument, truth=False)
            if (name.text == "abs") != (len(arguments) == 1):
                wanted = "one number" if name.text == "abs" else "two numbers or more"
                raise self._error(f"{name.text} takes {wanted}", name.column)
        return self._make(name.text, name.column, *arguments)

    def _close(self, bracket: Token) -> None:
        if not self._is(")"):
            raise self._error("this bracket is never closed", bracket.column)
        self._take()


def _of_neighbour(node: Node, beside: Sequence[Node]) -> Node:
    """Return a side of a comparison whose ``baseline`` and ``sd`` are those of the one name beside it, if there is one."""
    if not any(part.kind in OF_BASELINE and not part.parts for part in node.walk()):
        return node
    names = {each.text: each for each in beside if each.kind == "name"}
    return _with_name(node, next(iter(names.values()))) if len(names) == 1 else node


def _with_name(node: Node, name: Node) -> Node:
    if node.kind in OF_BASELINE and not node.parts:
        return replace(node, parts=(replace(name, column=node.column),), depth=2)
    return replace(node, parts=tuple(_with_name(part, name) for part in node.parts))


def _tokens(text: str) -> Iterator[Token]:
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        column = at + 1
        if found is None:
            raise ExpressionError(f"{text[at]!r} has no meaning here", text, column)
        kind, word = str(found.lastgroup), found.group()
        at = found.end()
        if word in _MEANT:
            raise ExpressionError(f"{word} has no meaning here; write {_MEANT[word]}", text, column)
        if word == "**":
            raise ExpressionError("** has no meaning here; write x * x", text, column)
        if kind == "name" and word in _WORDS:
            kind = "word"
        if kind != "space":
            yield Token(kind, word, column)
    yield Token("end", "", len(text) + 1)
