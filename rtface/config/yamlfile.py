"""Reading a YAML file into a checked model, with errors that name the line."""

from __future__ import annotations

import reprlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from rtface.core.errors import ConfigError, nearest

_MAX_BYTES = 1 << 20
_short = reprlib.Repr()
_short.maxlevel, _short.maxstring = 2, 80

_UNION_MEMBERS = frozenset({"bool", "int", "float", "str"})
_INNER = frozenset({"[key]", "[numbers]", "[mapping]", "[list]", "[word]"})
"""What pydantic puts into the place of a violation for the form that a value has, which the file does not."""

Location = tuple[str, ...]

_Model = TypeVar("_Model", bound=BaseModel)


class _Loader(yaml.SafeLoader):
    """Gives a line to values that PyYAML cannot make, such as the date 2024-99-99."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, AttributeError) as error:
            problem = f"a value cannot be read ({error})"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from error


@dataclass(frozen=True, eq=False)
class Document:
    """What a YAML file holds, before it is checked.

    Attributes
    ----------
    path : Path
        The file, for messages.
    text : str
        Its text.
    values : dict
        Its sections.
    lines : mapping
        The line of every key, by its place.
    """

    path: Path
    text: str
    values: dict[str, Any]
    lines: Mapping[Location, int]

    def checked(self, model: type[_Model]) -> _Model:
        """Return the values as a model.

        Raises
        ------
        ConfigError
            Each violation is named with file and line.
        """
        try:
            return model.model_validate(self.values)
        except ValidationError as error:
            raise ConfigError(
                "\n".join(str(self._explain(model, item)) for item in error.errors())
            ) from error

    def refusal(self, message: str, *at: str) -> ConfigError:
        """Return the error that says what is wrong with the setting at a place, with file and line."""
        ends = range(len(at), 0, -1)
        line = next((self.lines[at[:end]] for end in ends if at[:end] in self.lines), 1)
        return ConfigError(f"{self.path}: line {line}: {'.'.join(at) + ': ' if at else ''}{message}")

    def _explain(self, model: type[BaseModel], item: Any) -> ConfigError:
        message = str(item["msg"])
        where, inside, field = _placed(model, item["loc"])
        if item["type"] == "contradiction":
            at = tuple(item["ctx"]["at"])
            if where[:1] == ("cameras",) and at[:1] == (
                "camera",
            ):  # said of a camera that stands among several
                at = where[:2] + at[1:]
            return self.refusal(message, *(at if at[:1] == where[:1] else where + at))
        if item["type"].startswith("union_tag"):
            choices = ", ".join(kinds_of(inside))
            tag = item["ctx"].get("tag")
            lacking = "missing" if tag is None else f"no {field.removesuffix('s')} is called {tag}"
            return self.refusal(f"{lacking}; there are: {choices}", *where, "kind")
        if where[-1:] and where[-1] in _UNION_MEMBERS and where not in self.lines:
            where = where[:-1]
        if item["type"] == "extra_forbidden":
            message = "unknown setting" + nearest(where[-1], _known_keys(_placed(model, item["loc"][:-1])[1]))
        elif (item["type"] == "missing" or item["input"] is None) and (
            example := _example(_placed(model, item["loc"][:-1])[1], field)
        ):
            kinds = ", ".join(kinds_of(inside))
            message = f"missing; write {example}" + (f"; there are: {kinds}" if kinds else "")
        elif "input" in item and not isinstance(item["input"], dict):
            message = f"{message} (it is {_short.repr(item['input'])})"
        return self.refusal(message, *where)


def read_document(path: Path, what: str, *, shape: str) -> Document:
    """Read a YAML file.

    Parameters
    ----------
    path : Path
        The file.
    what : str
        What messages call it, such as ``a rig's configuration``.
    shape : str
        What it must be, said of a file that is not a map.

    Raises
    ------
    ConfigError
        The file is missing, not YAML, not a map, or has a key twice.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ConfigError(f"{path}: larger than {_MAX_BYTES} bytes, surely not {what}")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text (byte {error.start})") from error
    return parse_document(text, path, what, shape=shape)


def parse_document(text: str, path: Path, what: str, *, shape: str) -> Document:
    """Return the text of a YAML file that was read from `path` as a document; the rest as `read_document`."""
    try:
        node = yaml.compose(text, Loader=_Loader)
        values = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}: " if mark is not None else ""
        raise ConfigError(f"{path}: {line}not valid YAML: {getattr(error, 'problem', error)}") from error
    except RecursionError as error:
        raise ConfigError(f"{path}: nested too deeply, surely not {what}") from error
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: line 1: {shape}")
    lines: dict[Location, int] = {}
    for where, line_number in _lines(node, (), set()):
        if where in lines:
            listed = (
                "; write a list of maps: - {" + f"{where[-1]}: ..." + "}"
                if where[-2:-1] == ("nodes",)
                else ""
            )
            raise ConfigError(
                f"{path}: line {line_number}: {where[-1]} stands twice in the same section{listed}"
            )
        lines[where] = line_number
    return Document(path, text, values, lines)


def _lines(node: yaml.Node | None, where: Location, seen: set[int]) -> Iterator[tuple[Location, int]]:
    """Yield the line of every key, and of each item of a list by its number from 0.

    What an alias repeats is gone through once, as it may hold itself.
    """
    if not isinstance(node, yaml.CollectionNode) or id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            yield (*where, str(number)), item.start_mark.line + 1
            yield from _lines(item, (*where, str(number)), seen)
        return
    for key, value in node.value:
        yield (*where, str(key.value)), key.start_mark.line + 1
        yield from _lines(value, (*where, str(key.value)), seen)


def _placed(model: type[BaseModel], location: Sequence[int | str]) -> tuple[Location, Any, str]:
    """Return where a violation is in the file, what the model has there, and the nearest field's name.

    pydantic puts the kind of a section that has one in (``camera.video.path``), which the file does not.
    """
    where: list[str] = []
    here: Any = model
    field = ""
    for part in map(str, location):
        if part in _INNER:
            continue
        kinds = kinds_of(here)
        if part in kinds:
            here = kinds[part]
            continue
        where.append(part)
        section = _section(here)
        if section is not None:
            found = section.model_fields.get(part)
            here, field = (None, field) if found is None else (found.annotation, part)
        else:
            here = next((each for each in reversed(get_args(here)) if each is not Ellipsis), None)
    return tuple(where), here, field


def _members(annotation: Any) -> tuple[Any, ...]:
    if get_origin(annotation) is Annotated:
        return _members(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return tuple(found for part in get_args(annotation) for found in _members(part))
    return (annotation,)


def kinds_of(annotation: Any) -> dict[str, type[BaseModel]]:
    """Return the models of a union by their ``kind``; none where one model or no model may stand."""
    models = [each for each in _members(annotation) if isinstance(each, type) and issubclass(each, BaseModel)]
    if len(models) < 2:
        return {}
    kinds = {model: model.model_fields.get("kind") for model in models}
    return {
        str(name): model
        for model, kind in kinds.items()
        if kind is not None and get_origin(kind.annotation) is Literal
        for name in get_args(kind.annotation)
    }


def _known_keys(annotation: Any) -> list[str]:
    """Return the settings of the section that stands here."""
    model = _section(annotation)
    return list(model.model_fields) if model is not None else []


def _example(annotation: Any, field: str) -> str | None:
    """Return what may stand for a setting without a default, where its model says so."""
    model = _section(annotation)
    found = None if model is None else model.model_fields.get(field)
    return None if found is None or not found.examples else str(found.examples[0])


def _section(annotation: Any) -> type[BaseModel] | None:
    members = _members(annotation)
    return next((each for each in members if isinstance(each, type) and issubclass(each, BaseModel)), None)
