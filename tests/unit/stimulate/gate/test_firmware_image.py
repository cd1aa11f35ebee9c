"""What is shipped is what the sources say: header, image, documentation."""

from __future__ import annotations

import re
import subprocess
from dataclasses import fields
from pathlib import Path

import pytest
from support.gate_host import need_avr_gcc
from support.paths import DOCS

from rtface.core.errors import GateError
from rtface.stimulate.gate import harness
from rtface.stimulate.gate.cheader import c_header
from rtface.stimulate.gate.codes import Reason, State
from rtface.stimulate.gate.firmware import IMAGE
from rtface.stimulate.gate.protocol import MESSAGES

FIRMWARE = IMAGE.parent
DOCUMENT = DOCS / "gate.md"


def test_the_header_is_made_from_the_tables() -> None:
    assert (FIRMWARE / "protocol.h").read_text(encoding="utf-8") == c_header()


def test_the_image_is_what_the_sources_compile_to(tmp_path: Path) -> None:
    need_avr_gcc()
    version = subprocess.run(
        ["avr-gcc", "-dumpversion"], capture_output=True, text=True, check=True
    ).stdout.strip()
    if version != "5.4.0":
        pytest.skip(f"the image was made by avr-gcc 5.4.0 (Debian 12), here is {version}")
    subprocess.run(["make", "-s", "-C", str(FIRMWARE), f"OUT={tmp_path}"], check=True, timeout=60)
    assert (tmp_path / IMAGE.name).read_bytes() == IMAGE.read_bytes()


def test_the_document_s_tables_are_those_of_the_protocol() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| 0x([0-9A-F]{2}) \| ([^|]*) \|", text, re.MULTILINE)
    told = {name: (int(kind, 16), re.findall(r"`(\w+)`", listed)) for name, kind, listed in rows}
    real = {m.__name__: (m.TYPE, [field.name for field in fields(m)]) for m in MESSAGES}
    assert told == real


@pytest.mark.parametrize("kind", [State, Reason])
def test_the_document_explains_each_state_and_reason(kind: type[State] | type[Reason]) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert [item.name for item in kind if f"| {item.name} |" not in text] == []


def test_without_a_compiler_the_packages_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GateError, match="apt-get install gcc simavr libsimavr-dev libelf-dev"):
        harness.build_harness(tmp_path / "cache")


def test_a_harness_that_does_not_compile_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "harness.c"
    broken.write_text("#include <no/such/header.h>\n", encoding="utf-8")
    compiler = tmp_path / "bin" / "cc"
    compiler.parent.mkdir()
    compiler.write_text("#!/bin/sh\necho 'harness.c:1: fatal error: no/such/header.h' >&2\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("PATH", f"{compiler.parent}:/usr/bin:/bin")
    monkeypatch.setattr(harness, "FOLDER", tmp_path)
    monkeypatch.setattr(harness, "_SOURCES", (broken.name,))
    monkeypatch.setattr(harness, "_HEADERS", ())
    with pytest.raises(GateError, match=r"no/such/header.h.*apt-get install"):
        harness.build_harness(tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []
