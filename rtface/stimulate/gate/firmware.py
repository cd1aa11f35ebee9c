"""The firmware that rtface ships: its image, the hash that it answers with, and how to put it on a board."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "firmware"
IMAGE = FOLDER / "gate-atmega328p.hex"


@cache
def packaged_build() -> int:
    """Return the build number of the packaged sources: the head of their SHA-256, in the order of their Makefile."""
    makefile = FOLDER / "Makefile"
    lists = {
        name.strip(): names.split()
        for name, found, names in (line.partition(":=") for line in makefile.read_text("ascii").splitlines())
        if found
    }
    digest = hashlib.sha256()
    for name in (*lists["SOURCES"], *lists["HEADERS"]):
        digest.update((FOLDER / name).read_bytes())
    digest.update(makefile.read_bytes())
    return int(digest.hexdigest()[:8], 16)


def flash_command(
    port: str, image: Path = IMAGE, programmer: str = "arduino", baud: int = 115_200
) -> list[str]:
    """Return the call of avrdude that writes an image to a board through its boot loader."""
    chip = ["avrdude", "-p", "atmega328p", "-c", programmer]
    return [*chip, "-P", port, "-b", str(baud), "-D", "-U", f"flash:w:{image}:i"]
