"""Reading a rig's YAML file, with errors that name the line."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from rtface.config import Rig
from rtface.errors import ConfigError

_MAX_BYTES = 1 << 20
_PATHS = (("camera", "path"), ("camera", "producer"), ("publish", "keys"))

Location = tuple[str | int, ...]


def load_rig(path: Path) -> Rig:
    """Read and check a rig's configuration.

    Paths in the file are relative to the file. ``camera.producer: viky`` stays a name.

    Raises
    ------
    ConfigError
        The file is missing or not YAML, or a setting is unknown, of the wrong type, out of range or contradicts
        another. Each violation is named with file and line.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ConfigError(f"{path}: larger than {_MAX_BYTES} bytes, surely not a rig's configuration")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text (byte {error.start})") from error
    return parse_rig(text, path)


def parse_rig(text: str, path: Path) -> Rig:
    """Check the text of a rig's configuration that was read from `path`; raises as `load_rig`."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}: " if mark is not None else ""
        raise ConfigError(f"{path}: {line}not valid YAML: {getattr(error, 'problem', error)}") from error
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: line 1: a rig is a map of sections such as camera: and engine:")
    lines = dict(_lines(node, ()))
    if repeated := lines.pop(("repeated",), None):
        raise ConfigError(f"{path}: line {repeated}: this key stands twice in the same section")
    try:
        rig = Rig.model_validate(values)
    except ValidationError as error:
        raise ConfigError("\n".join(_explain(path, item, lines) for item in error.errors())) from error
    return _resolve_paths(rig, path.parent)


def _lines(node: yaml.Node | None, where: Location) -> Iterator[tuple[Location, int]]:
    """Yield the line of every key; ``("repeated",)`` is the line of a key that stands twice."""
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            if key.value in seen:
                yield ("repeated",), key.start_mark.line + 1
            seen.add(key.value)
            yield (*where, key.value), key.start_mark.line + 1
            yield from _lines(value, (*where, key.value))
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield (*where, index), value.start_mark.line + 1
            yield from _lines(value, (*where, index))


def _explain(path: Path, item: Any, lines: dict[Location, int]) -> str:
    location: Location = tuple(part for part in item["loc"])
    location = _without_union_tags(location, lines)
    line = next((lines[location[:end]] for end in range(len(location), 0, -1) if location[:end] in lines), 1)
    name = ".".join(str(part) for part in location)
    message = item["msg"].removeprefix("Value error, ")
    if item["type"] == "extra_forbidden":
        known = _known_keys(location[:-1], item)
        near = difflib.get_close_matches(str(location[-1]), known, 1)
        hint = f"; did you mean {near[0]}?" if near else f"; known here: {', '.join(sorted(known))}"
        message = f"unknown setting{hint if known else ''}"
    elif "input" in item and not isinstance(item["input"], dict):
        message = f"{message} (it is {item['input']!r})"
    return f"{path}: line {line}: {name + ': ' if name else ''}{message}"


def _without_union_tags(location: Location, lines: dict[Location, int]) -> Location:
    """Drop the names of union members that pydantic puts into a location (``camera.video.path``)."""
    kept: Location = ()
    for position, part in enumerate(location):
        is_tag = position == 1 and location[0] == "camera" and (*kept, part) not in lines
        if not (is_tag and part in _camera_kinds()):
            kept = (*kept, part)
    return kept


def _camera_kinds() -> dict[str, type[BaseModel]]:
    union = get_args(Rig.model_fields["camera"].annotation)
    members = union if all(isinstance(member, type) for member in union) else get_args(union[0])
    return {str(member.model_fields["kind"].annotation.__args__[0]): member for member in members}


def _known_keys(location: Location, item: Any) -> list[str]:
    """Return the settings of the section at a location."""
    model: type[BaseModel] | None = Rig
    for part in location:
        if model is None:
            return []
        if part == "camera":
            kinds = [tag for tag in item["loc"] if tag in _camera_kinds()]
            model = _camera_kinds()[str(kinds[0])] if kinds else None
            continue
        field = model.model_fields.get(str(part))
        model = _section(field.annotation) if field is not None else None
    return list(model.model_fields) if model is not None else []


def _section(annotation: Any) -> type[BaseModel] | None:
    if get_origin(annotation) in (Union, UnionType, Annotated):
        return next((found for part in get_args(annotation) if (found := _section(part))), None)
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def _resolve_paths(rig: Rig, folder: Path) -> Rig:
    values = rig.model_dump()
    for section, key in _PATHS:
        value = values[section].get(key)
        if isinstance(value, Path) and not value.is_absolute() and str(value) != "viky":
            values[section][key] = folder / value
    if "/" in rig.engine and not Path(rig.engine).is_absolute():
        values["engine"] = str(folder / rig.engine)
    return Rig.model_validate(values)
