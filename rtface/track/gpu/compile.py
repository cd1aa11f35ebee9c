"""Make kernels.ptx of kernels.cu: ``python -m rtface.track.gpu.compile``, where NVIDIA's nvcc is installed.

With ``--check`` nothing is written: the exit code is 1 if the shipped text is not what nvcc makes of the shipped source.

The text is shipped, so that a lab needs a driver and no compiler. Its `.version` is lowered: nvcc writes that of its own
release, which only a driver of that release takes, while the kernels use nothing newer than `PTX_VERSION`. That it
is valid is proven by assembling it for `ARCHITECTURES`.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

from rtface.core.errors import UsageError

SOURCE = Path(__file__).with_name("kernels.cu")
TEXT = Path(__file__).with_name("kernels.ptx")

PTX_VERSION = "7.4"
"""Taken by drivers of CUDA 11.4 and later, JetPack 5 among them."""

OLDEST = 75
"""Compute capability that the text is made for (Turing); later ones take it too."""

ARCHITECTURES = (75, 80, 86, 87, 89, 90, 120)
"""Compute capabilities that the text is assembled for: Turing, Ampere, Orin, Ada, Hopper, Blackwell."""

_PACKAGE = "nvidia-cuda-nvcc"
_OPTIONS = ("-ptx", f"-arch=compute_{OLDEST}", "-std=c++17", "-fmad=false")


def source_hash() -> str:
    """Return the SHA-256 of kernels.cu, whatever its line ends."""
    return hashlib.sha256(SOURCE.read_text(encoding="utf-8").encode()).hexdigest()


def compiler() -> str | None:
    """Return where nvcc is: that of NVIDIA's Python package, else that on the path; None if it is not installed."""
    try:
        files = metadata.files(_PACKAGE) or []
    except metadata.PackageNotFoundError:
        files = []
    packaged = (str(file.locate()) for file in files if file.name in ("nvcc", "nvcc.exe"))
    return next(filter(shutil.which, packaged), shutil.which("nvcc"))


def build(nvcc: str) -> str:
    """Compile kernels.cu.

    Parameters
    ----------
    nvcc : str
        The compiler.

    Returns
    -------
    str
        PTX, the same for the same source and release of nvcc; its first lines name both.

    Raises
    ------
    UsageError
        nvcc refused the source; the message is its own.
    """
    release = re.search(r"\bV[\d.]+", _run(nvcc, "--version"))
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder, "made.ptx")
        _run(nvcc, *_OPTIONS, "-o", str(made), str(SOURCE))
        lines = made.read_text(encoding="utf-8").splitlines()
    body = "\n".join(line.rstrip() for line in lines if not line.startswith("//")).strip()
    body = re.sub(r"^\.version .*$", f".version {PTX_VERSION}", body, count=1, flags=re.MULTILINE)
    made_by = release.group() if release else "of an unknown release"
    return (
        "// Made by python -m rtface.track.gpu.compile; do not edit.\n"
        f"// kernels.cu: sha256 {source_hash()}\n"
        f"// nvcc: {made_by} {' '.join(_OPTIONS)}\n"
        f"{body}\n"
    )


def assemble(text: str, nvcc: str) -> None:
    """Prove that PTX is valid, by assembling it for all `ARCHITECTURES` with the ptxas beside nvcc.

    Raises
    ------
    UsageError
        ptxas is not there or refused the text; the message is its own.
    """
    ptxas = shutil.which("ptxas", path=str(Path(nvcc).parent)) or shutil.which("ptxas")
    if ptxas is None:
        raise UsageError(
            f"ptxas is neither beside {nvcc} nor on the path: install NVIDIA's CUDA toolkit whole"
        )
    with tempfile.TemporaryDirectory() as folder:
        given = Path(folder, "given.ptx")
        given.write_text(text, encoding="utf-8", newline="\n")
        for architecture in ARCHITECTURES:
            _run(ptxas, f"-arch=sm_{architecture}", "-o", str(Path(folder, "made.cubin")), str(given))


def main(*arguments: str) -> None:
    """Write kernels.ptx, or check it, and print what was found."""
    nvcc = compiler()
    if nvcc is None:
        sys.exit(
            f"nvcc is not installed: pip install '.[test]' brings {_PACKAGE}, and so does NVIDIA's CUDA toolkit"
        )
    text = build(nvcc)
    assemble(text, nvcc)
    check = "--check" in arguments
    if check and text != TEXT.read_text(encoding="utf-8"):
        sys.exit(
            f"{TEXT.name} is not what {nvcc} makes of {SOURCE.name}: run python -m rtface.track.gpu.compile"
        )
    if not check:
        TEXT.write_text(text, encoding="utf-8", newline="\n")
    architectures = ", ".join(f"sm_{architecture}" for architecture in ARCHITECTURES)
    how = "as shipped" if check else "written"
    sys.stdout.write(f"{TEXT.name}: {len(text)} bytes, {how}, assembled for {architectures}\n")


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise UsageError(f"{Path(command[0]).name} failed:\n{done.stderr or done.stdout}")
    return done.stdout


if __name__ == "__main__":
    main(*sys.argv[1:])
