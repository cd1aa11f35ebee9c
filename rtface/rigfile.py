"""Reading a rig's YAML file, with errors that name the line."""

from __future__ import annotations

import difflib
import reprlib
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

_short = reprlib.Repr()
_short.maxlevel, _short.maxstring = 2, 80

_UNION_MEMBERS = frozenset({"bool", "int", "float", "str"})

Location = tuple[str, ...]


class _Loader(yaml.SafeLoader):
    """Gives a line to values that PyYAML cannot make, such as the date 2024-99-99."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, AttributeError) as error:
            problem = f"a value cannot be read ({error})"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from error


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
        node = yaml.compose(text, Loader=_Loader)
        values = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}: " if mark is not None else ""
        raise ConfigError(f"{path}: {line}not valid YAML: {getattr(error, 'problem', error)}") from error
    except RecursionError as error:
        raise ConfigError(f"{path}: nested too deeply, surely not a rig's configuration") from error
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: line 1: a rig is a map of sections such as camera: and engine:")
    lines: dict[Location, int] = {}
    for where, line_number in _lines(node, (), set()):
        if where in lines:
            raise ConfigError(f"{path}: line {line_number}: {where[-1]} stands twice in the same section")
        lines[where] = line_number
    try:
        rig = Rig.model_validate(values)
    except ValidationError as error:
        raise ConfigError("\n".join(_explain(path, item, lines) for item in error.errors())) from error
    return _resolve_paths(rig, path.parent)


def _lines(node: yaml.Node | None, where: Location, seen: set[int]) -> Iterator[tuple[Location, int]]:
    """Yield the line of every key; what an alias repeats is gone through once, as it may hold itself."""
    if not isinstance(node, yaml.MappingNode) or id(node) in seen:
        return
    seen.add(id(node))
    for key, value in node.value:
        yield (*where, str(key.value)), key.start_mark.line + 1
        yield from _lines(value, (*where, str(key.value)), seen)


def _explain(path: Path, item: Any, lines: dict[Location, int]) -> str:
    location, message = _location(item), str(item["msg"])
    if location[-1:] and location[-1] in _UNION_MEMBERS and location not in lines:
        location = location[:-1]
    line = next((lines[location[:end]] for end in range(len(location), 0, -1) if location[:end] in lines), 1)
    name = ".".join(str(part) for part in location)
    if item["type"] == "extra_forbidden":
        message = "unknown setting" + _hint(location[-1], _known_keys(location[:-1], item))
    elif item["type"] == "union_tag_invalid":
        message = f"no camera is called {item['ctx']['tag']}; there are: {', '.join(_camera_kinds())}"
    elif item["type"] == "union_tag_not_found":
        message = f"missing; there are: {', '.join(_camera_kinds())}"
    elif "input" in item and not isinstance(item["input"], dict):
        message = f"{message} (it is {_short.repr(item['input'])})"
    return f"{path}: line {line}: {name + ': ' if name else ''}{message}"


def _location(item: Any) -> Location:
    """Return where a violation is in the file; pydantic puts the camera's kind in (``camera.video.path``)."""
    if item["type"] == "contradiction":
        return tuple(item["ctx"]["at"])
    location = tuple(str(part) for part in item["loc"])
    if location[:1] == ("camera",):
        location = (*location[:1], *location[2:])
    return (*location, "kind") if item["type"].startswith("union_tag") else location


def _hint(given: str, known: list[str]) -> str:
    near = difflib.get_close_matches(given, known, 1)
    if near:
        return f"; did you mean {near[0]}?"
    return f"; known here: {', '.join(sorted(known))}" if known else ""


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
            model = _camera_kinds()[str(item["loc"][1])]
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
