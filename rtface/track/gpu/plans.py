"""Plans on disk: a plan is built once for a network, a GPU, its driver and a TensorRT, and then kept.

They lie in the user's cache (``~/.cache/rtface/plans``; RTFACE_CACHE names another cache), which may be deleted at any
time. A record ``<key>.json`` names its plan's file by the plan's hash and appears after it, both by renaming: so two
processes that build the same plan at once leave a record with a whole plan, whichever comes last.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from rtface.core.clock import NS_PER_S, monotonic_ns, utc
from rtface.core.errors import BackendError
from rtface.core.extras import how_to_install
from rtface.core.files import cache_folder, written_whole
from rtface.track.gpu.body import Body
from rtface.track.gpu.callbacks import Progress
from rtface.track.gpu.nvinfer import BuildOptions, Built

_log = logging.getLogger(__name__)


class GpuFacts(Protocol):
    """What of a GPU a plan depends on; `rtface.track.gpu.libcuda.Gpu` has it."""

    @property
    def name(self) -> str:
        """Its product's name."""

    @property
    def architecture(self) -> str:
        """Its compute capability, as ``sm_89``."""

    @property
    def driver(self) -> str:
        """Version of its driver."""


class Builder(Protocol):
    """What of `rtface.track.gpu.nvinfer.Nvinfer` is needed here."""

    def open(self) -> tuple[str, str]:
        """Return module and version."""

    @property
    def targets(self) -> tuple[str, ...]:
        """GPUs that plans can be built for ahead of time."""

    def build(
        self, onnx: bytes, options: BuildOptions, progress: Progress | None, timings: bytes | None
    ) -> Built:
        """Make a plan."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan, and where it comes from.

    Attributes
    ----------
    data : bytes
        For `Nvinfer.load`.
    sha256 : str
        Of `data`.
    path : Path
        Where it lies in the cache.
    key : str
        Hash of all that it depends on.
    built : bool
        Whether it was built just now.
    facts : mapping
        All that it depends on, and its bytes, sha256, date and the seconds that building took.
    """

    data: bytes
    sha256: str
    path: Path
    key: str
    built: bool
    facts: Mapping[str, Any]

    @property
    def what(self) -> str:
        """The plan in words, for messages."""
        made_for = self.facts["gpu"] or ", ".join(self.facts["options"]["targets"])
        return f"the plan of {self.facts['network']} for {made_for} ({self.path})"


def plans_folder() -> Path:
    """Return the folder of plans; it may not exist yet."""
    return cache_folder("plans")


def plan_for(
    body: Body,
    gpu: GpuFacts | None,
    nvinfer: Builder,
    *,
    options: BuildOptions | None = None,
    progress: Progress | None = None,
    rebuild: bool = False,
) -> Plan:
    """Return the plan of a network for a GPU, from the cache or else newly built.

    Parameters
    ----------
    body : Body
        The network, of one shape and precision.
    gpu : GpuFacts or None
        The GPU; its context must be current unless TensorRT for RTX builds. None builds ahead of time for
        `options.targets`, which only TensorRT for RTX can.
    nvinfer : Nvinfer
        TensorRT.
    options : BuildOptions or None
        How to build; the defaults when None.
    progress : callable, optional
        As of `Nvinfer.build`.
    rebuild : bool
        Build it even if it is in the cache.

    Raises
    ------
    BackendError
        TensorRT cannot build it, not for this GPU, or not without one; the cache cannot be written, or holds under
        this plan's key one that was made for another GPU.
    """
    module, version = nvinfer.open()
    chosen = _for_gpu(options or BuildOptions(), gpu, nvinfer)
    parts: dict[str, Any] = {
        "network_sha256": hashlib.sha256(body.onnx).hexdigest(),
        "shape": list(body.shape),
        "precision": body.precision,
        "module": module,
        "version": version,
        "gpu": None if gpu is None else gpu.name,
        "architecture": None if gpu is None else gpu.architecture,
        "driver": None if gpu is None else gpu.driver,
        "options": asdict(chosen) | {"targets": list(chosen.targets)},
    }
    key = _digest(parts)
    folder = plans_folder()
    if not rebuild and (kept := _read(folder, key, parts)) is not None:
        return kept
    timings = (
        folder / f"{_digest({name: parts[name] for name in ('module', 'version', 'gpu', 'driver')})}.timings"
    )
    began_ns = monotonic_ns()
    built = nvinfer.build(body.onnx, chosen, progress, _bytes_of(timings))
    seconds = (monotonic_ns() - began_ns) / NS_PER_S
    sha256 = hashlib.sha256(built.plan).hexdigest()
    facts = parts | {
        "network": body.name,
        "plan_sha256": sha256,
        "bytes": len(built.plan),
        "seconds": round(seconds, 3),
        "date": utc().date().isoformat(),
    }
    path = _plan_file(folder, sha256)
    _write(path, built.plan)
    _write(folder / f"{key}.json", json.dumps(facts, indent=2).encode())
    if built.timings is not None:
        _write(timings, built.timings)
    return Plan(built.plan, sha256, path, key, True, facts)


def check_served(gpu: GpuFacts, nvinfer: Builder) -> None:
    """Refuse a GPU that the TensorRT that is installed makes no plans for.

    Raises
    ------
    BackendError
        It is TensorRT for RTX, and the GPU none that it serves; the message names what else runs there.
    """
    known = nvinfer.targets
    if known and gpu.architecture not in known:
        module, version = nvinfer.open()
        raise BackendError(
            f"{module} {version} makes no plans for {gpu.name} ({gpu.architecture}), only for {', '.join(known)}: "
            f"{how_to_install('tensorrt')}, or set backend.name to torch and backend.device to cuda:N"
        )


def _for_gpu(options: BuildOptions, gpu: GpuFacts | None, nvinfer: Builder) -> BuildOptions:
    """Return the options with the targets written out; refuse what this TensorRT cannot build."""
    module, version = nvinfer.open()
    known = nvinfer.targets
    if gpu is None and not known:
        raise BackendError(
            f"{module} {version} builds plans only on the GPU that runs them, and there is none: build there, or "
            f"{how_to_install('rtx')}, which builds for RTX cards on any machine"
        )
    if gpu is not None:
        check_served(gpu, nvinfer)
    if options.targets or not known:
        return options
    return replace(options, targets=known if gpu is None else (gpu.architecture,))


def _read(folder: Path, key: str, parts: Mapping[str, Any]) -> Plan | None:
    """Return the plan that a record in the cache names; None if there is none or it is damaged."""
    record = folder / f"{key}.json"
    text = _bytes_of(record)
    if text is None:
        return None
    try:
        facts = json.loads(text)
        sha256 = str(facts["plan_sha256"])
        recorded = {name: facts[name] for name in parts}
    except (ValueError, TypeError, KeyError):
        _log.warning("%s is damaged: its plan is built anew", record)
        return None
    if recorded != parts:
        differing = ", ".join(f"{name} {recorded[name]}" for name in parts if recorded[name] != parts[name])
        raise BackendError(
            f"{record} is of another plan ({differing}) than is wanted here ({parts['gpu']}): plans cannot be moved "
            "between machines; delete it"
        )
    path = _plan_file(folder, sha256)
    data = _bytes_of(path)
    if data is None or hashlib.sha256(data).hexdigest() != sha256:
        _log.warning("the plan %s is %s: it is built anew", path, "missing" if data is None else "damaged")
        return None
    return Plan(data, sha256, path, key, False, facts)


def _plan_file(folder: Path, sha256: str) -> Path:
    return folder / f"{sha256}.plan"


def _digest(parts: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _bytes_of(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BackendError(f"the cache of plans cannot be read: {path}: {error.strerror}") from error


def _write(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as fresh:
            fresh.write_bytes(data)
    except OSError as error:
        raise BackendError(
            f"the plan cannot be kept: {path}: {error.strerror}; RTFACE_CACHE names another folder for the cache"
        ) from error
