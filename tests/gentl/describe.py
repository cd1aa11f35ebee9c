"""Writes `registers.h` (for the producer's C) and, inside it, the GenICam descriptions, both from `table`."""

from __future__ import annotations

import sys
from pathlib import Path

from table import CAMERA, CHUNKS, SELECTED, STREAM, TEXTS, Feature

FIRST, TEXT_FIRST, TEXT_SIZE, XML_AT = 0x1000, 0x10000, 64, 0x100000
HEAD = """<?xml version="1.0" encoding="utf-8"?>
<RegisterDescription ModelName="{name}" VendorName="rtface" ToolTip="simulated" StandardNameSpace="None"
 SchemaMajorVersion="1" SchemaMinorVersion="1" SchemaSubMinorVersion="0" MajorVersion="1" MinorVersion="0"
 SubMinorVersion="0" ProductGuid="2b6d0a3e-7f0b-4c12-9a55-0d4c1f7e8a0{digit}"
 VersionGuid="90c5e1b2-1d43-4a6f-8a71-5b0f3e6d2c1{digit}" xmlns="http://www.genicam.org/GenApi/Version_1_1"
 xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
 xsi:schemaLocation="http://www.genicam.org/GenApi/Version_1_1 GenApiSchema_Version_1_1.xsd">
"""


def places(features: list[Feature]) -> dict[str, int]:
    """Return the number of each feature's first register."""
    found, place = {}, 0
    for feature in features:
        found[feature.name] = place
        place += SELECTED.get(feature.selector, 1)
    found[""] = place
    return found


def limit(tag: str, value: float | str) -> str:
    return f"<p{tag}>{value}</p{tag}>" if isinstance(value, str) else f"<{tag}>{value}</{tag}>"


def register(feature: Feature, address: int, port: str) -> str:
    kind, sign = ("FloatReg", "") if feature.kind == "float" else ("IntReg", "<Sign>Signed</Sign>")
    index = f'<pIndex Offset="8">{feature.selector}_Reg</pIndex>' if feature.selector else ""
    mode = "RW" if feature.writable else "RO"
    return (
        f'<{kind} Name="{feature.name}_Reg"><Address>{address:#x}</Address>{index}<Length>8</Length>'
        f"<AccessMode>{mode}</AccessMode><pPort>{port}</pPort><Cachable>NoCache</Cachable>{sign}"
        f"<Endianess>LittleEndian</Endianess></{kind}>"
    )


def node(feature: Feature, features: list[Feature]) -> str:
    name, register_name = feature.name, f"<pValue>{feature.name}_Reg</pValue>"
    conditions = f"<pIsImplemented>{feature.only_if}_Reg</pIsImplemented>" if feature.only_if else ""
    if feature.locked:
        conditions += "<pIsLocked>TLParamsLocked_Reg</pIsLocked>"
    selected = "".join(f"<pSelected>{other.name}</pSelected>" for other in features if other.selector == name)
    match feature.kind:
        case "int":
            limits = f"{limit('Min', feature.low)}{limit('Max', feature.high)}<Inc>{feature.step}</Inc>"
            return f'<Integer Name="{name}">{conditions}{register_name}{limits}{selected}</Integer>'
        case "float":
            limits = f"{limit('Min', feature.low)}{limit('Max', feature.high)}"
            return f'<Float Name="{name}">{conditions}{register_name}{limits}</Float>'
        case "bool":
            return (
                f'<Boolean Name="{name}">{conditions}{register_name}<OnValue>1</OnValue>'
                "<OffValue>0</OffValue></Boolean>"
            )
        case "enum":
            entries = "".join(
                f'<EnumEntry Name="{entry}"><Value>{value}</Value></EnumEntry>'
                for entry, value in (feature.entries or {}).items()
            )
            return f'<Enumeration Name="{name}">{conditions}{entries}{register_name}{selected}</Enumeration>'
        case "command":
            return (
                f'<Command Name="{name}">{conditions}{register_name}<CommandValue>1</CommandValue></Command>'
            )


def chunk(name: str, place: int) -> str:
    integer = name != "ExposureTime"
    kind, sign = ("IntReg", "<Sign>Signed</Sign>") if integer else ("FloatReg", "")
    outer = "Integer" if integer else "Float"
    return (
        f'<Port Name="Chunk{name}_Port"><ChunkID>{0x1000 + place:x}</ChunkID></Port>'
        f'<{outer} Name="Chunk{name}"><pValue>Chunk{name}_Reg</pValue></{outer}>'
        f'<{kind} Name="Chunk{name}_Reg"><Address>0</Address><Length>8</Length><AccessMode>RO</AccessMode>'
        f"<pPort>Chunk{name}_Port</pPort><Cachable>NoCache</Cachable>{sign}"
        f"<Endianess>LittleEndian</Endianess></{kind}>"
    )


def text(name: str, place: int) -> str:
    return (
        f'<StringReg Name="{name}"><Address>{TEXT_FIRST + TEXT_SIZE * place:#x}</Address>'
        f"<Length>{TEXT_SIZE}</Length><AccessMode>RO</AccessMode><pPort>Device</pPort>"
        "<Cachable>NoCache</Cachable></StringReg>"
    )


def description(name: str, features: list[Feature], port: str, digit: int, extra: list[str]) -> str:
    place = places(features)
    listed = [feature.name for feature in features] + [f"Chunk{chunk}" for chunk in CHUNKS if extra]
    root = "".join(f"<pFeature>{one}</pFeature>" for one in [*listed, *(TEXTS if extra else [])])
    parts = [HEAD.format(name=name, digit=digit), f'<Category Name="Root">{root}</Category>']
    for feature in features:
        parts += [
            node(feature, features),
            register(feature, FIRST + 8 * place[feature.name], port),
        ]
    return "\n".join([*parts, *extra, f'<Port Name="{port}"/>', "</RegisterDescription>"]) + "\n"


def header(prefix: str, features: list[Feature], xml: str) -> list[str]:
    place = places(features)
    numbered = ", ".join(f"{prefix}{name} = {at}" for name, at in place.items() if name)
    lines = [f"enum {{ {numbered}, {prefix}COUNT = {place['']} }};"]
    for feature in features:
        for entry, value in (feature.entries or {}).items():
            lines.append(f"enum {{ {prefix}{feature.name}_{entry} = {value} }};")
    values = []
    for feature in features:
        field = "f" if feature.kind == "float" else "i"
        values += [f"{{.{field} = {feature.default}}}"] * SELECTED.get(feature.selector, 1)
    lines.append("#ifdef WITH_DESCRIPTIONS")
    lines.append(f"static const union value {prefix}DEFAULTS[] = {{{', '.join(values)}}};")
    quoted = "\n".join(f'  "{escape_c(line)}\\n"' for line in xml.splitlines())
    lines.append(f"static const char {prefix}XML[] =\n{quoted};")
    lines.append("#endif")
    return lines


def escape_c(line: str) -> str:
    return line.replace("\\", "\\\\").replace('"', '\\"')


def main(target: Path) -> None:
    extra = [chunk(name, place) for name, place in CHUNKS.items()]
    extra += [text(name, place) for place, name in enumerate(TEXTS)]
    camera = description("RtfaceTestCamera", CAMERA, "Device", 1, extra)
    stream = description("RtfaceTestStream", STREAM, "StreamPort", 2, [])
    numbers = (
        f"enum {{ REGISTERS_AT = {FIRST:#x}, TEXTS_AT = {TEXT_FIRST:#x}, TEXT_SIZE = {TEXT_SIZE}, "
        f"XML_AT = {XML_AT:#x}, TEXTS = {len(TEXTS)}, CHUNKS = {len(CHUNKS)} }};"
    )
    target.write_text(
        "\n".join(
            [
                "/* Made by describe.py from table.py. */",
                numbers,
                *header("R_", CAMERA, camera),
                *header("S_", STREAM, stream),
            ]
        )
        + "\n"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
