"""A boot loader for the emulated gate: one that does what matters, or optiboot itself where its source is installed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from support.gate_host import need_avr_gcc

STUB = Path(__file__).with_name("bootloader.c")
_PACKAGED = "/usr/share/arduino/hardware/arduino/avr/bootloaders/optiboot/optiboot.c"
OPTIBOOT = Path(os.environ.get("RTFACE_OPTIBOOT", _PACKAGED))
"""Of Debian's arduino-core-avr, or where RTFACE_OPTIBOOT says.

Its ready image overruns the flash in simavr; without start flashes it has 496 bytes.
"""

_LINK = ("-nostartfiles", "-nostdlib", "-Wl,--section-start=.text=0x7e00", "-Wl,--gc-sections", "-Wl,--relax")
_OPTIBOOT = ("-fno-inline-small-functions", "-fno-split-wide-types", "-mshort-calls", "-DLED_START_FLASHES=0",
             "-DBAUD_RATE=115200", "-Wl,--section-start=.version=0x7ffe")  # fmt: skip


def build_bootloader(name: str, folder: Path) -> Path:
    """Return the image of ``stub`` or ``optiboot``; skips where it cannot be made."""
    need_avr_gcc()
    source, options = (STUB, ()) if name == "stub" else (OPTIBOOT, _OPTIBOOT)
    if not source.exists():
        pytest.skip(f"{source} is not there (apt-get install arduino-core-avr)")
    elf, image = folder / f"{name}.elf", folder / f"{name}.hex"
    compiler = ["avr-gcc", "-mmcu=atmega328p", "-DF_CPU=16000000L", "-Os", "-w"]
    subprocess.run([*compiler, *options, *_LINK, str(source), "-o", str(elf)], check=True)
    subprocess.run(["avr-objcopy", "-O", "ihex", "-j", ".text", str(elf), str(image)], check=True)
    lines = image.read_text(encoding="ascii").splitlines(keepends=True)
    image.write_text(
        "".join(line for line in lines if line[7:9] != "03"), encoding="ascii"
    )  # a start address
    return image
