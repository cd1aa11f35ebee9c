"""Which CUDA the installed torch and TensorRT were built for, and whether the driver can run that; nothing is imported.

A driver runs what was built for its own major version of CUDA, whichever minor, and for older ones. It runs a newer major
version only with NVIDIA's forward-compatibility package, which then is the driver that answers: so what the driver says of
itself is all there is to ask. Numbers are those of NVIDIA's table of minor-version compatibility.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from rtface.track.gpu.libcuda import Gpu

OLDEST_CUDA = (11, 4)
"""Of the driver: what rtface's own kernels and calls need."""

LOWEST_DRIVER = {11: "450.80", 12: "525.60", 13: "580.65"}
"""By the major version of CUDA, the oldest driver that runs it."""

_OURS = "470"
"""The oldest driver of `OLDEST_CUDA`."""

_NEWEST_MAJOR = 20

_TORCH_FOR = {
    11: "pip install 'torch<2.8' --index-url https://download.pytorch.org/whl/cu118",
    12: "pip install 'torch<2.15' --index-url https://download.pytorch.org/whl/cu126",
}
_TORCH_NEWEST = (
    "pip install torch --index-url https://download.pytorch.org/whl/cu130"
    if os.name == "nt"
    else "pip install torch"
)
"""Windows' from PyPI is for a CPU."""

_JETSON = frozenset({(5, 3), (6, 2), (7, 2), (8, 7), (11, 0)})
"""Compute capabilities of NVIDIA's boards, whose packages come with the board's system."""

_TENSORRT_FOR = {
    ("tensorrt", 11): "pip install 'tensorrt-cu11<10.14'",
    ("tensorrt", 12): "pip install tensorrt-cu12",
    ("tensorrt_rtx", 12): "pip install tensorrt-rtx-cu12",
}


@dataclass(frozen=True, slots=True)
class BuiltFor:
    """A package, and the CUDA that it was built for.

    Attributes
    ----------
    package : str
        The name that it is imported by.
    version : str
        Its own.
    cuda : tuple of int
        Major and, where it is known, minor version.
    """

    package: str
    version: str
    cuda: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.package} {self.version} is built for CUDA {'.'.join(map(str, self.cuda))}"


def built_for(package: str) -> BuiltFor | None:
    """Return which CUDA an installed package was built for.

    Parameters
    ----------
    package : str
        ``torch``, ``tensorrt`` or ``tensorrt_rtx``.

    Returns
    -------
    BuiltFor or None
        None where that cannot be told: it is not installed, is for a CPU, or did not come from pip.
    """
    return _torch() if package == "torch" else _tensorrt(package)


def _torch() -> BuiltFor | None:
    """Read torch's own file of versions."""
    spec = find_spec("torch")
    for folder in [] if spec is None else spec.submodule_search_locations or []:
        try:
            tree = ast.parse(Path(folder, "version.py").read_text(encoding="utf-8"))
        except (OSError, SyntaxError):
            continue
        values = dict(_texts(tree))
        cuda = _numbers(values.get("cuda", ""))
        return BuiltFor("torch", values.get("__version__", "of an unknown version"), cuda) if cuda else None
    return None


def _texts(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in tree.body:
        targets = (
            node.targets
            if isinstance(node, ast.Assign)
            else [node.target]
            if isinstance(node, ast.AnnAssign)
            else []
        )
        value = getattr(node, "value", None)
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            yield from ((target.id, value.value) for target in targets if isinstance(target, ast.Name))


def _tensorrt(package: str) -> BuiltFor | None:
    """Look for the package that holds it, whose name ends in CUDA's major version: ``tensorrt_cu13``."""
    names = [f"{package}_cu{major}" for major in range(_NEWEST_MAJOR, 0, -1)]
    required = {text.partition("=")[0].strip().replace("-", "_") for text in _requires(package)}
    for name in sorted(names, key=lambda name: name not in required):
        version = _version(name)
        if version is not None:
            return BuiltFor(package, version, (int(name.rpartition("cu")[2]),))
    return None


def _requires(package: str) -> list[str]:
    try:
        return metadata.requires(package) or []
    except metadata.PackageNotFoundError:
        return []


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:2] if part.isdecimal())


def why_too_old(gpu: Gpu, built: BuiltFor | None) -> str:
    """Return why the driver of a GPU cannot run a package, and what to do; empty if it can, or if that is not known.

    Parameters
    ----------
    gpu : Gpu
        With the CUDA of its driver.
    built : BuiltFor or None
        Of `built_for`.
    """
    if not any(gpu.cuda):
        return ""
    major = gpu.cuda[0]
    if gpu.cuda < OLDEST_CUDA:
        return (
            f"the driver ({gpu.driver}) is older than rtface needs, which is CUDA {OLDEST_CUDA[0]}.{OLDEST_CUDA[1]}: "
            f"install a driver of {_OURS} or newer"
        )
    if built is None or built.cuda[0] <= major:
        return ""
    driver = LOWEST_DRIVER.get(built.cuda[0])
    newer = "a newer driver" if driver is None else f"a driver of {driver} or newer"
    older = _TORCH_FOR.get(major) if built.package == "torch" else _TENSORRT_FOR.get((built.package, major))
    other = "" if older is None else f", or {built.package} for CUDA {major}: {older}"
    return f"{built}, and the driver ({gpu.driver}) runs none newer than CUDA {major}: install {newer}{other}"


def how_to_install_for(gpu: Gpu, package: str) -> str:
    """Return how ``tensorrt`` or ``torch`` is had for a GPU that not every build of it serves; empty for all others."""
    if gpu.compute_capability in _JETSON:
        return "on a Jetson it comes with JetPack, from 7 on (docs/gpu.md)"
    major = gpu.cuda[0]
    if package == "torch":
        return _TORCH_FOR.get(major, "")
    named = (_TENSORRT_FOR.get((name, major)) for name in ("tensorrt", "tensorrt_rtx"))
    ways = [f"{command} onnx" for command in named if command]
    return f"{', or for a GeForce or RTX card '.join(ways)}" if ways else ""


def how_to_install_torch(gpu: Gpu) -> str:
    """Return how torch's build for a CPU is replaced by the one for a GPU and its driver."""
    way = how_to_install_for(gpu, "torch") or _TORCH_NEWEST
    return way.replace("pip install ", "pip install --force-reinstall ", 1)


def torch_without_gpu(version: str, cuda: str | None) -> str:
    """Return why a torch that finds no GPU does not, and what to do.

    Parameters
    ----------
    version : str
        torch's.
    cuda : str or None
        The CUDA that it was built for; None for a CPU.
    """
    if cuda is None:
        return f"torch {version} is its build for a CPU, and docs/gpu.md says which one the driver can run"
    return (
        f"torch {version}, built for CUDA {cuda}, finds no GPU that it can use, although the driver has one: does "
        "`nvidia-smi` work, and is CUDA_VISIBLE_DEVICES what you mean?"
    )
