"""What a client may be called in the record: not like the operator at the terminal, rtface itself or an output."""

from __future__ import annotations

import unicodedata

_WHOSE = ("operator", "rtface", "client")
_OUTPUTS = frozenset({"gate", "pulsepal", "daq", "line", "log", "null", "output"})
"""Every kind of output: a record has them as authors. Not taken from the configuration, which a client does not load."""
_LOOKS_LIKE = str.maketrans("0135", "oles")


def author(name: str) -> str:
    """Return a client's name as it is recorded: ``client:NAME`` where it could be taken for somebody else's.

    These are names that begin, in whatever way of writing, with what only the terminal, rtface or this function
    writes, names of outputs, and names that hold letters which look like others or cannot be seen.
    """
    plain = "".join(each for each in unicodedata.normalize("NFKD", name) if not unicodedata.combining(each))
    letters = "".join(filter(str.isalpha, plain.lower().translate(_LOOKS_LIKE)))
    foreign = not (plain.isascii() and plain.isprintable())
    if foreign or letters.startswith(_WHOSE) or letters in _OUTPUTS:
        return f"client:{name}"
    return name
