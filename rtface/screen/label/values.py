"""What a label set is made of: values under keys, each checked where it comes in.

========================================  ==================================================================================
key                                       value; None takes it out
========================================  ==================================================================================
``("label", PASS, FRAME, POINT)``         ``{"x", "y", "from"}`` in pixels of the frame, pixel centres at integers; or
                                          ``{"hidden": true}``, where a person saw that the point cannot be seen
``("skip", FRAME)``                       ``true``: the frame is left out
``("frame", FRAME)``                      ``{"file", "video", "name", "width", "height", "from"}``
``("name", POINT)``                       the keypoint's name
========================================  ==================================================================================

FRAME and POINT are short names that never change (``f12``, ``p3``): a keypoint that gets another name keeps its labels.
PASS is ``first`` or ``second``: a second person's labels of the same frames never meet the first's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from typing import Any

from rtface.core.errors import UsageError

Key = tuple[str, ...]
Change = tuple[Key, Any]

PASSES = ("first", "second")
ORIGINS = ("hand", "guess", "copy", "file")
"""Where a label is from: placed by hand, a network's guess or the previous frame's label that a person confirmed, a file."""

MAX_CHANGES = 2_000
MAX_NAME = 100

_LENGTHS = {"label": 4, "skip": 2, "frame": 2, "name": 2}
_SHORT = re.compile(r"[fp][1-9][0-9]{0,8}")


def check_change(raw: Any, value_of: Callable[[Key], Any]) -> Change:
    """Return a change that somebody asks for, once it is one that the label set can take.

    Parameters
    ----------
    raw : JSON value
        ``[key, value]``.
    value_of : callable
        Returns the present value of a key, None where there is none.

    Raises
    ------
    UsageError
        It names what is not there, or what it says is not of its kind.
    """
    if not isinstance(raw, Sequence) or isinstance(raw, str) or len(raw) != 2:
        raise UsageError("a change is a pair of a key and a value")
    key, value = _key(raw[0]), raw[1]
    kind = key[0]
    if kind == "frame":
        raise UsageError("frames come from recordings, files and cameras: they are not placed by hand")
    if kind in ("label", "skip"):
        frame = value_of(("frame", key[-2] if kind == "label" else key[-1]))
        if frame is None:
            raise UsageError(f"the label set has no frame {key[-2] if kind == 'label' else key[-1]}")
    if kind == "label":
        if key[1] not in PASSES:
            raise UsageError(f"a pass is {' or '.join(PASSES)}, not {key[1]!r}")
        if value_of(("name", key[3])) is None:
            raise UsageError(f"the label set has no keypoint {key[3]}")
        return key, None if value is None else _label(value, frame)
    if kind == "skip":
        if value not in (True, None):
            raise UsageError("a frame is left out (true) or not (null)")
        return key, value
    return key, None if value is None else keypoint_name(value)


def keypoint_name(value: Any) -> str:
    """Return a name that a keypoint may have; `UsageError` for any other."""
    if not isinstance(value, str) or not value.strip() or len(value) > MAX_NAME:
        raise UsageError(f"a keypoint's name is a text of 1 to {MAX_NAME} letters")
    if any(letter in value for letter in ',;"') or not value.isprintable():
        raise UsageError(f"{value!r}: no comma, semicolon, quotation mark or line's end in a keypoint's name")
    return value.strip()


def _key(raw: Any) -> Key:
    if (
        not isinstance(raw, Sequence)
        or isinstance(raw, str)
        or not all(isinstance(part, str) for part in raw)
    ):
        raise UsageError("a key is a list of texts")
    key = tuple(raw)
    if not key or _LENGTHS.get(key[0]) != len(key):
        raise UsageError(f"{list(key)[:4]} is no key of a label set")
    if not all(_SHORT.fullmatch(part) for part in key[2 if key[0] == "label" else 1 :]):
        raise UsageError(f"{list(key)} names no frame or keypoint")
    return key


def _label(value: Any, frame: Mapping[str, Any]) -> dict[str, Any]:
    if value == {"hidden": True}:
        return {"hidden": True}
    if not isinstance(value, Mapping) or not {"x", "y", "from"} <= set(value) <= {"x", "y", "from", "engine"}:
        raise UsageError("a label has x, y and from, or is hidden")
    x, y = value["x"], value["y"]
    for number in (x, y):
        if isinstance(number, bool) or not isinstance(number, int | float) or not isfinite(number):
            raise UsageError(f"a label is two numbers, not {x!r} and {y!r}")
    if value["from"] not in ORIGINS:
        raise UsageError(f"a label is from {', '.join(ORIGINS)}, not {value['from']!r}")
    width, height = frame["width"], frame["height"]
    if not (-0.5 <= x <= width - 0.5 and -0.5 <= y <= height - 0.5):
        raise UsageError(f"({x:g}, {y:g}) is outside the frame of {width}x{height} pixels")
    label = {"x": round(float(x), 3), "y": round(float(y), 3), "from": value["from"]}
    if "engine" in value:
        label["engine"] = str(value["engine"])[:MAX_NAME]
    return label
