"""Settings of a rig's file changed in its own lines: a person's remarks, order and spacing stay."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from rtface.config.rigfile import checked_rig
from rtface.config.yamlfile import parse_document, read_document
from rtface.core.errors import ConfigError, DataError, UsageError
from rtface.core.files import written_whole

_WHAT = "a rig's configuration"
_SHAPE = "a rig is a map of sections such as camera: and engine:"
_KEPT_LAST = 9
"""Of the files of before; the first one, which is a person's own, stays as well."""

_NEW = "# A rig: what each setting means, and all there are: rtface config schema; docs/rigs.md\n"

Place = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RigChange:
    """What would become of a rig's file.

    Attributes
    ----------
    path : Path
    before : str or None
        Its text; None where it is not there yet.
    after : str
    """

    path: Path
    before: str | None
    after: str

    @property
    def difference(self) -> str:
        """The unified difference; empty where nothing changes."""
        old, new = ((each or "").splitlines(keepends=True) for each in (self.before, self.after))
        name = self.path.name
        lines = difflib.unified_diff(old, new, name if self.before is not None else "/dev/null", name)
        return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)


def changed_rig(path: Path, settings: Mapping[str, Any]) -> RigChange:
    """Return what becomes of a rig's file when some settings are changed.

    Parameters
    ----------
    path : Path
        The rig's YAML file; it may not exist yet.
    settings : mapping of str to Any
        By their dotted names, such as ``engine`` or ``session.folder``, values of YAML's types; None takes one out.

    Raises
    ------
    ConfigError
        The file cannot be read, is no rig's, or would be none any more; or its lines are such that this change cannot be made
        in them.
    """
    before = read_document(path, _WHAT, shape=_SHAPE).text if path.exists() else None
    text = _NEW if before is None else before
    wanted = copy.deepcopy(parse_document(text, path, _WHAT, shape=_SHAPE).values)
    for name, value in settings.items():
        place = tuple(name.split("."))
        if not all(place):
            raise UsageError(f"{name!r} is no setting's name")
        _put(wanted, place, value)
        text = _with(text, place, value)
    try:
        kept = parse_document(text, path, _WHAT, shape=_SHAPE)
    except ConfigError:
        kept = None
    if kept is None or kept.values != wanted:
        raise ConfigError(
            f"{path} is written such that {', '.join(settings)} cannot be changed in its lines: change it by hand"
        )
    checked_rig(kept)
    return RigChange(path, before, text)


def write_rig_change(change: RigChange) -> Path | None:
    """Write a rig's file, whole or not at all, and return where the one before is kept, beside it; None where there was none.

    Of those that are kept (``rig.yaml.before-N``, the newest with the highest number) the first one and the last few stay.

    Raises
    ------
    ConfigError
        The file was changed by somebody else meanwhile.
    DataError
        It cannot be written.
    """
    path = change.path
    try:
        raw = path.read_bytes() if path.exists() else None
        now = None if raw is None else path.read_text(encoding="utf-8")
        if now != change.before:
            raise ConfigError(f"{path} was changed meanwhile: look at the difference again")
        aside = None
        if raw is not None:
            before = _kept_before(path)
            aside = _before(path, max(before, default=0) + 1)
            with written_whole(aside) as fresh:
                fresh.write_bytes(raw)
            for number in before[1 : 1 - _KEPT_LAST]:
                _before(path, number).unlink(missing_ok=True)
        with written_whole(path, durable=True) as fresh:
            ends = "\r\n" if raw is not None and b"\r\n" in raw else "\n"
            fresh.write_text(change.after, encoding="utf-8", newline=ends)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror or error}") from error
    return aside


def _before(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.before-{number}")


def _kept_before(path: Path) -> list[int]:
    """Return the numbers of the files that are kept of a rig's file, rising."""
    stem = f"{path.name}.before-"
    found = (each.name.removeprefix(stem) for each in path.parent.iterdir() if each.name.startswith(stem))
    return sorted(int(number) for number in found if number.isascii() and number.isdecimal())


def _put(values: dict[str, Any], place: Place, value: Any) -> None:
    """Set a value in what a file holds, or take it out."""
    *sections, key = place
    for section in sections:
        if not isinstance(values.get(section), dict):
            if value is None:
                return
            values[section] = {}
        values = values[section]
    if value is None:
        values.pop(key, None)
    else:
        values[key] = value


def _with(text: str, place: Place, value: Any) -> str:
    """Return the text with a setting changed, in the fewest lines."""
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    if node is None:  # nothing but remarks
        return text + ("" if value is None else f"{place[0]}: {_flow(_nested(place[1:], value))}\n")
    parent: yaml.Node = node
    for depth, key in enumerate(place):
        if not isinstance(parent, yaml.MappingNode):
            return _replaced(text, place[:depth], _nested(place[depth:], value), node)
        found = _entry(parent, key)
        if found is None:
            if value is None:
                return text
            return _added(text, parent, place[:depth], key, _nested(place[depth + 1 :], value), node)
        if parent.flow_style and depth + 1 == len(place):
            inside = _values(parent)
            _put(inside, (key,), value)
            return _replaced(text, place[:depth], inside, node) if depth else _spliced(text, parent, inside)
        parent = found[1]
    if value is None:
        return _removed(text, *_found(node, place))
    return _replaced(text, place, value, node)


def _nested(place: Sequence[str], value: Any) -> Any:
    for key in reversed(place):
        value = {key: value}
    return value


def _entry(mapping: yaml.MappingNode, key: str) -> tuple[yaml.Node, yaml.Node] | None:
    return next(((name, value) for name, value in mapping.value if str(name.value) == key), None)


def _found(node: yaml.Node, place: Place) -> tuple[yaml.Node, yaml.Node]:
    name = node
    for key in place:
        assert isinstance(node, yaml.MappingNode)
        name, node = next((name, value) for name, value in node.value if str(name.value) == key)
    return name, node


def _values(node: yaml.Node) -> Any:
    return yaml.safe_load(yaml.serialize(node))


def _replaced(text: str, place: Place, value: Any, node: yaml.Node) -> str:
    """Return the text with another value of a setting that is there."""
    key, old = _found(node, place)
    if isinstance(value, Mapping) and isinstance(old, yaml.MappingNode) and not old.flow_style:
        for name in (str(each.value) for each, _ in old.value):
            if name not in value and len(old.value) > 1:
                text = _with(text, (*place, name), None)
        for name, each in value.items():
            text = _with(text, (*place, str(name)), each)
        return text
    colon = text.index(":", key.end_mark.index) + 1
    between = text[colon : old.start_mark.index]
    if "\n" not in between and _end(old) >= old.start_mark.index:
        return text[: old.start_mark.index] + ("" if between else " ") + _flow(value) + text[_end(old) :]
    remark = between.partition("\n")[0].strip()
    return text[:colon] + f" {_flow(value)}" + (f"  {remark}" if remark else "") + text[_end(old) :]


def _spliced(text: str, node: yaml.Node, value: Any) -> str:
    return text[: node.start_mark.index] + _flow(value) + text[_end(node) :]


def _added(text: str, parent: yaml.MappingNode, place: Place, key: str, value: Any, node: yaml.Node) -> str:
    """Return the text with one more setting in a section that is there, behind its others."""
    if parent.flow_style:
        inside = {**_values(parent), key: value}
        return _replaced(text, place, inside, node) if place else _spliced(text, parent, inside)
    line = " " * parent.start_mark.column + f"{key}: {_flow(value)}\n"
    end = _line_end(text, _end(parent))
    return text[:end] + ("" if text[:end].endswith("\n") else "\n") + line + text[end:]


def _removed(text: str, key: yaml.Node, value: yaml.Node) -> str:
    begin = text.rfind("\n", 0, key.start_mark.index) + 1
    return text[:begin] + text[_line_end(text, max(_end(value), key.end_mark.index)) :]


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end + 1


def _end(node: yaml.Node) -> int:
    """Return where a value's text ends: a block's own mark is where the next thing begins."""
    if isinstance(node, yaml.MappingNode) and not node.flow_style and node.value:
        return _end(node.value[-1][1])
    if isinstance(node, yaml.SequenceNode) and not node.flow_style and node.value:
        return _end(node.value[-1])
    if isinstance(node, yaml.ScalarNode) and node.style in ("|", ">"):
        return max(node.start_mark.index, node.end_mark.index - 1)
    return int(node.end_mark.index)


def _flow(value: Any) -> str:
    text: str = yaml.safe_dump(
        value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=float("inf")
    )
    return text.removesuffix("\n").removesuffix("\n...").strip()
