"""The firmware's header, made from the tables of `rtface.stimulate.gate.protocol`, so that both sides agree by construction.

``python -m rtface.stimulate.gate.cheader > rtface/stimulate/firmware/protocol.h``
"""

from __future__ import annotations

import re
import struct
import sys
from dataclasses import fields
from enum import IntEnum

from rtface.stimulate.gate import codes, protocol

_C_TYPES = {"B": "uint8_t", "H": "uint16_t", "I": "uint32_t", "Q": "uint64_t"}


def c_header() -> str:
    """Return the text of ``protocol.h``."""
    parts = [
        "/* Made by rtface/stimulate/cheader.py; change protocol.py, never this file. */",
        "#ifndef PROTOCOL_H\n#define PROTOCOL_H\n\n#include <stdint.h>",
        f"#define PROTOCOL {codes.PROTOCOL}\n#define OLD_PROTOCOL {codes.OLD_PROTOCOL}\n#define MAX_FRAME {codes.MAX_FRAME}",
        "\n".join(f"#define ABSOLUTE_{name} {value}UL" for name, value in codes.ABSOLUTE.items()),
        *(_enumeration(kind) for kind in (codes.State, codes.Reason, codes.Kind, codes.LimitsSource)),
        "\n".join(f"#define INPUT_{item.name} {item.value}" for item in codes.Inputs),
        "\n".join(f"#define MSG_{_snake(m.__name__).upper()} 0x{m.TYPE:02X}" for m in protocol.MESSAGES),
        *(_structure(message) for message in protocol.MESSAGES if message.LAYOUT),
        _sizes(),
        _defaults(),
        "#endif",
    ]
    return "\n\n".join(parts) + "\n"


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def _enumeration(kind: type[IntEnum]) -> str:
    name = _snake(kind.__name__)
    items = "\n".join(f"    {name.upper()}_{item.name} = {item.value}," for item in kind)
    return f"enum {name} {{\n{items}\n}};\n#define {name.upper()}_COUNT {max(kind) + 1}"


def _structure(message: type[protocol.Message]) -> str:
    lines = []
    layout = re.findall(r"(\d*)([A-Za-z])", message.LAYOUT)
    for field, (length, code) in zip(fields(message), layout, strict=True):
        lines.append(
            f"    char {field.name}[{length}];" if code == "s" else f"    {_C_TYPES[code]} {field.name};"
        )
    body = "\n".join(lines)
    return f"struct __attribute__((packed)) {_snake(message.__name__)} {{\n{body}\n}};"


def _sizes() -> str:
    return "\n".join(
        f'_Static_assert(sizeof(struct {_snake(m.__name__)}) == {struct.calcsize("<" + m.LAYOUT)}, "layout");'
        for m in protocol.MESSAGES
        if m.LAYOUT
    )


def _defaults() -> str:
    values = (
        f".{field.name} = " + (f'"{value}"' if isinstance(value, str) else f"{value}UL")
        for field in fields(protocol.DEFAULT_LIMITS)
        for value in [getattr(protocol.DEFAULT_LIMITS, field.name)]
    )
    return "#define DEFAULT_LIMITS { \\\n    " + ", \\\n    ".join(values) + " \\\n}"


if __name__ == "__main__":
    sys.stdout.write(c_header())
